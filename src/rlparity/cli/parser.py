"""The parser of the command line: ten commands for people, and `rlparity dev` with all others."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType, ModuleType
from typing import Any, NoReturn

import rlparity
from rlparity.cli import cells, completion, gpu, new, pipeline, suites, validation
from rlparity.cli.base import Add
from rlparity.cli.train import command as train
from rlparity.errors import MEANINGS, UserError, unknown

DESCRIPTION = "Train agents beside reference implementations, over many seeds, and report verdicts."
DEV = "dev"
DEV_SUMMARY = "Commands of the pipeline and of maintenance."
ARGUMENTS = {
    "SUITE": "name of a suite (smoke, cartpole, ...) or path of its file",
    "ALGORITHM": "a configuration in hyperparameters.yaml, such as ppo",
    "ENVIRONMENT": "a Gymnasium id, such as CartPole-v1",
    "REFERENCE": "a reference, such as sb3/ppo",
    "CELL": "folder of a trained cell, such as results/smoke/CartPole-v1/scratch/ppo/seeds-0-1",
    "REPORT_A": "folder of a report, such as reports/cartpole",
    "REPORT_B": "folder of another report",
}
EPILOG = "\n".join(
    [
        "rlparity COMMAND --help lists the options of a command, rlparity dev --help further commands.",
        "",
        "exit status (1 and 2 only of commands that judge):",
        *(f"  {status:<4} {meaning}" for status, meaning in MEANINGS.items()),
    ]
)
ORDER = ("run", "plan", "train", "validate", "play", "report", "restore", "bench", "diff", "new")
PEOPLE: tuple[ModuleType, ...] = (suites, train, cells, validation, new)
MAINTENANCE: tuple[ModuleType, ...] = (pipeline, validation, suites, gpu, completion)
MOVED = {"interim": "report"}  # commands of earlier versions that are not below `dev`


class Parser(argparse.ArgumentParser):
    """Reports a mistake in one line; of an unknown command, the commands that `--help` lists."""

    internal: frozenset[str] = frozenset()
    moved: Mapping[str, str] = MappingProxyType({})  # old spelling -> new one
    groups: Mapping[str, list[str]] = MappingProxyType({})  # of `dev`: title -> commands

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if isinstance(action, argparse._SubParsersAction) and value not in action.choices:
            if value in self.moved:
                raise UserError(f"{value}: this command is `rlparity {self.moved[value]}` now")
            where = " ".join([*self.prog.split()[1:], "COMMAND"])
            raise unknown("command", value, action.choices.keys() - self.internal, where)
        super()._check_value(action, value)

    def error(self, message: str) -> NoReturn:
        """Raise UserError instead of exiting."""
        _, _, command = self.prog.partition(" ")
        told = f"{command}: {message}" if command else message
        raise UserError(f"{told}; {self.prog} --help lists what is allowed")


class Commands:
    """Declares commands below a parser, and lists them in its description."""

    def __init__(self, parser: Parser, summary: str):
        self.parser, self._summary = parser, summary
        self._commands = parser.add_subparsers(
            required=True, metavar="COMMAND", help=argparse.SUPPRESS, prog=parser.prog
        )
        self._listed: dict[str, str] = {}

    def add(
        self,
        name: str,
        run: Any,
        summary: str,
        *positional: str,
        about: str = "",
        internal: bool = False,
        answers: bool = False,
    ) -> argparse.ArgumentParser:
        """Declare a command; `[NAME]` may be left out, `[NAME ...]` is any number. `internal`: not listed.
        `answers`: it has `--json`, and `run` returns an `Answer`."""
        described = f"{summary} {about}".strip()
        if internal:
            command = self._commands.add_parser(name, description=described)
        else:  # `help` is for completion
            command = self._commands.add_parser(name, description=described, help=summary)
        called = " ".join([*self.parser.prog.split()[1:], name])
        command.set_defaults(run=run, called=called)
        for word in positional:
            plain = word.strip("[.] ")
            nargs = "*" if "..." in word else "?" if word.startswith("[") else None
            command.add_argument(plain.lower(), metavar=plain, nargs=nargs, help=ARGUMENTS[plain])
        if answers:
            command.add_argument("--json", action="store_true", help="print the answer as one JSON object")
        if internal:
            self.parser.internal |= {name}
        else:
            self._listed[name] = f"  {name:12} {summary}"
        return command

    def group(self, title: str, declare: Callable[[Add], None]) -> None:
        """Declare the commands of a module under a title."""
        before = set(self._listed)
        declare(self.add)
        self.parser.groups = {
            **self.parser.groups,
            title: [name for name in self._listed if name not in before],
        }

    def describe(self, groups: Mapping[str, Sequence[str]]) -> None:
        """Write the commands into the description, under the titles of their groups."""
        lines = [self._summary]
        for title, names in groups.items():
            lines += ["", f"{title}:", *(self._listed[name] for name in names)]
        self.parser.description = "\n".join(lines)


def build() -> Parser:
    """The parser of all commands."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = Parser(prog="rlparity", usage="rlparity COMMAND ...", epilog=EPILOG, formatter_class=raw)
    version = f"rlparity {rlparity.__version__}"
    parser.add_argument("--version", action="version", version=version, help="print the version and exit")
    parser.set_defaults(build=build)
    people = Commands(parser, DESCRIPTION)
    for module in PEOPLE:
        module.add_commands(people.add)
    inner = people._commands.add_parser(
        DEV, usage="rlparity dev COMMAND ...", formatter_class=raw, help=DEV_SUMMARY
    )
    below = Commands(inner, DEV_SUMMARY)
    for module in MAINTENANCE:
        below.group(module.DEV_TITLE, module.add_dev_commands)
    parser.internal |= {DEV}
    people.describe({"commands": ORDER})
    below.describe(inner.groups)
    parser.moved = {name: f"{DEV} {name}" for name in below._commands.choices} | MOVED
    parser.moved = {name: new for name, new in parser.moved.items() if name not in people._commands.choices}
    return parser
