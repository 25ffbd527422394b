"""What the command line says of names that it does not know, and what every command exits with."""

from __future__ import annotations

import argparse
import contextlib
import errno
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import rlparity
from rlparity.__main__ import main
from rlparity.cli import gpu, suites
from rlparity.cli.parser import build as _parser
from rlparity.errors import MEANINGS, Interrupted, Status, StorageError, UserError

ROOT = Path(__file__).parents[1]


def _below(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    (found,) = (each for each in parser._actions if isinstance(each, argparse._SubParsersAction))
    return dict(found.choices)


def _commands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """All commands, those of maintenance as "dev NAME"."""
    people = _below(parser)
    dev = _below(people.pop("dev"))
    return people | {f"dev {name}": command for name, command in dev.items()}


COMMANDS = _commands(_parser())
PEOPLE = ["run", "plan", "train", "validate", "play", "report", "restore", "bench", "diff", "new"]


def test_help_shows_ten_commands_in_the_order_of_use(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    assert re.findall(r"^  ([a-z]+)  +[A-Z]", capsys.readouterr().out, flags=re.MULTILINE) == PEOPLE
    also = {"init", "new-agent"}  # `new` tells of them
    assert {name for name in COMMANDS if not name.startswith("dev ")} == set(PEOPLE) | also


def test_help_of_dev_lists_every_command_but_the_internal_ones(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["dev", "--help"])
    listed = re.findall(r"^  ([a-z]+)  +[A-Z]", capsys.readouterr().out, flags=re.MULTILINE)
    there = [name.removeprefix("dev ") for name in COMMANDS if name.startswith("dev ")]
    assert listed == [name for name in there if name not in ("layer", "attempt")]


@pytest.mark.parametrize(
    "name", [name.removeprefix("dev ") for name in COMMANDS if name.startswith("dev ")] + ["interim"]
)
def test_old_spellings_name_the_new_ones(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "tiny", "--results", "elsewhere"]) == Status.USAGE
    new = "report" if name == "interim" else f"dev {name}"
    assert capsys.readouterr().err == f"rlparity: {name}: this command is `rlparity {new}` now\n"


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert not ended.value.code and capsys.readouterr().out == f"rlparity {rlparity.__version__}\n"


def test_an_unknown_command_is_told_from_those_that_help_lists(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    listed = re.findall(r"^  ([a-z-]+)  +[A-Z]", capsys.readouterr().out, flags=re.MULTILINE)
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
    assert main(["dev", "check", "tiny", "--results", str(tmp_path)]) == 4
    expected = f"rlparity: {tmp_path}/tiny/tables/plan.json: missing; run `rlparity dev collect` first\n"
    assert capsys.readouterr().err == expected


def test_a_system_without_posix_modules_is_told_in_one_line() -> None:
    """As on Windows, where importing most of the package fails."""
    code = (
        "import sys; sys.platform = 'win32'; sys.modules |= dict.fromkeys(('resource', 'fcntl', 'pwd'));"
        "from rlparity.__main__ import main; sys.exit(main(['plan', 'smoke']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 4 and done.stderr.count("\n") == 1 and "inside WSL" in done.stderr


@pytest.mark.parametrize(("system", "status"), [("linux", 0), ("darwin", 0), ("win32", 4), ("cygwin", 4)])
def test_other_systems_are_told_in_one_line_at_the_start(
    system: str, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "platform", system)
    if system == "darwin":
        monkeypatch.delattr(os, "sched_getaffinity")  # used by defaults of options
    monkeypatch.setattr(sys, "path", [*sys.path])
    with contextlib.suppress(SystemExit):
        assert main(["--help"]) == status
    message = capsys.readouterr().err
    line = f"rlparity: it does not run on {system}; on Windows use it inside WSL, as on Linux\n"
    assert message == (line if status else "")


# --- exit statuses


def words(name: str) -> list[str]:
    """The fewest words that a command takes."""
    needed = [action for action in COMMANDS[name]._actions if action.required]
    found = [
        word
        for action in needed
        for word in (*action.option_strings[:1], "1" if action.type is int else "{}")
    ]
    special = {"validate": ["their:make", *found], "new": ["candidate", "mine"], "dev completion": ["bash"]}
    return special.get(name, found)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_mistake_in_the_words_is_one_line_and_4(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = ["--no-such-option"] if name != "run" else []  # whose options are Snakemake's
    assert main([*name.split(), *(words(name) if wrong else []), *wrong]) == Status.USAGE
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
    _commands(made)[name].set_defaults(run=run)
    monkeypatch.setattr("rlparity.cli.parser.build", lambda: made)
    assert main([*name.split(), *words(name)]) == status


@pytest.mark.parametrize(
    ("module", "call", "name", "status"),
    [
        (gpu, "_run", ["dev", "gpu"], 2),
        ("rlparity.runs.pending", "failed_seeds", ["dev", "check", "tiny"], 3),
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
