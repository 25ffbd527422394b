"""Off-policy learning recorded: random transitions in place of Stable-Baselines3's replay memory, a third of
them last, its noise, and what it computed; and our agents handed the same.

Both learners run through their own schedules: when updates come and when target networks follow is theirs.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any
from unittest import mock

import torch
from stable_baselines3.common.type_aliases import ReplayBufferSamples
from torch import Tensor

from rlparity.transitions import Step
from rlparity.validation.paired_models import PairedModels
from rlparity.validation.parity.recording.inputs import Enough, Handed, Recording
from rlparity.validation.parity.recording.readers import agent_read, reference_read
from rlparity.validation.parity.recording.trace import Trace


def record(twins: PairedModels, recording: Recording, updates: int) -> None:
    """Let SB3 learn until it has made that many updates, or spent its budget."""
    model, trace, train = twins.model, recording.trace, twins.model.train
    memory = model.replay_buffer = Transitions(twins, recording, model.replay_buffer)

    def burst(*arguments: Any, **keywords: Any) -> None:
        train(*arguments, **keywords)
        memory.end_burst()
        if trace.update > updates:
            raise Enough

    model.train = burst
    with reference_read(twins, trace, per_step=False), suppress(Enough):
        model.learn(twins.agent.budget, log_interval=twins.agent.budget)


class Transitions:
    """In place of SB3's replay memory: gives random transitions, and writes down what it gave."""

    def __init__(self, twins: PairedModels, recording: Recording, memory: Any):
        self._twins, self._recording, self._memory = twins, recording, memory
        self._rng = torch.Generator().manual_seed(0)
        self._place = 0  # of the next minibatch in its burst
        self._followed = 0  # times that DQN's target network had followed before the last minibatch

    def __getattr__(self, name: str) -> Any:
        return getattr(self._memory, name)

    def sample(self, batch_size: int, **_: Any) -> ReplayBufferSamples:
        """The next minibatch; torch's generator is left where SB3's noise will be as written down."""
        model, k = self._twins.model, len(self._recording.handed)
        if self._place:
            self._recording.trace.close(self._twins.theirs())
        columns = minibatch(model, batch_size, self._rng, self._twins.dtype)
        draws = {"progress_remaining": model._current_progress_remaining, **self._moment(model)}
        torch.default_generator.manual_seed(k)
        draws |= _noise(self._twins, columns["actions"])
        torch.default_generator.manual_seed(k)
        self._recording.handed.append(Handed(columns, draws, model.num_timesteps))
        self._place += 1
        found: Any = {"discounts": None, **columns}
        return ReplayBufferSamples(**found)

    def end_burst(self) -> None:
        """The last update is over."""
        if self._place:
            self._recording.trace.close(self._twins.theirs())
        self._place = 0

    def _moment(self, model: Any) -> dict[str, bool]:
        """Whether target networks follow: before this update (DQN), or after it (SAC)."""
        if self._twins.algorithm == "sac":
            return {"update_target": self._place % model.target_update_interval == 0}
        if self._twins.algorithm not in ("dqn", "qrdqn"):
            return {}
        before = self._followed
        self._followed = model._n_calls // max(model.target_update_interval // model.n_envs, 1)
        return {"update_target": self._followed > before}


def minibatch(model: Any, size: int, rng: torch.Generator, dtype: torch.dtype) -> dict[str, Tensor]:
    """Random transitions under the names of SB3's samples, the same numbers in either precision."""
    obs, next_obs = torch.randn(2, size, *model.observation_space.shape, generator=rng)
    reward, chance = 3 * torch.rand(2, size, 1, generator=rng)
    columns = {"observations": obs, "next_observations": next_obs, "rewards": reward}
    columns |= {"dones": (chance < 1).float()}
    if model.action_space.shape:
        columns["actions"] = 2 * torch.rand(size, *model.action_space.shape, generator=rng) - 1
    if model.n_steps > 1:  # returns of as many rewards, some cut short
        length = torch.randint(1, model.n_steps + 1, (size, 1), generator=rng)
        columns["discounts"] = model.gamma ** length.double()
    found = {name: column.to(dtype) for name, column in columns.items()}
    if not model.action_space.shape:
        found["actions"] = torch.randint(model.action_space.n, (size, 1), generator=rng)
    return found


def _noise(twins: PairedModels, actions: Tensor) -> dict[str, Tensor]:
    """The normal numbers that SB3 draws next: TD3's for smoothing (B, A), SAC's at s and at s' (2, B, A)."""
    if twins.algorithm not in ("td3", "sac"):
        return {}
    shape = (2, *actions.shape) if twins.algorithm == "sac" else actions.shape
    return {"noise": torch.randn(shape, dtype=twins.dtype)}


class HandedMemory:
    """In place of an agent's memory: gives what SB3 was given, in order."""

    capacity = 1

    def __init__(self, twins: PairedModels, recording: Recording):
        self._waiting = iter(recording.handed)
        self._gamma, self._numbers = twins.model.gamma, not twins.spec.action_shape
        self.draws: dict[str, Any] = {}  # of the minibatch that was given last

    def add(self, step: Step) -> None:
        """Forget it."""

    def index(self, *_: Any) -> None:
        """Wherever it is."""

    def at(self, *_: Any) -> Step:
        """The next minibatch (1, B, ...)."""
        handed = next(self._waiting, None)
        if handed is None:
            raise Enough
        b, self.draws = handed.batch, handed.draws
        discount = 1 - b["dones"].T
        if "discounts" in b:
            discount = discount * b["discounts"].T / self._gamma
        action = b["actions"].T if self._numbers else b["actions"][None]
        ends = b["observations"][None], b["next_observations"][None]
        return Step(ends[0], action, b["rewards"].T, discount, b["dones"].T, ends[1])

    sample = at


def replay(twins: PairedModels, recording: Recording, trace: Trace) -> None:
    """Our agent, handed the same at the moments that it chooses."""
    agent, task = twins.agent, twins.spec
    agent.memory = memory = HandedMemory(twins, recording)
    update = agent.update

    def with_draws(batch: Step, *draws: Any) -> dict[str, Tensor]:
        if "noise" in memory.draws:
            draws = (memory.draws["noise"][None], *draws[1:])
        metrics: dict[str, Tensor] = update(batch, *draws)
        trace.close(twins.ours())
        return metrics

    obs, idle = torch.zeros(1, task.n_envs, *task.obs_shape), torch.zeros(1, task.n_envs)
    nothing = Step(obs, torch.zeros(1, task.n_envs, *task.action_shape), idle, idle + 1, idle, obs)
    patched = mock.patch.object(agent, "update", with_draws)
    with agent_read(twins, trace, per_step=False), patched, suppress(Enough):
        while agent.env_steps < agent.budget and trace.update <= len(recording.handed):
            agent.observe(nothing)
