"""How a long cell shows where it is: a bar on a terminal, lines in a log, a heartbeat file for others."""

from __future__ import annotations

import json
import sys
import time
from collections import defaultdict, deque
from collections.abc import Iterable
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from rlparity.cell import Cell
from rlparity.records import Episode, write_bytes

if TYPE_CHECKING:
    from rlparity.train import Rows

BEAT_S, LINE_S = 1.0, 10.0


class Display:
    """Called after every step of a cell's worlds; speaks when something is due."""

    def __init__(self, cell: Cell, heartbeat: Path | None = None, tensorboard: Path | None = None):
        self._cell, self._heartbeat = cell, heartbeat
        self._returns: deque[float] = deque(maxlen=20 * len(cell.seeds))
        self._started = self._beaten = time.monotonic()
        self._started_at = time.time()
        self._lined = self._started - LINE_S + 2
        self._terminal = sys.stderr.isatty()
        self._writer: Any = None
        if tensorboard is not None:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(tensorboard))

    def __call__(self, env_step: int, ended: Iterable[Episode]) -> None:
        """Take note of a step: environment steps per seed so far, and the games that just ended."""
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
            self._speak(env_step, now)

    def _speak(self, env_step: int, now: float) -> None:
        cell, elapsed = self._cell, now - self._started
        rate = env_step * len(cell.seeds) / elapsed
        mean = sum(self._returns) / len(self._returns) if self._returns else None
        if self._heartbeat is not None:
            beat = {
                "env_step": env_step,
                "budget": cell.budget,
                "seeds": len(cell.seeds),
                "steps_per_second": rate,
                "episode_return": mean,
                "started": self._started_at,
                "updated": time.time(),
            }
            write_bytes(self._heartbeat, json.dumps(beat).encode())
        if self._terminal or now - self._lined >= LINE_S:
            self._lined = now
            self._print(env_step, elapsed, rate, mean)

    def _print(self, env_step: int, elapsed: float, rate: float, mean: float | None) -> None:
        cell, part = self._cell, min(env_step / self._cell.budget, 1.0)
        eta = elapsed / max(part, 1e-9) * (1 - part)
        shown = "-" if mean is None else f"{mean:.1f}"
        text = f"{rate:,.0f} steps/s over {len(cell.seeds)} seeds  ETA {eta:.0f} s  return {shown}"
        name = f"{cell.environment} {cell.implementation}/{cell.algorithm}"
        if self._terminal:
            bar = "#" * int(30 * part)
            sys.stderr.write(f"\r\x1b[K{name} [{bar:<30}] {part:4.0%}  {text}")
        else:
            sys.stderr.write(f"{name}  {env_step:,} of {cell.budget:,}  {text}\n")
        sys.stderr.flush()

    def summarise(self, rows: Rows) -> None:
        """Add what evaluations saw to the TensorBoard files: mean returns and the learner's metrics."""
        if self._writer is None:
            return
        returns = defaultdict(list)
        for row in rows.evaluations:
            returns[row["seed"], row["protocol"], row["env_step"]].append(row["episode_return"])
        for (seed, protocol, env_step), values in returns.items():
            self._writer.add_scalar(f"seed-{seed}/evaluation/{protocol}", fmean(values), env_step)
        for row in rows.progress:
            self._writer.add_scalar(f"seed-{row['seed']}/{row['metric']}", row["value"], row["env_step"])

    def close(self) -> None:
        """End the bar; the heartbeat has nothing more to say."""
        if self._terminal and self._beaten > self._started:
            sys.stderr.write("\n")
        if self._heartbeat is not None:
            self._heartbeat.unlink(missing_ok=True)
        if self._writer is not None:
            self._writer.close()
