"""The command line, from its parsers."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from blocks import package
from blocks.markdown import code, escaped, table


def statuses() -> str:
    """What a command exits with."""
    return table(
        "status | means", [(str(int(status)), meaning) for status, meaning in package.MEANINGS.items()]
    )


def commands() -> str:
    """A part for each command: first those for people, then those below `dev`, group by group."""
    people = below(package.command_line())
    parts = ["## Commands", *(command(name, people[name]) for name in package.ORDER), "## rlparity dev"]
    dev = below(people["dev"])
    for title, names in people["dev"].groups.items():
        parts.append(f"**{title[0].upper()}{title[1:]}.**")
        parts += [command(f"dev {name}", dev[name]) for name in names]
    return "\n\n".join(parts)


def below(parser: argparse.ArgumentParser) -> dict[str, Any]:
    """The commands of a parser, by name."""
    known = next(action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    return dict(known.choices)


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
