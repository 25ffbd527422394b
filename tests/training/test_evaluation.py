"""The evaluator: one whole game per sub-environment, its own random streams, no trace left in training."""

from __future__ import annotations

from itertools import pairwise

import gymnasium as gym
import numpy as np
import pytest
import torch
from small import Protocol, cell
from torch import Tensor

from rlparity.environments import base as tasks
from rlparity.seeding import Streams, Uniforms
from rlparity.training import run as train
from rlparity.training.evaluation import Evaluator, play

pytestmark = pytest.mark.probes


class Pusher:
    """Pushes right, or as its first uniform number says; counts what it was asked."""

    uniforms = 1

    def __init__(self) -> None:
        self.calls = 0

    def act(self, obs: Tensor, explore: Tensor | None = None) -> Tensor:
        self.calls += 1
        if explore is None:
            return torch.ones(obs.shape[:2], dtype=torch.long)
        return (explore[..., 0] * 2).long()


def by_hand(seed: int, actions: list[int]) -> tuple[float, int]:
    """One game of `gymnasium.make`'s CartPole."""
    sub_env = gym.make("CartPole-v1")
    sub_env.reset(seed=seed)
    total = 0.0
    for length, action in enumerate(actions, 1):
        _, reward, ended, cut, _ = sub_env.step(action)
        total += float(reward)
        if ended or cut:
            return total, length
    raise AssertionError("the game did not end")


def test_every_world_plays_exactly_one_game_as_gymnasium_would():
    """Short games do not count twice while long ones go on: no bias towards short games."""
    seeds = [[1, 2, 3], [4, 5, 6]]
    policy = Pusher()
    games = play(policy, tasks.make("CartPole-v1", seeds), torch.Tensor.float, None)
    expected = [[by_hand(seed, [1] * 50) for seed in row] for row in seeds]
    assert games.tolist() == [[list(game) for game in row] for row in expected]
    assert policy.calls == games[..., 1].max() > games[..., 1].min()


def test_games_that_begin_while_others_go_on_do_not_count():
    """Four sub-environments are pushed right and fall every ten steps, the last one is balanced for 500."""

    class Mixed(Pusher):
        def act(self, obs: Tensor, explore: Tensor | None = None) -> Tensor:
            action = (obs[..., 2] + 0.5 * obs[..., 3] > 0).long()
            action[:, :4] = 1
            return action

    task = tasks.make("CartPole-v1", [[1, 3, 4, 5, 2]])
    games = play(Mixed(), task, torch.Tensor.float, None)
    assert games[0].tolist() == [*(list(by_hand(seed, [1] * 50)) for seed in (1, 3, 4, 5)), [500, 500]]


def test_sampled_games_follow_the_uniform_numbers_of_their_seed():
    rng = np.random.default_rng(5)
    explore = Uniforms([np.random.default_rng(5)], 2, 1)
    games = play(Pusher(), tasks.make("CartPole-v1", [[1, 2]]), torch.Tensor.float, explore)
    drawn = rng.random((128, 2, 1), dtype=np.float32)
    assert games[0].tolist() == [
        list(by_hand(n + 1, (drawn[:, n, 0] * 2).astype(int).tolist())) for n in (0, 1)
    ]


def test_a_policy_sees_observations_through_the_view():
    seen = []

    def view(obs: Tensor) -> Tensor:
        seen.append(obs.clone())
        return obs * 0 + 7

    class Sevens(Pusher):
        def act(self, obs: Tensor, explore: Tensor | None = None) -> Tensor:
            assert (obs == 7).all()
            return super().act(obs, explore)

    play(Sevens(), tasks.make("CartPole-v1", [[1]]), view, None)
    assert seen[0].abs().max() <= 0.05


@pytest.mark.parametrize(("episodes", "final"), [(8, 25), (4, 4), (5, 2)])
def test_points_and_the_end_have_the_episodes_they_should(episodes: int, final: int):
    """Both protocols have rows of their own; more episodes than environments take rounds on new starts."""
    protocol = Protocol(points=4, episodes=episodes, final_episodes=final, modes=("deterministic", "sampled"))
    c = cell("ppo", (8, 9), evaluation=protocol)
    evaluator = Evaluator(c, Streams(c))
    for point, wanted in ((2, episodes), (4, final)):
        outcomes = evaluator(Pusher(), torch.Tensor.float, point)
        keys = [outcome[:3] for outcome in outcomes]
        assert keys == sorted((s, e, m) for s in (0, 1) for e in range(wanted) for m in protocol.modes)
    for s in (0, 1):
        for mode in protocol.modes:
            own = [o.value for o in outcomes if o.seed_index == s and o.protocol == mode]
            rounds = [own[first : first + episodes] for first in range(0, final - episodes + 1, episodes)]
            assert all(a != b for a, b in pairwise(rounds))


def test_points_protocols_and_seeds_have_starts_of_their_own():
    protocol = Protocol(points=4, episodes=20, final_episodes=20, modes=("deterministic", "sampled"))
    c = cell("ppo", (0, 1), evaluation=protocol)
    evaluator = Evaluator(c, Streams(c))
    found = []
    for point in (0, 1):
        outcomes = evaluator(Pusher(), torch.Tensor.float, point)
        for s in (0, 1):
            for mode in protocol.modes:
                found.append(tuple(o.value for o in outcomes if o.seed_index == s and o.protocol == mode))
    assert len(set(found)) == 8
    again = Evaluator(c, Streams(c))(Pusher(), torch.Tensor.float, 1)
    assert again == outcomes


@pytest.mark.parametrize(
    ("algorithm", "environment"),
    [
        ("ppo", "CartPole-v1"),
        ("dqn", "CartPole-v1"),
        ("reinforce-value", "CartPole-v1"),
        ("a2c", "Acrobot-v1"),
    ],
)
def test_evaluating_leaves_training_as_it_was(algorithm: str, environment: str):
    c = cell(algorithm, (0, 1), environment=environment, budget=1040)
    watched, unwatched = train.run(c), train.run(c, evaluate=False)
    assert watched.episodes == unwatched.episodes
    assert watched.evaluations and not unwatched.evaluations
    for name, value in watched.state.items():
        assert torch.equal(value, unwatched.state[name])
