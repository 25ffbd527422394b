"""On-policy updates, recorded and replayed: our agents learn from Stable-Baselines3's rollouts in the same
order of minibatches."""

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
from rlparity.validation.parity.recording.inputs import STEPWISE, Enough, Recording, UpdateInputs
from rlparity.validation.parity.recording.readers import agent_read, reference_read
from rlparity.validation.parity.recording.rounding_floor import ReorderedReference, from_zero
from rlparity.validation.parity.recording.trace import Trace
from rlparity.validation.parity.recording.transcript import Normaliser, Transcript

COLUMNS = {  # SB3's buffer -> (its samples, our batches)
    "values": ("old_values", "value"),
    "log_probs": ("old_log_prob", "log_prob"),
    "advantages": ("advantages", "advantage"),
    "returns": ("returns", "returns"),
}
METRICS = {  # our names -> names in SB3's log
    "explained_variance": "explained_variance",
    "policy_objective": "policy_objective",
    "kl_divergence": "kl_divergence_loss",
    "line_search_success": "is_line_search_success",
}


def record(
    pair: PairedModels, recording: Recording, updates: int, reordered: ReorderedReference | None = None
) -> None:
    """Record SB3 until it has made that many updates or spent its budget; `reordered` learns from the same
    rollouts."""
    RolloutRecorder(pair, recording, updates, reordered).run()


class RolloutRecorder:
    """Records what SB3's collector receives and what its `train` computes."""

    def __init__(
        self, pair: PairedModels, recording: Recording, updates: int, reordered: ReorderedReference | None
    ):
        self._pair, self._recording, self._updates, self._reordered = pair, recording, updates, reordered
        self._model, self._train = pair.model, pair.model.train
        self._normaliser = self._model.env if isinstance(self._model.env, VecNormalize) else None
        self._raw: Transcript | None = None
        if self._normaliser:
            self._raw = self._normaliser.venv = Transcript(self._normaliser.venv, pair.dtype)
        self._model.env = self._transcript = Transcript(self._model.env, pair.dtype)
        self._model.train = self._recorded_train

    def run(self) -> None:
        """Run SB3's own loop."""
        budget = self._pair.agent.budget
        with suppress(Enough):
            self._model.learn(budget, log_interval=budget)

    def _recorded_train(self) -> None:
        """Replacement of `train` that also records it."""
        pair, trace = self._pair, self._recording.trace
        before, inputs = trace.update, self._inputs()
        self._note_targets(inputs)
        buffer = {name: copy(value) for name, value in vars(self._model.rollout_buffer).items()}
        stepwise = pair.algorithm in STEPWISE
        with from_zero(), _permutations() as drawn, reference_read(pair, trace, stepwise):
            self._train()
        logged = self._model.logger.name_to_value
        metrics = _metrics({name: logged.get(f"train/{theirs}") for name, theirs in METRICS.items()})
        if stepwise:
            trace.count_steps(trace.update, metrics)
        else:
            trace.note_metrics(metrics)
            trace.close(pair.theirs())
        if self._reordered:
            self._reordered.train(buffer, self._model._current_progress_remaining, drawn)
        inputs = _in_order(pair, inputs, drawn)
        self._recording.inputs.append(inputs._replace(n_updates=trace.update - before))
        if trace.update > self._updates:
            raise Enough

    def _inputs(self) -> UpdateInputs:
        """The inputs of SB3's next call of `train`."""
        model = self._model
        action, draws = _drawn(model), {"progress_remaining": model._current_progress_remaining}
        raw = self._raw.pop(action) if self._raw else None
        return UpdateInputs(
            _columns(model), draws, model.num_timesteps, 0, self._transcript.pop(action).rollout, raw
        )

    def _note_targets(self, inputs: UpdateInputs) -> None:
        trace = self._recording.trace
        if self._normaliser:
            _note_normalised(trace, inputs.rollout, self._normaliser.obs_rms, self._normaliser.ret_rms)
        for name, (sampled, _) in COLUMNS.items():
            trace.note("targets", f"rollout's {name}", inputs.batch[sampled])


def _drawn(model: Any) -> np.ndarray:
    """SB3's actions (T, N, A); (T, N) if they are discrete."""
    actions: np.ndarray = model.rollout_buffer.actions
    return actions.copy() if model.action_space.shape else actions[..., 0].copy()


