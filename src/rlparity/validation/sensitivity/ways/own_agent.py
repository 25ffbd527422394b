"""One of our agents as a candidate: its training loop, buffers and normalisation on top of the environments
that a candidate is given; with `update` and `prepare`, or without."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any
from unittest import mock

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor

from rlparity import registry
from rlparity.agents import base as agents
from rlparity.cell import Cell
from rlparity.environments import gymnasium_env
from rlparity.seeding import Streams, Uniforms
from rlparity.training import loop
from rlparity.transitions import Step
from rlparity.validation.counterparts import ON_POLICY
from rlparity.validation.parity.cases import BUDGET
from rlparity.validation.sensitivity.ways.own_update import OwnUpdate, Values
from rlparity.validation.sensitivity.ways.planted_code import NotMutated, PlantedCode


class OwnAgent:
    """The agent of a named configuration, see `candidates.protocol.Candidate`."""

    def __init__(
        self, agent: str, planted: PlantedCode, space: gym.Space, actions: gym.Space, hp: Mapping[str, Any]
    ):
        self._agent, self._planted = agent, planted
        self._n_envs, self._normalize = hp["n_envs"], hp["normalize"]
        self._options = {name: hp[name] for name in hp if name not in ("n_envs", "normalize")}
        self._space, self._actions = space, actions
        self.episode_returns: list[float] = []
        with planted.active():
            self._training = self._build(0, 1_000, [_Idle(space, actions)] * self._n_envs)

    def _build(self, seed: int, budget: int, envs: list[gym.Env]) -> loop.Training:
        """As `training.loop.build`, in these environments."""
        cell = Cell("", "", "candidate", self._agent, self._agent, (seed,), budget, self._n_envs)
        random, waiting = Streams(cell), iter(envs)
        with mock.patch.object(gym, "make", lambda *_, **__: next(waiting)):
            env: Any = gymnasium_env.make("", random.environments("training", self._n_envs))
        if self._normalize:
            env = registry.part("normalization")(env, self._options.get("gamma", 0.99))
        made = agents.build(self._agent, env.spec, dict(self._options), random, budget)
        return loop.Training(
            made, env, Uniforms(random.generators("explore"), self._n_envs, made.uniforms), budget, 1
        )

    def train(self, make_env: Callable[[int], gym.Env], seed: int, budget: int) -> None:
        """Our own loop."""
        with self._planted.active():
            envs: list[gym.Env] = [NotMutated(make_env(i), self._planted) for i in range(self._n_envs)]
            self._training = self._build(seed, budget, envs)
            for event in loop.loop(self._training, None):
                assert isinstance(event, loop.Stepped)
                self.episode_returns += [episode.episode_return for episode in event.episodes]

    def act(self, obs: np.ndarray, deterministic: bool) -> np.ndarray:
        """Actions for raw observations (E, *obs)."""
        agent = self._training.agent
        with self._planted.active():
            seen = self._training.view(torch.from_numpy(obs)[None])
            explore = None if deterministic else torch.rand(1, len(obs), agent.uniforms)
            action = agent.act(seen, explore)[0].numpy()
        return action if isinstance(self._actions, gym.spaces.Discrete) else self._clipped(action)

    def _clipped(self, action: np.ndarray) -> np.ndarray:
        assert isinstance(self._actions, gym.spaces.Box)
        return np.clip(action, self._actions.low, self._actions.high)

    def save(self, path: str) -> None:
        """What `act` depends on."""
        state = agents.state_dict(self._training.agent)
        if self._normalize:
            state |= {f"normaliser.{name}": x for name, x in self._training.env.state_dict().items()}
        torch.save(state, path)

    def load(self, path: str) -> None:
        """Take over what was saved."""
        state = torch.load(path, weights_only=True)
        agents.load_state_dict(self._training.agent, state)
        if self._normalize:
            self._training.env.load_state_dict(
                {name.removeprefix("normaliser."): x for name, x in state.items() if name[:4] == "norm"}
            )


class OwnAgentWithUpdate(OwnAgent):
    """The same with what parity compares."""

    def load_reference(self, state: Mapping[str, Tensor]) -> None:
        """Parameters by the reference's names, and a fresh optimiser."""
        with self._planted.active():
            self._update = OwnUpdate(self._agent, self._space, self._actions, self._options, self._n_envs)
            self._update.load(state)

    def reference_state(self) -> dict[str, Tensor]:
        """Parameters by the reference's names."""
        return self._update.pair.ours()

    def update(self, batch: Mapping[str, Tensor], draws: Mapping[str, Any]) -> dict[str, float]:
        """One call of the agent's own update."""
        with self._planted.active():
            return self._update(batch, draws)

    def prepare(self, rollout: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The agent's own `prepare` of these values, in place of those of its critic."""
        if self._agent not in ON_POLICY:
            raise NotImplementedError(f"{self._agent} has no rollouts")
        given = {name: x.T[None] if x.dim() > 1 else x[None, :, None] for name, x in rollout.items()}
        following = torch.cat([given["values"][..., 1:], given["last_values"]], -1)
        following = torch.where(given["truncated"] > 0, given["final_values"], following)
        step = Step(
            given["values"][..., None],
            torch.zeros_like(given["values"]),
            given["rewards"],
            1 - given["terminated"],
            given["terminated"] + given["truncated"],
            following[..., None],
        )
        with self._planted.active():
            cell = Cell("", "", "candidate", self._agent, self._agent, (0,), BUDGET, self._n_envs)
            agent: Any = agents.build(
                self._agent, self._training.env.spec, dict(self._options), Streams(cell), BUDGET
            )
            agent.network = agent.critic = agent.actor = Values()
            agent.policy = SimpleNamespace(log_prob=lambda network, obs, action: obs[..., 0])
            batch = agent.prepare(step)
        shape = given["values"].shape[1:]
        return {
            name: getattr(batch, ours).view(shape).T
            for name, ours in (("advantages", "advantage"), ("returns", "returns"))
        }


class _Idle(gym.Env):
    """An environment of these spaces for a candidate that is built and not trained."""

    def __init__(self, space: gym.Space, actions: gym.Space):
        self.observation_space, self.action_space = space, actions

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        """Zeros."""
        super().reset(seed=seed)
        return np.zeros(self.observation_space.shape or (), np.float32), {}
