"""The configurations in which updates are compared: options of the agents, kinds of action, normalisation.

Networks and batches are small, so that a hundred updates take about a second. Options are chosen so that
their branches are used: ratios leave the clipped range, gradients are clipped, episodes end within every
rollout.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecNormalize

from rlparity.errors import unknown
from rlparity.suites import hyperparameters
from rlparity.validation import paired_models
from rlparity.validation.counterparts import ON_POLICY
from rlparity.validation.paired_models import PairedModels
from rlparity.validation.parity import environments, sb3_variants

Patched = Callable[[PairedModels], AbstractContextManager[Any]]
UNCLIPPED = 1e9  # a norm that no gradient has; SB3 knows no way to leave gradients alone
BUDGET = 4_000  # environment steps, on which schedules depend; a hundred updates take fewer


@dataclass(frozen=True)
class Case:
    """One configuration of one algorithm."""

    algorithm: str
    name: str
    options: Mapping[str, Any]  # hyper-parameters of both
    own: Mapping[str, Any] = field(default_factory=dict)  # of our agent, equivalent to `patched`
    continuous: bool = False
    images: bool = False  # small ones, which go through a convolution
    normalize: bool = False  # running statistics of observations and rewards
    n_envs: int = 2
    patched: Patched = lambda pair: nullcontext()  # patches SB3 while it learns
    built: Callable[[], AbstractContextManager[Any]] = nullcontext  # patches SB3 while it is built
    amplified: bool = False  # whether updates amplify rounding, so that the tolerance is measured
    dtypes: tuple[str, ...] = ("float64", "float32")

    def __str__(self) -> str:
        return f"{self.algorithm}, {self.name}"

    def environments(self) -> DummyVecEnv:
        """Make new environments, without normalisation."""
        make = environments.short_episodes if self.algorithm in ON_POLICY else environments.constant
        return make(self.continuous, self.n_envs, self.images)

    def pair(self, dtype: torch.dtype, seed: int = 0) -> PairedModels:
        """Make both learners in new environments; `seed` is that of SB3's weights and actions."""
        envs: VecEnv = self.environments()
        if self.normalize:
            envs = VecNormalize(envs, gamma=self.options.get("gamma", 0.99))
        with self.built():
            return paired_models.make(self.algorithm, envs, self.options, dtype, BUDGET, seed, self.own)


A2C = {"n_steps": 8}
PPO = {"n_steps": 16, "batch_size": 8, "n_epochs": 3, "learning_rate": 1e-3, "clip_range": 0.1}
TRPO = {"n_steps": 16, "batch_size": 20, "n_critic_updates": 2}
NETS = {
    "net_arch": (32, 24),
    "batch_size": 32,
    "buffer_size": 100,
    "learning_starts": 0,
    "learning_rate": 1e-3,
}
DQN = {**NETS, "train_freq": 1, "target_update_interval": 10}
SMALL_IMAGES = {name: value for name, value in DQN.items() if name != "net_arch"}
LINEAR_SCHEDULE = {"learning_rate_schedule": "linear"}


def _cases() -> Iterator[Case]:
    yield from _actor_critics()
    yield from _trpo()
    yield from _q_learners()
    yield from _deterministic()
    yield from _sac()
    yield from _precision()


def _actor_critics() -> Iterator[Case]:
    gae = {"gamma": 0.95, "gae_lambda": 0.9}
    yield Case("a2c", "default", A2C)
    yield Case("a2c", "default, continuous", A2C, continuous=True)
    yield Case("a2c", "Adam, entropy bonus", {**A2C, "use_rms_prop": False, "ent_coef": 0.01})
    yield Case("a2c", "RMSprop as in TensorFlow", {**A2C, "rms_prop_tf": True, **LINEAR_SCHEDULE})
    options = {**A2C, **gae, "normalize_advantage": True, "ent_coef": 0.01, "vf_coef": 0.25}
    yield Case("a2c", "GAE, normalised advantages, continuous", options, continuous=True)
    yield Case("a2c", "normalised observations and rewards", A2C, normalize=True)
    tf = {"rms_prop_tf": True, "rms_prop_eps": 1e-3}  # small gradients are not blown up with their rounding
    yield Case("a2c", "small images", {**A2C, **gae, **tf, "ent_coef": 0.01}, images=True)

    yield Case("ppo", "default", PPO)
    yield Case("ppo", "default, continuous", PPO, continuous=True)
    yield Case("ppo", "clipped values", {**PPO, "clip_range_vf": 0.1, **gae})
    yield Case("ppo", "advantages not normalised", {**PPO, "normalize_advantage": False})
    options = {**PPO, "ent_coef": 0.02, "vf_coef": 0.8, "log_std_init": -0.5}
    yield Case("ppo", "entropy bonus, vf_coef, small deviations", options, continuous=True)
    yield Case("ppo", "target KL", {**PPO, "target_kl": 0.003, "learning_rate": 3e-3})
    yield Case(
        "ppo",
        "schedules, short last minibatch",
        {**PPO, **LINEAR_SCHEDULE, "clip_range_schedule": "linear", "batch_size": 12},
    )
    yield Case(
        "ppo",
        "one minibatch, strong clipping",
        {**PPO, "batch_size": 64, "n_epochs": 10, "clip_range": 0.05, "max_grad_norm": 0.1},
    )
    yield Case("ppo", "normalised observations and rewards", PPO, continuous=True, normalize=True)
    yield Case("ppo", "rectifiers, plain start", {**PPO, "activation": "relu", "ortho_init": False})
    yield Case("ppo", "small images", {**PPO, "ent_coef": 0.01, **LINEAR_SCHEDULE}, images=True)


