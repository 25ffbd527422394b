"""Bugs of DDPG, TD3 and SAC."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from rlparity.agents import base as agents
from rlparity.nn import networks, optimizers
from rlparity.nn.action_scaling import Bounds
from rlparity.nn.distributions import gaussian
from rlparity.objectives import targets
from rlparity.validation.mutations.mutation import MutationSet, Patch

td3, sac = agents.module("td3"), agents.module("sac")
bug = MutationSet()


@bug("C1", "one vector of target noise serves the whole minibatch", "td3 Pendulum-v1", "CleanRL#279, #281")
def c1(patch: Patch) -> None:
    def around(smoothed: Any, action: Tensor, noise: Tensor, clip: float) -> Any:
        return smoothed(action, noise[:, :1].expand_as(noise), clip)

    patch.wrap(td3, "smoothed", around)


@bug(
    "C3",
    "the actor's actions are not scaled to the environment's bounds",
    "ddpg Pendulum-v1",
    "CleanRL#196, #211",
    "bounds of -1 and 1",
)
def c3(patch: Patch) -> None:
    patch.replace(Bounds, "from_unit", lambda self, action: action)


@bug(
    "C5 early",
    "the delayed policy update comes one update too early",
    "td3 Pendulum-v1",
    "SB3 changelog 0.11.0",
)
def c5_early(patch: Patch) -> None:
    def around(build: Any, self: Any, *arguments: Any) -> None:
        build(self, *arguments)
        self.updates = 1

    patch.wrap(td3.TD3, "__init__", around)


@bug("C5 none", "the policy update is not delayed", "td3 Pendulum-v1", "SB3 changelog 0.11.0")
def c5_none(patch: Patch) -> None:
    patch.configure("td3", lambda config: {"policy_delay": 1})


@bug("C6 td3", "the target is the first critic's, not the lower of two", "td3 Pendulum-v1", "constructed")
def c6_td3(patch: Patch) -> None:
    def target(self: Any, batch: Any, normal: Tensor) -> Tensor:
        c = self.config
        with torch.no_grad():
            action = self.policy(self.actor_target, batch.next_obs)
            action = td3.smoothed(action, c.target_policy_noise * normal, c.target_noise_clip)
            next_q = self.critic_target("q1", torch.cat([batch.next_obs, action], -1))
            return targets.one_step(batch.reward, batch.discount, next_q, c.gamma)

    patch.replace(td3.TD3, "target", target)


@bug("C6 sac", "the target is the first critic's, not the lower of two", "sac Pendulum-v1", "constructed")
def c6_sac(patch: Patch) -> None:
    def around(values: Any, self: Any, critic: Any, *rest: Any, **constant: bool) -> tuple[Tensor, Tensor]:
        q1, q2 = values(self, critic, *rest, **constant)
        return (q1, q1) if critic is self.critic_target else (q1, q2)

    patch.wrap(sac.SAC, "values", around)


@bug("C8", "target networks move by 1 - tau", "ddpg Pendulum-v1", "constructed")
def c8(patch: Patch) -> None:
    def around(polyak: Any, target: Any, online: Any, tau: float, *due: Any) -> None:
        polyak(target, online, 1 - tau, *due)

    patch.wrap(optimizers, "polyak", around)


@bug(
    "S3 missing",
    "the log-probability of a squashed action lacks the Jacobian of tanh",
    "sac Pendulum-v1",
    "CleanRL sac_continuous_action.py; SB3 changelog 0.2.0",
)
def s3_missing(patch: Patch) -> None:
    patch.replace(gaussian, "squashed_log_prob", lambda log_prob, squashed: log_prob)


@bug(
    "S3 scale",
    "log-probabilities are of actions in the environment's units, the target entropy of those in [-1, 1]",
    "sac Pendulum-v1",
    "CleanRL sac_continuous_action.py",
    "bounds of -1 and 1",
)
def s3_scale(patch: Patch) -> None:
    def around(density: Any, log_prob: Tensor, squashed: Tensor) -> Any:
        jacobian = squashed.shape[-1] * math.log(2)  # Pendulum's bounds are -2 and 2
        return density(log_prob, squashed) - jacobian

    patch.wrap(gaussian, "squashed_log_prob", around)


@bug(
    "S5",
    "the target entropy is plus the number of components (a false fix)",
    "sac Pendulum-v1",
    "suggested in a comment on SB3#2013",
    "a fixed temperature",
)
def s5(patch: Patch) -> None:
    def around(build: Any, self: Any, *arguments: Any) -> None:
        build(self, *arguments)
        self.target_entropy *= -1

    patch.wrap(sac.SAC, "__init__", around)


@bug("S6", "actions are sampled without a gradient", "sac Pendulum-v1", "constructed")
def s6(patch: Patch) -> None:
    def sample(self: Any, obs: Tensor, normal: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_std = self.policy(obs)
        unsquashed = (mean + log_std.exp() * normal).detach()
        action = networks.tanh(unsquashed)
        return action, gaussian.squashed_log_prob(gaussian.log_prob(mean, log_std, unsquashed), action)

    patch.replace(sac.SAC, "sample", sample)


@bug(
    "S7",
    "log standard deviations are squashed into [-5, 2], not clamped to [-20, 2]",
    "sac Pendulum-v1",
    "SB3 and CleanRL differ",
)
def s7(patch: Patch) -> None:
    def policy(self: Any, obs: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_std = self.actor("actor", obs).chunk(2, -1)
        return mean, -5 + 3.5 * (torch.tanh(log_std) + 1)

    patch.replace(sac.SAC, "policy", policy)


@bug(
    "S8",
    "actions are stored in the environment's units, but chosen within -1 and 1",
    "sac Pendulum-v1",
    "Tianshou, commit 75d7c9f1",
    "bounds of -1 and 1",
)
def s8(patch: Patch) -> None:
    patch.replace(Bounds, "to_unit", lambda self, action: action)


MUTATIONS = bug.mutations
