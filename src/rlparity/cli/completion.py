"""The command that prints a completion script for a shell."""

from __future__ import annotations

import argparse

from rlparity.cli.base import Add

DEV_TITLE = "the shell"
SHELLS = ("bash", "zsh", "tcsh")


def add_dev_commands(add: Add) -> None:
    """Declare `rlparity dev completion`."""
    command = add(
        "completion",
        print_script,
        "Print a script that completes commands and options.",
        about='For bash: eval "$(rlparity dev completion bash)" in ~/.bashrc.',
    )
    command.add_argument("shell", choices=SHELLS, metavar="SHELL", help="bash, zsh or tcsh")


def print_script(chosen: argparse.Namespace, rest: list[str]) -> None:
    import shtab

    made = chosen.build()
    _name_files(made)
    print(shtab.complete(made, shell=chosen.shell))


def _name_files(made: argparse.ArgumentParser) -> None:
    """Let files and folders be completed as such, a suite as a file."""
    import shtab

    for action in made._actions:
        if isinstance(action, argparse._SubParsersAction):
            action.help = "command"  # shtab leaves out what `--help` does
            for inner in dict.fromkeys(action.choices.values()):
                _name_files(inner)
        elif action.metavar in ("FOLDER", "CELL", "REPORT_A", "REPORT_B"):
            action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
        elif action.metavar in ("FILE", "PATH", "SUITE", "MODULE:FACTORY"):
            action.complete = shtab.FILE  # type: ignore[attr-defined]
