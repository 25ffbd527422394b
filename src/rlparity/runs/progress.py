"""Show the progress of a cell: a bar on a terminal, lines in a log, a heartbeat file for other processes."""

from __future__ import annotations

import json
import sys
import time
from collections import defaultdict, deque
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from rlparity.cell import Cell
from rlparity.records import write_bytes
from rlparity.transitions import Episode

if TYPE_CHECKING:
    from rlparity.training.recorder import Recorder

BEAT_S, LINE_S = 1.0, 10.0


class Display:
    """An `OnEpisodes` that reports progress at intervals."""

    def __init__(self, cell: Cell, heartbeat: Path | None = None, tensorboard: Path | None = None):
        self._cell, self._heartbeat = cell, heartbeat
        self._returns: deque[float] = deque(maxlen=20 * len(cell.seeds))
        self._started = self._beaten = time.monotonic()
        self._lined = self._started - LINE_S + 2
        self._terminal = sys.stderr.isatty()
        self._tensorboard = tensorboard
        self._writer: Any = None
        self._before: int | None = None  # environment steps before this process

    def __call__(self, env_step: int, ended: Iterable[Episode]) -> None:
        """Count a step: environment steps per seed so far, and the episodes that just ended."""
        if self._before is None:
            self._before = env_step - self._cell.n_envs
            self._open(self._before)
        for episode in ended:
            self._returns.append(episode.episode_return)
            if self._writer is not None:
                seed = self._cell.seeds[episode.seed_index]
                self._writer.add_scalar(
                    f"seed-{seed}/episode_return", episode.episode_return, episode.env_step
                )
        now = time.monotonic()
        if now - self._beaten >= BEAT_S:
            self._beaten = now
            self._report(env_step, now)

    def _open(self, env_step: int) -> None:
        """Open TensorBoard's files; after a resume, drop what was written after the last checkpoint."""
        if self._tensorboard is not None:
            from torch.utils.tensorboard import SummaryWriter

            purge = {"purge_step": env_step + 1} if env_step else {}
            self._writer = SummaryWriter(str(self._tensorboard), **purge)

    def _report(self, env_step: int, now: float) -> None:
        cell = self._cell
        pace = (now - self._started) / (env_step - (self._before or 0))  # seconds per step of all seeds
        mean = sum(self._returns) / len(self._returns) if self._returns else None
        if self._heartbeat is not None:
            beat = {
                "env_step": env_step,
                "budget": cell.budget,
                "seeds": len(cell.seeds),
                "steps_per_second": len(cell.seeds) / pace,
                "episode_return": mean,
                "started": time.time() - env_step * pace,  # as if never interrupted
                "updated": time.time(),
            }
            with suppress(OSError):  # a full disk is reported where records are written
                write_bytes(self._heartbeat, json.dumps(beat).encode())
        if self._terminal or now - self._lined >= LINE_S:
            self._lined = now
            with suppress(OSError):
                self._print(env_step, pace, mean)

    def _print(self, env_step: int, pace: float, mean: float | None) -> None:
        cell, part = self._cell, min(env_step / self._cell.budget, 1.0)
        eta = max(cell.budget - env_step, 0) * pace
        shown = "-" if mean is None else f"{mean:.1f}"
        rate = f"{len(cell.seeds) / pace:,.0f} steps/s over {len(cell.seeds)} seeds"
        text = f"{rate}  ETA {eta:.0f} s  return {shown}"
        name = f"{cell.environment} {cell.implementation}/{cell.algorithm}"
        if self._terminal:
            bar = "#" * int(30 * part)
            sys.stderr.write(f"\r\x1b[K{name} [{bar:<30}] {part:4.0%}  {text}")
        else:
            sys.stderr.write(f"{name}  {env_step:,} of {cell.budget:,}  {text}\n")
        sys.stderr.flush()

    def summarise(self, recorder: Recorder) -> None:
        """Add mean returns of evaluations and the learner's metrics to the TensorBoard files."""
        if self._tensorboard is None:
            return
        if self._writer is None:  # resumed after its last step
            self._open(recorder.cell.budget)
        returns = defaultdict(list)
        for row in recorder.evaluations:
            returns[row["seed"], row["protocol"], row["env_step"]].append(row["value"])
        for (seed, protocol, env_step), values in returns.items():
            self._writer.add_scalar(f"seed-{seed}/evaluation/{protocol}", fmean(values), env_step)
        for row in recorder.progress:
            self._writer.add_scalar(f"seed-{row['seed']}/{row['metric']}", row["value"], row["env_step"])

    def close(self) -> None:
        """End the bar, remove the heartbeat file, close TensorBoard's files."""
        if self._terminal and self._beaten > self._started:
            sys.stderr.write("\n")
        if self._heartbeat is not None:
            self._heartbeat.unlink(missing_ok=True)
        if self._writer is not None:
            self._writer.close()
