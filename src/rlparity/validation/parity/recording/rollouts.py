"""On-policy learning recorded: Stable-Baselines3's rollouts, the orders in which it goes through them, and
what it computed; and our agents handed the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from copy import copy
from typing import Any
from unittest import mock

import numpy as np
import torch
from stable_baselines3.common.vec_env import VecNormalize
from torch import Tensor

from rlparity.agents import base as agents
from rlparity.validation.paired_models import PairedModels
from rlparity.validation.parity.recording.inputs import STEPWISE, Enough, Handed, Recording
from rlparity.validation.parity.recording.readers import agent_read, reference_read
from rlparity.validation.parity.recording.rounding_floor import Beside, from_zero
from rlparity.validation.parity.recording.trace import Trace
from rlparity.validation.parity.recording.transcript import Normaliser, Transcript

COLUMNS = {  # SB3's buffer -> (its samples, our batches)
    "values": ("old_values", "value"),
    "log_probs": ("old_log_prob", "log_prob"),
    "advantages": ("advantages", "advantage"),
    "returns": ("returns", "returns"),
}
METRICS = {  # ours, and what SB3 logs them as
    "explained_variance": "explained_variance",
    "policy_objective": "policy_objective",
    "kl_divergence": "kl_divergence_loss",
    "line_search_success": "is_line_search_success",
}


def record(twins: PairedModels, recording: Recording, updates: int, beside: Beside | None = None) -> None:
    """Let SB3 learn until it has made that many updates, or spent its budget; `beside` learns the same."""
    RolloutRecorder(twins, recording, updates, beside).run()


class RolloutRecorder:
    """Stands between SB3's loop and its `train`, and between its worlds and its collector."""

    def __init__(self, twins: PairedModels, recording: Recording, updates: int, beside: Beside | None):
        self._twins, self._recording, self._updates, self._beside = twins, recording, updates, beside
        self._model, self._train = twins.model, twins.model.train
        self._normaliser = self._model.env if isinstance(self._model.env, VecNormalize) else None
        self._raw: Transcript | None = None
        if self._normaliser:
            self._raw = self._normaliser.venv = Transcript(self._normaliser.venv, twins.dtype)
        self._model.env = self._transcript = Transcript(self._model.env, twins.dtype)
        self._model.train = self._watched

    def run(self) -> None:
        """SB3's own loop."""
        budget = self._twins.agent.budget
        with suppress(Enough):
            self._model.learn(budget, log_interval=budget)

    def _watched(self) -> None:
        """In place of `train`: with everything written down."""
        twins, trace = self._twins, self._recording.trace
        before, handed = trace.update, self._handed()
        self._note_targets(handed)
        buffer = {name: copy(value) for name, value in vars(self._model.rollout_buffer).items()}
        stepwise = twins.algorithm in STEPWISE
        with from_zero(), _permutations() as drawn, reference_read(twins, trace, stepwise):
            self._train()
        logged = self._model.logger.name_to_value
        metrics = _metrics({name: logged.get(f"train/{theirs}") for name, theirs in METRICS.items()})
        if stepwise:
            trace.count_steps(trace.update, metrics)
        else:
            trace.note_metrics(metrics)
            trace.close(twins.theirs())
        if self._beside:
            self._beside.train(buffer, self._model._current_progress_remaining, drawn)
        handed = _in_order(twins, handed, drawn)
        self._recording.handed.append(handed._replace(n_updates=trace.update - before))
        if trace.update > self._updates:
            raise Enough

    def _handed(self) -> Handed:
        """What SB3 is about to learn from."""
        model = self._model
        action, draws = _drawn(model), {"progress_remaining": model._current_progress_remaining}
        raw = self._raw.pop(action) if self._raw else None
        return Handed(
            _columns(model), draws, model.num_timesteps, 0, self._transcript.pop(action).rollout, raw
        )

    def _note_targets(self, handed: Handed) -> None:
        trace = self._recording.trace
        if self._normaliser:
            _note_normalised(trace, handed.rollout, self._normaliser.obs_rms, self._normaliser.ret_rms)
        for name, (sampled, _) in COLUMNS.items():
            trace.note("targets", f"rollout's {name}", handed.batch[sampled])


def _drawn(model: Any) -> np.ndarray:
    """SB3's column of actions (T, N, A); without the last axis where an action is one number."""
    actions: np.ndarray = model.rollout_buffer.actions
    return actions.copy() if model.action_space.shape else actions[..., 0].copy()


