"""The command line, from its parsers."""

from __future__ import annotations

import argparse
import importlib
from itertools import groupby
from pathlib import Path

from blocks import package
from blocks.markdown import code, escaped, table


def statuses() -> str:
    """What a command exits with."""
    return table(
        "status | means", [(str(int(status)), meaning) for status, meaning in package.MEANINGS.items()]
    )


def commands() -> str:
    """A section for each module of commands, a part for each command."""
    parser = package.command_line()
    known = next(action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    parts = []
    by_module = groupby(known.choices.items(), lambda pair: pair[1].get_default("run").__module__)
    for name, inside in by_module:
        about = (importlib.import_module(name).__doc__ or "").strip().splitlines()[0]
        parts.append(f"## {name.rpartition('.')[2].capitalize()}\n\n{about}")
        parts += [command(called, parser) for called, parser in inside]
    return "\n\n".join(parts)


def command(name: str, parser: argparse.ArgumentParser) -> str:
    """One command: what it does, and its arguments."""
    about = escaped(parser.description or "")
    shown = [
        action
        for action in parser._actions
        if argparse.SUPPRESS not in (action.help, action.dest) and action.dest != "help"
    ]
    rows = [(code(spelled(action)), escaped(action.help or ""), default(action)) for action in shown]
    listed = table("argument | meaning | default", rows) if rows else "No arguments."
    return f"### rlparity {name}\n\n{about}\n\n{listed}"


def spelled(action: argparse.Action) -> str:
    """An argument as it is written."""
    word = str(action.metavar or "{" + ",".join(map(str, action.choices or ())) + "}")
    if word == "{}":
        word = action.dest.upper() if action.option_strings else action.dest
    if action.nargs == 0:
        word = ""
    many = {"+": f"{word} ...", "*": f"[{word} ...]", "?": f"[{word}]"}.get(str(action.nargs), word)
    return " ".join(filter(None, [*action.option_strings, many]))


def default(action: argparse.Action) -> str:
    """The default of an option, where its help does not state it."""
    if action.required and action.option_strings:
        return "required"
    plain = isinstance(action.default, Path | str | int | float) and not isinstance(action.default, bool)
    return code(action.default) if plain and "default" not in (action.help or "") else ""
