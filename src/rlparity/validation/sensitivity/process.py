"""A trial in a separate process: its time limit and the judgement of its interim tests."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Lock
from typing import Any

from rlparity.validation.sensitivity.plan import Trial, interim_folder
from rlparity.validation.sensitivity.trial import Outcome, done

POLL_S = 0.5  # between two checks whether a training has new evaluations
BUSY = 20  # multiple of its limit of processor time that a trial may take on a busy machine
COMMAND = (sys.executable, "-P", "-m", "rlparity", "dev", "sensitivity")


class TooBusy(Exception):
    """The machine was too busy for the trial."""


class Judge:
    """The judge of interim tests: `analysis.sequential_tests` in a separate process, because that needs
    pandas."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._lock = Lock()

    def __call__(self, case: Path, point: int | None = None, records: Path | None = None) -> tuple[str, str]:
        """Verdict and evidence of the interim test at evaluation `point`. Without it: "" and the reason why
        the case allows no test, if there is one."""
        with self._lock:
            if self._process is None:
                pipe = subprocess.PIPE
                self._process = subprocess.Popen([*COMMAND, "--judge"], stdin=pipe, stdout=pipe, text=True)
            assert self._process.stdin is not None and self._process.stdout is not None
            request = {"case": str(case), "point": point, "look": None if records is None else str(records)}
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            verdict, evidence = json.loads(self._process.stdout.readline())
            return verdict, evidence

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            assert self._process.stdin is not None
            self._process.stdin.close()
            self._process.wait()


def attempt(trial: Trial, file: Path, limit: int, case: Path | None, judge: Judge) -> Outcome:
    """Run a trial in a separate process, which writes its outcome to `file` and all else to the folder beside
    it. `limit` is in seconds of processor time. Raises TooBusy."""
    folder = file.with_suffix("")
    file.unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    command = [*COMMAND, "--trial", json.dumps(trial), "--into", str(file), "--limit", str(limit)]
    command += ["--case", str(case)] if case else []
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with (
        (folder / "log.txt").open("wb") as log,
        subprocess.Popen(command, stdout=log, stderr=log, env=environment) as process,
    ):
        try:
            if case is not None and not trial.way:
                return _follow(process, folder, limit, case, judge)
            process.wait(BUSY * limit)
            return read(file) or _broken(process.returncode, folder, limit)
        except subprocess.TimeoutExpired:
            raise TooBusy from None
        finally:
            process.kill()


def _follow(process: subprocess.Popen[bytes], folder: Path, limit: int, case: Path, judge: Judge) -> Outcome:
    """Judge every interim test of a training as its evaluations appear; the first that decides ends it."""
    waiting = [point for point, _ in json.loads(case.read_text(encoding="utf-8"))["looks"]]
    until, evidence = time.monotonic() + BUSY * limit, "no test"
    while True:
        ended = process.poll() is not None
        while waiting and (so_far := read(interim_folder(folder, waiting[0]) / "so_far.json")) is not None:
            point = waiting.pop(0)
            if so_far["failed"]:
                return _failed(so_far)
            verdict, evidence = judge(case, point, interim_folder(folder, point))
            if verdict in ("WORSE", "BETTER") or not waiting:
                return done(verdict == "WORSE", so_far["seconds"], f"{verdict}, {evidence}")
        if ended and process.returncode == -signal.SIGXCPU:
            return done(None, limit, f"undecided after {limit} s: {evidence}")
        if ended:
            return _broken(process.returncode, folder, limit)
        if time.monotonic() > until:
            raise TooBusy
        time.sleep(POLL_S)


def _broken(status: int, folder: Path, limit: int) -> Outcome:
    """The outcome of a process that ended without writing one."""
    if status == -signal.SIGXCPU:
        return done(True, limit, f"it did not come to an end in {limit} s")
    end = read(folder / "end.json")
    if end is not None and end["failed"]:
        return _failed(end)
    lines = (folder / "log.txt").read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return done(True, 0.0, f"the process ended with status {status}: {lines[-1] if lines else 'no message'}")


def _failed(so_far: dict[str, Any]) -> Outcome:
    reasons = "; ".join(dict.fromkeys(map(str, so_far["failed"].values())))
    return done(True, so_far["seconds"], f"{len(so_far['failed'])} seeds failed: {reasons}")


def read(file: Path) -> Any:
    """The content of a JSON file; None if it is missing or incomplete."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
