"""What the command line says of names that it does not know."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rlparity.__main__ import main


def test_an_unknown_command_is_told_from_those_that_help_lists(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    listed = re.findall(r"^  ([a-z]+)  +[A-Z]", capsys.readouterr().out, flags=re.MULTILINE)
    assert main(["rn"]) == 2
    message = capsys.readouterr().err
    choices = f"choose from {', '.join(sorted(listed))} (did you mean 'run'?)"
    assert message == f"rlparity: COMMAND: unknown command 'rn'; {choices}\n"
    assert "layer" not in message and "attempt" not in message


def test_an_unknown_algorithm_is_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["train", "ppoo", "CartPole-v1", "--results", str(tmp_path)]) == 2
    message = capsys.readouterr().err
    assert message.startswith("rlparity: train: unknown algorithm 'ppoo'; choose from a2c, ")
    assert message.count("\n") == 1 and message.count("ppoo") == 1


def test_seeds_are_not_checked_without_a_plan(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["check", "tiny", "--results", str(tmp_path)]) == 2
    expected = f"rlparity: {tmp_path}/tiny/tables/plan.json: missing; run `rlparity collect` first\n"
    assert capsys.readouterr().err == expected
