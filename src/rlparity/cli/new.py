"""The command that writes a skeleton to be filled in."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rlparity.cli.base import Add, Answer


def add_commands(add: Add) -> None:
    """Declare `rlparity new`, with a word of `KINDS` for each skeleton."""
    command = add(
        "new",
        write_skeleton,
        "Write the skeleton of an implementation to be filled in.",
        about="candidate: a Python file for `rlparity validate`.",
        answers=True,
    )
    command.add_argument("kind", choices=list(KINDS), metavar="KIND", help=f"one of: {', '.join(KINDS)}")
    command.add_argument("name", metavar="NAME", help="its name, such as my_ppo")
    command.add_argument(
        "--folder", type=Path, default=Path("."), help="where it is written; default: this one"
    )


def write_skeleton(chosen: argparse.Namespace, rest: list[str]) -> Answer:
    return KINDS[chosen.kind](chosen)


def _candidate(chosen: argparse.Namespace) -> Answer:
    from rlparity.cli.skeletons import candidate

    file, maker = candidate.write(chosen.name, chosen.folder)
    words = f"rlparity validate {file}:{maker} --against sb3/ppo --suite cartpole"
    print(f"{file}: fill in what is marked TODO, then: {words}")
    return Answer({"files": [str(file)], "next": words})


# Each kind of skeleton, and what writes it.
KINDS: dict[str, Callable[[Any], Answer]] = {"candidate": _candidate}
