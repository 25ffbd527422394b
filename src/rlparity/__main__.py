"""The command line: reads arguments, runs one command, reports errors in one line."""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from types import ModuleType
from typing import Any, NoReturn

from rlparity import project_files
from rlparity.cli import cells, gpu, new_agent, pipeline, suites, validation
from rlparity.errors import MEANINGS, STORAGE, Status, UserError, unknown

DESCRIPTION = "Train agents beside reference implementations, over many seeds, and report verdicts."
ARGUMENTS = {
    "SUITE": "name of a suite (smoke, cartpole, ...) or path of its file",
    "ALGORITHM": "a configuration in hyperparameters.yaml, such as ppo",
    "ENVIRONMENT": "a Gymnasium id, such as CartPole-v1",
    "REFERENCE": "a reference, such as sb3/ppo",
    "CELL": "folder of a trained cell, such as results/smoke/CartPole-v1/scratch/ppo/seeds-0-1",
    "NAME": "a name of small letters, such as my-sarsa",
    "REPORT_A": "folder of a report, such as reports/cartpole",
    "REPORT_B": "folder of another report",
}
EPILOG = "\n".join(
    [
        "rlparity COMMAND --help lists the options of a command.",
        "",
        "exit status (1 and 2 only of commands that judge):",
        *(f"  {status:<4} {meaning}" for status, meaning in MEANINGS.items()),
    ]
)
MEMORY = "train fewer seeds in a block, set a smaller buffer_size, or use fewer --cores"
GROUPS: tuple[ModuleType, ...] = (suites, cells, gpu, validation, new_agent, pipeline)


class _Parser(argparse.ArgumentParser):
    """Reports a mistake in one line; of an unknown command, the commands that `--help` lists."""

    internal: frozenset[str] = frozenset()

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if isinstance(action, argparse._SubParsersAction) and value not in action.choices:
            raise unknown("command", value, action.choices.keys() - self.internal, "COMMAND")
        super()._check_value(action, value)

    def error(self, message: str) -> NoReturn:
        """Raise UserError instead of exiting."""
        _, _, command = self.prog.partition(" ")
        told = f"{command}: {message}" if command else message
        raise UserError(f"{told}; {self.prog} --help lists what is allowed")


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status, see `errors.Status`. An error that the user can cause is one
    line."""
    try:
        if sys.platform not in ("linux", "darwin"):
            raise UserError(f"it does not run on {sys.platform}; on Windows use it inside WSL, as on Linux")
        project_files.put_working_folder_on_path()
        parser = _parser()
        chosen, rest = parser.parse_known_args(arguments)
        if rest and not getattr(chosen, "passes_on", False):
            parser.error(f"unrecognized arguments: {' '.join(rest)}")
        return int(chosen.run(chosen, rest) or Status.DONE)
    except UserError as error:
        return _ended(error.status, str(error))
    except KeyboardInterrupt:
        return _ended(Status.INTERRUPTED, "interrupted")
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Status.PIPE_CLOSED
    except Exception as error:
        if _is_memory(error):
            return _ended(Status.RESOURCES, f"out of memory; {MEMORY}")
        if isinstance(error, OSError) and error.errno in STORAGE:
            where = f"{error.filename}: " if error.filename else ""
            return _ended(
                Status.RESOURCES, f"{where}{error.strerror}; correct that and run the command again"
            )
        traceback.print_exc()  # an error of rlparity, which tells nothing about what was to be judged
        return Status.NOT_JUDGED


def _ended(status: int, line: str) -> int:
    print(f"rlparity: {line}", file=sys.stderr)
    return status


def _is_memory(error: Exception) -> bool:
    """Also PyTorch's errors, of a GPU and of its allocator on the CPU; torch is not imported for it."""
    ours = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return ours or (isinstance(error, RuntimeError) and "can't allocate memory" in str(error))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="rlparity",
        usage="rlparity COMMAND ...",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(
        required=True, metavar="COMMAND", help=argparse.SUPPRESS, prog="rlparity"
    )
    listed: list[str] = []

    def add(
        name: str, run: Any, summary: str, *positional: str, about: str = "", internal: bool = False
    ) -> argparse.ArgumentParser:
        """Declare a command; `[NAME]` may be left out, `[NAME ...]` is any number. `internal`: not listed."""
        command = commands.add_parser(name, description=f"{summary} {about}".strip())
        command.set_defaults(run=run)
        for word in positional:
            plain = word.strip("[.] ")
            nargs = "*" if "..." in word else "?" if word.startswith("[") else None
            command.add_argument(plain.lower(), metavar=plain, nargs=nargs, help=ARGUMENTS[plain])
        if internal:
            parser.internal |= {name}
        else:
            listed.append(f"  {name:12} {summary}")
        return command

    for group in GROUPS:
        listed += ["", f"{group.TITLE}:"]
        group.add_commands(add)
    parser.description = "\n".join([DESCRIPTION, *listed])
    return parser


if __name__ == "__main__":
    sys.exit(main())
