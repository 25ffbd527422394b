"""An agent on another device than its worlds: tensors cross here, and agents know nothing of it.

Worlds, books and random numbers stay on the CPU, so that the same seed draws the same numbers everywhere.
Arithmetic differs between devices, hence rows of CUDA are rows of their own (`Cell.device`).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from rlparity.agents import base as agents
from rlparity.records import Step
from rlparity.seeding import Uniforms


def place(agent: agents.Agent, device: str) -> agents.Agent:
    """The agent as the loop and the evaluator see it; it was built with `device` as PyTorch's default."""
    return agent if device == "cpu" else Placed(agent, device)


class Placed:
    """See `rlparity.agents.Agent`; takes and gives tensors of the CPU."""

    def __init__(self, agent: Any, device: str):
        self.agent, self.uniforms, self._device = agent, agent.uniforms, torch.device(device)
        for name, value in vars(agent).items():
            if isinstance(value, Uniforms):
                setattr(agent, name, Moved(value, self._device))

    @property
    def alive(self) -> Tensor:
        """(S,) bool."""
        alive: Tensor = self.agent.alive.cpu()
        return alive

    def act(self, obs: Tensor, explore: Tensor | None = None) -> Tensor:
        """obs (S, N, *obs), uniform numbers (S, N, uniforms) -> action (S, N) or (S, N, *action)."""
        with self._device:
            numbers = None if explore is None else explore.to(self._device)
            action: Tensor = self.agent.act(obs.to(self._device), numbers)
        return action.cpu()

    def observe(self, step: Step) -> dict[str, Tensor]:
        """Remember one step of all worlds, learn when due."""
        with self._device:
            metrics: dict[str, Tensor] = self.agent.observe(Step(*(x.to(self._device) for x in step)))
        return metrics

    def state_dict(self) -> dict[str, Tensor]:
        """Parameters, on the CPU."""
        return {name: value.cpu() for name, value in self.agent.state_dict().items()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take over saved parameters."""
        self.agent.load_state_dict({name: value.to(self._device) for name, value in state.items()})


class Moved:
    """Uniform numbers drawn on the CPU, as the agent's device wants them."""

    def __init__(self, uniforms: Uniforms, device: torch.device):
        self._uniforms, self._device = uniforms, device

    def next(self) -> Tensor:
        """The next numbers of every seed's stream."""
        return self._uniforms.next().to(self._device)