def _columns(model: Any) -> dict[str, Tensor]:
    """The rollout as minibatches are cut from it, in its own order (N T, ...): actions in float32."""
    buffer = model.rollout_buffer

    def flat(array: np.ndarray) -> Tensor:
        found: Tensor = buffer.to_torch(buffer.swap_and_flatten(array))
        return found

    actions = flat(buffer.actions)
    found = {sampled: flat(getattr(buffer, name)).flatten() for name, (sampled, _) in COLUMNS.items()}
    found["observations"] = flat(buffer.observations)
    found["actions"] = actions.float().to(actions.dtype) if model.action_space.shape else actions.flatten()
    return found


def _in_order(twins: PairedModels, handed: Handed, drawn: list[np.ndarray]) -> Handed:
    """With the permutations; where SB3 takes the rollout in one piece, in the order that it has there."""
    orders = torch.from_numpy(np.stack(drawn))
    if twins.algorithm == "ppo":
        return handed._replace(draws={**handed.draws, "permutations": orders})
    batch = {name: column[orders[0]] for name, column in handed.batch.items()}
    draws = dict(handed.draws)
    if twins.algorithm == "trpo":
        draws["permutations"] = orders[0].argsort()[orders]
    return handed._replace(batch=batch, draws=draws)


@contextmanager
def _permutations() -> Iterator[list[np.ndarray]]:
    """Write down the orders in which SB3 goes through a rollout."""
    drawn: list[np.ndarray] = []
    permutation = np.random.permutation

    def written(n: int) -> np.ndarray:
        drawn.append(permutation(n))
        return drawn[-1]

    with mock.patch.object(np.random, "permutation", written):
        yield drawn


def _metrics(said: Mapping[str, Any]) -> dict[str, Tensor]:
    """What a learner says of a whole rollout's updates, as far as it says it."""
    found = {name.replace("_", " "): said.get(name) for name in METRICS}
    return {
        name: torch.as_tensor(value, dtype=torch.float64)
        for name, value in found.items()
        if value is not None
    }


def _note_normalised(trace: Trace, rollout: Any, obs_moments: Any, return_moments: Any) -> None:
    """What running statistics have become, and what the agent saw through them."""
    for name, moments in (("observations", obs_moments), ("returns", return_moments)):
        trace.note("targets", f"running mean of {name}", torch.as_tensor(moments.mean))
        trace.note("targets", f"running variance of {name}", torch.as_tensor(moments.var))
    for name in ("obs", "reward", "next_obs"):
        trace.note("targets", f"normalised {name}", getattr(rollout, name))


def replay(twins: PairedModels, recording: Recording, trace: Trace) -> None:
    """Our agent, handed the same: advantages and returns from transitions, then updates of SB3's batches."""
    agent, room = twins.agent, agents.module(twins.algorithm)
    normaliser = Normaliser(twins, recording.handed[0].raw) if recording.handed[0].raw else None
    with agent_read(twins, trace, twins.algorithm in STEPWISE):
        for handed in recording.handed:
            assert handed.rollout is not None
            agent.env_steps = handed.env_steps
            if normaliser and handed.raw:
                rollout = normaliser.normalise(handed.raw)
                _note_normalised(trace, rollout, *normaliser.moments)
            own = agent.prepare(handed.rollout)
            for name, (_, ours) in COLUMNS.items():
                if ours in own._fields:
                    trace.note("targets", f"rollout's {name}", getattr(own, ours))
            columns = {ours: handed.batch[sampled] for sampled, ours in COLUMNS.values()}
            columns |= {"obs": handed.batch["observations"], "action": handed.batch["actions"]}
            batch = room.Batch(**{name: columns[name][None] for name in room.Batch._fields})
            end, metrics = trace.update + handed.n_updates, agent.update(batch, *_orders(agent, handed))
            said = _metrics({name: value[0] for name, value in metrics.items()})
            if twins.algorithm in STEPWISE:
                trace.count_steps(end, said)
            else:
                trace.note_metrics(said)
                trace.close(twins.ours())


def _orders(agent: Any, handed: Handed) -> list[Tensor]:
    """Orders (K, 1, B) of all epochs, if there are: SB3 draws no more after an early stop, ours looks at no
    more."""
    orders = handed.draws.get("permutations")
    if orders is None:
        return []
    missing = max(getattr(agent.config, "n_epochs", 0) - len(orders), 0)
    return [torch.cat([orders, orders[-1:].expand(missing, -1)])[:, None]]
