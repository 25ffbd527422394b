"""Lock a cell's folder for one process, on one machine or on several that share the folder.

On one machine `flock` decides; the system releases it when the process ends. Between machines, where `flock`
may have no effect, *claims* decide: files with unique names that contain host, job and process. A process
writes its claim, looks for others, and withdraws if there are any. A claim is touched every BEAT_S, else it
expires. Names are never reused, so a process that was suspended notices that its claim is gone.
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

from rlparity.errors import StorageError, UserError

BEAT_S = 15.0  # between two touches of a claim
EXPIRES_S = 180.0  # network file systems may show a touch a minute late
POLL_S = 5.0  # between two attempts of a process that waits
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
    """Another process trains the cell."""


class Lock:
    """A held lock on a cell's folder; its claim is touched every BEAT_S."""

    def __init__(self, path: Path, folder: Path):
        self.waited = False  # whether another process held it first
        self._path, self._folder, self._ended = path, folder, threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._thread.start()

    def _beat(self) -> None:
        while not self._ended.wait(BEAT_S):
            with suppress(OSError):  # the file system may fail for a moment; `check` notices a lost claim
                os.utime(self._path)

    def check(self) -> None:
        """Raise UserError if the claim has expired and another process has taken over."""
        if not self._path.exists():
            raise UserError(
                f"{self._folder}: this process was silent for too long and another trains the cell"
            )

    def release(self) -> None:
        """Stop touching the claim, and remove it."""
        self._ended.set()
        self._thread.join()
        with suppress(OSError):
            self._path.unlink(missing_ok=True)


@contextmanager
def held(folder: Path, wait: Callable[[str], None] | None = None) -> Iterator[Lock]:
    """Hold the lock on a cell's folder, which is created if it does not exist.

    If another process holds it, raises Taken. With `wait`, calls that with a line that names the holder, and
    waits until the lock is free.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / ".lock").open("w")
    except OSError as error:
        raise StorageError(f"{folder}: cannot be written ({error.strerror})") from None
    reported = ""
    with file:
        while True:
            try:
                lock = _take(file.fileno(), folder)
                break
            except Taken as error:
                if wait is None:
                    raise
                if str(error) != reported:
                    reported = str(error)
                    wait(reported)
                time.sleep(POLL_S)
        lock.waited = bool(reported)
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
    if rivals:  # of two that came at once both withdraw
        path.unlink(missing_ok=True)
        raise _taken(folder, rivals[0])
    return Lock(path, folder)


def _flock(file: int, folder: Path) -> bool:
    """Lock the file against other processes of this machine; False where `flock` has no effect."""
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
    """All claims on a folder, the most recently touched first."""
    found = []
    for path in folder.glob(".claim-*"):
        with suppress(OSError):
            found.append(Claim(path, path.stat().st_mtime, _holder(path)))
    return sorted(found, key=lambda claim: -claim.touched)


def _holder(path: Path) -> dict[str, str]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:  # not yet written, or damaged
        return {}
    return {name: str(value) for name, value in found.items()} if isinstance(found, dict) else {}


def machine() -> str:
    """An id of the running kernel, containers included: within it `flock` decides."""
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
        raise StorageError(f"{folder}: cannot be written ({error.strerror})") from None
    return path


def _expired(claim: Claim, folder: Path) -> bool:
    """Whether a claim was not touched for EXPIRES_S, by the file system's clock.

    A claim far in the future shows that this clock went backwards; it has expired if it is not touched during
    three beats.
    """
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
