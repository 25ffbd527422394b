"""What the command line says of names that it does not know, and what every command exits with."""

from __future__ import annotations

import argparse
import errno
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from rlparity.__main__ import _parser, main
from rlparity.cli import gpu, suites
from rlparity.errors import MEANINGS, Interrupted, Status, StorageError, UserError

ROOT = Path(__file__).parents[1]


def _commands() -> dict[str, argparse.ArgumentParser]:
    found = next(each for each in _parser()._actions if isinstance(each, argparse._SubParsersAction))
    return dict(found.choices)


COMMANDS = _commands()


def test_an_unknown_command_is_told_from_those_that_help_lists(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    listed = re.findall(r"^  ([a-z]+)  +[A-Z]", capsys.readouterr().out, flags=re.MULTILINE)
    assert main(["rn"]) == 4
    message = capsys.readouterr().err
    choices = f"choose from {', '.join(sorted(listed))} (did you mean 'run'?)"
    assert message == f"rlparity: COMMAND: unknown command 'rn'; {choices}\n"
    assert "layer" not in message and "attempt" not in message


def test_an_unknown_algorithm_is_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["train", "ppoo", "CartPole-v1", "--results", str(tmp_path)]) == 4
    message = capsys.readouterr().err
    assert message.startswith("rlparity: train: unknown algorithm 'ppoo'; choose from a2c, ")
    assert message.count("\n") == 1 and message.count("ppoo") == 1


def test_seeds_are_not_checked_without_a_plan(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["check", "tiny", "--results", str(tmp_path)]) == 4
    expected = f"rlparity: {tmp_path}/tiny/tables/plan.json: missing; run `rlparity dev collect` first\n"
    assert capsys.readouterr().err == expected


# --- exit statuses


def words(name: str) -> list[str]:
    """The fewest words that a command takes."""
    needed = [action for action in COMMANDS[name]._actions if action.required]
    found = [
        word
        for action in needed
        for word in (*action.option_strings[:1], "1" if action.type is int else "{}")
    ]
    return ["their:make", *found] if name == "validate" else found


@pytest.mark.parametrize("name", COMMANDS)
def test_a_mistake_in_the_words_is_one_line_and_4(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = ["--no-such-option"] if name != "run" else []  # whose options are Snakemake's
    assert main([name, *(words(name) if wrong else []), *wrong]) == Status.USAGE
    message = capsys.readouterr().err
    assert message.startswith("rlparity: ") and message.count("\n") == 1 and "--help" in message


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize(
    ("error", "status"),
    [
        (None, 0),
        (UserError("no such seed"), 4),
        (StorageError("cannot be written"), 5),
        (MemoryError(), 5),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), 5),
        (OSError(errno.ENOSPC, "No space left on device"), 5),
        (KeyboardInterrupt(), 130),
        (Interrupted("saved", 143), 143),
        (ZeroDivisionError("an error of rlparity"), 3),
    ],
)
def test_every_command_ends_with_the_status_of_its_error(
    name: str, error: BaseException | None, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(chosen: argparse.Namespace, rest: list[str]) -> None:
        if error is not None:
            raise error

    made = _parser()
    (commands,) = [each for each in made._actions if isinstance(each, argparse._SubParsersAction)]
    commands.choices[name].set_defaults(run=run)
    monkeypatch.setattr("rlparity.__main__._parser", lambda: made)
    assert main([name, *words(name)]) == status


@pytest.mark.parametrize(
    ("module", "call", "name", "status"),
    [
        (gpu, "_run", ["gpu"], 2),
        ("rlparity.runs.pending", "failed_seeds", ["check", "tiny"], 3),
    ],
)
def test_what_is_left_to_do_and_seeds_that_failed(
    module: Any, call: str, name: list[str], status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = module if not isinstance(module, str) else __import__(module, fromlist=["x"])
    monkeypatch.setattr(place, call, lambda *_: ["seed 1 failed"] if status == 3 else False)
    assert main(name) == status
    monkeypatch.setattr(place, call, lambda *_: [] if status == 3 else True)
    assert main(name) == 0


@pytest.mark.parametrize(("ended", "status"), [(0, 0), (1, 1), (-15, 143)])
def test_run_passes_on_the_status_of_snakemake(
    ended: int, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Process:
        def __init__(self, *_: Any, **__: Any): ...
        def __enter__(self) -> Process:
            return self

        def __exit__(self, *_: object) -> None: ...
        def wait(self) -> int:
            return ended

    monkeypatch.setattr(subprocess, "Popen", Process)
    monkeypatch.setattr(suites, "_limits_jobs", lambda *_: True)
    assert main(["run", "smoke"]) == status


def test_the_statuses_are_documented(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    page = (ROOT / "docs" / "reference" / "command-line.md").read_text(encoding="utf-8")
    shown = capsys.readouterr().out
    for status in Status:
        assert f"  {status:<4} {MEANINGS[status]}" in shown and f"| {status} | {MEANINGS[status]}" in page
