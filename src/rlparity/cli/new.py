"""The command that writes a skeleton to be filled in."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rlparity.cli.base import Add, Answer

PACKAGES = ("value_based", "policy_gradient", "continuous_control")  # of agents


def add_commands(add: Add) -> None:
    """Declare `rlparity new`, with a word of `KINDS` for each skeleton."""
    command = add(
        "new",
        write_skeleton,
        "Write the skeleton of an implementation to be filled in.",
        about="candidate: a Python file for `rlparity validate`. agent: a new algorithm in a checkout, which "
        "learns at once, by online Q-learning, and is to be changed from there, with its page: "
        "docs/guide/add-an-algorithm.md.",
        answers=True,
    )
    command.add_argument("kind", choices=list(KINDS), metavar="KIND", help=f"one of: {', '.join(KINDS)}")
    command.add_argument("name", metavar="NAME", help="its name, such as my_ppo")
    command.add_argument(
        "--folder", type=Path, default=Path("."), help="where a candidate is written; default: this one"
    )
    command.add_argument("--title", metavar="TEXT", help="of an agent's pages and tables; default: its name")
    package = command.add_argument("--package", choices=PACKAGES, default=PACKAGES[0])
    package.help = f"below agents/ that an agent goes to; default: {PACKAGES[0]}"


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
    files = agent.write(root, chosen.name, chosen.title or chosen.name, chosen.package)
    for path in files:
        print(path)
    words = f"rlparity train {chosen.name} CartPole-v1"
    print(f"next: docs/guide/add-an-algorithm.md; {words} trains it already")
    return Answer({"files": [str(path) for path in files], "next": words})


# Each kind of skeleton, and what writes it.
KINDS: dict[str, Callable[[Any], Answer]] = {"candidate": _candidate, "agent": _agent}
