"""What a MinAtar environment id says: `MinAtar/Breakout-v1` is the game Breakout with its minimal actions."""

from __future__ import annotations

import re
from typing import NamedTuple

GAMES = {  # as ids name them, and as the package does
    "Asterix": "asterix",
    "Breakout": "breakout",
    "Freeway": "freeway",
    "Seaquest": "seaquest",
    "SpaceInvaders": "space_invaders",
}
IDS = tuple(f"MinAtar/{name}-v{version}" for name in GAMES for version in (0, 1))
TIME_LIMIT = 5_000  # steps of an episode; it cuts and does not end. MinAtar itself has none
ID = re.compile(r"MinAtar/(\w+)-v([01])")


class Game(NamedTuple):
    """A game of the package, with all six actions (v0) or those that do something in it (v1)."""

    name: str
    minimal: bool


def parse(environment: str) -> Game | None:
    """The game of an environment id; None of one that is no game of MinAtar."""
    found = ID.fullmatch(environment)
    if found is None or found[1] not in GAMES:
        return None
    return Game(GAMES[found[1]], found[2] == "1")
