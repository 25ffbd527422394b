"""An agent on another device than its environments: tensors move here, and agents do not know of it.

Environments, records and random numbers stay on the CPU, so that the same seed draws the same numbers
everywhere. Arithmetic differs between devices, so records of CUDA are records of their own (`Cell.device`).

The CPU waits for a GPU twice in a step: for the action, and after learning for which seeds are alive.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from rlparity.nn.networks import Network
from rlparity.seeding import Uniforms
from rlparity.training.cuda_graphs import CudaRecorder, Graphs, Recorder
from rlparity.transitions import Step

GRAPHS = "RLPARITY_CUDA_GRAPHS"  # `off`: no method is recorded
RECORDED = {  # methods by class of agent; others look at values, as TRPO's line search does
    "PPO": ("learn", "act"),
    "A2C": ("update", "act"),
    **dict.fromkeys(("DQN", "QRDQN", "DDPG", "SAC"), ("update",)),
    "TD3": ("learn",),
}


class Placed:
    """See `rlparity.agents.base.Agent`; takes and returns tensors of the CPU."""

    def __init__(self, agent: Any, device: str):
        """`agent` was built with `device` as PyTorch's default."""
        self.agent, self.uniforms, self._device = agent, agent.uniforms, torch.device(device)
        for name, value in vars(agent).items():
            if isinstance(value, Uniforms):
                setattr(agent, name, Moved(value, self._device))
        if self._device.type == "cuda" and os.environ.get(GRAPHS) != "off":
            record(agent, CudaRecorder(), self._device)
        self.alive = self._seen()  # (S,) bool

    def _seen(self) -> Tensor:
        """Which seeds are alive, now."""
        alive: Tensor = self.agent.alive.cpu().clone()
        return alive

    def act(self, obs: Tensor, explore: Tensor | None = None) -> Tensor:
        """obs (S, N, *obs), uniform numbers (S, N, uniforms) -> action (S, N) or (S, N, *action)."""
        with self._device:
            numbers = None if explore is None else moved(explore, self._device)
            found: Tensor = self.agent.act(moved(obs, self._device), numbers)
            action = found.cpu()
        return action

    def observe(self, step: Step) -> dict[str, Tensor]:
        """Store one step of all sub-environments, update when due."""
        with self._device:
            metrics: dict[str, Tensor] = self.agent.observe(Step(*(moved(x, self._device) for x in step)))
        self.alive = self._seen()
        return metrics

    def saved(self) -> Mapping[str, Network]:
        """The networks that `act` needs."""
        networks: Mapping[str, Network] = self.agent.saved()
        return networks


def record(agent: Any, recorder: Recorder, device: torch.device) -> None:
    """Let the methods of an agent be recorded that can be."""
    if getattr(getattr(agent, "config", None), "prioritized", False):  # whose priorities lie on the CPU
        return
    with device:
        for name in RECORDED.get(type(agent).__name__, ()):
            setattr(agent, name, Graphs(agent, getattr(agent, name), recorder))


def moved(x: Tensor, device: torch.device) -> Tensor:
    """On another device; to a GPU through memory that it reads by itself, while the CPU goes on."""
    return x.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else x.to(device)


class Moved:
    """Uniform numbers drawn on the CPU and moved to the agent's device."""

    def __init__(self, uniforms: Uniforms, device: torch.device):
        self._uniforms, self._device = uniforms, device

    def next(self) -> Tensor:
        """The next numbers of every seed's stream."""
        return moved(self._uniforms.next(), self._device)
