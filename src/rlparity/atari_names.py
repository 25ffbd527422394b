"""The names of Atari games in other programs' ids, and what each id says of how the game is played.

The one table for logs, suites and suggestions: `PongNoFrameskip-v4` is `ALE/Pong-v5@nature`.
"""

from __future__ import annotations

import re
from typing import NamedTuple

# All games of ale_py 0.11, as Gymnasium registers them; a test compares.
GAMES = (
    *("Adventure", "AirRaid", "Alien", "Amidar", "Assault", "Asterix", "Asteroids", "Atlantis", "Atlantis2"),
    *("Backgammon", "BankHeist", "BasicMath", "BattleZone", "BeamRider", "Berzerk", "Blackjack", "Bowling"),
    *("Boxing", "Breakout", "Carnival", "Casino", "Centipede", "ChopperCommand", "CrazyClimber", "Crossbow"),
    *("Darkchambers", "Defender", "DemonAttack", "DonkeyKong", "DoubleDunk", "Earthworld"),
    *("ElevatorAction", "Enduro", "Entombed", "Et", "FishingDerby", "FlagCapture", "Freeway", "Frogger"),
    *("Frostbite", "Galaxian", "Gopher", "Gravitar", "Hangman", "HauntedHouse", "Hero", "HumanCannonball"),
    *("IceHockey", "Jamesbond", "JourneyEscape", "Kaboom", "Kangaroo", "KeystoneKapers", "KingKong", "Klax"),
    *("Koolaid", "Krull", "KungFuMaster", "LaserGates", "LostLuggage", "MarioBros", "MiniatureGolf"),
    *("MontezumaRevenge", "MrDo", "MsPacman", "NameThisGame", "Othello", "Pacman", "Phoenix", "Pitfall"),
    *("Pitfall2", "Pong", "Pooyan", "PrivateEye", "Qbert", "Riverraid", "RoadRunner", "Robotank", "Seaquest"),
    *("SirLancelot", "Skiing", "Solaris", "SpaceInvaders", "SpaceWar", "StarGunner", "Superman", "Surround"),
    *("Tennis", "Tetris", "TicTacToe3D", "TimePilot", "Trondead", "Turmoil", "Tutankham", "UpNDown"),
    *("Venture", "VideoCheckers", "VideoChess", "VideoCube", "VideoPinball", "WizardOfWor", "WordZapper"),
    *("YarsRevenge", "Zaxxon"),
)
BY_WORD = {game.lower(): game for game in GAMES}
NATURE, MACHADO = "nature", "machado"  # presets without and with sticky actions
ID = re.compile(
    r"(?P<ale>ALE[/_-])?(?P<game>[A-Za-z][A-Za-z0-9]*?)(?P<ram>-ram)?(?P<skip>NoFrameskip|Deterministic)?"
    r"-v(?P<version>[045])(?:@(?P<preset>\w+))?"
)


class Name(NamedTuple):
    """What an id says."""

    game: str  # one of GAMES
    sticky: bool | None  # whether actions are sticky; None: it does not say
    preset: str  # that it names itself; empty without one
    frame_by_frame: bool = False  # frames are skipped by a wrapper; what counts below it counts frames
    random_skip: bool = False  # the number of frames of a step is drawn
    ram: bool = False  # observations are the memory, not the screen


def parse(environment: str) -> Name | None:
    """Read an id of Gym, Gymnasium, EnvPool or a suite, with or without `module:`; None of no game's."""
    found = ID.fullmatch(environment.rpartition(":")[2])
    if found is None or found["game"].lower() not in BY_WORD:
        return None
    game, preset = BY_WORD[found["game"].lower()], found["preset"] or ""
    sticky: bool | None = found["version"] != "4"
    if found["version"] == "5" and not found["ale"]:
        sticky = None  # EnvPool's, or a folder's without the slash
    if preset:
        sticky = preset != NATURE
    skip = found["skip"] or ""
    random = not skip and found["version"] != "5"
    return Name(game, sticky, preset, skip == "NoFrameskip", random, found["ram"] is not None)


def game_of(words: str) -> str | None:
    """The game that a file or a task is named for: `pong`, `space_invaders`, `atari_pong`; None of others."""
    plain = re.sub(r"[^a-z0-9]", "", words.lower())
    return BY_WORD.get(plain) or BY_WORD.get(plain.removeprefix("atari"))


def suggestion(environment: str) -> str | None:
    """The id here of a game under another program's id; None if it is no game's, or an id here."""
    name = parse(environment)
    if name is None and (game := game_of(environment.partition("@")[0])):
        name = Name(game, None, environment.partition("@")[2])
    if name is None:
        return None
    ours = f"ALE/{name.game}-v5@{name.preset or (MACHADO if name.sticky else NATURE)}"
    return ours if ours != environment else None


class Difference(NamedTuple):
    """How a logged id differs from the one that is asked for."""

    refused: str  # why they are not the same environment; empty if they may be
    note: str  # what has to be known; empty if nothing


def compare(logged: str, asked: str) -> Difference | None:
    """Compare a logged id with a game here, such as `ALE/Pong-v5@nature`; None if that is no game."""
    here, there = parse(asked), parse(logged)
    if here is None:
        return None
    if there is None or there.game != here.game:
        return Difference(f"made in {logged}, not in {asked}", "")
    if there.ram:
        return Difference(f"made in {logged}, whose observations are the memory of the game", "")
    if there.random_skip:
        return Difference(f"made in {logged}, whose steps last 2 to 4 frames at random", "")
    if there.sticky is None:
        return Difference("", f"{logged} does not say whether actions are sticky, taken as {asked}")
    if there.sticky and not here.sticky:
        return Difference(
            "",
            f"plain {logged} has sticky actions, {asked} has none; counts only if they were off",
        )
    if here.sticky and not there.sticky:
        return Difference("", f"{logged} has no sticky actions, {asked} has; taken as {asked}")
    return Difference("", "" if logged == asked else f"{logged} is {asked}")
