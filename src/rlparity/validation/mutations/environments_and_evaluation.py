"""Bugs of environments, normalisation, images, seeding and evaluation."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from torch import Tensor

from rlparity import seeding
from rlparity.environments import cartpole, episode_statistics
from rlparity.environments.normalization import Moments, NormalizedEnv
from rlparity.nn import convolutions
from rlparity.training import evaluation
from rlparity.validation import plain_environments
from rlparity.validation.mutations.mutation import MutationSet, Patch

bug = MutationSet()


@bug(
    "AT8 missing",
    "images are not divided by 255",
    "dqn ALE/Pong-v5@nature",
    "CleanRL docs/rl-algorithms/ppo.md, Atari detail 9",
)
def at8_missing(patch: Patch) -> None:
    patch.replace(convolutions, "WHITE", 1)


@bug(
    "AT8 twice",
    "images are divided by 255 twice",
    "ppo ALE/Pong-v5@nature",
    "CleanRL docs/rl-algorithms/ppo.md, Atari detail 9",
)
def at8_twice(patch: Patch) -> None:
    patch.replace(convolutions, "WHITE", 255**2)


@bug(
    "AT11",
    "episode statistics are not reset at a time limit: returns add up over episodes",
    "sac Pendulum-v1",
    "sail-sg/envpool#299",
)
def at11(patch: Patch) -> None:
    def around(add: Any, self: Any, reward: np.ndarray, last: np.ndarray) -> None:
        returns = self._returns + reward
        add(self, reward, last)
        self._returns[last] = returns[last]

    patch.wrap(episode_statistics.EpisodeStatistics, "add", around)


@bug(
    "N1",
    "evaluation updates the running statistics of observations",
    "a2c Pendulum-v1",
    "RL Zoo#275, #276",
    "environments without normalisation",
)
def n1(patch: Patch) -> None:
    def around(view: Any, self: Any, obs: Tensor) -> Tensor:
        self.obs_moments.update(obs.double())
        seen: Tensor = view(self, obs)
        return seen

    patch.wrap(NormalizedEnv, "view", around)


@bug(
    "N3",
    "normalised rewards are recorded as returns",
    "a2c Pendulum-v1",
    "SB3#2101; mesozoic-labs#157",
    "environments without normalisation",
)
def n3(patch: Patch) -> None:
    def around(pop: Any, self: Any) -> list[Any]:
        scale = self.return_moments.scale().flatten()
        returns = [(each, each.episode_return / float(scale[each.seed_index])) for each in pop(self)]
        return [each._replace(episode_return=value) for each, value in returns]

    patch.wrap(NormalizedEnv, "pop_episodes", around)


@bug(
    "N5",
    "every sub-environment has running statistics of its own; the evaluation sees their mean",
    "a2c Pendulum-v1",
    "SB3 and CleanRL differ",
    "one sub-environment",
)
def n5(patch: Patch) -> None:
    def update(self: Any, batch: Tensor) -> None:
        total, delta = self.count + 1, batch - self.mean
        m2 = self.var * self.count + delta**2 * self.count / total
        self.mean, self.var, self.count = self.mean + delta / total, m2 / total, total

    def view(original: Any, self: Any, obs: Tensor) -> Tensor:
        m = self.obs_moments
        mean, var = m.mean, m.var
        if obs.shape[1] != mean.shape[1]:
            m.mean, m.var = mean.mean(1, keepdim=True), var.mean(1, keepdim=True)
        seen: Tensor = original(self, obs)
        m.mean, m.var = mean, var
        return seen

    patch.replace(Moments, "update", update)
    patch.wrap(NormalizedEnv, "view", view)


@bug(
    "N6",
    "the environment is of another version: CartPole-v0 ends after 200 steps",
    "ppo CartPole-v1",
    "openai/gym#1541, #2593; Gymnasium#214, #1041",
    "short episodes",
)
def n6(patch: Patch) -> None:
    patch.wrap(cartpole, "_ends", lambda ends, *arrays: plain_environments.ends_within(200, ends, *arrays))


@bug(
    "E2", "sub-environment i of seed s starts from s + i, so that runs overlap", "ppo CartPole-v1", "SB3#2268"
)
def e2(patch: Patch) -> None:
    def environments(self: Any, name: str, n: int) -> list[list[int]]:
        return [[seed + i for i in range(n)] for seed in self.seeds]

    patch.replace(seeding.Streams, "environments", environments)


@bug("E3", "all episodes of a sub-environment start alike", "ppo CartPole-v1", "google-deepmind/meltingpot#5")
def e3(patch: Patch) -> None:
    def around(start: Any, self: Any, i: int) -> Any:
        state = start(self, i)
        self._next_start[i] = 0
        return state

    patch.wrap(cartpole.CartPole, "_start", around)


@bug("E4", "environments are seeded by the clock", "sac Pendulum-v1", "Tianshou#299; openai/spinningup#310")
def e4(patch: Patch) -> None:
    def environments(self: Any, name: str, n: int) -> list[list[int]]:
        draws = np.random.SeedSequence().generate_state(len(self.seeds) * n).reshape(-1, n)
        return [[int(seed) for seed in row] for row in draws]

    patch.replace(seeding.Streams, "environments", environments)


@bug("E7", "the best evaluation so far is reported for the last", "a2c CartPole-v1", "constructed")
def e7(patch: Patch) -> None:
    before: Any = WeakKeyDictionary()

    def around(original: Any, self: Any, policy: Any, view: Any, point: int) -> list[Any]:
        outcomes = original(self, policy, view, point)
        best = before.setdefault(self, {})
        for s in {outcome.seed_index for outcome in outcomes}:
            mean = float(np.mean([outcome.value for outcome in outcomes if outcome.seed_index == s]))
            best[s] = max(mean, best.get(s, mean))
        if point < self._cell.evaluation.points:
            return list(outcomes)
        return [outcome._replace(value=best[outcome.seed_index]) for outcome in outcomes]

    patch.wrap(evaluation.Evaluator, "__call__", around)


MUTATIONS = bug.mutations
