"""Made-up experience: steps of S x N sub-environments in which all kinds of ends occur, and plain records."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from rlparity.environments.base import EnvSpec
from rlparity.transitions import Step

ENDS = 0.15, 0.12  # chance that a step terminates the episode, and that it is its last for a time limit
IMAGES = 5  # axes of observations (S, N, C, H, W)


class Record(NamedTuple):
    """One transition of one sub-environment."""

    obs: Tensor
    action: Tensor
    reward: float
    ended: bool  # the task terminated, so that nothing follows
    last: bool  # the episode stopped, for either reason
    next_obs: Tensor  # the true successor


def steps(spec: EnvSpec, n: int, broken: tuple[int, int] | None = None, quiet: int = 0) -> list[Step]:
    """n steps in float64. Episodes terminate, are cut by a time limit, or both at once, at other times in
    every sub-environment, but not in the first `quiet` steps. With `broken` (seed index, step) that seed's
    rewards are NaN from that step on."""
    rng = torch.Generator().manual_seed(0)
    shape = (spec.n_seeds, spec.n_envs)

    def observe() -> Tensor:
        if len(spec.obs_shape) == 3:
            return torch.randint(256, (*shape, *spec.obs_shape), generator=rng, dtype=torch.uint8)
        return torch.randn(*shape, *spec.obs_shape, generator=rng).double()

    found, obs = list[Step](), observe()
    for t in range(n):
        terminated = torch.rand(shape, generator=rng) < (ENDS[0] if t >= quiet else 0)
        truncated = torch.rand(shape, generator=rng) < (ENDS[1] if t >= quiet else 0)
        last = terminated | truncated
        reward = (3 * torch.randn(shape, generator=rng) + 1).double()
        if broken is not None and t >= broken[1]:
            reward[broken[0]] = torch.nan
        successor = following(obs, observe())
        action = actions(spec, rng)
        found.append(Step(obs, action, reward, 1 - terminated.double(), last.double(), successor))
        restart = observe()
        if obs.dim() == IMAGES:  # a lost life ends an episode and goes on with the same frames
            last = last & (torch.rand(shape, generator=rng) < 0.5)
        spread = last.view(*shape, *[1] * len(spec.obs_shape))
        obs = torch.where(spread, restart, successor)
    return found


def following(obs: Tensor, drawn: Tensor) -> Tensor:
    """What follows `obs`: of a stack of images, its newest ones and one more."""
    return torch.cat([obs[:, :, 1:], drawn[:, :, -1:]], 2) if obs.dim() == IMAGES else drawn


def actions(spec: EnvSpec, rng: torch.Generator) -> Tensor:
    """Random actions (S, N), or (S, N, *action) within their bounds."""
    shape = (spec.n_seeds, spec.n_envs)
    if spec.n_actions is not None:
        return torch.randint(spec.n_actions, shape, generator=rng)
    low, high = torch.tensor([spec.action_low, spec.action_high]).double()
    return low + (high - low) * torch.rand(*shape, *spec.action_shape, generator=rng).double()


def records(step: Step, s: int) -> list[Record]:
    """One step of seed s, a record for each sub-environment."""
    return [
        Record(
            as_double(step.obs[s, n]),
            as_double(step.action[s, n]),
            float(step.reward[s, n]),
            bool(step.discount[s, n] == 0),
            bool(step.last[s, n] == 1),
            as_double(step.next_obs[s, n]),
        )
        for n in range(step.reward.shape[1])
    ]


def as_double(x: Tensor) -> Tensor:
    """Floating-point numbers in float64; others as they are."""
    return x.double() if x.is_floating_point() else x


def as_single(step: Step) -> Step:
    """A step in float32."""
    return Step(*(x.float() if x.is_floating_point() else x for x in step))
