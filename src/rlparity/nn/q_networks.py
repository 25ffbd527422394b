"""Networks whose output is the value of every action."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from rlparity import registry
from rlparity.environments.base import EnvSpec
from rlparity.nn.networks import Network, inputs, mlp


def build(spec: EnvSpec, config: Any, generators: Sequence[torch.Generator]) -> QNetwork:
    """The Q network of DQN's settings: plain, or dueling."""
    kind = registry.part("dueling") if config.dueling else QNetwork
    network: QNetwork = kind(spec, config, generators)
    return network


class QNetwork(Network):
    """One head with an output for each action."""

    def __init__(self, spec: EnvSpec, config: Any, generators: Sequence[torch.Generator]):
        assert spec.n_actions is not None
        trunk, sizes = inputs(spec.obs_shape, config.net_arch, None, config.cnn, self.shared_units)
        heads = {name: mlp([*sizes, outputs]) for name, outputs in self.heads(spec.n_actions).items()}
        super().__init__({**trunk, **heads}, generators, config.activation, precision=config.precision)

    shared_units = True  # of the dense layer after convolutions

    def heads(self, n_actions: int) -> dict[str, int]:
        """Name and number of outputs of each head."""
        return {"q": n_actions}

    def values(self, obs: Tensor) -> Tensor:
        """Q(s, .) of observations (S, B, *obs) -> (S, B, A)."""
        return self("q", self.features(obs))

    def run_values(self, obs: Tensor) -> tuple[Tensor, Any]:
        """As `values`, without a graph, and what `pull_values` needs of it."""
        values, tape = self.run("q", obs)
        return values.view(*obs.shape[:2], -1), tape

    def pull_values(self, tape: Any, by_values: Tensor) -> None:
        """Write the gradient, given a loss's by Q(s, .), (S, B, A)."""
        self.pull("q", tape, by_values)


class DuelingNetwork(QNetwork):
    """A state value plus advantages. Wang et al. 2016, arXiv:1511.06581, eq. 9."""

    shared_units = False

    def heads(self, n_actions: int) -> dict[str, int]:
        """Name and number of outputs of each head."""
        return {"value": 1, "advantage": n_actions}

    def values(self, obs: Tensor) -> Tensor:
        """Q(s, .) of observations (S, B, *obs) -> (S, B, A)."""
        features = self.features(obs)
        return dueling(self("value", features), self("advantage", features))

    def run_values(self, obs: Tensor) -> tuple[Tensor, Any]:
        """As `values`, without a graph, and what `pull_values` needs of it."""
        (value, of_value), (advantage, of_advantage) = (
            self.run(name, obs) for name in ("value", "advantage")
        )
        return dueling(value, advantage.view(*value.shape, -1)), (of_value, of_advantage)

    def pull_values(self, tape: Any, by_values: Tensor) -> None:
        """Write the gradient, given a loss's by Q(s, .), (S, B, A): eq. 9 is linear in V and A."""
        of_value, of_advantage = tape
        self.pull("value", of_value, by_values.sum(-1))
        self.pull("advantage", of_advantage, by_values - by_values.mean(-1, keepdim=True))


def dueling(value: Tensor, advantage: Tensor) -> Tensor:
    """Q(s, a) = V(s) + A(s, a) - mean A(s, .), eq. 9 of Wang et al.: (S, B), (S, B, A) -> (S, B, A)."""
    return value[..., None] + advantage - advantage.mean(-1, keepdim=True)
