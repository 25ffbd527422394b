"""What all commands share. Importing a module of commands is quick: each command imports what it runs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from rlparity.errors import Status, UserError

Add = Callable[..., argparse.ArgumentParser]  # name, what runs it, summary, positional arguments


class Answer(NamedTuple):
    """What a command found out: with `--json` it is printed, by the schema `answers.schema.yaml`."""

    data: Mapping[str, Any]
    status: int = Status.DONE


def print_now(line: str) -> None:
    """Print a line without buffering, also into a file or a pipe."""
    print(line, flush=True)


def note(line: str) -> None:
    """Print a line on the error output, beside what a command answers."""
    print(f"rlparity: {line}", file=sys.stderr, flush=True)


def add_results(command: argparse.ArgumentParser) -> None:
    """The option for the folder of records."""
    command.add_argument(
        "--results", type=Path, default=Path("results"), metavar="FOLDER", help="of records; default: results"
    )


def add_reports(command: argparse.ArgumentParser) -> None:
    """The option for the folder of reports."""
    command.add_argument(
        "--reports", type=Path, default=Path("reports"), metavar="FOLDER", help="of reports; default: reports"
    )


def numbers(command: str, option: str, text: str, what: str) -> list[int]:
    """Positive whole numbers, separated by commas; each once, in order. Raises UserError."""
    try:
        found = sorted({int(number) for number in text.split(",")})
    except ValueError:
        found = []
    if not found or found[0] < 1:
        raise UserError(f"{command}: {option} {text!r}; numbers of {what}, such as 1,10")
    return found
