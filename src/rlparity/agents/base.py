"""What every agent promises, and how one is built by name (`rlparity.registry`)."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Protocol

from torch import Tensor

from rlparity.environments.base import EnvSpec
from rlparity.records import Step
from rlparity.registry import AGENTS
from rlparity.seeding import Streams


class Agent(Protocol):
    """S learners of one kind that act and learn at once."""

    uniforms: int  # how many uniform numbers one exploring action takes

    @property
    def alive(self) -> Tensor:
        """(S,) bool; a seed whose loss became NaN is frozen."""

    def act(self, obs: Tensor, explore: Tensor | None = None) -> Tensor:
        """obs (S, N, *obs), uniform numbers (S, N, uniforms) -> action (S, N); None: greedily."""

    def observe(self, step: Step) -> dict[str, Tensor]:
        """Remember one step of all worlds, learn when due; metrics are (S,)."""

    def state_dict(self) -> dict[str, Tensor]:
        """What `act` needs: the parameters of all seeds."""

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take over saved parameters."""


def module(agent: str) -> Any:
    """The agent's module: `Config`, `DEPARTURES` and the class `Agent`."""
    return import_module(AGENTS[agent].module)


def build(agent: str, spec: EnvSpec, hyperparameters: dict[str, Any], random: Streams, budget: int) -> Agent:
    """An agent of that name; `hyperparameters` are differences from its `Config`."""
    room = module(agent)
    built: Agent = room.Agent(spec, room.Config(**hyperparameters), random, budget)
    return built
