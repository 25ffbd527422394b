"""What an Atari environment id says: `ALE/Pong-v5@nature` is the game Pong under the preset `nature`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

FRAMES = 4  # of the emulator per environment step, in every preset; budgets are steps, papers count frames
ID = re.compile(r"ALE/(\w+)-v\d+@(\w+)")


class Game(NamedTuple):
    """A game, and how it is emulated: sticky actions, starts, action set."""

    name: str
    preset: str


def game(environment: str) -> Game | None:
    """Game and preset of an environment id; None of one that is no Atari game."""
    found = ID.fullmatch(environment)
    return Game(*found.groups()) if found else None


def games(environments: Iterable[str]) -> dict[str, Game]:
    """The Atari games among environment ids, by id, in their order."""
    return {name: found for name in environments if (found := game(name))}
