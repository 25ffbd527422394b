"""What all commands share. Importing a module of commands is quick: each command imports what it runs."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

Add = Callable[..., argparse.ArgumentParser]  # name, what runs it, summary, positional arguments


def print_now(line: str) -> None:
    """Print a line without buffering, also into a file or a pipe."""
    print(line, flush=True)


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
