"""The contract's looks at how Atari games begin and are cut: planted faults are named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import small  # noqa: F401  (one thread)
import torch

from rlparity.environments import atari, atari_presets
from rlparity.environments.atari import Atari
from rlparity.transitions import Step
from rlparity.validation.contract.own_agents.kinds import game_starts

pytestmark = pytest.mark.probes
PONG = "ALE/Pong-v5@nature"
Patch = pytest.MonkeyPatch
Plant = Callable[[Patch], None]


@pytest.fixture(autouse=True)
def fewer(monkeypatch: Patch) -> None:
    monkeypatch.setattr(game_starts, "GAMES", 20)
    monkeypatch.setattr(game_starts, "FEW", 3)


def test_games_start_as_they_should() -> None:
    assert game_starts.as_published(PONG)[0]
    passed, detail = game_starts.drawn("ALE/Freeway-v5@nature")
    assert passed and " after 0 to " in detail, detail


def preset(**changes: Any) -> Plant:
    def plant(patch: Patch) -> None:
        presets = {**atari_presets.PRESETS, "nature": replace(atari_presets.PRESETS["nature"], **changes)}
        patch.setattr(atari_presets, "PRESETS", presets)

    return plant


def emulator(**changes: Any) -> Plant:
    """The emulator is started with other options than the preset's."""
    given = atari.emulators
    return lambda patch: patch.setattr(
        atari, "emulators", lambda game, p, n, **options: given(game, p, n, **{**options, **changes})
    )


def step(change: Callable[[Any, Step], Step]) -> Plant:
    given = Atari.step
    return lambda patch: patch.setattr(
        Atari, "step", lambda self, action, live=None: change(self, given(self, action, live))
    )


def first_seeds(patch: Patch) -> None:
    """A reset without the seeds it is asked for."""
    reset = Atari.reset

    def resets(self: Any, seeds: Any) -> None:
        self.first = getattr(self, "first", seeds)
        reset(self, self.first)

    patch.setattr(Atari, "reset", resets)


def by_place(patch: Patch) -> None:
    start = Atari._start
    patch.setattr(
        Atari,
        "_start",
        lambda self, seeds: start(self, [seed + len(seeds) * i for i, seed in enumerate(seeds)]),
    )


def one_seed(patch: Patch) -> None:
    patch.setattr(atari, "emulator_seed", lambda seed: 17)


def without_clock(patch: Patch) -> None:
    def resume(self: Any, state: Any) -> None:
        self._statistics = atari.EpisodeStatistics(*self._shape)
        self._statistics.env_step = state["env_step"]
        draws = [np.random.SeedSequence([seed]) for seed in self._seeds]
        self._start([int(draw.generate_state(1, np.uint64)[0]) for draw in draws])

    patch.setattr(Atari, "resume", resume)


PRESETS: list[tuple[str, Plant, str]] = [
    ("fewer frames", preset(noop_max=10), "published"),
    ("five minutes", preset(max_frames=18_000), "published"),
    ("lives", preset(terminal_on_life_loss=False), "published"),
    ("no limit", emulator(max_num_frames_per_episode=10**6), "'max_num_frames_per_episode': 1000000"),
    ("sticky", emulator(repeat_action_probability=0.25), "'repeat_action_probability': 0.25"),
]


@pytest.mark.parametrize(("plant", "line"), [row[1:] for row in PRESETS], ids=[row[0] for row in PRESETS])
def test_other_presets_are_named(plant: Plant, line: str, monkeypatch: Patch) -> None:
    plant(monkeypatch)
    passed, detail = game_starts.as_published(PONG)
    assert not passed and line in detail, detail


STARTS: list[tuple[str, Plant, str]] = [
    ("half as many", emulator(noop_max=15), "they should be spread evenly"),
    ("one seed", one_seed, "depend on each other"),
    ("the first seeds", first_seeds, "have the same starts"),
    ("by place", by_place, "alone than beside another"),
    ("without the clock", without_clock, "two times, have the same starts"),
    ("limits end", step(lambda self, x: x._replace(discount=1 - x.last)), "discount [[0.0], [0.0]]"),
    ("never last", step(lambda self, x: x._replace(last=torch.zeros_like(x.last))), "last is [[0.0], [0.0]]"),
    ("the reset", step(lambda self, x: x._replace(next_obs=self.obs)), "next_obs at a time limit"),
]


@pytest.mark.parametrize(("plant", "line"), [row[1:] for row in STARTS], ids=[row[0] for row in STARTS])
def test_other_starts_are_named(plant: Plant, line: str, monkeypatch: Patch) -> None:
    plant(monkeypatch)
    passed, detail = game_starts.drawn(PONG)
    assert not passed and line in detail, detail


def test_other_seeds_of_the_emulator_are_no_fault(monkeypatch: Patch) -> None:
    monkeypatch.setattr(atari, "emulator_seed", lambda seed: seed * 7919 % (2**31 - 1) + 1)
    assert game_starts.drawn(PONG)[0]


def test_uniform_starts_by_hand() -> None:
    nature, rng = atari_presets.PRESETS["nature"], np.random.default_rng(0)
    for upper, fine in ((30, True), (29, True), (20, False)):
        frames = rng.integers(upper, size=(2, 60)).clip(1)
        assert (game_starts._law(frames, nature, True) is None) == fine
    assert game_starts._law(np.zeros((2, 60)), nature, True) is not None
    assert game_starts._law(np.full((2, 60), 30), nature, False) is not None
