"""Batches of the two learners, compared field by field: rollouts with their advantages, or minibatches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from stable_baselines3.common.buffers import RolloutBuffer
from torch import Tensor

from rlparity.buffers.replay import Minibatch
from rlparity.validation.lockstep.random_draws import Parted

ROLLOUT = {  # our fields -> fields of SB3's buffer
    "obs": "observations",
    "action": "actions",
    "value": "values",
    "log_prob": "log_probs",
    "advantage": "advantages",
    "returns": "returns",
}


Fields = Mapping[str, Tensor]


class Batches:
    """Records the batches of SB3 and passes each to `compare` with the batch of our next update."""

    def __init__(self, compare: Callable[[Fields, Fields], None]) -> None:
        self._compare = compare
        self.theirs: list[Fields] = []  # since the last `settle`
        self.ours = 0  # number of batches that our agent has learned from since then
        self.drawn: Tensor | None = None  # the last action of an unbounded policy, (N, *action)

    def settle(self) -> int:
        """Number of batches of both since the last call; Parted if they differ."""
        learned, ours = len(self.theirs), self.ours
        self.theirs.clear()
        self.ours = 0
        if ours != learned:
            raise Parted(f"ours learns {ours} times where Stable-Baselines3 learns {learned} times")
        return learned

    @contextmanager
    def recording(self, agent: Any, model: Any) -> Iterator[None]:
        """Record the batches of our agent and of an SB3 model, whose memory then stores actions in
        float64."""
        with ExitStack() as stack:
            stack.enter_context(patch.object(agent, "update", self._updating(agent.update)))
            if getattr(model, "replay_buffer", None) is not None:
                memory = model.replay_buffer
                if memory.actions.dtype == np.float32:
                    memory.actions = memory.actions.astype(np.float64)
                stack.enter_context(patch.object(memory, "sample", self._sampling(memory.sample)))
            else:
                memory = model.rollout_buffer
                stack.enter_context(patch.object(memory, "add", self._adding(memory.add)))
                stack.enter_context(patch.object(memory, "_get_samples", _whole_actions(memory)))
                stack.enter_context(patch.object(model, "train", self._training(model.train, memory)))
            yield

    def _updating(self, update: Callable[..., Any]) -> Callable[..., Any]:
        def updating(batch: Any, *arguments: Any) -> Any:
            if self.ours < len(self.theirs):
                fields = batch.step if isinstance(batch, Minibatch) else batch
                self._compare(fields._asdict(), self.theirs[self.ours])
            self.ours += 1
            return update(batch, *arguments)

        return updating

    def _sampling(self, sample: Callable[..., Any]) -> Callable[..., Any]:
        def sampling(*arguments: Any, **keywords: Any) -> Any:
            found = sample(*arguments, **keywords)
            self.theirs.append(
                {
                    "obs": found.observations,
                    "action": found.actions,
                    "reward": found.rewards,
                    "discount": 1 - found.dones,
                    "next_obs": found.next_observations,
                }
            )
            return found

        return sampling

    def _training(self, train: Callable[[], None], memory: Any) -> Callable[[], None]:
        def training() -> None:
            self.theirs.append({name: _flat(getattr(memory, theirs)) for name, theirs in ROLLOUT.items()})
            train()

        return training

    def _adding(self, add: Callable[..., None]) -> Callable[..., None]:
        def adding(obs: Any, action: np.ndarray, *columns: Any) -> None:
            self.drawn = torch.from_numpy(np.array(action))
            add(obs, action, *columns)

        return adding


def _whole_actions(memory: Any) -> Callable[..., Any]:
    """Actions of a rollout without SB3's rounding to float32."""
    get_samples = memory._get_samples

    def whole(places: np.ndarray, *arguments: Any) -> Any:
        return get_samples(places, *arguments)._replace(actions=memory.to_torch(memory.actions[places]))

    return whole


def _flat(array: np.ndarray) -> Tensor:
    """A column of SB3's rollout (T, N, ...) as one of ours, (1, N T, ...)."""
    return torch.from_numpy(RolloutBuffer.swap_and_flatten(array.copy()))[None]
