"""The pipeline's terminal output, from the events that Snakemake sends."""

from __future__ import annotations

import json
import logging
import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from snakemake_interface_logger_plugins.common import LogEvent

import snakemake_logger_plugin_cells as cells
from snakemake_logger_plugin_cells import jobs, terminal

WILDCARDS = {
    "suite": "tiny",
    "environment": "CartPole-v1",
    "implementation": "scratch",
    "algorithm": "ppo",
    "seeds": "seeds-0-1",
}


class Handler(cells.LogHandler):
    """Fed by hand."""

    def send(self, message: str = "", level: int = logging.INFO, **fields: Any) -> None:
        record = logging.LogRecord("snakemake", level, "", 0, message, (), None)
        record.__dict__.update(fields)
        self.emit(record)


@pytest.fixture
def handler() -> Any:
    made = Handler(SimpleNamespace(dryrun=False, verbose=False), None)
    yield made
    made.close()


def start(handler: Handler, folder: Path) -> Path:
    log = folder / "train.log"
    handler.send(event=LogEvent.RUN_INFO, stats={"train": 2, "collect": 1, "total": 3})
    handler.send(event=LogEvent.JOB_INFO, jobid=7, rule_name="train", wildcards=WILDCARDS, log=[str(log)])
    return log


def test_plain_lines_count_cells(
    handler: Handler, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start(handler, tmp_path)
    handler.send(event=LogEvent.JOB_FINISHED, job_id=7)
    handler.send(event=LogEvent.JOB_INFO, jobid=8, rule_name="collect", wildcards={"suite": "tiny"}, log=[])
    handler.send(event=LogEvent.JOB_FINISHED, job_id=8)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].endswith("CartPole-v1 scratch ppo seeds-0-1: training")
    assert "CartPole-v1 scratch ppo seeds-0-1: done in 0s; 1 of 2 cells done, ETA" in lines[1]
    assert lines[2].endswith("] collect") and len(lines) == 3


def test_cells_that_a_look_asks_for_are_counted_once_they_start(
    handler: Handler, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start(handler, tmp_path)
    handler.send(event=LogEvent.JOB_FINISHED, job_id=7)
    for job in (8, 9):
        handler.send(event=LogEvent.JOB_INFO, jobid=job, rule_name="train", wildcards=WILDCARDS, log=["x"])
        handler.send(event=LogEvent.JOB_FINISHED, job_id=job)
    assert capsys.readouterr().err.splitlines()[-1].endswith("3 of 3 cells done")


def test_a_failed_job_shows_who_and_the_end_of_its_log(
    handler: Handler, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = start(handler, tmp_path)
    log.write_text("\n".join(f"line {i}" for i in range(100)))
    handler.send("RuleException:\nCalledProcessError in file x", logging.ERROR)
    handler.send(
        event=LogEvent.JOB_ERROR,
        jobid=7,
        rule_name="train",
        wildcards=WILDCARDS,
        log=[str(log)],
        level=logging.ERROR,
    )
    text = capsys.readouterr().err
    assert "FAILED: rule train, CartPole-v1 scratch ppo seeds-0-1" in text
    assert "line 99" in text and "line 85" in text and "line 84" not in text and "RuleException" not in text


def test_a_dump_of_the_stack_does_not_hide_what_was_said(tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    other = ["Timeout (0:02:00)!", "Thread 0x1 (most recent call first):", *["a frame"] * 30]
    stack = [*other, "Thread 0x2 (most recent call first):", *(f"frame {number}" for number in range(40))]
    log.write_text("\n".join(["rlparity: a: the time limit of 60 s is over", *stack]))
    shown = jobs.log_end(log)
    assert shown[0].endswith("60 s is over") and shown[1] == "frame 0" and len(shown) == jobs.LOG_LINES + 1


def test_messages_that_say_nothing_are_dropped(handler: Handler, capsys: pytest.CaptureFixture[str]) -> None:
    handler.send("Select jobs to execute...")
    handler.send("done", event=LogEvent.PROGRESS, done=1, total=2)
    handler.send("The report is here.")
    handler.send("Something is wrong", logging.ERROR)
    assert capsys.readouterr().err.splitlines() == ["The report is here.", "Something is wrong"]


def test_interrupted_jobs_have_not_failed(
    handler: Handler, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = start(handler, tmp_path)
    handler.send("Terminating processes on user request, this might take some time.")
    handler.send(event=LogEvent.JOB_ERROR, jobid=7, rule_name="train", wildcards=WILDCARDS, log=[str(log)])
    assert "FAILED" not in capsys.readouterr().err


def test_a_bar_reads_the_heartbeat(tmp_path: Path) -> None:
    job = jobs.Job("train", "a cell", tmp_path / "train.log")
    assert job.bar().startswith("starting")
    now = time.time()
    beat = {"env_step": 250, "budget": 1000, "started": now - 10, "updated": now}
    (tmp_path / "heartbeat.json").write_text(
        json.dumps({**beat, "steps_per_second": 50, "episode_return": 12.34})
    )
    assert job.bar() == "[######                  ]  25%  ETA    30s  50 steps/s  return 12.3"
    (tmp_path / "heartbeat.json").unlink()
    assert job.bar() == "[########################] 100%  writing records"


def test_jobs_are_named_by_their_cells() -> None:
    assert (
        jobs.name("live_check", WILDCARDS).endswith("seeds-0-1") and jobs.Job("live_check", "", None).is_cell
    )
    assert jobs.name("collect", {"suite": "tiny"}) == "collect"


def test_bars_are_erased_and_messages_stay_above(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(terminal.shutil, "get_terminal_size", lambda: os.terminal_size((10, 24)))
    foot = terminal.Foot()
    foot.draw(["a bar that is too long", "b"])
    assert capsys.readouterr().err == "a bar tha\nb\n"
    foot.draw(["a"], "a message of any length\n")
    assert capsys.readouterr().err == "\x1b[2A\x1b[Ja message of any length\na\n"
    foot.draw(())
    foot.draw(())
    assert capsys.readouterr().err == "\x1b[1A\x1b[J"


def test_no_more_bars_than_the_terminal_can_erase(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(terminal.shutil, "get_terminal_size", lambda: os.terminal_size((80, 5)))
    foot = terminal.Foot()
    foot.draw(["0", "1", "2"])
    assert capsys.readouterr().err == "0\n1\n2\n"
    foot.draw(["0", "1", "2", "3"])
    assert capsys.readouterr().err == "\x1b[3A\x1b[J0\n1\n  and 2 more\n"
    foot.draw(())
    assert capsys.readouterr().err == "\x1b[3A\x1b[J"


def test_a_terminal_has_bars_and_an_overall_count(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cells.sys.stderr, "isatty", lambda: True)
    handler = Handler(SimpleNamespace(dryrun=False, verbose=False), None)
    start(handler, tmp_path)
    handler.send("The report is here.")
    handler.close()
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "The report is here."
    assert lines[1].endswith("0 of 2 cells done")
    assert lines[2].startswith("  CartPole-v1 scratch ppo seeds-0-1  starting, ")


def test_durations() -> None:
    assert [jobs.duration(seconds) for seconds in (0.4, 61, 3600)] == ["0s", "1m01s", "1h00m"]
