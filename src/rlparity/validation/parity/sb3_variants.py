"""Variants of algorithms that our agents offer and Stable-Baselines3 does not, patched into its models."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any
from unittest import mock

import sb3_contrib.trpo.trpo as sb3_trpo
import torch
from stable_baselines3.dqn import dqn as sb3_dqn
from torch import Tensor, nn
from torch.nn import functional as F

from rlparity.validation.paired_models import PairedModels


class DoubleTarget:
    """Replacement of SB3's target network whose maximum over actions is Q'(s, argmax Q(s, .)): Q' for the
    best action of the online network and -inf for all others. van Hasselt et al. 2016, eq. 4."""

    def __init__(self, online: Any, target: nn.Module):
        self._online, self._target = online, target

    def __call__(self, obs: Tensor) -> Tensor:
        best = F.one_hot(self._online(obs).argmax(1), int(self._online.action_space.n)).bool()
        found: Tensor = self._target(obs).masked_fill(~best, -torch.inf)
        return found

    def parameters(self) -> Iterator[nn.Parameter]:
        """Parameters of the target network, which still follows the online network."""
        return self._target.parameters()


@contextmanager
def double_q(pair: PairedModels) -> Iterator[None]:
    """SB3's DQN with the targets of double Q-learning."""
    model = pair.model
    with mock.patch.object(model, "q_net_target", DoubleTarget(model.q_net, model.q_net_target)):
        yield


@contextmanager
def summed_divergence(pair: PairedModels) -> Iterator[None]:
    """sb3-contrib's TRPO with KL summed over the components of an action, as it is defined; unpatched, it
    averages over them."""

    def kl_divergence(p: Any, q: Any) -> Tensor:
        found: Tensor = torch.distributions.kl_divergence(p.distribution, q.distribution)
        return found.sum(-1)

    with mock.patch.object(sb3_trpo, "kl_divergence", kl_divergence):
        yield


@contextmanager
def squared_loss(pair: PairedModels) -> Iterator[None]:
    """SB3's DQN with the mean squared error in place of Huber's loss."""
    with mock.patch.object(sb3_dqn, "F", SimpleNamespace(smooth_l1_loss=F.mse_loss)):
        yield
