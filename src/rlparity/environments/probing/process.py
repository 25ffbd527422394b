"""The process that probes environments: it loads both arms once, then looks at each in a child of its own.

A child that crashes, hangs or ends the interpreter takes nothing along. What a module prints is not shown.
"""

from __future__ import annotations

import gc
import json
import mmap
import os
import select
import signal
import struct
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

STALL_S = 60.0  # for one call of an environment
SHARED = 4096  # bytes that a child and its parent share: a counter of calls, and the last one as text
POLL_S = 0.1
BOTH_ARMS = ("torch", "stable_baselines3.common.vec_env", "rlparity.environments.probing.examination")


@dataclass
class Child:
    """A child that looks at one environment."""

    environment: str
    pid: int
    answer: int  # end of a pipe
    shared: mmap.mmap
    text: bytes = b""
    status: int | None = None  # once it has ended
    calls: int = -1
    moved: float = field(default_factory=time.monotonic)

    def now(self) -> str:
        """What the child is about to do."""
        return self.shared[8:].split(b"\0", 1)[0].decode(errors="replace")

    def stalled(self, limit_s: float) -> bool:
        """Whether it has made no call for that long."""
        (calls,) = struct.unpack_from("q", self.shared, 0)
        if calls != self.calls:
            self.calls, self.moved = calls, time.monotonic()
        return time.monotonic() - self.moved > limit_s


def serve() -> None:
    """Read a request from the standard input, write a line of JSON per environment as each is done."""
    request = json.load(sys.stdin)
    sys.path[:] = request["path"]
    for name in BOTH_ARMS:
        import_module(name)
    import_module("torch").set_num_threads(1)
    gc.freeze()  # children share these pages
    waiting: list[str] = list(request["environments"])
    running: list[Child] = []
    while waiting or running:
        while waiting and len(running) < request["jobs"]:
            running.append(_fork(waiting.pop(0)))
        select.select([child.answer for child in running], [], [], POLL_S)
        for child in list(running):
            done = _read(child)
            if done is None and child.stalled(request["stall_s"]):
                done = {"refused": f"{child.now()} did not come back within {request['stall_s']:g} s"}
            if done is not None:
                running.remove(child)
                _end(child)
                print(json.dumps({"environment": child.environment, **done}), flush=True)


def _read(child: Child) -> Mapping[str, Any] | None:
    """What a child has found; None while it is at work.

    A line is an answer: what the environment has started may keep the pipe open.
    """
    if child.status is None:
        pid, status = os.waitpid(child.pid, os.WNOHANG)  # first, so that all it has written is there to read
        child.status = status if pid else None
    chunk = os.read(child.answer, 1 << 16) if select.select([child.answer], [], [], 0)[0] else None
    child.text += chunk or b""
    if child.text.endswith(b"\n"):
        found: dict[str, Any] = json.loads(child.text)
        return found
    if chunk == b"" and child.status is None:
        time.sleep(POLL_S)  # it is about to end, or has closed the pipe and is at work
    if chunk or child.status is None:
        return None
    code = os.waitstatus_to_exitcode(child.status)
    how = f"by {signal.Signals(-code).name}" if code < 0 else f"with status {code}"
    return {"refused": f"its process ended {how} in {child.now()}"}


def _end(child: Child) -> None:
    os.close(child.answer)
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)  # with what it has started
    if child.status is None:
        os.waitpid(child.pid, 0)


def _fork(environment: str) -> Child:
    shared = mmap.mmap(-1, SHARED)
    answer, write = os.pipe()
    pid = os.fork()
    if pid:
        os.close(write)
        return Child(environment, pid, answer, shared)
    code = 1
    try:
        os.setsid()
        os.close(answer)
        _quiet()
        found = json.dumps(import_module(BOTH_ARMS[-1]).examine(environment, _teller(shared)))
        with open(write, "wb", closefd=False) as file:
            file.write(f"{found}\n".encode())
        code = 0
    finally:
        os._exit(code)


def _quiet() -> None:
    """Send what is printed nowhere, and read from nowhere."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nowhere, number)


def _teller(shared: mmap.mmap) -> Any:
    count = 0

    def now(call: str) -> None:
        nonlocal count
        count += 1
        text = call.encode()[: SHARED - 9] + b"\0"
        shared[8 : 8 + len(text)] = text
        struct.pack_into("q", shared, 0, count)

    return now
