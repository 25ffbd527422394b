"""Stable-Baselines3's algorithms on small images, through a features extractor of its own.

Its `CnnPolicy` has the network of Nature 2015, which refuses images below 36 pixels. Here that name leads to
its own policy classes with the network of Young and Tian 2019 (arXiv:1903.03176, section 3) in that place,
and nothing after it but the heads, as SB3 does with Nature's.
"""

from __future__ import annotations

from typing import Any, ClassVar

import sb3_contrib
import stable_baselines3
import torch
from gymnasium import spaces
from sb3_contrib.qrdqn.policies import QRDQNPolicy
from stable_baselines3.common.policies import ActorCriticPolicy, BasePolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.dqn.policies import DQNPolicy
from torch import Tensor, nn

FILTERS, KERNEL, UNITS = 16, 3, 128


class SmallCNN(BaseFeaturesExtractor):
    """One convolution and one dense layer, both rectified: (B, C, H, W) -> (B, 128)."""

    def __init__(self, observation_space: spaces.Box, features_dim: int = UNITS):
        super().__init__(observation_space, features_dim)
        channels = observation_space.shape[0]
        self.cnn = nn.Sequential(nn.Conv2d(channels, FILTERS, KERNEL), nn.ReLU(), nn.Flatten())
        with torch.no_grad():
            n_features = self.cnn(torch.zeros(1, *observation_space.shape)).shape[1]
        self.linear = nn.Sequential(nn.Linear(n_features, features_dim), nn.ReLU())

    def forward(self, observations: Tensor) -> Tensor:
        """Features of images."""
        features: Tensor = self.linear(self.cnn(observations))
        return features


NETWORK: dict[str, Any] = {"features_extractor_class": SmallCNN, "net_arch": []}


class SmallImageActorCritic(ActorCriticPolicy):
    """SB3's actor and critic on shared features."""

    def __init__(self, *arguments: Any, **keywords: Any):
        super().__init__(*arguments, **{**NETWORK, **keywords})


class SmallImageDQN(DQNPolicy):
    """SB3's Q network."""

    def __init__(self, *arguments: Any, **keywords: Any):
        super().__init__(*arguments, **{**NETWORK, **keywords})


class SmallImageQRDQN(QRDQNPolicy):
    """sb3-contrib's quantile network."""

    def __init__(self, *arguments: Any, **keywords: Any):
        super().__init__(*arguments, **{**NETWORK, **keywords})


class A2C(stable_baselines3.A2C):
    """SB3's A2C."""

    policy_aliases: ClassVar[dict[str, type[BasePolicy]]] = {"CnnPolicy": SmallImageActorCritic}


class PPO(stable_baselines3.PPO):
    """SB3's PPO."""

    policy_aliases: ClassVar[dict[str, type[BasePolicy]]] = {"CnnPolicy": SmallImageActorCritic}


class DQN(stable_baselines3.DQN):
    """SB3's DQN."""

    policy_aliases: ClassVar[dict[str, type[BasePolicy]]] = {"CnnPolicy": SmallImageDQN}


class QRDQN(sb3_contrib.QRDQN):
    """sb3-contrib's QR-DQN."""

    policy_aliases: ClassVar[dict[str, type[BasePolicy]]] = {"CnnPolicy": SmallImageQRDQN}
