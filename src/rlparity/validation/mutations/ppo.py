"""Bugs of PPO's update and of its schedules."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from rlparity.agents import base as agents
from rlparity.nn import networks
from rlparity.nn.distributions import gaussian
from rlparity.objectives import targets
from rlparity.validation.mutations import by_graph
from rlparity.validation.mutations.mutation import MutationSet, Patch

ppo = agents.module("ppo")
bug = MutationSet()


@bug(
    "P15",
    "the old log-probability is computed anew in every minibatch, so that the ratio is 1",
    "ppo CartPole-v1",
    "tensorforce#312; GMISWE/tinker-cloud#66",
    "one epoch of one minibatch",
)
def p15(patch: Patch) -> None:
    def around(differentiate: Any, self: Any, batch: Any, *rest: Any, **keywords: Any) -> Any:
        with torch.no_grad():
            features = self.network.features(batch.obs)
            log_prob = self.policy.log_prob(self.network, features, batch.action)
        return differentiate(self, batch._replace(log_prob=log_prob), *rest, **keywords)

    patch.wrap(ppo.PPO, "differentiate", around)


@bug(
    "P17",
    "the clipped objective takes the larger of the two terms",
    "ppo CartPole-v1",
    "constructed",
    "ratios within the clip range",
)
def p17(patch: Patch) -> None:
    def objective(ratio: Tensor, advantage: Tensor, epsilon: float) -> Tensor:
        clipped = ratio.clamp(1 - epsilon, 1 + epsilon)
        return torch.max(ratio * advantage, clipped * advantage).mean(1)

    patch.replace(ppo, "clipped_objective", objective)
    patch.replace(ppo, "clipped_slope", by_graph.clipped_slope(objective))


@bug(
    "P18",
    "the entropy bonus has the wrong sign",
    "ppo CartPole-v1",
    "constructed",
    "ent_coef 0, as in both benchmarks",
    {"ent_coef": 0.01},
)
def p18(patch: Patch) -> None:
    patch.configure("ppo", lambda config: {"ent_coef": -config.ent_coef})


@bug(
    "P20",
    "log-probabilities are not summed over the action's components: the first stands for all",
    "ppo Reacher-v5",
    "SB3 changelog 0.3.0; Tianshou#40; ReinforcementLearningZoo.jl#169",
    "actions of one component",
)
def p20(patch: Patch) -> None:
    def first(mean: Tensor, log_std: Tensor, action: Tensor) -> Tensor:
        z = (action - mean) * (-log_std).exp()
        return (-0.5 * z.square() - log_std - 0.5 * gaussian.LOG_2PI)[..., 0]

    patch.replace(gaussian, "log_prob", first)
    by_graph.gaussian_slopes(patch)


@bug(
    "P21",
    "the entropy of a Gaussian counts its deviation, not the logarithm of it",
    "ppo Pendulum-v1",
    "ikostrikov/pytorch-a2c-ppo-acktr-gail#25",
    "ent_coef 0, as in both benchmarks",
    {"ent_coef": 0.01},
)
def p21(patch: Patch) -> None:
    patch.wrap(gaussian, "entropy", lambda entropy, log_std: entropy(log_std.exp()))
    by_graph.gaussian_slopes(patch)


@bug(
    "P22 half",
    "the value loss counts half",
    "ppo CartPole-v1",
    "SB3 and CleanRL differ",
    "separate networks and Adam, which does not mind scale",
)
def p22_half(patch: Patch) -> None:
    patch.configure("ppo", lambda config: {"vf_coef": config.vf_coef / 2})


@bug(
    "P22 double",
    "the value loss counts twice",
    "ppo CartPole-v1",
    "SB3 and CleanRL differ",
    "separate networks and Adam, which does not mind scale",
)
def p22_double(patch: Patch) -> None:
    patch.configure("ppo", lambda config: {"vf_coef": 2 * config.vf_coef})


@bug(
    "P25 constant",
    "the learning rate does not fall",
    "ppo CartPole-v1",
    "SB3 and CleanRL differ",
    "short runs",
)
def p25_constant(patch: Patch) -> None:
    patch.configure("ppo", lambda config: {"learning_rate_schedule": "constant"})


@bug(
    "P25 late",
    "the learning rate falls one update too late",
    "ppo CartPole-v1",
    "SB3 and CleanRL differ",
    "many updates",
)
def p25_late(patch: Patch) -> None:
    def around(update: Any, self: Any, batch: Any, *rest: Any) -> Any:
        steps = batch.advantage.shape[1]
        self.env_steps -= steps
        metrics = update(self, batch, *rest)
        self.env_steps += steps
        return metrics

    patch.wrap(ppo.PPO, "update", around)


@bug(
    "P26",
    "the policy's last layer starts with gain 1 in place of 0.01",
    "ppo CartPole-v1",
    "SB3 and CleanRL differ; TolgaOk/Modular-Baselines#9",
    "weights that are copied from the reference",
)
def p26(patch: Patch) -> None:
    def around(mlp: Any, sizes: Any, gain: float | None = None) -> Any:
        return mlp(sizes, 1.0 if gain == 0.01 else gain)

    patch.wrap(networks, "mlp", around)


@bug(
    "P28 after",
    "an update stops after the step whose divergence is too large, not before it",
    "ppo CartPole-v1",
    "kashif/firedup#3; SB2#213",
    "no target_kl, as in both benchmarks",
    {"target_kl": 0.0003},
)
def p28_after(patch: Patch) -> None:
    before: Any = WeakKeyDictionary()

    def loss(original: Any, self: Any, *arguments: Any) -> Any:
        found, metrics = original(self, *arguments)
        now = metrics["approx_kl"]
        metrics["approx_kl"], before[self] = before.get(self, torch.zeros_like(now)), now
        return found, metrics

    def update(original: Any, self: Any, *arguments: Any) -> Any:
        before.pop(self, None)
        return original(self, *arguments)

    patch.wrap(ppo.PPO, "loss", loss)
    patch.wrap(ppo.PPO, "update", update)


@bug(
    "P28 once",
    "an update stops at target_kl, not at 1.5 times that",
    "ppo CartPole-v1",
    "kashif/firedup#3; SB2#213",
    "no target_kl, as in both benchmarks",
    {"target_kl": 0.0003},
)
def p28_once(patch: Patch) -> None:
    patch.configure("ppo", lambda config: {"target_kl": config.target_kl and config.target_kl / 1.5})


@bug(
    "P29",
    "explained variance is given truth and prediction in exchanged places",
    "ppo CartPole-v1",
    "SB3 changelog 0.11.0",
    "whatever is learned: only a metric is wrong",
)
def p29(patch: Patch) -> None:
    patch.wrap(targets, "explained_variance", lambda ev, prediction, truth: ev(truth, prediction))


@bug(
    "P31",
    "a minibatch of one is normalised, too, to NaN",
    "ppo CartPole-v1",
    "SB3 changelog 1.1.0",
    "minibatches of two and more",
    {"batch_size": 85},
)
def p31(patch: Patch) -> None:
    def normalised(advantage: Tensor) -> Tensor:
        return (advantage - advantage.mean(1, keepdim=True)) / (advantage.std(1, keepdim=True) + 1e-8)

    patch.replace(ppo, "normalised", normalised)


MUTATIONS = bug.mutations
