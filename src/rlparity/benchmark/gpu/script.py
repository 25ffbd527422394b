"""Run blocks one after another within a number of minutes, and remember what was done.

`state.json` in the work folder names the blocks that have run with their outcomes, so that the next call
goes on with the others. A block is run again if its order, all that its outcome depends on, has changed.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import stat
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rlparity.benchmark.gpu import process
from rlparity.benchmark.gpu.blocks import Block
from rlparity.errors import UserError, not_written
from rlparity.provenance import source_code
from rlparity.records import write_bytes

FORMAT = 1  # of state.json
RESERVE_S = 8.0  # for the start of Python, and for the archive at the end
DONE, FAILED, STOPPED = "done", "failed", "stopped"
Say = Callable[[str], None]


class Script:
    """The work folder, and what has been done in it."""

    def __init__(self, work: Path, say: Say, keep: Callable[[dict[str, Any]], None]):
        """`say` is given a line at the start and the end of every block; `keep` what is known of all blocks,
        by name, before the first and after each."""
        self.work, self._say, self._keep = work.resolve(), say, keep
        self._file = self.work / "state.json"
        self._blocks: dict[str, dict[str, Any]] = _read(self._file)

    def run(self, blocks: Sequence[Block], minutes: float, started: float) -> bool:
        """Run the blocks that are not done; returns whether all are.

        A block whose limit is more than the time left is skipped. One that takes spare time, or was stopped
        in an earlier call, gets what the limits leave over. `started`: `time.monotonic()` when the minutes
        began.
        """
        ends = started + 60 * minutes - RESERVE_S
        self._keep(self._blocks)
        for place, block in enumerate(blocks):
            self._forget_another_order(block)
            if self._outcome(block) == DONE:
                self._say(f"{block.name}: skipped: done before")
                continue
            left = ends - time.monotonic()
            if left < block.limit_s:
                needs = f"needs {block.limit_s:g} s, {max(left, 0):.0f} s are left of {minutes:g} min"
                self._say(f"{block.name}: skipped: {needs}")
                continue
            later = sum(one.limit_s for one in blocks[place:] if self._outcome(one) != DONE)
            stretched = block.takes_spare or self._outcome(block) == STOPPED
            spare = max(left - later, 0) if stretched else 0
            self._run(block, int(block.limit_s + spare) if spare else block.limit_s)
        left_over = {block.name: self._outcome(block) or "not begun" for block in blocks}
        left_over = {name: outcome for name, outcome in left_over.items() if outcome != DONE}
        if left_over:
            names = ", ".join(f"{name} ({outcome})" for name, outcome in left_over.items())
            self._say(f"not done: {names}; the same command goes on with them")
        return not left_over

    def _run(self, block: Block, limit_s: float) -> None:
        """Run one block, say so, and write down how it ended."""
        started, log = time.monotonic(), self.work / "logs" / f"{block.name}.log"
        command = block.command(self.work)
        self._say(f"{block.name}: starts, limit {limit_s:g} s")
        if command is None:
            outcome, told = DONE, "done: nothing was left to do"
        else:
            self._note(block, STOPPED, 0.0, limit_s)  # so it stays if this process is killed
            log.unlink(missing_ok=True)
            ended = process.run(command, Path.cwd(), log, limit_s, self._variables())
            seconds = time.monotonic() - started
            outcome = DONE if ended.status == 0 else STOPPED if ended.stopped else FAILED
            told = f"{outcome} in {seconds:.0f} s, limit {limit_s:g} s"
            if outcome == STOPPED:
                told = f"stopped at its limit of {limit_s:g} s; the next call goes on with it"
            if outcome == FAILED:
                told += f", exit status {ended.status}: {_last_line(log)} ({log})"
        self._note(block, outcome, time.monotonic() - started, limit_s)
        self._say(f"{block.name}: {told}")
        self._keep(self._blocks)

    def _outcome(self, block: Block) -> str | None:
        return self._blocks.get(block.name, {}).get("outcome")

    def _forget_another_order(self, block: Block) -> None:
        """Remove what the block left if it was run by another order, or by one that is not known."""
        if self._blocks.get(block.name, {}).get("order") != dict(block.order):
            self._blocks.pop(block.name, None)
            shutil.rmtree(self.work / block.name, ignore_errors=True)

    def _note(self, block: Block, outcome: str, seconds: float, limit_s: float) -> None:
        self._blocks[block.name] = {
            "outcome": outcome,
            "seconds": round(seconds, 1),
            "limit_s": limit_s,
            "order": dict(block.order),
        }
        state = {"format": FORMAT, "blocks": self._blocks}
        write_bytes(self._file, json.dumps(state, indent=1).encode())

    def _variables(self) -> dict[str, str]:
        """Environment variables of blocks: these sources, a command `rlparity` even where none is installed,
        one thread."""
        shim = self.work / "bin" / "rlparity"
        write_bytes(shim, f'#!/bin/sh\nexec "{sys.executable}" -P -m rlparity "$@"\n'.encode())
        shim.chmod(shim.stat().st_mode | stat.S_IXUSR)
        paths = {"PYTHONPATH": source_code.PACKAGE.parent, "PATH": shim.parent}
        before = {name: os.environ.get(name, "") for name in paths}
        joined = {
            name: os.pathsep.join(filter(None, [str(path), before[name]])) for name, path in paths.items()
        }
        return {"OMP_NUM_THREADS": "1", **os.environ, **joined}


@contextmanager
def alone(work: Path) -> Iterator[None]:
    """Keep other processes of this machine from the work folder, which is made. UserError if one is there."""
    try:
        work.mkdir(parents=True, exist_ok=True)
        file = (work / ".lock").open("w")
    except OSError as error:
        raise not_written(error, f"{work}: cannot be written to ({error.strerror})") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"{work}: another rlparity dev gpu is running there; wait for its end") from None
        except OSError as error:
            raise UserError(f"{work}: cannot be locked ({error.strerror}); choose other --results") from None
        yield


def _read(file: Path) -> dict[str, dict[str, Any]]:
    """The blocks of a state; none where there is none, or one of another format or damaged."""
    try:
        state = json.loads(file.read_text(encoding="utf-8"))
        blocks = state["blocks"] if state["format"] == FORMAT else {}
        return {name: one for name, one in blocks.items() if {"outcome", "order"} <= one.keys()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _last_line(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines()]
    shown = [line for line in lines if line]
    return shown[-1][:200] if shown else "it printed nothing"
