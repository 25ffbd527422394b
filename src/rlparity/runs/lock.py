"""One writer for a cell, on one machine or on many that share a folder.

On one machine `flock` decides, which falls away with the process that holds it. Between machines, where it
may do nothing, *claims* decide: files with names of their own that say who trains (host, job, process). Who
has left one looks whether there are others, and steps back if so. Claims are touched at every beat; one that
was not touched for a while is a dead one's. No name ever comes again, so one who was only silent finds that
out.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from rlparity.errors import UserError

BEAT_S = 15.0  # between two touches of a claim
EXPIRES_S = 180.0  # network file systems may show a touch a minute late
POLL_S = 5.0  # between two looks of one who waits
JOB = "SLURM_JOB_ID"


class Claim(NamedTuple):
    """A file in a cell's folder: `.claim-<32 hexadecimal digits>`."""

    path: Path
    touched: float  # by the clock of the file system
    holder: dict[str, str]  # machine, host, job, process, since

    def __str__(self) -> str:
        job = f", job {self.holder['job']}" if self.holder.get("job") else ""
        return f"process {self.holder.get('process')} on {self.holder.get('host')}{job}"


class Taken(UserError):
    """Somebody else trains the cell."""


class Lock:
    """Held as long as `held` says so."""

    def __init__(self, path: Path, folder: Path):
        self.waited = False  # whether another process had it when it was asked for
        self._path, self._folder, self._ended = path, folder, threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._thread.start()

    def _beat(self) -> None:
        while not self._ended.wait(BEAT_S):
            with suppress(OSError):  # a file system that is away for a moment; `check` tells if it is gone
                os.utime(self._path)

    def check(self) -> None:
        """UserError if another process has taken over, as one does if this was not heard of for long."""
        if not self._path.exists():
            raise UserError(
                f"{self._folder}: this process was silent for too long and another trains the cell"
            )

    def release(self) -> None:
        """Let others in."""
        self._ended.set()
        self._thread.join()
        with suppress(OSError):
            self._path.unlink(missing_ok=True)


@contextmanager
def held(folder: Path, wait: Callable[[str], None] | None = None) -> Iterator[Lock]:
    """Hold a cell's folder, which is made if need be.

    Where another process holds it: Taken; with `wait` that is told who, and this waits for the other's end.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / ".lock").open("w")
    except OSError as error:
        raise UserError(f"{folder}: cannot be written ({error.strerror})") from None
    told = ""
    with file:
        while True:
            try:
                lock = _take(file.fileno(), folder)
                break
            except Taken as error:
                if wait is None:
                    raise
                if str(error) != told:
                    told = str(error)
                    wait(told)
                time.sleep(POLL_S)
        lock.waited = bool(told)
        try:
            yield lock
        finally:
            lock.release()


def _take(file: int, folder: Path) -> Lock:
    alone_here = _flock(file, folder)
    others = claims(folder)
    for claim in others:
        here = claim.holder.get("machine") == machine()
        if not (here and alone_here) and not _expired(claim, folder):
            raise _taken(folder, claim)
    path = _claim(folder)
    for claim in others:
        claim.path.unlink(missing_ok=True)
    rivals = [claim for claim in claims(folder) if claim.path != path]
    if rivals:  # two who came at once both step back
        path.unlink(missing_ok=True)
        raise _taken(folder, rivals[0])
    return Lock(path, folder)


def _flock(file: int, folder: Path) -> bool:
    """Whether this process alone, of those on this machine, has the folder; False where locks do nothing."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
            return False
        raise _taken(folder, next(iter(claims(folder)), None)) from None
    return True


def _taken(folder: Path, claim: Claim | None) -> Taken:
    who = f", {claim}" if claim else ""
    return Taken(f"{folder}: another process is training this cell{who}")


def claims(folder: Path) -> list[Claim]:
    """All claims on a folder, the last one touched first."""
    found = []
    for path in folder.glob(".claim-*"):
        with suppress(OSError):
            found.append(Claim(path, path.stat().st_mtime, _holder(path)))
    return sorted(found, key=lambda claim: -claim.touched)


def _holder(path: Path) -> dict[str, str]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:  # about to be written, or damaged
        return {}
    return {name: str(value) for name, value in found.items()} if isinstance(found, dict) else {}


def machine() -> str:
    """What is shared by processes between which `flock` decides: one running kernel, containers included."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
    except OSError:
        return socket.gethostname()


def _claim(folder: Path) -> Path:
    path = folder / f".claim-{uuid.uuid4().hex}"
    holder = {
        "machine": machine(),
        "host": socket.gethostname(),
        "job": os.environ.get(JOB, ""),
        "process": os.getpid(),
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    try:
        with path.open("x", encoding="utf-8") as file:
            json.dump(holder, file)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise UserError(f"{folder}: cannot be written ({error.strerror})") from None
    return path


def _expired(claim: Claim, folder: Path) -> bool:
    """Whether a claim was not touched for too long. Both times are the file system's; where its clock went
    backwards, so that the claim lies far in the future, it is watched for three beats instead."""
    age = _now(folder) - claim.touched
    if age > -EXPIRES_S:
        return age > EXPIRES_S
    time.sleep(3 * BEAT_S)
    with suppress(OSError):
        return claim.path.stat().st_mtime == claim.touched
    return True


def _now(folder: Path) -> float:
    """The time by the file system's clock."""
    probe = folder / f".now-{uuid.uuid4().hex}"
    probe.touch()
    try:
        return probe.stat().st_mtime
    finally:
        probe.unlink(missing_ok=True)