def _trpo() -> Iterator[Case]:
    damped = {**TRPO, "cg_damping": 1.0}  # well conditioned: rounding is not amplified
    yield Case("trpo", "default", TRPO, amplified=True)
    yield Case("trpo", "strong damping, gae_lambda", {**damped, "gae_lambda": 0.8})
    short = {**TRPO, "cg_max_steps": 2}
    yield Case("trpo", "continuous, two steps of conjugate gradient", short, continuous=True)
    yield Case(
        "trpo",
        "the same, KL summed (patched into SB3)",
        short,
        {"kl_components": "sum"},
        continuous=True,
        patched=sb3_variants.summed_divergence,
    )
    options = {**damped, "sub_sampling_factor": 3, "normalize_advantage": False}
    yield Case("trpo", "sub-sampling, advantages not normalised", options)
    options = {**TRPO, "n_steps": 20, "target_kl": 0.05, "cg_max_steps": 2, "line_search_max_iter": 1}
    yield Case("trpo", "line search that fails now and then", options, amplified=True)


def _q_learners() -> Iterator[Case]:
    yield Case("dqn", "default", DQN)
    yield Case("dqn", "clipped gradients, schedule", {**DQN, "max_grad_norm": 0.5, **LINEAR_SCHEDULE})
    yield Case("dqn", "bursts of updates", {**DQN, "train_freq": 4, "gradient_steps": 3})
    yield Case("dqn", "one target network for long", {**DQN, "target_update_interval": 10_000, "gamma": 0.9})
    yield Case("dqn", "three-step returns", {**DQN, "n_steps": 3})
    yield Case("dqn", "MSE (patched into SB3)", DQN, {"loss": "mse"}, patched=sb3_variants.squared_loss)
    yield Case("dqn", "double (patched into SB3)", DQN, {"double_q": True}, patched=sb3_variants.double_q)
    named = hyperparameters.library().algorithms
    own = named["dqn-2013"].options
    unclipped = {**DQN, "max_grad_norm": UNCLIPPED}
    yield Case("dqn", "dqn-2013 (patched into SB3)", unclipped, own, patched=sb3_variants.of_2013)
    own = named["dqn-dueling"].options
    yield Case(
        "dqn", "dqn-dueling (built into SB3)", DQN, own, built=sb3_variants.dueling, dtypes=("float32",)
    )
    yield Case("dqn", "small images", SMALL_IMAGES, images=True)
    quantiles = {**DQN, "n_quantiles": 16}  # a power of two: sb3-contrib's midpoints are float32
    yield Case("qrdqn", "default", quantiles)
    yield Case(
        "qrdqn",
        "clipped gradients, three-step returns",
        {**quantiles, "max_grad_norm": 0.5, "n_steps": 3, "learning_starts": 10},
    )
    yield Case("qrdqn", "small images", {**SMALL_IMAGES, "n_quantiles": 16}, images=True)


def _deterministic() -> Iterator[Case]:
    bursts = {**NETS, "tau": 0.05, "train_freq": 2, "gradient_steps": 3, **LINEAR_SCHEDULE}
    for algorithm in ("ddpg", "td3"):
        yield Case(algorithm, "default", NETS, continuous=True)
        yield Case(algorithm, "tau 0.05, bursts of updates, schedule", bursts, continuous=True)
        yield _wide_networks(algorithm)
    noise = {"policy_delay": 3, "target_policy_noise": 0.6, "target_noise_clip": 0.3}
    yield Case("td3", "delay 3, much noise", {**NETS, "tau": 0.05, **noise}, continuous=True)


def _wide_networks(algorithm: str) -> Case:
    """Networks wide enough for oneDNN's float32 kernels (`rlparity.nn.onednn_linear`)."""
    options = {**NETS, "net_arch": (256, 256), "learning_rate": 3e-4, "gamma": 0.9}
    return Case(algorithm, "wide networks", options, continuous=True, dtypes=("float32",))


def _sac() -> Iterator[Case]:
    options: Mapping[str, Any] = {**NETS, "tau": 0.05}
    bursts = {"target_update_interval": 2, "gradient_steps": 4, "train_freq": 2}
    yield Case("sac", "default", options, continuous=True)
    yield Case("sac", "fixed temperature", {**options, "ent_coef": 0.2}, continuous=True)
    yield Case(
        "sac", "target entropy, schedule", {**NETS, "target_entropy": 1.5, **LINEAR_SCHEDULE}, continuous=True
    )
    yield Case("sac", "every second target update, bursts", {**options, **bursts}, continuous=True)
    yield _wide_networks("sac")


def _precision() -> Iterator[Case]:
    """Configurations in bfloat16, which vectors do not notice."""
    base: Mapping[str, Mapping[str, Any]] = {"a2c": A2C, "ppo": PPO, "dqn": DQN}
    for name, named in hyperparameters.library().algorithms.items():
        if "precision" in named.options:
            yield Case(named.agent, name, base[named.agent], named.options)


CASES: tuple[Case, ...] = tuple(_cases())
ALGORITHMS = tuple(dict.fromkeys(case.algorithm for case in CASES))


def of(algorithm: str, name: str | None = None) -> list[Case]:
    """The cases of an algorithm, or the one named `name`; UserError if there is none."""
    if algorithm not in ALGORITHMS:
        raise unknown("algorithm", algorithm, ALGORITHMS, "parity")
    found = [case for case in CASES if case.algorithm == algorithm]
    if name is None:
        return found
    if not (named := [case for case in found if case.name == name]):
        raise unknown("configuration", name, [case.name for case in found], f"parity of {algorithm}")
    return named
