"""Bugs of rollouts, time limits and generalised advantages."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

import gymnasium as gym
import torch
from torch import Tensor

from rlparity.environments import cartpole, gymnasium_env
from rlparity.environments.normalization import NormalizedEnv
from rlparity.objectives import targets
from rlparity.validation.mutations.mutation import MutationSet, Patch

bug = MutationSet()


def beside(mask: Tensor, like: Tensor) -> Tensor:
    """A mask (S, N) with the axes of observations (S, N, *obs)."""
    return mask.view(*mask.shape, *[1] * (like.dim() - mask.dim()))


def late(flag: Tensor) -> Tensor:
    """The flags of the previous step, (S, N, T); zero for the first step."""
    return torch.cat([torch.zeros_like(flag[..., :1]), flag[..., :-1]], -1)


@bug(
    "P1",
    "advantages are masked with the end of the step before",
    "ppo CartPole-v1",
    "SB3#105; SB3 changelog 0.8.0; anthonytorlucci/rlevo#342",
    "long episodes",
)
def p1(patch: Patch) -> None:
    def around(gae: Any, r: Tensor, v: Tensor, nv: Tensor, discount: Tensor, last: Tensor, *rest: Any) -> Any:
        return gae(r, v, nv, 1 - late(1 - discount), late(last), *rest)

    patch.wrap(targets, "gae", around)


@bug("P4", "the last advantage of every rollout does not bootstrap", "ppo CartPole-v1", "CleanRL#16")
def p4(patch: Patch) -> None:
    def around(gae: Any, r: Tensor, v: Tensor, next_value: Tensor, *rest: Any) -> Any:
        mask = torch.ones_like(next_value)
        mask[..., -1] = 0
        return gae(r, v, mask * next_value, *rest)

    patch.wrap(targets, "gae", around)


@bug(
    "P5",
    "a time limit is treated as a termination",
    "ppo Pendulum-v1",
    "CleanRL#198; SB3#651; openai/baselines#436; sfujim/TD3#41",
    "environments without a time limit",
)
def p5(patch: Patch) -> None:
    def around(gae: Any, r: Tensor, v: Tensor, nv: Tensor, discount: Tensor, last: Tensor, *rest: Any) -> Any:
        return gae(r, v, nv, 1 - last, last, *rest)

    patch.wrap(targets, "gae", around)


@bug(
    "P6",
    "values bootstrap beyond a termination",
    "ppo CartPole-v1",
    "openai/spinningup#233, #257",
    "environments without terminations",
)
def p6(patch: Patch) -> None:
    def around(gae: Any, r: Tensor, v: Tensor, nv: Tensor, discount: Tensor, *rest: Any) -> Any:
        return gae(r, v, nv, torch.ones_like(discount), *rest)

    patch.wrap(targets, "gae", around)


@bug(
    "P7",
    "a time limit bootstraps from the observation after the reset",
    "ppo Pendulum-v1",
    "Unity-Technologies/ml-agents#574; SB2#769",
    "a short horizon",
)
def p7(patch: Patch) -> None:
    def around(step: Any, self: Any, *arguments: Any) -> Any:
        now = step(self, *arguments)
        stopped = beside(now.last > 0, now.next_obs)
        return now._replace(next_obs=torch.where(stopped, self.obs, now.next_obs))

    patch.wrap(gymnasium_env.GymnasiumEnv, "step", around)


class NextStepReset(gym.Wrapper):
    """Resets in the step after the end, as Gymnasium's vector environments do by default."""

    ended = False

    def reset(self, **keywords: Any) -> Any:
        """Return the last observation again after the end of an episode."""
        return (self.final, {}) if self.ended else self.env.reset(**keywords)

    def step(self, action: Any) -> Any:
        """After the end of an episode, reset instead of taking a step."""
        if self.ended:
            self.ended = False
            obs, info = self.env.reset()
            return obs, 0.0, False, False, info
        self.final, reward, terminated, truncated, info = self.env.step(action)
        self.ended = terminated or truncated
        return self.final, reward, terminated, truncated, info


@bug(
    "P10",
    "the reset of the next step is learned from as if it were a transition",
    "ppo Pendulum-v1",
    "CleanRL#499; automl/Mighty#108",
)
def p10(patch: Patch) -> None:
    patch.wrap(gymnasium_env, "make_single", lambda make, environment: NextStepReset(make(environment)))


@bug(
    "P11",
    "ends arrive one step after their observation",
    "ppo CartPole-v1",
    "CleanRL docs/rl-algorithms/ppo.md, on EnvPool",
)
def p11(patch: Patch) -> None:
    before: Any = WeakKeyDictionary()

    def around(step: Any, self: Any, *arguments: Any) -> Any:
        now = step(self, *arguments)
        discount, last = before.get(self, (torch.ones_like(now.last), torch.zeros_like(now.last)))
        before[self] = now.discount, now.last
        return now._replace(discount=discount, last=last)

    patch.wrap(cartpole.CartPole, "step", around)


@bug(
    "P12",
    "the observation that a time limit cuts off is not normalised",
    "a2c Pendulum-v1",
    "SB3 changelog 0.11.0",
    "environments without normalisation",
)
def p12(patch: Patch) -> None:
    def around(step: Any, self: Any, *arguments: Any) -> Any:
        now = step(self, *arguments)
        raw = now.next_obs * self.obs_moments.scale() + self.obs_moments.mean
        stopped = beside(now.last > 0, now.next_obs)
        return now._replace(next_obs=torch.where(stopped, raw.float(), now.next_obs))

    patch.wrap(NormalizedEnv, "step", around)


MUTATIONS = bug.mutations
