"""Variants of algorithms that our agents offer and Stable-Baselines3 does not, patched into its models."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any
from unittest import mock

import sb3_contrib.trpo.trpo as sb3_trpo
import torch
from stable_baselines3.common.torch_layers import create_mlp
from stable_baselines3.dqn import dqn as sb3_dqn
from stable_baselines3.dqn import policies as sb3_policies
from stable_baselines3.dqn.policies import QNetwork
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


class DuelingQNetwork(QNetwork):
    """SB3's Q network as a state value plus advantages, each with hidden layers of its own. Wang et al. 2016,
    eq. 9."""

    def __init__(self, *arguments: Any, **keywords: Any):
        super().__init__(*arguments, **keywords)
        del self.q_net
        n_actions = int(self.action_space.n)
        sizes = self.features_dim, self.net_arch, self.activation_fn
        self.value = nn.Sequential(*create_mlp(sizes[0], 1, *sizes[1:]))
        self.advantage = nn.Sequential(*create_mlp(sizes[0], n_actions, *sizes[1:]))

    def forward(self, obs: Any) -> Tensor:
        """V(s) + A(s, a) - mean A(s, .)."""
        features = self.extract_features(obs, self.features_extractor)
        value: Tensor = self.value(features)
        advantage: Tensor = self.advantage(features)
        return value + (advantage - advantage.mean(1, keepdim=True))


@contextmanager
def dueling() -> Iterator[None]:
    """SB3's DQN with `DuelingQNetwork`, while it is built."""
    with mock.patch.object(sb3_policies, "QNetwork", DuelingQNetwork):
        yield


@contextmanager
def of_2013(pair: PairedModels) -> Iterator[None]:
    """SB3's DQN with the squared error and a target network that becomes the online one with every
    update. Mnih et al. 2013, Algorithm 1."""
    model = pair.model

    def follow(*_: Any) -> None:
        model.q_net_target.load_state_dict(model.q_net.state_dict())

    hook = model.policy.optimizer.register_step_post_hook(follow)
    try:
        with squared_loss(pair):
            yield
    finally:
        hook.remove()


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