def _columns(model: Any) -> dict[str, Tensor]:
    """The rollout as minibatches contain it, in its own order (N T, ...); actions are rounded to float32."""
    buffer = model.rollout_buffer

    def flat(array: np.ndarray) -> Tensor:
        found: Tensor = buffer.to_torch(buffer.swap_and_flatten(array))
        return found

    actions = flat(buffer.actions)
    found = {sampled: flat(getattr(buffer, name)).flatten() for name, (sampled, _) in COLUMNS.items()}
    found["observations"] = flat(buffer.observations)
    found["actions"] = actions.float().to(actions.dtype) if model.action_space.shape else actions.flatten()
    return found


def _in_order(pair: PairedModels, inputs: UpdateInputs, drawn: list[np.ndarray]) -> UpdateInputs:
    """Add the permutations; where SB3 uses the rollout as one batch, put that into SB3's order."""
    orders = torch.from_numpy(np.stack(drawn))
    if pair.algorithm == "ppo":
        return inputs._replace(draws={**inputs.draws, "permutations": orders})
    batch = {name: column[orders[0]] for name, column in inputs.batch.items()}
    draws = dict(inputs.draws)
    if pair.algorithm == "trpo":
        draws["permutations"] = orders[0].argsort()[orders]
    return inputs._replace(batch=batch, draws=draws)


@contextmanager
def _permutations() -> Iterator[list[np.ndarray]]:
    """Record the permutations by which SB3 orders a rollout."""
    drawn: list[np.ndarray] = []
    permutation = np.random.permutation

    def recorded(n: int) -> np.ndarray:
        drawn.append(permutation(n))
        return drawn[-1]

    with mock.patch.object(np.random, "permutation", recorded):
        yield drawn


def _metrics(logged: Mapping[str, Any]) -> dict[str, Tensor]:
    """Metrics of a whole rollout's updates that a learner logged."""
    found = {name.replace("_", " "): logged.get(name) for name in METRICS}
    return {
        name: torch.as_tensor(value, dtype=torch.float64)
        for name, value in found.items()
        if value is not None
    }


def _note_normalised(trace: Trace, rollout: Any, obs_moments: Any, return_moments: Any) -> None:
    """Record running statistics and the normalised rollout."""
    for name, moments in (("observations", obs_moments), ("returns", return_moments)):
        trace.note("targets", f"running mean of {name}", torch.as_tensor(moments.mean))
        trace.note("targets", f"running variance of {name}", torch.as_tensor(moments.var))
    for name in ("obs", "reward", "next_obs"):
        trace.note("targets", f"normalised {name}", getattr(rollout, name))


def replay(pair: PairedModels, recording: Recording, trace: Trace) -> None:
    """Let our agent compute advantages from the transitions, then learn from SB3's batches."""
    agent, module = pair.agent, agents.module(pair.algorithm)
    normaliser = Normaliser(pair, recording.inputs[0].raw) if recording.inputs[0].raw else None
    with agent_read(pair, trace, pair.algorithm in STEPWISE):
        for inputs in recording.inputs:
            assert inputs.rollout is not None
            agent.env_steps = inputs.env_steps
            if normaliser and inputs.raw:
                rollout = normaliser.normalise(inputs.raw)
                _note_normalised(trace, rollout, *normaliser.moments)
            own = agent.prepare(inputs.rollout)
            for name, (_, ours) in COLUMNS.items():
                if ours in own._fields:
                    trace.note("targets", f"rollout's {name}", getattr(own, ours))
            columns = {ours: inputs.batch[sampled] for sampled, ours in COLUMNS.values()}
            columns |= {"obs": inputs.batch["observations"], "action": inputs.batch["actions"]}
            batch = module.Batch(**{name: columns[name][None] for name in module.Batch._fields})
            end, metrics = trace.update + inputs.n_updates, agent.update(batch, *_orders(agent, inputs))
            logged = _metrics({name: value[0] for name, value in metrics.items()})
            if pair.algorithm in STEPWISE:
                trace.count_steps(end, logged)
            else:
                trace.note_metrics(logged)
                trace.close(pair.ours())


def _orders(agent: Any, inputs: UpdateInputs) -> list[Tensor]:
    """Permutations (K, 1, B) of all epochs, if any. After an early stop SB3 draws no more, so the last one is
    repeated; our agent does not use it."""
    orders = inputs.draws.get("permutations")
    if orders is None:
        return []
    missing = max(getattr(agent.config, "n_epochs", 0) - len(orders), 0)
    return [torch.cat([orders, orders[-1:].expand(missing, -1)])[:, None]]
