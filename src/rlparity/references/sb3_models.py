"""Stable-Baselines3's models: built from a cell's hyper-parameters, and seen as policies by the evaluator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.noise import NormalActionNoise
from stable_baselines3.common.sb2_compat.rmsprop_tf_like import RMSpropTFLike
from stable_baselines3.common.vec_env import VecEnv, VecNormalize
from torch import Tensor, nn

from rlparity import registry
from rlparity.cell import Cell
from rlparity.nn.distributions import categorical

ACTIVATIONS = {"tanh": nn.Tanh, "relu": nn.ReLU}
POLICY_KEYWORDS = ("log_std_init", "ortho_init", "n_quantiles")


class Policy:
    """An SB3 model as the evaluator sees it, with S = 1."""

    uniforms = 1

    def __init__(self, model: BaseAlgorithm):
        self._policy: Any = model.policy
        self._device = model.device
        self._q_values = _q_values(self._policy)
        self._continuous = isinstance(model.action_space, spaces.Box)

    @torch.no_grad()
    def act(self, obs: Tensor, explore: Tensor | None = None) -> Tensor:
        """obs (1, E, *obs) -> action (1, E) or (1, E, *action)."""
        self._policy.set_training_mode(False)
        seen = obs[0].to(self._device)
        if self._continuous:
            assert explore is None, "continuous policies are evaluated deterministically"
            return self._continuous_action(seen).cpu()[None]
        if self._q_values is not None:
            scores = self._q_values(seen).cpu()
        else:
            scores = self._policy.get_distribution(seen).distribution.logits.cpu()
        if explore is None:
            return scores.argmax(-1)[None]
        return categorical.sample(scores, explore[0, :, 0])[None]

    def _continuous_action(self, obs: Tensor) -> Tensor:
        """In the environment's units; the environment clips."""
        action: Tensor = self._policy._predict(obs, deterministic=True)
        if not self._policy.squash_output:
            return action
        return torch.as_tensor(self._policy.unscale_action(action.cpu().numpy()))


def _q_values(policy: Any) -> Callable[[Tensor], Tensor] | None:
    """Q of observations (E, *obs) -> (E, A), if the policy has one."""
    if hasattr(policy, "quantile_net"):
        return lambda obs: policy.quantile_net(obs).mean(1)
    return getattr(policy, "q_net", None)


def keywords(hyperparameters: dict[str, Any]) -> dict[str, Any]:
    """The plain block of hyperparameters.yaml as SB3's arguments: schedules and networks become objects."""
    values = dict(hyperparameters)
    policy: dict[str, Any] = {name: values.pop(name) for name in POLICY_KEYWORDS if name in values}
    for name in ("learning_rate", "clip_range"):
        if values.pop(f"{name}_schedule", "constant") == "linear":
            values[name] = _linear(values[name])
    if "net_arch" in values:
        policy["net_arch"] = list(values.pop("net_arch"))
    if "activation" in values:
        policy["activation_fn"] = ACTIVATIONS[values.pop("activation")]
    if values.pop("rms_prop_tf", False) and values.get("use_rms_prop", True):
        policy["optimizer_class"] = RMSpropTFLike
        policy["optimizer_kwargs"] = {"eps": values.get("rms_prop_eps", 1e-5)}
    return {**values, "policy_kwargs": policy}


def _linear(start: float) -> Callable[[float], float]:
    return lambda remaining: max(remaining, 0.0) * start


def build(cell: Cell, env: VecEnv, seed: int) -> BaseAlgorithm:
    """An SB3 model with the cell's hyper-parameters, on the cell's device."""
    arguments = keywords(dict(cell.hyperparameters))
    noise = arguments.pop("noise_std", None)
    if noise is not None:
        shape = env.action_space.shape
        arguments["action_noise"] = NormalActionNoise(np.zeros(shape), np.full(shape, noise))  # type: ignore[arg-type]
    images = len(env.observation_space.shape or ()) == 3
    if images:  # images go through a network of their own, with our agents too
        arguments["policy_kwargs"].pop("net_arch", None)
    model: BaseAlgorithm = registry.reference(cell.agent, env.observation_space.shape or ())(
        "CnnPolicy" if images else "MlpPolicy", env, seed=seed, device=cell.device, **arguments
    )
    return model


def view(env: VecEnv) -> Callable[[Tensor], Tensor]:
    """Raw observations (1, E, *obs) as the model sees them; the statistics stay as they are."""
    if not isinstance(env, VecNormalize):
        return Tensor.float
    normalise: Any = env.normalize_obs
    return lambda obs: torch.from_numpy(normalise(obs.numpy()).astype(np.float32))


def finite(model: BaseAlgorithm) -> bool:
    """Whether all parameters are finite."""
    return all(bool(p.isfinite().all()) for p in model.policy.parameters())
