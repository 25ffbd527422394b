"""The updates of our agents as a candidate offers them to parity: batches and draws under SB3's names."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any
from unittest import mock

import gymnasium as gym
import torch
from stable_baselines3.common.vec_env import DummyVecEnv
from torch import Tensor

from rlparity.agents import base as agents
from rlparity.transitions import Step
from rlparity.validation import paired_models
from rlparity.validation.counterparts import ON_POLICY
from rlparity.validation.parity.cases import BUDGET
from rlparity.validation.parity.recording.inputs import Recording, UpdateInputs
from rlparity.validation.parity.recording.minibatches import ReplayedMemory
from rlparity.validation.parity.recording.rollouts import COLUMNS

LOSSES = {  # agent -> what its update returns of the whole call
    "a2c": ("policy_loss", "value_loss"),
    "dqn": ("loss",),
    "qrdqn": ("loss",),
    "ddpg": ("critic_loss", "actor_loss"),
    "td3": ("critic_loss",),
    "sac": ("critic_loss", "actor_loss", "ent_coef_loss"),
}


class Values:
    """A network whose value of an observation is the observation itself."""

    def features(self, obs: Tensor) -> Tensor:
        """Observations as they are."""
        return obs

    def __call__(self, stack: str, features: Tensor) -> Tensor:
        return features[..., 0]


class OwnUpdate:
    """An agent of ours whose parameters are known by SB3's names."""

    def __init__(
        self, agent: str, space: gym.Space, actions: gym.Space, options: Mapping[str, Any], n_envs: int
    ):
        self._agent, self._options = agent, dict(options)
        self._envs = DummyVecEnv([partial(_Spaces, space, actions)] * n_envs)

    def load(self, state: Mapping[str, Tensor]) -> None:
        """A new agent with these parameters, in their precision."""
        dtype = next(iter(state.values())).dtype
        self.pair = paired_models.make(self._agent, self._envs, self._options, dtype, BUDGET)
        for name, mine in self.pair.ours().items():
            mine.copy_(state[name])

    def __call__(self, batch: Mapping[str, Tensor], draws: Mapping[str, Any]) -> dict[str, float]:
        """Learn from one batch; returns losses."""
        steps = round((1 - draws["progress_remaining"]) * BUDGET)
        learn = self._rollout if self._agent in ON_POLICY else self._minibatch
        metrics = learn(batch, draws, steps)
        return {name: float(metrics[name]) for name in LOSSES.get(self._agent, ()) if name in metrics}

    def _rollout(self, batch: Mapping[str, Tensor], draws: Mapping[str, Any], steps: int) -> Any:
        agent = self.pair.agent
        agent.env_steps = steps
        columns = {ours: batch[sampled] for sampled, ours in COLUMNS.values()}
        columns |= {"obs": batch["observations"], "action": batch["actions"]}
        kind = agents.module(self._agent).Batch
        rollout = kind(**{name: columns[name][None] for name in kind._fields})
        orders = draws.get("permutations")
        if orders is None or self._agent == "a2c":
            return agent.update(rollout)
        missing = max(getattr(agent.config, "n_epochs", 0) - len(orders), 0)  # after an early stop
        return agent.update(rollout, torch.cat([orders, orders[-1:].expand(missing, -1)])[:, None])

    def _minibatch(self, batch: Mapping[str, Tensor], draws: Mapping[str, Any], steps: int) -> Any:
        """Let the agent observe a step; it learns from the minibatch in place of one of its own."""
        agent, spec = self.pair.agent, self.pair.spec
        inputs = UpdateInputs(dict(batch), dict(draws), steps)
        memory = ReplayedMemory(self.pair, Recording({}, inputs=[inputs]))
        setattr(agent, "replay" if hasattr(agent, "replay") else "memory", memory)
        if hasattr(agent, "burst"):
            agent.burst = 1
        learned: list[Any] = []
        update = agent.update

        def with_draws(one: Any, *own: Any) -> Any:
            if "noise" in draws:
                own = (draws["noise"][None], *own[1:])
            learned.append(update(one, *own))
            return learned[-1]

        idle = torch.zeros(1, spec.n_envs)
        obs = torch.zeros(1, spec.n_envs, *spec.obs_shape)
        step = Step(obs, torch.zeros(1, spec.n_envs, *spec.action_shape), idle, idle + 1, idle, obs)
        with mock.patch.object(agent, "update", with_draws):
            self._observe(step, steps, learned)
        return learned[-1]

    def _observe(self, step: Step, steps: int, learned: list[Any]) -> None:
        """One step of the agent, at whose end it has taken `steps` of its budget."""
        agent = self.pair.agent
        agent.env_steps = steps - self.pair.spec.n_envs
        with mock.patch.dict(agent.config.__dict__, {"gradient_steps": 1}):
            agent.observe(step)
        if not learned:
            raise RuntimeError("it did not learn from the minibatch")


class _Spaces(gym.Env):
    """Spaces without dynamics."""

    def __init__(self, space: gym.Space, actions: gym.Space):
        self.observation_space, self.action_space = space, actions
