"""What every agent provides, and how one is built by name (`rlparity.registry`)."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, Protocol

from torch import Tensor

from rlparity import registry
from rlparity.environments.base import EnvSpec
from rlparity.nn.networks import Network
from rlparity.seeding import Streams
from rlparity.transitions import Step


class Agent(Protocol):
    """S learners of one kind that act and learn at once."""

    uniforms: int  # how many uniform numbers one exploring action takes

    @property
    def alive(self) -> Tensor:
        """(S,) bool; a seed whose loss was not finite is frozen."""

    def act(self, obs: Tensor, explore: Tensor | None = None) -> Tensor:
        """obs (S, N, *obs), uniform numbers (S, N, uniforms) -> action (S, N); None: greedily."""

    def observe(self, step: Step) -> dict[str, Tensor]:
        """Store one step of all sub-environments, update when due; metrics are (S,)."""

    def saved(self) -> Mapping[str, Network]:
        """The networks that `act` needs, by the names that saved policies give them."""


def module(agent: str) -> Any:
    """The agent's module: its class, its settings and `DEPARTURES`."""
    return import_module(registry.AGENTS[agent].module)


def agent_class(agent: str) -> Any:
    """The agent's class, such as `PPO`."""
    return registry.load(registry.AGENTS[agent].place)


def settings(agent: str) -> Any:
    """The dataclass of the agent's hyper-parameters, such as `PPOConfig`."""
    return getattr(module(agent), registry.AGENTS[agent].settings)


def build(agent: str, spec: EnvSpec, hyperparameters: dict[str, Any], random: Streams, budget: int) -> Agent:
    """An agent of that name; `hyperparameters` are differences from its settings' defaults."""
    built: Agent = agent_class(agent)(spec, settings(agent)(**hyperparameters), random, budget)
    return built


def state_dict(agent: Agent) -> dict[str, Tensor]:
    """The parameters of all seeds that `act` needs, on the CPU."""
    return {name: network.theta.detach().cpu() for name, network in agent.saved().items()}


def load_state_dict(agent: Agent, state: Mapping[str, Tensor]) -> None:
    """Take over saved parameters. Raises KeyError where one is missing."""
    for name, network in agent.saved().items():
        network.theta.detach().copy_(state[name])
