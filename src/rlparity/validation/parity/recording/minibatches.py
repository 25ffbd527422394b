"""Off-policy updates, recorded and replayed: random transitions replace Stable-Baselines3's replay memory,
and our agents learn from the same transitions and noise. A third of the transitions are terminal.

Both learners decide by their own schedules when they update parameters and target networks.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any
from unittest import mock

import torch
from stable_baselines3.common.type_aliases import ReplayBufferSamples
from torch import Tensor

from rlparity.buffers.replay import Minibatch
from rlparity.transitions import Step
from rlparity.validation.paired_models import PairedModels
from rlparity.validation.parity.recording.inputs import Enough, Recording, UpdateInputs
from rlparity.validation.parity.recording.readers import agent_read, reference_read
from rlparity.validation.parity.recording.trace import Trace


def record(pair: PairedModels, recording: Recording, updates: int) -> None:
    """Record SB3 until it has made that many updates or spent its budget."""
    model, trace, train = pair.model, recording.trace, pair.model.train
    memory = model.replay_buffer = Transitions(pair, recording, model.replay_buffer)

    def burst(*arguments: Any, **keywords: Any) -> None:
        train(*arguments, **keywords)
        memory.end_burst()
        if trace.update > updates:
            raise Enough

    model.train = burst
    with reference_read(pair, trace, per_step=False), suppress(Enough):
        model.learn(pair.agent.budget, log_interval=pair.agent.budget)


class Transitions:
    """Replacement of SB3's replay memory that returns random transitions and records them."""

    def __init__(self, pair: PairedModels, recording: Recording, memory: Any):
        self._pair, self._recording, self._memory = pair, recording, memory
        self._rng = torch.Generator().manual_seed(0)
        self._place = 0  # number of the next minibatch in its burst
        self._target_updates = 0  # of DQN's target network before the last minibatch

    def __getattr__(self, name: str) -> Any:
        return getattr(self._memory, name)

    def sample(self, batch_size: int, **_: Any) -> ReplayBufferSamples:
        """The next minibatch. Torch's generator is reset so that SB3 draws the recorded noise next."""
        model, k = self._pair.model, len(self._recording.inputs)
        if self._place:
            self._recording.trace.close(self._pair.theirs())
        columns = minibatch(model, batch_size, self._rng, self._pair.dtype)
        draws = {"progress_remaining": model._current_progress_remaining, **self._target_update(model)}
        torch.default_generator.manual_seed(k)
        draws |= _noise(self._pair, columns["actions"])
        torch.default_generator.manual_seed(k)
        self._recording.inputs.append(UpdateInputs(columns, draws, model.num_timesteps))
        self._place += 1
        found: Any = {"discounts": None, **columns}
        return ReplayBufferSamples(**found)

    def end_burst(self) -> None:
        """Record the end of the last update of a burst."""
        if self._place:
            self._recording.trace.close(self._pair.theirs())
        self._place = 0

    def _target_update(self, model: Any) -> dict[str, bool]:
        """Whether target networks are updated: before this update (DQN), or after it (SAC)."""
        if self._pair.algorithm == "sac":
            return {"update_target": self._place % model.target_update_interval == 0}
        if self._pair.algorithm not in ("dqn", "qrdqn"):
            return {}
        before = self._target_updates
        self._target_updates = model._n_calls // max(model.target_update_interval // model.n_envs, 1)
        return {"update_target": self._target_updates > before}


def minibatch(model: Any, size: int, rng: torch.Generator, dtype: torch.dtype) -> dict[str, Tensor]:
    """Random transitions under the names of SB3's samples, the same numbers in both precisions."""
    obs, next_obs = torch.randn(2, size, *model.observation_space.shape, generator=rng)
    reward, chance = 3 * torch.rand(2, size, 1, generator=rng)
    columns = {"observations": obs, "next_observations": next_obs, "rewards": reward}
    columns |= {"dones": (chance < 1).float()}
    if model.action_space.shape:
        columns["actions"] = 2 * torch.rand(size, *model.action_space.shape, generator=rng) - 1
    if model.n_steps > 1:  # n-step returns, some of fewer rewards
        length = torch.randint(1, model.n_steps + 1, (size, 1), generator=rng)
        columns["discounts"] = model.gamma ** length.double()
    found = {name: column.to(dtype) for name, column in columns.items()}
    if not model.action_space.shape:
        found["actions"] = torch.randint(model.action_space.n, (size, 1), generator=rng)
    return found


def _noise(pair: PairedModels, actions: Tensor) -> dict[str, Tensor]:
    """The normal numbers that SB3 draws next: TD3's for smoothing (B, A), SAC's at s and at s' (2, B, A)."""
    if pair.algorithm not in ("td3", "sac"):
        return {}
    shape = (2, *actions.shape) if pair.algorithm == "sac" else actions.shape
    return {"noise": torch.randn(shape, dtype=pair.dtype)}


class ReplayedMemory:
    """Replacement of our agent's replay memory that returns SB3's minibatches in order."""

    capacity = 1

    def __init__(self, pair: PairedModels, recording: Recording):
        self._waiting = iter(recording.inputs)
        self._gamma, self._discrete = pair.model.gamma, not pair.spec.action_shape
        self.draws: dict[str, Any] = {}  # of the last minibatch

    def add(self, step: Step) -> None:
        """Ignore the step."""

    def sample(self, *_: Any) -> Step:
        """The next minibatch (1, B, ...), whatever the random numbers."""
        inputs = next(self._waiting, None)
        if inputs is None:
            raise Enough
        b, self.draws = inputs.batch, inputs.draws
        discount = 1 - b["dones"].T
        if "discounts" in b:
            discount = discount * b["discounts"].T / self._gamma
        action = b["actions"].T if self._discrete else b["actions"][None]
        ends = b["observations"][None], b["next_observations"][None]
        return Step(ends[0], action, b["rewards"].T, discount, b["dones"].T, ends[1])

    def draw(self, *_: Any) -> Minibatch:
        """The next minibatch, as from a sampler."""
        return Minibatch(self.sample())

    def update_priorities(self, batch: Minibatch, error: Tensor) -> None:
        """Ignore the errors."""


def replay(pair: PairedModels, recording: Recording, trace: Trace) -> None:
    """Let our agent learn from SB3's minibatches whenever it decides to update."""
    agent, spec = pair.agent, pair.spec
    memory = ReplayedMemory(pair, recording)
    setattr(agent, "replay" if hasattr(agent, "replay") else "memory", memory)
    if hasattr(agent, "burst"):
        agent.burst = 1  # SB3 draws each minibatch by itself
    update = agent.update

    def with_draws(batch: Step | Minibatch, *draws: Any) -> dict[str, Tensor]:
        if "noise" in memory.draws:
            draws = (memory.draws["noise"][None], *draws[1:])
        metrics: dict[str, Tensor] = update(batch, *draws)
        trace.close(pair.ours())
        return metrics

    obs, idle = torch.zeros(1, spec.n_envs, *spec.obs_shape), torch.zeros(1, spec.n_envs)
    step = Step(obs, torch.zeros(1, spec.n_envs, *spec.action_shape), idle, idle + 1, idle, obs)
    patched = mock.patch.object(agent, "update", with_draws)
    with agent_read(pair, trace, per_step=False), patched, suppress(Enough):
        while agent.env_steps < agent.budget and trace.update <= len(recording.inputs):
            agent.observe(step)
