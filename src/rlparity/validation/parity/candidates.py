"""Update parity of a candidate's own `update(batch, draws)`.

A candidate (`rlparity.candidates.protocol.Candidate`) that wants its updates compared has three methods more:

`load_reference(state)` takes over parameters, and starts with a fresh optimiser. `state` holds tensors named
as in `policy.state_dict()` of Stable-Baselines3's model (`mlp_extractor.policy_net.0.weight`,
`q_net.q_net.0.bias`, `actor.mu.0.weight`, ...; SAC's temperature is `log_ent_coef`), target networks
included, in the precision that is compared: float32 or float64.

`update(batch, draws)` learns from one batch, just as it does in training, and may return losses by name.
`batch` holds tensors named as SB3's samples are:
- on-policy (A2C, PPO, TRPO) a whole rollout of B transitions: observations (B, *obs), actions (B,) integers
  or (B, *action), old_values, old_log_prob, advantages and returns (B,);
- off-policy a minibatch: observations and next_observations (B, *obs), actions (B, 1) integers or (B,
  *action) in [-1, 1], rewards (B, 1), dones (B, 1), which is 0 at a time limit; with returns of several steps
  also discounts (B, 1).

`draws` holds what chance or the moment decides:
- progress_remaining, a float: 1 at the start of training, 0 at its end, for schedules;
- permutations (K, B): PPO's orders of the rollout in each epoch, minibatches being cut from the front, the
  last one short; with `target_kl` there are as many as SB3 began. TRPO's first is the policy's, the others
  are the critic's;
- noise, normal numbers: TD3's for smoothing (B, *action), SAC's for the actions at s and at s' (2, B,
  *action);
- update_target, a bool: whether target networks follow before this update (DQN) or after it (SAC). TD3 and
  DDPG count for themselves.

`reference_state()` returns the parameters as `load_reference` takes them.

Losses that `update` returns are compared where SB3 has them: policy_loss, value_loss, entropy_loss, loss
(means over the call's gradient steps), critic_loss, actor_loss, ent_coef_loss.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from rlparity.candidates import entry_point
from rlparity.candidates.protocol import Factory
from rlparity.cell import Cell
from rlparity.validation.paired_models import PairedModels
from rlparity.validation.parity.cases import BUDGET, Case
from rlparity.validation.parity.recording.inputs import Recording
from rlparity.validation.parity.recording.trace import Trace

METHODS = ("update", "load_reference", "reference_state")


class Untold(Exception):
    """The candidate does not say what it must."""


def build(factory: Factory, case: Case, twins: PairedModels) -> Any:
    """An untrained candidate with the hyper-parameters of a case."""
    cell = Cell("parity", "parity", "candidate", case.algorithm, case.algorithm, (0,), BUDGET, case.n_envs)
    options = entry_point.hyperparameters(
        replace(cell, normalize=case.normalize, hyperparameters=case.options)
    )
    return factory(twins.model.observation_space, twins.model.action_space, options)


def offered(made: Any) -> bool:
    """Whether a candidate has all that update parity takes."""
    return all(callable(getattr(made, name, None)) for name in METHODS)


def ends(recording: Recording, updates: Sequence[int]) -> list[int]:
    """Numbers of updates after which a call of `update` returns, the first of them that reach those asked
    for: between the gradient steps of one call nobody can look into a candidate."""
    found, total = [], 0
    for handed in recording.handed:
        total += handed.n_updates
        found.append(total)
    return sorted({next((end for end in found if end >= n), found[-1]) for n in updates})


def condensed(recording: Recording) -> Trace:
    """What SB3 computed, as far as a candidate can show it: losses and parameters call by call."""
    trace, entries, total = Trace(), iter(recording.trace.entries), 0
    waiting = next(entries, None)
    for handed in recording.handed:
        total += handed.n_updates
        own = []
        while waiting is not None and waiting.update <= total:
            own.append(waiting)
            waiting = next(entries, None)
        trace.update = total
        losses: dict[str, list[Tensor]] = {}
        for entry in own:
            if entry.kind == "losses":
                losses.setdefault(entry.name, []).append(entry.value)
        for name, values in losses.items():
            trace.note("losses", name, torch.stack(values).mean(0))
        trace.close(
            {entry.name: entry.value for entry in own if entry.update == total and _is_parameter(entry)}
        )
    return trace


def _is_parameter(entry: Any) -> bool:
    return entry.kind in ("parameters", "target networks")


def replay(made: Any, recording: Recording) -> Trace:
    """The candidate, handed the same as SB3. Untold if it leaves a parameter out."""
    trace, total = Trace(), 0
    learned = {entry.name for entry in recording.trace.entries if entry.kind == "parameters"}
    made.load_reference({name: value.clone() for name, value in recording.start.items()})
    for handed in recording.handed:
        total += handed.n_updates
        trace.update = total
        losses = made.update(_copies(handed.batch), _copies(handed.draws))
        for name, value in _numbers(losses):
            trace.note("losses", name, value)
        state = {name: torch.as_tensor(value) for name, value in made.reference_state().items()}
        if missing := sorted(learned - set(state)):
            raise Untold(f"reference_state() leaves out {', '.join(missing)}")
        trace.close({name: value for name, value in state.items() if name in recording.start})
    return trace


def _copies(given: Mapping[str, Any]) -> dict[str, Any]:
    """So that nothing done to them comes back."""
    return {name: value.clone() if isinstance(value, Tensor) else value for name, value in given.items()}


def _numbers(losses: Any) -> Iterator[tuple[str, Tensor]]:
    for name, value in (losses if isinstance(losses, Mapping) else {}).items():
        with suppress(TypeError, ValueError, RuntimeError):  # what else it may want to tell
            number = torch.as_tensor(value, dtype=torch.float64)
            if number.numel() == 1:
                yield str(name), number
