"""An agent on another device than its environments: tensors move here, and agents do not know of it.

Environments, records and random numbers stay on the CPU, so that the same seed draws the same numbers
everywhere. Arithmetic differs between devices, so records of CUDA are records of their own (`Cell.device`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from rlparity.nn.networks import Network
from rlparity.seeding import Uniforms
from rlparity.transitions import Step


class Placed:
    """See `rlparity.agents.base.Agent`; takes and returns tensors of the CPU."""

    def __init__(self, agent: Any, device: str):
        """`agent` was built with `device` as PyTorch's default."""
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
        """Store one step of all sub-environments, update when due."""
        with self._device:
            metrics: dict[str, Tensor] = self.agent.observe(Step(*(x.to(self._device) for x in step)))
        return metrics

    def saved(self) -> Mapping[str, Network]:
        """The networks that `act` needs."""
        networks: Mapping[str, Network] = self.agent.saved()
        return networks


class Moved:
    """Uniform numbers drawn on the CPU and moved to the agent's device."""

    def __init__(self, uniforms: Uniforms, device: torch.device):
        self._uniforms, self._device = uniforms, device

    def next(self) -> Tensor:
        """The next numbers of every seed's stream."""
        return self._uniforms.next().to(self._device)
