"""The one table of Atari games: ids of other programs, names of files, and how they say a game is played."""

from __future__ import annotations

import ale_py
import gymnasium
import pytest

from rlparity.atari_names import GAMES, compare, game_of, parse, suggestion
from rlparity.environments.atari_games import FIFTY_SEVEN


def test_the_table_has_the_games_of_ale_py() -> None:
    gymnasium.register_envs(ale_py)
    assert set(GAMES) == {name[4:-3] for name in gymnasium.registry if name.startswith("ALE/")}
    assert set(FIFTY_SEVEN) <= set(GAMES)


def test_ids_say_as_gymnasium_does_whether_actions_are_sticky() -> None:
    gymnasium.register_envs(ale_py)
    checked = 0
    for name, spec in gymnasium.registry.items():
        if (found := parse(name)) is not None and "repeat_action_probability" in spec.kwargs:
            assert found.sticky == (spec.kwargs["repeat_action_probability"] > 0), name
            assert found.frame_by_frame == (spec.kwargs["frameskip"] == 1), name
            assert found.random_skip == isinstance(spec.kwargs["frameskip"], tuple), name
            checked += 1
    assert checked > 200


@pytest.mark.parametrize(
    ("other", "ours"),
    [
        ("PongNoFrameskip-v4", "ALE/Pong-v5@nature"),
        ("PongNoFrameskip-v0", "ALE/Pong-v5@machado"),
        ("SpaceInvadersDeterministic-v4", "ALE/SpaceInvaders-v5@nature"),
        ("ALE/Pong-v5", "ALE/Pong-v5@machado"),
        ("MsPacman", "ALE/MsPacman-v5@nature"),
        ("atari_kung_fu_master", "ALE/KungFuMaster-v5@nature"),
        ("ALE/Pong-v5@nature", None),
        ("CartPole-v1", None),
        ("Blackjack-v1", None),  # of Gymnasium, not of the Atari
        ("Taxi-v3", None),
    ],
)
def test_suggestions(other: str, ours: str | None) -> None:
    assert suggestion(other) == ours


@pytest.mark.parametrize(
    ("words", "game"),
    [("pong", "Pong"), ("space_invaders", "SpaceInvaders"), ("returns", None), ("pong.vg", None), ("", None)],
)
def test_names_of_files(words: str, game: str | None) -> None:
    assert game_of(words) == game


def test_no_other_environment_is_compared_as_a_game() -> None:
    assert compare("CartPole-v0", "CartPole-v1") is None
