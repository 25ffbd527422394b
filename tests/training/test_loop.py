"""The loop's clock and records, and seeds that fail."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from small import Protocol, cell, of_seed

from rlparity.environments import base as tasks
from rlparity.environments.cartpole import CartPole
from rlparity.training import run as train
from rlparity.training.evaluation import Evaluator
from rlparity.transitions import Episode, Step

pytestmark = pytest.mark.probes


@pytest.mark.parametrize(
    ("n_envs", "budget", "points", "expected"),
    [
        (8, 96, 4, [0, 24, 48, 72, 96]),
        (8, 100, 4, [0, 32, 56, 80, 100]),  # when a multiple of 25 is crossed
        (8, 24, 20, [0, 8, 16, 24]),  # several multiples crossed at once count once
        (1, 7, 3, [0, 3, 5, 7]),
        (1, 5, 1, [0, 5]),
    ],
)
def test_evaluations_come_when_a_point_is_crossed_and_at_the_end(
    n_envs: int, budget: int, points: int, expected: list[int]
):
    protocol = Protocol(points=points, episodes=2, final_episodes=3, modes=("sampled",))
    rows = train.run(cell("random", (4,), n_envs=n_envs, budget=budget, evaluation=protocol)).evaluations
    assert sorted({row["env_step"] for row in rows}) == expected
    for env_step in expected:
        episodes = [row["episode"] for row in rows if row["env_step"] == env_step]
        assert episodes == ([0, 1, 2] if env_step == budget else [0, 1])


def test_an_evaluation_is_that_of_the_last_point_crossed(monkeypatch: pytest.MonkeyPatch):
    """Steps 0, 8, 16 and 24 of 24 are points 0, 6 (of 6.7), 13 and 20 of 20."""
    points: list[int] = []
    monkeypatch.setattr(Evaluator, "__call__", lambda self, policy, view, point: points.append(point) or [])
    train.run(cell("random", n_envs=8, budget=24, evaluation=Protocol(points=20, modes=("sampled",))))
    assert points == [0, 6, 13, 20]


def test_rows_say_who_they_are_and_keep_raw_returns():
    rows = train.run(cell("ppo", (7, 2)))
    for kind, columns in (("episodes", 7), ("evaluations", 10)):
        for row in getattr(rows, kind):
            assert len(row) == columns and row["seed"] in (2, 7)
            assert (row["implementation"], row["algorithm"], row["environment"]) == (
                "scratch",
                "ppo",
                "CartPole-v1",
            )
            names = ("value", "size") if kind == "evaluations" else ("episode_return", "episode_length")
            assert row[names[0]] == row[names[1]]
    per_seed = [sum(r["episode_length"] for r in rows.episodes if r["seed"] == s) for s in (7, 2)]
    assert all(400 < steps <= 520 for steps in per_seed)  # the rest are games under way
    assert {row["protocol"] for row in rows.evaluations} == {"deterministic", "sampled"}


def test_games_beyond_the_budget_are_not_booked():
    """The last round of eight sub-environments ends four steps too late."""
    rows = train.run(cell("ppo", (0, 1), budget=500), evaluate=False)
    more = train.run(cell("ppo", (0, 1), budget=500 + 20), evaluate=False)
    assert max(row["env_step"] for row in rows.episodes) <= 500
    assert any(row["env_step"] == 504 for row in more.episodes)


def test_metrics_of_updates_are_kept_for_every_seed():
    rows = train.run(cell("ppo", (7, 2)))
    last = [row for row in rows.progress if row["env_step"] == 520]
    names = {row["metric"] for row in last}
    assert names >= {"policy_loss", "value_loss", "entropy", "approx_kl", "grad_norm", "evaluation_time_s"}
    entropy = {row["seed"]: row["value"] for row in last if row["metric"] == "entropy"}
    assert len(entropy) == 2 and entropy[2] != entropy[7] and all(0 < e < 0.7 for e in entropy.values())
    walls = [row["wall_time_s"] for row in rows.progress]
    assert walls == sorted(walls)
    assert rows.evaluation_time_s > 0 and rows.training_time_s > 0


def test_a_watcher_sees_every_step_and_every_game():
    seen: list[int] = []
    games: list[Episode] = []

    def watch(env_step: int, ended: Sequence[Episode]) -> None:
        seen.append(env_step)
        games.extend(ended)

    rows = train.run(cell("ppo", (0, 1)), watch)
    assert seen == list(range(8, 521, 8))
    assert len(games) == len(rows.episodes)


class Poisoned(CartPole):
    """Pays the second seed NaN from step 20 of all sub-environments on."""

    steps = 0

    def step(self, action: torch.Tensor, live: object = None) -> Step:
        step = super().step(action)
        self.steps += 1
        if self.steps >= 20:
            step.reward[1] = torch.nan
        return step


@pytest.mark.parametrize("algorithm", ["a2c", "ppo", "dqn-2013", "reinforce-baseline", "actor-critic"])
def test_a_failed_seed_is_frozen_and_no_other_seed_can_tell(algorithm: str, monkeypatch: pytest.MonkeyPatch):
    make = tasks.make
    healthy = train.run(cell(algorithm, (3, 5)))
    first = iter([Poisoned])  # the sub-environments of training, which are made first

    def poisoned(environment: str, seeds: Sequence[Sequence[int]], role: str = "training") -> tasks.Env:
        return next(first, lambda s: make(environment, s))(seeds)

    monkeypatch.setattr(tasks, "make", poisoned)
    rows = train.run(cell(algorithm, (3, 4, 5)))
    assert set(rows.failed) == {4} and "not finite by environment step" in rows.failed[4]
    for seed in (3, 5):
        assert of_seed(rows, seed) == of_seed(healthy, seed)
    steps = [row["env_step"] for row in of_seed(rows, 4)]
    failed_at = int(rows.failed[4].split()[-1])
    assert 0 in steps and max(steps) < failed_at < 520  # kept until then, none added
    assert all(value.isfinite().all() for value in rows.state.values())


def test_the_loop_ends_early_once_all_seeds_have_failed(monkeypatch: pytest.MonkeyPatch):
    seen: list[int] = []

    class Alone(Poisoned):
        def step(self, action: torch.Tensor, live: object = None) -> Step:
            step = CartPole.step(self, action)
            return step._replace(reward=step.reward * torch.nan)

    monkeypatch.setattr(tasks, "make", lambda environment, seeds, role="training": Alone(seeds))
    rows = train.run(cell("a2c", (3,), budget=4000), lambda env_step, ended: seen.append(env_step))
    assert set(rows.failed) == {3} and max(seen) == 40  # the first update
    assert {row["env_step"] for row in rows.evaluations} == {0}
