"""Save a cell in training at intervals, resume it, and stop it on a signal.

A checkpoint comes before the evaluation at the same environment step. Whatever came after the last checkpoint
is done again, evaluations included: their random streams are named by their point.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from rlparity import registry
from rlparity.buffers.replay import Replay
from rlparity.buffers.rollout import Rollout
from rlparity.cell import UNRELATED, Cell
from rlparity.errors import Interrupted, UserError
from rlparity.training import checkpoint_files, object_state
from rlparity.training.checkpoint_files import Segment
from rlparity.transitions import Step

FORMAT = 2  # of the state; format 1 named the modules of classes
WHO = ("environment", "implementation", "algorithm", "seeds")


class Session(Protocol):
    """What is saved: `training.run.Session` or `references.sb3_resume.Session`, by `object_state`."""

    @property
    def env_step(self) -> int:
        """Environment steps of each seed so far."""


class Checkpointer:
    """Write and read the checkpoints of one cell, in a folder of its own."""

    def __init__(
        self,
        cell: Cell,
        folder: Path,
        began: float | None = None,
        check: Callable[[], None] = lambda: None,
        origin: Mapping[str, Any] | None = None,
    ):
        """`began` is `time.monotonic()` at the start of the process; `check` raises if the folder is not this
        process's any more; `origin` says where the code comes from, for interim reports."""
        self.cell, self._folder, self._origin = cell, folder, dict(origin or {})
        self.times_resumed = 0
        self.signal: int | None = None  # received: training is to end
        self.started = datetime.now(UTC).isoformat(timespec="seconds")
        self._began, self._spent_s, self._check = began or time.monotonic(), 0.0, check
        self._segments: list[Segment] = []  # of the last checkpoint
        self._saved: int | None = None  # environment step of the last checkpoint
        self._due = 0  # environment step when one was last due
        self._failing = False

    @property
    def wall_time_s(self) -> float:
        """Time spent on the cell, that of earlier processes up to their last checkpoint included."""
        return self._spent_s + time.monotonic() - self._began

    def __call__(self, session: Session) -> None:
        """Between two steps, or rollouts: save when an interval or the budget has passed; end on a signal."""
        step, every, budget = session.env_step, self.cell.checkpoint_every, self.cell.budget
        if step // every > self._due // every or step >= budget > self._due:
            self._due = step
            self.save(session)
        if self.signal is not None:
            self.end(session, self.signal)

    def end(self, session: Session, number: int) -> None:
        """Save and raise Interrupted."""
        if self._saved != session.env_step:
            self.save(session)
        left = f"stopped with {self._last()}; the same command goes on from there"
        raise Interrupted(f"{self._folder.parent}: {left}", 128 + number)

    def _last(self) -> str:
        if self._saved is None:
            return "no checkpoint"
        return f"a checkpoint at environment step {self._saved:,} of {self.cell.budget:,}"

    def save(self, session: Session) -> None:
        """Write a checkpoint. Where the disk does not take it, the one before stays and training goes on."""
        self._check()
        written: list[Segment] = []
        try:
            memories = object_state.find(session, Replay)
            for number, memory in enumerate(memories):
                ends = [segment.last for segment in self._segments if segment.memory == number]
                for segment in checkpoint_files.write_segments(
                    self._folder, number, memory, max(ends, default=0)
                ):
                    written.append(segment)
            oldest = [memory.added - memory.size for memory in memories]
            segments = [s for s in (*self._segments, *written) if s.last > oldest[s.memory]]
            checkpoint_files.write_state(self._folder, self._state(session, segments))
        except OSError as error:
            if not self._failing:
                reason = error.strerror or error
                _say(f"{self._folder}: cannot be written ({reason}); training goes on with {self._last()}")
            self._failing = True
        else:
            self._segments, self._saved, self._failing = segments, session.env_step, False
        checkpoint_files.sweep(self._folder, self._segments)

    def _state(self, session: Session, segments: list[Segment]) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "cell": identity(self.cell),
            "env_step": session.env_step,
            "training": object_state.capture(session),
            "segments": [list(segment) for segment in segments],
            "times_resumed": self.times_resumed,
            "started": self.started,
            "wall_time_s": self.wall_time_s,
            "origin": self._origin,
        }

    def restore(self, session: Session) -> None:
        """Bring a training that was just built to the last checkpoint, if there is one.

        One of other sources or settings is removed, with a line that says so. Raises UserError if it is
        damaged or another cell's.
        """
        if (self._folder / checkpoint_files.STATE).exists():
            try:
                state = checkpoint_files.read_state(self._folder)
                if self._is_ours(state):
                    self._resume(session, state)
            except UserError:
                raise
            except Exception as error:  # whatever damage leads to
                raise self._refused(
                    f"not a readable checkpoint ({checkpoint_files.first_line(error)})"
                ) from error
        checkpoint_files.sweep(self._folder, self._segments)

    def _is_ours(self, state: dict[str, Any]) -> bool:
        if state["format"] < FORMAT:
            old = f"a checkpoint of format {state['format']}, now {FORMAT}"
            _say(f"{self._folder}: {old}; training starts from the beginning")
            checkpoint_files.clear(self._folder)
            return False
        if state["format"] != FORMAT:
            raise ValueError(f"format {state['format']}, expected {FORMAT}")
        found, cell = state["cell"], identity(self.cell)
        if any(found[name] != cell[name] for name in WHO):
            whose = " ".join(found[name] for name in WHO[:-1])
            seeds = ", ".join(map(str, found["seeds"]))
            raise self._refused(f"the checkpoint of another cell, {whose}, seeds {seeds}")
        if found != cell:
            at = f"checkpoint at environment step {state['env_step']:,}"
            _say(f"{self._folder}: {at} is of other sources or settings; training starts from the beginning")
            checkpoint_files.clear(self._folder)
        return bool(found == cell)

    def _resume(self, session: Session, state: dict[str, Any]) -> None:
        object_state.restore(session, state["training"])
        self._segments = [Segment(*values) for values in state["segments"]]
        checkpoint_files.read_segments(self._folder, self._segments, object_state.find(session, Replay))
        self.times_resumed, self.started = state["times_resumed"] + 1, state["started"]
        self._spent_s = state["wall_time_s"]
        self._saved = self._due = session.env_step
        if not resumes_exactly(self.cell):
            for rollout in object_state.find(session, Rollout):
                _cut(rollout)
            _say(f"{self._folder}: goes on with new episodes from environment step {session.env_step:,}")

    def _refused(self, reason: str) -> UserError:
        path = self._folder / checkpoint_files.STATE
        return UserError(f"{path}: {reason}; delete {self._folder} to train the cell from the beginning")

    @contextmanager
    def heeding_signals(self) -> Iterator[None]:
        """Let Ctrl-C and SIGTERM end training at its next call; a second Ctrl-C ends it at once.

        A second SIGTERM does not: a parent that dies sends one for each of its threads (PR_SET_PDEATHSIG).
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

        def ask(number: int, frame: object) -> None:
            self.signal = number
            if number == signal.SIGINT:
                signal.signal(number, before[signal.SIGINT])

        heeded = [number for number, handler in before.items() if handler != signal.SIG_IGN]
        for number in heeded:
            signal.signal(number, ask)
        try:
            yield
        finally:
            for number in heeded:
                signal.signal(number, before[number])


def resumes_exactly(cell: Cell) -> bool:
    """Whether a training that was interrupted ends with the same records as one that was not."""
    return registry.family(cell.environment).resumes_exactly


def _cut(rollout: Rollout) -> None:
    """End the episodes of a rollout under way, as a time limit would: what follows are other episodes."""
    steps = rollout.snapshot()["steps"]
    if steps:
        Step(*steps).last[-1] = 1
        rollout.resume({"steps": steps})


def identity(cell: Cell) -> dict[str, Any]:
    """All of a cell that its training depends on, as JSON holds it."""
    ignored = UNRELATED - {"fingerprint"}
    return {name: value for name, value in json.loads(cell.to_json()).items() if name not in ignored}


def _say(line: str) -> None:
    with suppress(OSError):  # the log may lie on the disk that is full
        print(f"rlparity: {line}", file=sys.stderr, flush=True)
