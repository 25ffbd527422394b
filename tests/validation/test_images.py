"""Images in the contract: games and memories of frames pass, and faults in them are named."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import small  # noqa: F401  (one thread)
import torch

from rlparity.buffers.frame_replay import FrameReplay
from rlparity.environments import atari, atari_presets
from rlparity.validation.contract.own_agents import atari_games, frame_arena
from rlparity.validation.gradients import check

pytestmark = pytest.mark.probes

PONG = "ALE/Pong-v5@nature"


def answer(found: tuple[bool, str] | None) -> tuple[bool, str]:
    assert found is not None
    return found


def test_games_are_the_emulators() -> None:
    passed, detail = atari_games.emulated(PONG)
    assert passed and detail.startswith("40 steps of 2 games of ALE/Pong-v5@nature, 0 points")
    assert "4 games ended" in detail
    assert atari_games._played("ALE/Seaquest-v5@machado", 30)[0]


@pytest.mark.parametrize("field", ["clip_reward", "terminal_on_life_loss"])
def test_what_a_preset_promises_is_looked_at(field: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def other(environment: str, seeds: Any, role: str = "training") -> Any:
        game, preset = atari_presets.parse(environment)
        return atari.Atari(game, replace(preset, **{field: False}), seeds)

    monkeypatch.setattr(atari, "make", other)
    passed, detail = atari_games.emulated("ALE/Breakout-v5@nature")
    named = {"clip_reward": "reward is", "terminal_on_life_loss": "last is 0, expected 1"}
    assert not passed and named[field] in detail


def test_a_picture_of_another_kind_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    emulators = atari.emulators
    skip = {"frameskip": 3}
    monkeypatch.setattr(atari, "emulators", lambda *a, **k: emulators(*a, **{**k, **skip}))
    assert "pixels of next_obs are not the emulator's" in atari_games.emulated("ALE/Breakout-v5@nature")[1]


@pytest.mark.parametrize("algorithm", ["dqn-nstep", "qrdqn"])
def test_frames_kept_once_are_whole_stacks(algorithm: str) -> None:
    assert answer(frame_arena.rebuilt(algorithm, PONG))[0]


def test_agents_without_a_memory_of_frames_are_left_out() -> None:
    assert frame_arena.rebuilt("ppo", PONG) is None


@pytest.mark.parametrize("attribute", ["_mend", "_forget", "_goes_on"])
def test_a_memory_that_loses_something_is_found(attribute: str, monkeypatch: pytest.MonkeyPatch) -> None:
    faults: dict[str, Any] = {
        "_mend": lambda self, *a: None,
        "_forget": lambda self: self._starts.clear(),
        "_goes_on": lambda self, place: torch.ones_like(place, dtype=torch.bool),
    }
    monkeypatch.setattr(FrameReplay, attribute, faults[attribute])
    try:
        passed, _ = answer(frame_arena.rebuilt("dqn-nstep", PONG))
    except KeyError:
        passed = False
    assert not passed


def test_gradients_from_images_match() -> None:
    passed, detail = answer(check._images(check.Asked("dqn-2013", PONG, {})))
    assert passed and detail.startswith("3, 3 updates of 2 seeds")


def test_brightness_that_is_not_scaled_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rlparity.nn.convolutions.WHITE", 254)
    assert not answer(check._images(check.Asked("dqn-2013", PONG, {})))[0]
