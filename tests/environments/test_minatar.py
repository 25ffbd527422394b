"""MinAtar: the package's own games step for step, cuts, seeds apart, resuming, ids."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import small  # noqa: F401  (one thread)
import torch

from rlparity.candidates import environments as candidate_environments
from rlparity.environments import base as tasks
from rlparity.environments import metadata
from rlparity.environments.minatar import ids
from rlparity.environments.minatar.game import MinAtarGame, make_single
from rlparity.environments.minatar.vectorized import MinAtar
from rlparity.errors import UserError
from rlparity.training import object_state
from rlparity.transitions import Step
from rlparity.validation import plain_environments

minatar = pytest.importorskip("minatar")
IDS = [name for name in ids.IDS if name.endswith("-v1")]
ACTIONS = {"Asterix": 5, "Breakout": 3, "Freeway": 3, "Seaquest": 6, "SpaceInvaders": 4}
CHANNELS = {"Asterix": 4, "Breakout": 4, "Freeway": 7, "Seaquest": 10, "SpaceInvaders": 6}


def at_random(task: MinAtar, steps: int, seed: int = 0) -> list[Step]:
    """Random actions; those of a sub-environment do not depend on how many there are."""
    rng = np.random.default_rng(seed)
    drawn = rng.integers(task.spec.n_actions, size=(steps, 1, 1))
    return [task.step(torch.from_numpy(actions).expand(task.spec[:2])) for actions in drawn]


def equal(ours: list[Step], theirs: list[Step], at: Any, there: Any) -> bool:
    return all(
        torch.equal(x[at], y[there])
        for one, other in zip(ours, theirs, strict=True)
        for x, y in zip(one, other, strict=True)
    )


@pytest.mark.parametrize("environment", IDS)
def test_a_game_is_the_packages_own(environment: str) -> None:
    """Through several episodes, with the same generator: sticky actions and rising difficulty included."""
    name = ids.parse(environment)
    assert name is not None
    theirs, ours = minatar.Environment(name.name), make_single(environment)
    assert (theirs.sticky_action_prob, getattr(theirs.env, "ramping", True)) == (0.1, True)
    bits = np.random.MT19937(np.random.SeedSequence(2**40))
    theirs.random = theirs.env.random = np.random.RandomState(bits)
    theirs.reset()
    obs, _ = ours.reset(seed=2**40)
    rng, ended = np.random.default_rng(3), 0
    for _ in range(600):
        assert np.array_equal(obs, theirs.state().transpose(2, 0, 1)) and obs.dtype == bool
        action = int(rng.integers(len(ours.actions)))
        reward, over = theirs.act(theirs.minimal_action_set()[action])
        obs, found, terminated, cut, _ = ours.step(action)
        assert (found, terminated, cut) == (reward, over, False)
        if over:
            ended += 1
            theirs.reset()
            obs, _ = ours.reset()
    assert ended > 1 or "Freeway" in environment


def test_sticky_actions_are_a_tenth() -> None:
    """Counted where the package has decided."""
    game = make_single("MinAtar/Breakout-v0")
    game.reset(seed=1)
    taken: list[int] = []
    act = game.game.env.act
    game.game.env.act = lambda action: (taken.append(action), act(action))[1]
    for t in range(2000):
        if game.step((t % 2) * 5)[2]:
            game.reset()
    repeats = sum(action != (t % 2) * 5 for t, action in enumerate(taken))
    assert repeats / len(taken) == pytest.approx(0.1, abs=0.02)


@pytest.mark.parametrize("environment", IDS)
def test_actions_and_channels(environment: str) -> None:
    game = environment.partition("/")[2].partition("-")[0]
    task = tasks.make(environment, [[1, 2], [3, 4]])
    assert task.spec[:4] == (2, 2, (CHANNELS[game], 10, 10), ACTIONS[game])
    assert task.obs.shape == (2, 2, CHANNELS[game], 10, 10) and task.obs.dtype == torch.bool
    assert make_single(environment.replace("v1", "v0")).action_space.n == 6


def test_a_time_limit_cuts_and_does_not_end() -> None:
    game = MinAtarGame("freeway", True, time_limit=3)
    game.reset(seed=0)
    assert [game.step(0)[2:4] for _ in range(3)] == [(False, False), (False, False), (False, True)]
    game.reset()
    assert game.step(0)[2:4] == (False, False)
    assert make_single("MinAtar/Seaquest-v1")._time_limit == ids.TIME_LIMIT == 5000


def test_steps_have_true_successors_and_whole_episodes() -> None:
    task = MinAtar("MinAtar/Breakout-v1", [[5, 6], [7, 8]])
    steps = at_random(task, 60)
    rewards = torch.stack([step.reward for step in steps])
    assert any(step.last.any() for step in steps)
    for step, after in pairwise(steps):
        on = step.last == 0
        assert torch.equal(step.next_obs[on], after.obs[on])
        assert torch.equal(step.discount, 1 - step.last)  # nothing was cut
        assert not torch.equal(step.next_obs[~on], after.obs[~on]) or bool(on.all())
    episodes = task.pop_episodes()
    assert sum(episode.episode_length for episode in episodes) <= 60 * 4
    ended = sum(int(step.last.sum()) for step in steps)
    assert len(episodes) == ended and sum(e.episode_return for e in episodes) <= float(rewards.sum())


def test_a_seed_alone_is_the_seed_among_others_and_the_other_seeds_differ() -> None:
    seeds = [[2**63 + 5, 6], [7, 8], [9, 10]]
    together, alone = (
        MinAtar("MinAtar/SpaceInvaders-v1", seeds),
        MinAtar("MinAtar/SpaceInvaders-v1", [seeds[1]]),
    )
    ours, theirs = at_random(together, 150), at_random(alone, 150)
    assert equal(ours, theirs, slice(1, 2), slice(None))
    assert not equal(ours, ours, 0, 2)
    again = MinAtar("MinAtar/SpaceInvaders-v1", [[0, 0]])
    at_random(again, 7)
    again.reset([seeds[1]])
    assert equal(at_random(again, 150), theirs, 0, 0)


@pytest.mark.parametrize("environment", ["MinAtar/Asterix-v1", "MinAtar/SpaceInvaders-v1"])
def test_resuming_goes_on_bit_for_bit(environment: str) -> None:
    task, other = (MinAtar(environment, seeds) for seeds in ([[1, 2]], [[3, 4]]))
    at_random(task, 230)
    task.pop_episodes()
    state = object_state.capture(task)
    expected = at_random(task, 80, seed=1)
    object_state.restore(other, state)
    assert equal(at_random(other, 80, seed=1), expected, 0, 0)
    assert other.pop_episodes() == task.pop_episodes()


def test_games_that_stand_still() -> None:
    task = MinAtar("MinAtar/Breakout-v1", [[1, 2]])
    step = task.step(torch.tensor([[1, 1]]), live=np.array([[True, False]]))
    moved = (step.next_obs != step.obs).flatten(2).any(2)
    assert moved.tolist() == [[True, False]] and torch.equal(task.obs, step.next_obs)


def test_what_a_suite_must_know() -> None:
    info = metadata.probe("MinAtar/SpaceInvaders-v1")
    assert (info.image, info.frame_bytes, info.observation_bytes) == ((6, 10, 10), None, 600)
    assert (info.actions, info.time_limit, info.simulator) == ("discrete", 5000, "minatar")


@pytest.mark.parametrize("name", ["MinAtar/Breakot-v1", "MinAtar/Breakout-v2", "MinAtar/breakout-v1"])
def test_unknown_ids_are_refused(name: str) -> None:
    with pytest.raises(UserError, match=r"did you mean 'MinAtar/Breakout-v[01]'"):
        metadata.probe(name)


def test_candidates_and_the_contract_get_the_same_game() -> None:
    for made in (
        candidate_environments.make("MinAtar/Asterix-v1"),
        plain_environments.plain("MinAtar/Asterix-v1"),
    ):
        assert isinstance(made, MinAtarGame) and made.action_space.n == 5
    assert plain_environments.with_time_limit("MinAtar/Asterix-v1", 9) == "MinAtar/Asterix-v1"
