"""Snakemake's terminal output: cells done of all, running jobs and the expected time.

Snakemake finds the plugin by its name (`--logger cells`, set in profiles/default). On a terminal every
running job has a bar, read from the heartbeat file of its cell; elsewhere a line is printed when a cell
starts or ends and every half minute. A failed job is shown with the end of its log, a dry run as Snakemake
shows it.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from pathlib import Path

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

from snakemake_logger_plugin_cells.jobs import CELL_RULES, Job, duration, log_end, name
from snakemake_logger_plugin_cells.terminal import Foot

REDRAW_S, REPEAT_S = 0.5, 30.0
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


class LogHandler(LogHandlerBase):
    """Count cells from Snakemake's events and show them on standard error."""

    def __post_init__(self) -> None:
        self._lock = threading.RLock()
        self._running: dict[int, Job] = {}
        self._cells = self._done = self._failed = 0
        self._started = time.monotonic()
        self._interrupted = False
        self._foot = Foot() if sys.stderr.isatty() and not self.common_settings.dryrun else None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Count an event and print what a person needs to see of it."""
        event = getattr(record, "event", None)
        handlers = {
            LogEvent.RUN_INFO: self._run_started,
            LogEvent.JOB_INFO: self._job_started,
            LogEvent.JOB_FINISHED: self._job_finished,
            LogEvent.JOB_ERROR: self._job_failed,
        }
        with self._lock:
            if self.common_settings.dryrun or self.common_settings.verbose:
                self._print(self.format(record))
            elif event in handlers:
                handlers[event](record)
            elif event not in SILENT_EVENTS and not record.getMessage().strip().startswith(SILENT_MESSAGES):
                self._interrupted |= record.getMessage().startswith("Terminating processes on user request")
                self._print(self.format(record))

    def _run_started(self, record: logging.LogRecord) -> None:
        stats: dict[str, int] = getattr(record, "stats", {})
        self._cells = sum(stats.get(rule, 0) for rule in CELL_RULES)
        if self._thread is None:
            self._thread = threading.Thread(target=self._loop, daemon=True)
            self._thread.start()

    def _job_started(self, record: logging.LogRecord) -> None:
        rule: str = record.rule_name  # type: ignore[attr-defined]
        logs = list(getattr(record, "log", None) or [])
        wildcards = dict(getattr(record, "wildcards", None) or {})
        job = Job(rule, name(rule, wildcards), Path(logs[0]) if logs else None)
        self._running[record.jobid] = job  # type: ignore[attr-defined]
        known = self._done + sum(one.is_cell for one in self._running.values())
        self._cells = max(self._cells, known)  # a look may ask for more than the run began with
        if self._foot is None and rule != "all":
            self._print(f"{self._clock()} {job.name}" + (": training" if rule == "train" else ""))

    def _job_finished(self, record: logging.LogRecord) -> None:
        job = self._running.pop(getattr(record, "job_id", -1), None)
        if job is not None and job.is_cell:
            self._done += 1
            took = duration(time.monotonic() - job.started)
            self._print(f"{self._clock()} {job.name}: done in {took}; {self._count()}")

    def _job_failed(self, record: logging.LogRecord) -> None:
        job = self._running.pop(record.jobid, None)  # type: ignore[attr-defined]
        if self._interrupted:
            return
        self._failed += bool(job and job.is_cell)
        lines = [f"FAILED: rule {getattr(record, 'rule_name', '?')}, {job.name if job else ''}"]
        for log in getattr(record, "log", None) or []:
            lines.append(f"  the end of {log}:")
            lines += [f"    {line}" for line in log_end(Path(log))]
        self._print("\n".join(lines))

    def _loop(self) -> None:
        last = time.monotonic()
        while not self._stop.wait(REDRAW_S):
            with self._lock:
                if self._foot is not None:
                    self._foot.draw(self._bars())
                elif time.monotonic() - last >= REPEAT_S and self._running:
                    last = time.monotonic()
                    shares = ", ".join(job.share() for job in self._running.values())
                    self._print(f"{self._clock()} {self._count()}; {shares}")

    def _bars(self) -> list[str]:
        jobs = [job for job in self._running.values() if job.rule != "all"]
        width = max((len(job.name) for job in jobs), default=0)
        head = [f"{self._clock()} {self._count()}"] if jobs else []
        return head + [f"  {job.name:<{width}}  {job.bar()}" for job in jobs]

    def _print(self, text: str) -> None:
        """Print a message, above the bars where there are any."""
        if not text or text == "None":
            return
        if self._foot is not None:
            self._foot.draw(self._bars() if self._thread is not None else (), text)
        else:
            print(text.rstrip("\n"), file=sys.stderr, flush=True)

    def _count(self) -> str:
        if not self._cells:
            return "no cells to train"
        spent = self._done + sum(job.part() for job in self._running.values() if job.is_cell)
        elapsed = time.monotonic() - self._started
        unfinished = 0 < spent < self._cells
        left = f", ETA {duration(elapsed / spent * (self._cells - spent))}" if unfinished else ""
        failed = f", {self._failed} failed" if self._failed else ""
        return f"{self._done} of {self._cells} cells done{failed}{left}"

    def _clock(self) -> str:
        return f"[{duration(time.monotonic() - self._started)}]"

    def close(self) -> None:
        """Remove the bars and leave the last line."""
        self._stop.set()
        with self._lock:
            self._running.clear()
            if self._foot is not None:
                self._foot.draw(())
        super().close()

    writes_to_stream = property(lambda self: True)
    writes_to_file = property(lambda self: False)
    has_filter = property(lambda self: False)
    has_formatter = property(lambda self: False)
    needs_rulegraph = property(lambda self: False)
