"""Conversion of our agents and Stable-Baselines3's models to float64, where rounding hides no faults."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import numpy as np
import torch
from stable_baselines3.common import policies
from stable_baselines3.common.buffers import BaseBuffer, RolloutBuffer
from stable_baselines3.common.vec_env import DummyVecEnv
from torch import Tensor

from rlparity.nn.networks import Network
from rlparity.nn.optimizers import Optimizer


@contextmanager
def precision(dtype: torch.dtype) -> Iterator[None]:
    """Let SB3 receive observations and batches in this precision, float32 or float64."""
    if dtype == torch.float32:
        yield
        return
    preprocess: Any = policies.preprocess_obs
    to_torch = BaseBuffer.to_torch

    def in_doubles(obs: Any, *arguments: Any, **keywords: Any) -> Any:
        seen = preprocess(obs, *arguments, **keywords)
        return obs.double() if seen.dtype == torch.float32 and obs.is_floating_point() else seen.double()

    def as_doubles(buffer: BaseBuffer, array: np.ndarray, copy: bool = True) -> Tensor:
        found = to_torch(buffer, array, copy)
        return found.double() if found.is_floating_point() else found

    with (
        mock.patch.object(policies, "preprocess_obs", in_doubles),
        mock.patch.object(BaseBuffer, "to_torch", as_doubles),
    ):
        yield


class DoubleRollouts(RolloutBuffer):
    """SB3's rollout buffer with float64 in place of float32."""

    def reset(self) -> None:
        """Empty the buffer."""
        super().reset()
        for name, array in vars(self).items():
            if isinstance(array, np.ndarray) and array.dtype == np.float32:
                setattr(self, name, array.astype(np.float64))


def double_model(model: Any) -> None:
    """Convert a model without updates to float64; its optimisers keep their parameters."""
    model.policy.double()
    if isinstance(getattr(model, "rollout_buffer", None), RolloutBuffer):
        b = model.rollout_buffer
        model.rollout_buffer = DoubleRollouts(
            b.buffer_size, b.observation_space, b.action_space, b.device, b.gae_lambda, b.gamma, b.n_envs
        )
    if getattr(model, "log_ent_coef", None) is not None:
        model.log_ent_coef.data = model.log_ent_coef.data.double()
    elif hasattr(model, "ent_coef_tensor"):
        model.ent_coef_tensor = torch.tensor(float(model.ent_coef), dtype=torch.float64)
    envs = model.env.unwrapped if model.env is not None else None
    if isinstance(envs, DummyVecEnv):
        envs.buf_rews = envs.buf_rews.astype(np.float64)
        for key, obs in envs.buf_obs.items():
            envs.buf_obs[key] = obs.astype(np.float64) if obs.dtype == np.float32 else obs


def double_agent(agent: Any) -> None:
    """Convert an agent without updates to float64: networks are copied, optimisers keep their kind."""
    copies: dict[int, Network] = {}
    for name, part in vars(agent).items():
        if isinstance(part, Network):  # one network may have two names
            copy = copies.get(id(part)) or part._view(part.theta.detach().double())
            copies[id(part)] = copy
            setattr(agent, name, copy)
    for part in vars(agent).values():
        if isinstance(part, Optimizer):
            part.network = copies[id(part.network)]
            part._moments = [moment.double() for moment in part._moments]
