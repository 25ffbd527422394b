"""Faults of rollouts, generalised advantages and PPO."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

import gymnasium as gym
import torch
from torch import Tensor

from rlparity.agents import base as agents
from rlparity.environments import cartpole, gymnasium_env
from rlparity.environments.normalization import NormalizedEnv
from rlparity.nn import networks
from rlparity.nn.distributions import gaussian
from rlparity.objectives import targets
from rlparity.validation.mutations.mutation import Patch, Room

ppo = agents.module("ppo")
bug = Room()


def beside(mask: Tensor, like: Tensor) -> Tensor:
    """A mask (S, N) over the axes of observations (S, N, *obs)."""
    return mask.view(*mask.shape, *[1] * (like.dim() - mask.dim()))


def late(flag: Tensor) -> Tensor:
    """What the step before had, (S, N, T); nothing for the first."""
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
        kept = torch.ones_like(next_value)
        kept[..., -1] = 0
        return gae(r, v, kept * next_value, *rest)

    patch.wrap(targets, "gae", around)


@bug(
    "P5",
    "a time limit is taken for an end",
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
    "values bootstrap beyond a true end",
    "ppo CartPole-v1",
    "openai/spinningup#233, #257",
    "environments without true ends",
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
    """Resets in the step after the end, as Gymnasium's vector environments do unless told otherwise."""

    over = False

    def reset(self, **keywords: Any) -> Any:
        """The last observation again, if a game is over."""
        return (self.final, {}) if self.over else self.env.reset(**keywords)

    def step(self, action: Any) -> Any:
        """Where a game is over, the reset takes the place of the step."""
        if self.over:
            self.over = False
            obs, info = self.env.reset()
            return obs, 0.0, False, False, info
        self.final, reward, ended, cut, info = self.env.step(action)
        self.over = ended or cut
        return self.final, reward, ended, cut, info


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
    "tasks without normalisation",
)
def p12(patch: Patch) -> None:
    def around(step: Any, self: Any, *arguments: Any) -> Any:
        now = step(self, *arguments)
        raw = now.next_obs * self.obs_moments.scale() + self.obs_moments.mean
        stopped = beside(now.last > 0, now.next_obs)
        return now._replace(next_obs=torch.where(stopped, raw.float(), now.next_obs))

    patch.wrap(NormalizedEnv, "step", around)


@bug(
    "P15",
    "the old log-probability is computed anew in every minibatch, so that the ratio is 1",
    "ppo CartPole-v1",
    "tensorforce#312; GMISWE/tinker-cloud#66",
    "one epoch of one minibatch",
)
def p15(patch: Patch) -> None:
    def around(loss: Any, self: Any, batch: Any, epsilon: float) -> Any:
        with torch.no_grad():
            features = self.network.features(batch.obs)
            log_prob = self.policy.log_prob(self.network, features, batch.action)
        return loss(self, batch._replace(log_prob=log_prob), epsilon)

    patch.wrap(ppo.Agent, "loss", around)


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

    patch.wrap(ppo.Agent, "update", around)


@bug(
    "P26",
    "the policy's last layer starts with gain 1 in place of 0.01",
    "ppo CartPole-v1",
    "SB3 and CleanRL differ; TolgaOk/Modular-Baselines#9",
    "weights that are handed over",
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

    patch.wrap(ppo.Agent, "loss", loss)
    patch.wrap(ppo.Agent, "update", update)


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
    "explained variance is told the truth for the prediction",
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
