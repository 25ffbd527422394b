"""The command line: reads arguments, runs one command, reports errors in one line."""

from __future__ import annotations

import argparse
import errno
import os
import sys
from types import ModuleType
from typing import Any

from rlparity.cli import cells, gpu, pipeline, suites, validation
from rlparity.errors import UserError, unknown

STORAGE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO)
DESCRIPTION = "Train agents beside reference implementations, over many seeds, and report verdicts."
ARGUMENTS = {
    "SUITE": "name of a suite (smoke, cartpole, ...) or path of its file",
    "ALGORITHM": "a configuration in hyperparameters.yaml, such as ppo",
    "ENVIRONMENT": "a Gymnasium id, such as CartPole-v1",
    "REFERENCE": "a reference, such as sb3/ppo",
    "CELL": "folder of a trained cell, such as results/smoke/CartPole-v1/scratch/ppo/seeds-0-1",
    "REPORT_A": "folder of a report, such as reports/cartpole",
    "REPORT_B": "folder of another report",
}
EPILOG = "rlparity COMMAND --help lists the options of a command."
GROUPS: tuple[ModuleType, ...] = (suites, cells, gpu, validation, pipeline)


class _Parser(argparse.ArgumentParser):
    """Names, where a command is unknown, the commands that `--help` lists."""

    internal: frozenset[str] = frozenset()

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if isinstance(action, argparse._SubParsersAction) and value not in action.choices:
            raise unknown("command", value, action.choices.keys() - self.internal, "COMMAND")
        super()._check_value(action, value)


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status. An error that the user can cause is one line."""
    try:
        parser = _parser()
        chosen, rest = parser.parse_known_args(arguments)
        if rest and not getattr(chosen, "passes_on", False):
            parser.error(f"unrecognized arguments: {' '.join(rest)}")
        return int(chosen.run(chosen, rest) or 0)
    except UserError as error:
        print(f"rlparity: {error}", file=sys.stderr)
        return error.status
    except KeyboardInterrupt:
        print("rlparity: interrupted", file=sys.stderr)
        return 130
    except MemoryError:
        advice = "train fewer seeds in a block, set a smaller buffer_size, or use fewer --cores"
        print(f"rlparity: out of memory; {advice}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        if error.errno not in STORAGE:
            raise
        where = f"{error.filename}: " if error.filename else ""
        print(f"rlparity: {where}{error.strerror}; correct that and run the command again", file=sys.stderr)
        return 2


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
