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
        about="candidate: a Python file for `rlparity validate`. agent: in a checkout, an agent from scratch "
        "and its page; it learns at once, by online Q-learning, and is to be changed from there "
        "(docs/guide/add-an-algorithm.md). `rlparity init` copies a suite and the settings.",
        answers=True,
    )
    command.add_argument("kind", choices=list(KINDS), metavar="KIND", help=f"one of: {', '.join(KINDS)}")
    _add_rest(command)
    shorter = add("new-agent", write_skeleton, "The same as `rlparity new agent`.", internal=True)
    shorter.set_defaults(kind="agent")
    _add_rest(shorter)


def _add_rest(command: argparse.ArgumentParser) -> None:
    from rlparity.cli.skeletons.agent import FOLDERS

    command.add_argument("name", metavar="NAME", help="its name, such as my_ppo")
    command.add_argument(
        "--folder", type=Path, default=Path("."), help="where a candidate is written; default: this one"
    )
    command.add_argument("--title", metavar="TEXT", help="of an agent on pages; default: its name")
    command.add_argument(
        "--package", choices=FOLDERS, default=FOLDERS[0], help=f"of an agent; default: {FOLDERS[0]}"
    )


def write_skeleton(chosen: argparse.Namespace, rest: list[str]) -> Answer:
    return KINDS[chosen.kind](chosen)


def _candidate(chosen: argparse.Namespace) -> Answer:
    from rlparity.cli.skeletons import candidate

    file, maker = candidate.write(chosen.name, chosen.folder)
    words = f"rlparity validate {file}:{maker} --against sb3/ppo --suite cartpole"
    print(f"{file}: fill in what is marked TODO, then: {words}")
    return Answer({"files": [str(file)], "next": words})


def _agent(chosen: argparse.Namespace) -> Answer:
    from rlparity.cli.skeletons import agent
    from rlparity.provenance import source_code

    root = source_code.PACKAGE.parents[1]
    made = agent.write(root, chosen.name, chosen.title or chosen.name, chosen.package)
    words = f"rlparity train {chosen.name} CartPole-v1"
    print("\n".join(map(str, made)))
    print(f"next: docs/guide/add-an-algorithm.md; {words} trains it already")
    return Answer({"files": [str(file) for file in made], "next": words})


# Each kind of skeleton, and what writes it.
KINDS: dict[str, Callable[[Any], Answer]] = {"candidate": _candidate, "agent": _agent}
