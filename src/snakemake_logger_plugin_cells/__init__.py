"""Snakemake's terminal output, as cells done of total, what is running and how long it will take.

Found by Snakemake through its name (`--logger cells`, set in profiles/default). On a terminal every running
cell has a live bar, elsewhere there is a plain line when a cell starts or ends and every half minute. The
bars read the cells' own heartbeat files. A failed job is shown with the end of its log, a dry run as
Snakemake shows it.
"""

from __future__ import annotations

import json
import logging
import shutil
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

CELL_RULES = ("train", "restore_reference")
REDRAW_S, REPEAT_S = 0.5, 30.0
LOG_LINES = 15
SILENT_EVENTS = {
    LogEvent.JOB_STARTED,
    LogEvent.PROGRESS,
    LogEvent.RESOURCES_INFO,
    LogEvent.SHELLCMD,
    LogEvent.WORKFLOW_STARTED,
}
SILENT_MESSAGES = (
    "Assuming unrestricted",
    "Building DAG",
    "Conda environments: ignored",
    "Config file",
    "Complete log",
    "Elapsed time",
    "Execute ",
    "Exiting because a job execution failed",
    "Provided ",
    "Removing ",
    "RuleException:\nCalledProcessError",  # the failed job is shown already
    "Select jobs",
    "Touching output",
    "Using profile",
    "Using shell",
    "Using workflow specific profile",
    "host:",
)


@dataclass
class Job:
    """A job that is running."""

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

    def look(self) -> dict[str, Any]:
        """What the trainer last said of itself; empty before it says anything."""
        try:
            self.beat = json.loads((self.log.parent / "heartbeat.json").read_text()) if self.log else {}
            self.finishing = False
        except (OSError, ValueError):
            self.finishing = bool(self.beat)  # it is taken away when training ends
        return self.beat

    def part(self) -> float:
        """How much of the budget is spent, 0 to 1."""
        beat = self.look()
        if self.finishing:
            return 1.0
        return min(beat["env_step"] / beat["budget"], 1.0) if beat else 0.0


