"""Lists of Atari games by name, as the literature compares agents on them: `atari-7@nature` in a suite."""

from __future__ import annotations

import re

from rlparity.environments import atari_presets
from rlparity.errors import unknown

# Mnih et al. 2013 ("Playing Atari with deep reinforcement learning"), in the order of Table 1.
SEVEN = ("BeamRider", "Breakout", "Enduro", "Pong", "Qbert", "Seaquest", "SpaceInvaders")

# Kaiser et al. 2020 ("Model-based reinforcement learning for Atari"), the 100k benchmark.
TWENTY_SIX = (
    *("Alien", "Amidar", "Assault", "Asterix", "BankHeist", "BattleZone", "Boxing", "Breakout"),
    *("ChopperCommand", "CrazyClimber", "DemonAttack", "Freeway", "Frostbite", "Gopher", "Hero"),
    *("Jamesbond", "Kangaroo", "Krull", "KungFuMaster", "MsPacman", "Pong", "PrivateEye", "Qbert"),
    *("RoadRunner", "Seaquest", "UpNDown"),
)

# Wang et al. 2016 ("Dueling network architectures"): the 49 of Nature 2015 and eight more, the standard.
FIFTY_SEVEN = (
    *("Alien", "Amidar", "Assault", "Asterix", "Asteroids", "Atlantis", "BankHeist", "BattleZone"),
    *("BeamRider", "Berzerk", "Bowling", "Boxing", "Breakout", "Centipede", "ChopperCommand"),
    *("CrazyClimber", "Defender", "DemonAttack", "DoubleDunk", "Enduro", "FishingDerby", "Freeway"),
    *("Frostbite", "Gopher", "Gravitar", "Hero", "IceHockey", "Jamesbond", "Kangaroo", "Krull"),
    *("KungFuMaster", "MontezumaRevenge", "MsPacman", "NameThisGame", "Phoenix", "Pitfall", "Pong"),
    *("PrivateEye", "Qbert", "Riverraid", "RoadRunner", "Robotank", "Seaquest", "Skiing", "Solaris"),
    *("SpaceInvaders", "StarGunner", "Surround", "Tennis", "TimePilot", "Tutankham", "UpNDown"),
    *("Venture", "VideoPinball", "WizardOfWor", "YarsRevenge", "Zaxxon"),
)

LISTS = {"atari-7": SEVEN, "atari-26": TWENTY_SIX, "atari-57": FIFTY_SEVEN}
LIST = re.compile(r"atari\b[^/:]*")  # what can only be meant as a list


def environment(game: str, preset: str) -> str:
    """The environment id of a game ("Pong") under a preset."""
    return f"ALE/{game}-v5@{preset}"


def expand(name: str) -> list[str]:
    """The environment ids of a list, in its order; other ids stay. UserError for an unknown list."""
    if LIST.fullmatch(name) is None:
        return [name]
    head, _, preset = name.partition("@")
    if head not in LISTS:
        raise unknown("list of games", head, LISTS, repr(name))
    atari_presets.parse(name)
    return [environment(game, preset) for game in LISTS[head]]
