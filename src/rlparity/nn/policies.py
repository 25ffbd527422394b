"""Stochastic policies on the stack `actor` of a network: categorical or diagonal Gaussian, by the task.

One interface for both, so that an on-policy agent is one file for discrete and continuous actions.
"""

from __future__ import annotations

import math
from typing import Any, Protocol

import torch
from torch import Tensor

from rlparity import registry
from rlparity.environments.base import EnvSpec
from rlparity.nn.distributions import categorical, gaussian
from rlparity.nn.networks import Network


class Policy(Protocol):
    """pi(a|s) from the network's answer to obs (S, B, inputs)."""

    n_outputs: int  # of the stack `actor`
    uniforms: int  # numbers that sampling one action takes
    vectors: dict[str, list[float]]  # parameters besides the stack, see `Network`

    def mode(self, network: Network, obs: Tensor) -> Tensor:
        """The deterministic action (S, B) or (S, B, *action)."""

    def sample(self, network: Network, obs: Tensor, uniform: Tensor) -> Tensor:
        """An action drawn with uniform numbers (S, B, uniforms)."""

    def log_prob(self, network: Network, obs: Tensor, action: Tensor) -> Tensor:
        """log pi(a|s), (S, B)."""

    def log_prob_and_entropy(self, network: Network, obs: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        """log pi(a|s) and the entropy of pi(.|s) in nats, each (S, B)."""

    def run(self, network: Network, obs: Tensor, action: Tensor) -> tuple[Tensor, Tensor, Any]:
        """As `log_prob_and_entropy`, without a graph, and what `pull` needs of it."""

    def pull(self, network: Network, tape: Any, by_log_prob: Tensor, by_entropy: Tensor | None) -> None:
        """Write the policy's part of the network's gradient, given a loss's by log pi(a|s) and entropy, each
        (S, B); None: the loss has no entropy."""


def build(spec: EnvSpec, log_std_init: float) -> Policy:
    """The policy that fits the environment's actions."""
    if spec.n_actions is not None:
        found: Policy = registry.part("categorical")(spec.n_actions)
    else:
        found = registry.part("gaussian")(spec.action_shape, log_std_init)
    return found


class Categorical:
    """One of n actions, from logits; see `Policy`."""

    def __init__(self, n_actions: int):
        self.n_outputs, self.uniforms = n_actions, 1
        self.vectors: dict[str, list[float]] = {}

    def mode(self, network: Network, obs: Tensor) -> Tensor:
        """The likeliest action."""
        return network("actor", obs).argmax(-1)

    def sample(self, network: Network, obs: Tensor, uniform: Tensor) -> Tensor:
        """Any action, as likely as the policy says."""
        return categorical.sample(network("actor", obs), uniform[..., 0])

    def log_prob(self, network: Network, obs: Tensor, action: Tensor) -> Tensor:
        """log pi(a|s)."""
        return categorical.log_prob(network("actor", obs), action)

    def log_prob_and_entropy(self, network: Network, obs: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        """log pi(a|s) and entropy."""
        return categorical.log_prob_and_entropy(network("actor", obs), action)

    def run(self, network: Network, obs: Tensor, action: Tensor) -> tuple[Tensor, Tensor, Any]:
        """log pi(a|s) and entropy, without a graph."""
        logits, tape = network.run("actor", obs)
        log_pi = torch.log_softmax(logits, -1)
        log_prob = log_pi.gather(-1, action.unsqueeze(-1)).squeeze(-1)
        return log_prob, categorical.entropy(log_pi), (tape, log_pi, action)

    def pull(self, network: Network, tape: Any, by_log_prob: Tensor, by_entropy: Tensor | None) -> None:
        """Through the logits."""
        of_stack, log_pi, action = tape
        network.pull("actor", of_stack, categorical.slopes(log_pi, action, by_log_prob, by_entropy))


class Gaussian:
    """Means from the network, one standard deviation per component whatever the state; see `Policy`.

    Actions are not bounded here: the task clips them, and learning sees what was drawn, as in SB3.
    """

    def __init__(self, action_shape: tuple[int, ...], log_std_init: float):
        self._shape = action_shape
        self.n_outputs = self.uniforms = math.prod(action_shape)
        self.vectors = {"log_std": [log_std_init] * self.n_outputs}

    def mean(self, network: Network, obs: Tensor) -> Tensor:
        """Means of the action components: obs (S, B, inputs) -> (S, B, A)."""
        return network("actor", obs).view(*obs.shape[:2], self.n_outputs)

    def mode(self, network: Network, obs: Tensor) -> Tensor:
        """The mean."""
        return self.mean(network, obs).unflatten(-1, self._shape)

    def sample(self, network: Network, obs: Tensor, uniform: Tensor) -> Tensor:
        """Mean plus noise."""
        action = gaussian.sample(self.mean(network, obs), network.vectors["log_std"], uniform)
        return action.unflatten(-1, self._shape)

    def log_prob(self, network: Network, obs: Tensor, action: Tensor) -> Tensor:
        """log pi(a|s), summed over the components."""
        return gaussian.log_prob(self.mean(network, obs), network.vectors["log_std"], action.flatten(2))

    def log_prob_and_entropy(self, network: Network, obs: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        """log pi(a|s) and entropy, which is the same in every state."""
        log_prob = self.log_prob(network, obs, action)
        return log_prob, gaussian.entropy(network.vectors["log_std"]).expand_as(log_prob)

    def run(self, network: Network, obs: Tensor, action: Tensor) -> tuple[Tensor, Tensor, Any]:
        """log pi(a|s) and entropy, without a graph."""
        outputs, tape = network.run("actor", obs)
        mean, log_std = outputs.view(*obs.shape[:2], self.n_outputs), network.vectors["log_std"].detach()
        log_prob = gaussian.log_prob(mean, log_std, action.flatten(2))
        entropy = gaussian.entropy(log_std).expand_as(log_prob)
        return log_prob, entropy, (tape, mean, log_std, action.flatten(2))

    def pull(self, network: Network, tape: Any, by_log_prob: Tensor, by_entropy: Tensor | None) -> None:
        """Through means and log sigma."""
        of_stack, mean, log_std, action = tape
        by_mean, by_log_std = gaussian.slopes(mean, log_std, action, by_log_prob, by_entropy)
        network.pull("actor", of_stack, by_mean)
        network.pull_vector("log_std", by_log_std)