class LogHandler(LogHandlerBase):
    """Counts cells from Snakemake's events and draws them."""

    def __post_init__(self) -> None:
        self._lock = threading.RLock()
        self._running: dict[int, Job] = {}
        self._cells = self._done = self._failed = self._lines = 0
        self._started = time.monotonic()
        self._interrupted = False
        self._terminal = sys.stderr.isatty() and not self.common_settings.dryrun
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Take note of an event; print what a person wants to see of it."""
        event = getattr(record, "event", None)
        with self._lock:
            if self.common_settings.dryrun or self.common_settings.verbose:
                self._print(self.format(record))
            elif event == LogEvent.RUN_INFO:
                stats: dict[str, int] = getattr(record, "stats", {})
                self._cells = sum(stats.get(rule, 0) for rule in CELL_RULES)
                self._begin()
            elif event == LogEvent.JOB_INFO:
                self._job_started(record)
            elif event == LogEvent.JOB_FINISHED:
                self._job_finished(getattr(record, "job_id", -1))
            elif event == LogEvent.JOB_ERROR:
                self._job_failed(record)
            elif event not in SILENT_EVENTS and not record.getMessage().strip().startswith(SILENT_MESSAGES):
                self._interrupted |= record.getMessage().startswith("Terminating processes on user request")
                self._print(self.format(record))

    def _begin(self) -> None:
        if self._thread is None and not self.common_settings.dryrun:
            self._thread = threading.Thread(target=self._loop, daemon=True)
            self._thread.start()

    def _job_started(self, record: logging.LogRecord) -> None:
        rule, wildcards = record.rule_name, dict(record.wildcards or {})  # type: ignore[attr-defined]
        keys = ("environment", "implementation", "algorithm", "seeds")
        name = " ".join([wildcards[key] for key in keys if key in wildcards] or [rule])
        if rule in CELL_RULES and "implementation" not in wildcards:
            name = name.replace(" ", " sb3 ", 1)
        logs = list(getattr(record, "log", None) or [])
        job = Job(rule, name, Path(logs[0]) if logs else None)
        self._running[record.jobid] = job  # type: ignore[attr-defined]
        if not self._terminal and rule != "all":
            self._print(f"{self._clock()} {name}" + (": training" if rule == "train" else ""))

    def _job_finished(self, identity: int) -> None:
        job = self._running.pop(identity, None)
        if job is not None and job.is_cell:
            self._done += 1
            took = _duration(time.monotonic() - job.started)
            self._print(f"{self._clock()} {job.name}: done in {took}; {self._count()}")

    def _job_failed(self, record: logging.LogRecord) -> None:
        job = self._running.pop(record.jobid, None)  # type: ignore[attr-defined]
        if self._interrupted:
            return
        rule = getattr(record, "rule_name", "?")
        self._failed += bool(job and job.is_cell)
        lines = [f"FAILED: rule {rule}, {job.name if job else ''}"]
        for log in getattr(record, "log", None) or []:
            lines.append(f"  the end of {log}:")
            lines += [f"    {line}" for line in _tail(Path(log))]
        self._print("\n".join(lines))

    def _loop(self) -> None:
        last = time.monotonic()
        while not self._stop.wait(REDRAW_S):
            with self._lock:
                if self._terminal:
                    self._draw()
                elif time.monotonic() - last >= REPEAT_S and self._running:
                    last = time.monotonic()
                    inside = ", ".join(_share(job) for job in self._running.values())
                    self._print(f"{self._clock()} {self._count()}; {inside}")

    def _draw(self) -> None:
        """Bars of all running jobs, over those drawn before."""
        jobs = [job for job in self._running.values() if job.rule != "all"]
        lines = [f"{self._clock()} {self._count()}"] if jobs else []
        width = max((len(job.name) for job in jobs), default=0)
        for job in jobs:
            lines.append(f"  {job.name:<{width}}  {_bar(job)}")
        columns = shutil.get_terminal_size().columns  # a wrapped line could not be erased
        sys.stderr.write(self._erase() + "".join(f"{line[: columns - 1]}\n" for line in lines))
        sys.stderr.flush()
        self._lines = len(lines)

    def _erase(self) -> str:
        return f"\x1b[{self._lines}A\x1b[J" if self._lines else ""

    def _print(self, text: str) -> None:
        """Print above the bars."""
        if not text or text == "None":
            return
        sys.stderr.write(self._erase() + text.rstrip("\n") + "\n")
        self._lines = 0
        if self._terminal and self._thread is not None:
            self._draw()
        sys.stderr.flush()

    def _count(self) -> str:
        if not self._cells:
            return "no cells to train"
        spent = self._done + sum(job.part() for job in self._running.values() if job.is_cell)
        elapsed = time.monotonic() - self._started
        left = (
            f", ETA {_duration(elapsed / spent * (self._cells - spent))}" if 0 < spent < self._cells else ""
        )
        failed = f", {self._failed} failed" if self._failed else ""
        return f"{self._done} of {self._cells} cells done{failed}{left}"

    def _clock(self) -> str:
        return f"[{_duration(time.monotonic() - self._started)}]"

    def close(self) -> None:
        """Leave the terminal as the last line left it."""
        self._stop.set()
        with self._lock:
            if self._terminal and self._thread is not None:
                self._running.clear()
                self._draw()
                self._thread = None
        super().close()

    writes_to_stream = property(lambda self: True)
    writes_to_file = property(lambda self: False)
    has_filter = property(lambda self: False)
    has_formatter = property(lambda self: False)
    needs_rulegraph = property(lambda self: False)


def _share(job: Job) -> str:
    return f"{job.name} {job.part():.0%}" if job.is_cell else job.name


def _bar(job: Job) -> str:
    part, beat = job.part(), job.beat
    if not beat:
        return f"starting, {_duration(time.monotonic() - job.started)}" if job.is_cell else "running"
    bar = f"[{'#' * int(24 * part):<24}] {part:4.0%}"
    if job.finishing:
        return f"{bar}  writing records"
    left = (beat["updated"] - beat["started"]) / part * (1 - part) if part > 0.01 else None
    reward = beat.get("episode_return")
    shown = "" if reward is None else f"  return {reward:.1f}"
    eta = "?" if left is None else _duration(left)
    return f"{bar}  ETA {eta:>6}  {beat['steps_per_second']:,.0f} steps/s{shown}"


def _tail(path: Path) -> list[str]:
    """The last lines; where a dump of the stack came after what the program said, that and the place."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ["(no log)"]
    said = [number for number, line in enumerate(lines[:-LOG_LINES]) if line.startswith("rlparity: ")]
    if not said:
        return lines[-LOG_LINES:] or ["(empty)"]
    stacks = [number + 1 for number, line in enumerate(lines) if "most recent call first" in line]
    start = stacks[-1] if stacks else len(lines) - LOG_LINES  # the main thread's is the last
    return [lines[said[-1]], *lines[start : start + LOG_LINES]]


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02d}m" if hours else f"{minutes}m{rest:02d}s" if minutes else f"{rest}s"
