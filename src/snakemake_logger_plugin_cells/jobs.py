"""Jobs that Snakemake runs, and how far the cells among them are."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CELL_RULES = ("train", "live_check")
LOG_LINES = 15


@dataclass
class Job:
    """A running job; `beat` is the newest heartbeat of its cell, empty before the first one."""

    rule: str
    name: str
    log: Path | None
    started: float = field(default_factory=time.monotonic)
    beat: dict[str, Any] = field(default_factory=dict)
    finishing: bool = False

    @property
    def is_cell(self) -> bool:
        """Whether it makes a cell's records."""
        return self.rule in CELL_RULES

    def part(self) -> float:
        """Read the heartbeat; the part of the budget that is spent, 0 to 1."""
        self._read_heartbeat()
        if self.finishing:
            return 1.0
        return min(self.beat["env_step"] / self.beat["budget"], 1.0) if self.beat else 0.0

    def _read_heartbeat(self) -> None:
        try:
            self.beat = json.loads((self.log.parent / "heartbeat.json").read_text()) if self.log else {}
            self.finishing = False
        except (OSError, ValueError):
            self.finishing = bool(self.beat)  # the file is removed when training ends

    def share(self) -> str:
        """The name, and of a cell the part that is done."""
        return f"{self.name} {self.part():.0%}" if self.is_cell else self.name

    def bar(self) -> str:
        """The part that is done as a bar, expected time, speed and return."""
        part = self.part()
        if not self.beat:
            return f"starting, {duration(time.monotonic() - self.started)}" if self.is_cell else "running"
        bar = f"[{'#' * int(24 * part):<24}] {part:4.0%}"
        if self.finishing:
            return f"{bar}  writing records"
        spent = self.beat["updated"] - self.beat["started"]
        left = duration(spent / part * (1 - part)) if part > 0.01 else "?"
        reward = self.beat.get("episode_return")
        shown = "" if reward is None else f"  return {reward:.1f}"
        return f"{bar}  ETA {left:>6}  {self.beat['steps_per_second']:,.0f} steps/s{shown}"


def name(rule: str, wildcards: dict[str, str]) -> str:
    """Environment, implementation, algorithm and seeds of a cell; of other jobs what there is of them."""
    keys = ("environment", "implementation", "algorithm", "seeds")
    parts = {key: wildcards[key] for key in keys if key in wildcards}
    return " ".join(parts.values()) or rule


def log_end(path: Path) -> list[str]:
    """Last lines of a log; where a stack dump follows an error of rlparity, that error and the dump's top."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ["(no log)"]
    errors = [number for number, line in enumerate(lines[:-LOG_LINES]) if line.startswith("rlparity: ")]
    if not errors:
        return lines[-LOG_LINES:] or ["(empty)"]
    stacks = [number + 1 for number, line in enumerate(lines) if "most recent call first" in line]
    start = stacks[-1] if stacks else len(lines) - LOG_LINES  # the main thread is dumped last
    return [lines[errors[-1]], *lines[start : start + LOG_LINES]]


def duration(seconds: float) -> str:
    """Such as 1h05m, 2m03s or 4s."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02d}m" if hours else f"{minutes}m{rest:02d}s" if minutes else f"{rest}s"
