"""What Stable-Baselines3's collector was told by its worlds, and our running normalisation of the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper
from torch import Tensor

from rlparity.environments.normalization import NormalizedEnv
from rlparity.transitions import Step
from rlparity.validation.paired_models import PairedModels
from rlparity.validation.parity.recording.inputs import Raw


class Transcript(VecEnvWrapper):
    """Writes down what the worlds tell SB3's collector, step by step."""

    def __init__(self, worlds: VecEnv, dtype: torch.dtype):
        super().__init__(worlds)
        self._dtype = dtype
        self.steps: list[tuple[np.ndarray, ...]] = []  # obs, reward, ended, stopped, successor, next obs

    def reset(self) -> Any:
        """Start anew."""
        self._obs: Any = self.venv.reset()
        return self._obs

    def step_wait(self) -> Any:
        """One step of all worlds."""
        obs: Any
        obs, rewards, dones, infos = self.venv.step_wait()
        cut = np.array([info.get("TimeLimit.truncated", False) for info in infos])
        after = obs.copy()
        for n in np.flatnonzero(dones):
            after[n] = infos[n]["terminal_observation"]
        self.steps.append((self._obs, rewards.copy(), dones & ~cut, dones.copy(), after, obs))
        self._obs = obs
        precise = np.float64 if self._dtype == torch.float64 else np.float32
        return obs, rewards.astype(precise), dones, infos  # to which SB3 adds values at time limits

    def pop(self, actions: np.ndarray) -> Raw:
        """The steps since the last call, with actions (T, N, ...) as the policy drew them."""
        columns = [np.stack(column) for column in zip(*self.steps, strict=True)]
        self.steps = []
        obs, reward, ended, stopped, after, seen = (
            torch.from_numpy(column).transpose(0, 1)[None].to(self._dtype) for column in columns
        )
        action = torch.from_numpy(actions).transpose(0, 1)[None]
        return Raw(Step(obs, action, reward, 1 - ended, stopped, after), seen)


class Normaliser:
    """Our running normalisation, shown what SB3's was shown: the task that it wraps repeats what happened."""

    def __init__(self, twins: PairedModels, first: Raw):
        self.obs, self.spec = first.rollout.obs[:, :, 0], twins.spec
        self._waiting: list[tuple[Step, Tensor]] = []
        self._normalised = NormalizedEnv(self, twins.model.gamma)  # type: ignore[arg-type]

    @property
    def moments(self) -> tuple[Any, Any]:
        """Of observations and of returns."""
        return self._normalised.obs_moments, self._normalised.return_moments

    def step(self, action: Tensor, live: Any = None) -> Step:
        """As a task does: the next that happened."""
        step, self.obs = self._waiting.pop(0)
        return step

    def normalise(self, raw: Raw) -> Step:
        """A whole rollout."""
        fields = [field.unbind(2) for field in (*raw.rollout, raw.seen)]
        self._waiting = [(Step(*row[:-1]), row[-1]) for row in zip(*fields, strict=True)]
        steps = [self._normalised.step(step.action) for step, _ in list(self._waiting)]
        return Step(*(torch.stack(field, 2) for field in zip(*steps, strict=True)))
