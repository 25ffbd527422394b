"""Parity of a candidate's own `update(batch, draws)` and `prepare(rollout)`.

A candidate (see `rlparity.candidates`) whose updates are to be compared has three more methods:

`load_reference(state)` copies parameters and creates a fresh optimiser. `state` holds tensors named
as in `policy.state_dict()` of Stable-Baselines3's model (`mlp_extractor.policy_net.0.weight`,
`q_net.q_net.0.bias`, `actor.mu.0.weight`, ...; SAC's temperature is `log_ent_coef`), target networks
included, in the precision that is compared: float32 or float64.

`update(batch, draws)` learns from one batch as in training, and may return losses by name.
`batch` holds tensors named as SB3's samples are:
- on-policy (A2C, PPO, TRPO) a whole rollout of B transitions: observations (B, *obs), actions (B,) integers
  or (B, *action), old_values, old_log_prob, advantages and returns (B,);
- off-policy a minibatch: observations and next_observations (B, *obs), actions (B, 1) integers or (B,
  *action) in [-1, 1], rewards (B, 1), dones (B, 1), which is 0 at a time limit; with returns of several steps
  also discounts (B, 1).

`draws` holds random numbers and what depends on the progress of training:
- progress_remaining, a float: 1 at the start of training, 0 at its end, for schedules;
- permutations (K, B): PPO's orders of the rollout in each epoch, minibatches being taken from the front, the
  last one short; with `target_kl` there is one for each epoch that SB3 began. TRPO's first is the policy's,
  the others are the critic's;
- noise, normal numbers: TD3's for smoothing (B, *action), SAC's for the actions at s and at s' (2, B,
  *action);
- update_target, a bool: whether target networks are updated before this update (DQN) or after it (SAC). TD3
  and DDPG count updates themselves.

`reference_state()` returns the parameters under the names of `load_reference`.

Losses that `update` returns are compared where SB3 has them: policy_loss, value_loss, entropy_loss, loss
(means over the call's gradient steps), critic_loss, actor_loss, ent_coef_loss. With `target_kl` they are not:
SB3's means take in the minibatch at which it stops, from which it does not learn.

`prepare(rollout)`, of A2C, PPO and TRPO, makes advantages and value targets of a rollout of T steps in N
sub-environments, as in training; it needs none of the methods above. `rollout` holds tensors:
- rewards (T, N); values (T, N), V of the observation that each step started from;
- terminated (T, N), 1 where the task ended in that step; truncated (T, N), 1 where a time limit cut the
  episode off, else 0; never both;
- final_values (T, N), V of the observation that a time limit cut off, and 0 elsewhere;
- last_values (N,), V of the observation after the last step: of a new episode if one has begun.
It returns a mapping with advantages (T, N), before any normalisation, and returns (T, N), the targets of V.
The candidate is built anew for each rollout, with its n_steps, n_envs, gamma and gae_lambda.

What a candidate does not offer it declines by raising NotImplementedError, from the factory or from a method:
an option in `hyperparameters` that it does not know, such as a `target_kl` that is not None. A case that is
declined is named; the plain one cannot be declined.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from rlparity.candidates import entry_point
from rlparity.candidates.importing import bad_signature
from rlparity.candidates.protocol import Factory
from rlparity.cell import Cell
from rlparity.validation.parity.cases import BUDGET, Case
from rlparity.validation.parity.recording.inputs import Recording
from rlparity.validation.parity.recording.trace import Trace

METHODS = ("update", "load_reference", "reference_state")


class IncompleteState(Exception):
    """`reference_state()` lacks parameters."""


def build(
    factory: Factory, case: Case, options: Mapping[str, Any] | None = None, n_envs: int | None = None
) -> Any:
    """Build an untrained candidate with the hyper-parameters of a case; `options` and `n_envs` replace the
    case's."""
    cell = Cell("parity", "parity", "candidate", case.algorithm, case.algorithm, (0,), BUDGET)
    cell = replace(cell, n_envs=n_envs or case.n_envs, normalize=case.normalize)
    envs = case.environments()
    given = entry_point.hyperparameters(replace(cell, hyperparameters={**case.options, **(options or {})}))
    return factory(envs.observation_space, envs.action_space, given)


def offered(made: Any) -> bool:
    """Whether a candidate has all methods of update parity."""
    return all(callable(getattr(made, name, None)) for name in METHODS)


def offers_prepare(made: Any) -> bool:
    """Whether a candidate, or its class, has a method `prepare` of one argument."""
    method = getattr(made, "prepare", None)
    return callable(method) and bad_signature(method, 2 if isinstance(made, type) else 1) is None


def call_ends(recording: Recording, updates: Sequence[int]) -> list[int]:
    """For each number in `updates`, the first number of updates at least as large after which a call of
    `update` returns, because the state of a candidate within a call is unknown."""
    found, total = [], 0
    for inputs in recording.inputs:
        total += inputs.n_updates
        found.append(total)
    return sorted({next((end for end in found if end >= n), found[-1]) for n in updates})


def condensed(recording: Recording, with_losses: bool = True) -> Trace:
    """SB3's trace reduced to what a candidate can report: losses and parameters after every call."""
    trace, entries, total = Trace(), iter(recording.trace.entries), 0
    waiting = next(entries, None)
    for inputs in recording.inputs:
        total += inputs.n_updates
        own = []
        while waiting is not None and waiting.update <= total:
            own.append(waiting)
            waiting = next(entries, None)
        trace.update = total
        losses: dict[str, list[Tensor]] = {}
        for entry in own:
            if entry.kind == "losses" and with_losses:
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
    """Let the candidate learn from the same inputs as SB3. IncompleteState if it leaves out a parameter."""
    trace, total = Trace(), 0
    learned = {entry.name for entry in recording.trace.entries if entry.kind == "parameters"}
    made.load_reference({name: value.clone() for name, value in recording.start.items()})
    for inputs in recording.inputs:
        total += inputs.n_updates
        trace.update = total
        losses = made.update(_copies(inputs.batch), _copies(inputs.draws))
        for name, value in _numbers(losses):
            trace.note("losses", name, value)
        state = {name: torch.as_tensor(value) for name, value in made.reference_state().items()}
        if missing := sorted(learned - set(state)):
            raise IncompleteState(f"reference_state() leaves out {', '.join(missing)}")
        trace.close({name: value for name, value in state.items() if name in recording.start})
    return trace


def _copies(given: Mapping[str, Any]) -> dict[str, Any]:
    """Copy tensors, because a candidate may modify them."""
    return {name: value.clone() if isinstance(value, Tensor) else value for name, value in given.items()}


def _numbers(losses: Any) -> Iterator[tuple[str, Tensor]]:
    for name, value in (losses if isinstance(losses, Mapping) else {}).items():
        with suppress(TypeError, ValueError, RuntimeError):  # a value that is no number
            number = torch.as_tensor(value, dtype=torch.float64)
            if number.numel() == 1:
                yield str(name), number
