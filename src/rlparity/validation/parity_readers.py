"""Two learners read as a debugger would: where an optimiser steps, the local variables of the code that calls
it hold targets and losses, and the gradients lie ready. Neither learner is changed by that.

SB3's `train` methods return nothing of what they compute, so that names of their variables, and of ours,
stand in the table below; a variable that is not there (any more) is left out on that side.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import wraps
from operator import itemgetter
from typing import Any, NamedTuple
from unittest import mock

import sb3_contrib.trpo.trpo as sb3_trpo
import torch
from torch import Tensor

from rlparity import agents
from rlparity.validation.parity_trace import Trace
from rlparity.validation.twins import Twins

Locals = Mapping[str, Any]


class Reading(NamedTuple):
    """A tensor that both have, under SB3's name for it."""

    kind: str  # "targets" or "losses"
    name: str
    ours: Callable[[Locals], Any]
    theirs: Callable[[Locals], Any]


class Part(NamedTuple):
    """A network that learns: whose optimiser, here and there, and what can be read when it steps."""

    network: str  # attribute of our agent
    optimizer: str
    theirs: str  # path from SB3's model
    readings: tuple[Reading, ...]


Where = str | Callable[[Locals], Any]  # a local variable, or what is made of them


def _reading(kind: str, name: str, ours: Where, theirs: Where = "") -> Reading:
    found = [where if callable(where) else itemgetter(where) for where in (ours, theirs or name)]
    return Reading(kind, name, *found)


def _on_policy(*targets: Reading) -> Part:
    losses = (
        _reading("losses", "policy_loss", lambda v: v["metrics"]["policy_loss"]),
        _reading("losses", "value_loss", lambda v: v["metrics"]["value_loss"]),
        _reading("losses", "entropy_loss", lambda v: -v["metrics"]["entropy"]),
        _reading("losses", "loss", "loss"),
    )
    return Part("network", "optimizer", "policy.optimizer", (*targets, *losses))


def _q_values(ours: str, i: int) -> Reading:
    return _reading("targets", f"current_q_values[{i}]", ours, lambda v: v["current_q_values"][i])


_Y = _reading("targets", "target_q_values", "y")
_CRITICS = (_Y, _q_values("q1", 0), _q_values("q2", 1))


def _actor(loss: str) -> Part:
    return Part("actor", "actor_optimizer", "actor.optimizer", (_reading("losses", "actor_loss", loss),))


def _critic(loss: str, *targets: Reading) -> Part:
    readings = (*targets, _reading("losses", "critic_loss", loss))
    return Part("critic", "critic_optimizer", "critic.optimizer", readings)


PARTS: Mapping[str, tuple[Part, ...]] = {
    "a2c": (
        _on_policy(
            _reading("targets", "advantages", lambda v: v["passed"]["advantage"]),
            _reading("targets", "log_prob", lambda v: v["passed"]["log_prob"]),
        ),
    ),
    "ppo": (
        _on_policy(
            # sorted: a rollout in one piece has no order
            _reading(
                "targets",
                "advantages",
                lambda v: v["passed"]["advantage"].sort().values,
                lambda v: v["advantages"].sort().values,
            ),
            _reading(
                "targets",
                "ratio",
                lambda v: v["passed"]["ratio"].sort().values,
                lambda v: v["ratio"].sort().values,
            ),
        ),
    ),
    "trpo": (Part("critic", "optimizer", "policy.optimizer", (_reading("losses", "value_loss", "loss"),)),),
    "dqn": (
        Part(
            "q",
            "optimizer",
            "policy.optimizer",
            (_Y, _reading("targets", "current_q_values", "q"), _reading("losses", "loss", "loss")),
        ),
    ),
    "qrdqn": (
        Part(
            "network",
            "optimizer",
            "policy.optimizer",
            (
                _reading("targets", "target_quantiles", "y"),
                _reading("targets", "current_quantiles", "theta"),
                _reading("losses", "loss", "loss"),
            ),
        ),
    ),
    "ddpg": (
        _critic(
            "critic_loss",
            _Y,
            Reading("targets", "current_q_values[0]", lambda v: v["q"], lambda v: v["current_q_values"][0]),
        ),
        _actor("actor_loss"),
    ),
    "td3": (_critic("critic_loss", *_CRITICS), _actor("loss")),
    "sac": (
        Part(
            "temperature",
            "temperature_optimizer",
            "ent_coef_optimizer",
            (_reading("targets", "log_prob", "log_prob"), _reading("losses", "ent_coef_loss", "loss")),
        ),
        _critic("loss", *_CRITICS),
        _actor("actor_loss"),
    ),
}
# pure functions of our agents through which targets pass, and what they are called with
PASSED = {
    "a2c": ("policy_objective", ("log_prob", "advantage")),
    "ppo": ("clipped_objective", ("ratio", "advantage", "epsilon")),
}


def _note(trace: Trace, readings: tuple[Reading, ...], side: str, seen: Locals) -> None:
    for reading in readings:
        try:
            value = getattr(reading, side)(seen)
        except (KeyError, TypeError, IndexError):
            continue
        trace.note(reading.kind, reading.name, torch.as_tensor(value))


def _gradient(parameter: Tensor) -> Tensor:
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad


def _path(root: Any, path: str) -> Any:
    for name in path.split("."):
        root = getattr(root, name)
    return root


@contextmanager
def reference_read(twins: Twins, trace: Trace, per_step: bool) -> Iterator[None]:
    """Write SB3's updates into `trace` while it trains; `per_step`: every gradient step is one."""
    parameters = twins.theirs()
    with ExitStack() as stack:
        for part in PARTS[twins.algorithm]:
            optimizer = _path(twins.model, part.theirs)
            if optimizer is None:  # a fixed temperature
                continue
            names = [leaf.name for leaf in twins.leaves if leaf.network == part.network]

            def step(
                *arguments: Any, part: Part = part, names: list[str] = names, original: Any = optimizer.step
            ) -> None:
                _note(trace, part.readings, "theirs", sys._getframe(1).f_locals)
                trace.note_gradients({name: _gradient(parameters[name]) for name in names})
                original(*arguments)
                if per_step:
                    trace.close(twins.theirs())

            stack.enter_context(mock.patch.object(optimizer, "step", step))
        if twins.algorithm == "trpo":
            stack.enter_context(_reference_direction(trace))
        yield


@contextmanager
def agent_read(twins: Twins, trace: Trace, per_step: bool) -> Iterator[None]:
    """Write our agent's updates into `trace` while it learns."""
    agent = twins.agent
    passed: dict[str, Any] = {}
    with ExitStack() as stack:
        for part in PARTS[twins.algorithm]:
            optimizer, network = getattr(agent, part.optimizer), getattr(agent, part.network)

            def step(
                rate: float,
                due: Tensor | None = None,
                *,
                part: Part = part,
                network: Any = network,
                original: Any = optimizer.step,
            ) -> None:
                if due is None or bool(due.all()):
                    _note(trace, part.readings, "ours", {**sys._getframe(1).f_locals, "passed": passed})
                    trace.note_gradients(dict(twins.lay(part.network, network.grad)))
                original(rate, due)
                if per_step and (due is None or bool(due.all())):
                    trace.close(twins.ours())

            stack.enter_context(mock.patch.object(optimizer, "step", step))
        room = agents.module(twins.algorithm)
        if twins.algorithm in PASSED:
            function, names = PASSED[twins.algorithm]
            stack.enter_context(_watched(room, function, names, passed))
        if twins.algorithm == "trpo":
            stack.enter_context(_agent_direction(twins, trace))
        yield


def _watched(room: Any, function: str, names: tuple[str, ...], passed: dict[str, Any]) -> Any:
    original = getattr(room, function)

    @wraps(original)
    def watched(*arguments: Any, **keywords: Any) -> Any:
        passed.update(zip(names, arguments, strict=False), **keywords)
        return original(*arguments, **keywords)

    return mock.patch.object(room, function, watched)


# TRPO's policy has no optimiser: its step is read where the conjugate gradient is asked for a direction.
_SURROGATE = (
    Reading("targets", "advantages", lambda v: v["batch"].advantage, lambda v: v["advantages"]),
    Reading("targets", "log_prob", lambda v: v["log_prob"], lambda v: v["log_prob"]),
    Reading("losses", "policy_objective", lambda v: v["objective"], lambda v: v["policy_objective"]),
)


def _reference_direction(trace: Trace) -> Any:
    original = sb3_trpo.conjugate_gradient_solver

    def solver(product: Any, b: Tensor, *arguments: Any, **keywords: Any) -> Tensor:
        _note(trace, _SURROGATE, "theirs", sys._getframe(1).f_locals)
        trace.note("gradients", "policy objective's", b)
        found = original(product, b, *arguments, **keywords)
        trace.note("gradients", "search direction", found)
        return found

    return mock.patch.object(sb3_trpo, "conjugate_gradient_solver", solver)


def _agent_direction(twins: Twins, trace: Trace) -> Any:
    room = agents.module("trpo")
    original = room.conjugate_gradient

    def flat(rows: Tensor) -> Tensor:
        return torch.cat([part.flatten() for _, part in twins.lay("actor", rows)])

    def solver(product: Any, b: Tensor, *arguments: Any, **keywords: Any) -> Tensor:
        _note(trace, _SURROGATE, "ours", sys._getframe(1).f_locals)
        trace.note("gradients", "policy objective's", flat(b))
        found = original(product, b, *arguments, **keywords)
        trace.note("gradients", "search direction", flat(found))
        return found

    return mock.patch.object(room, "conjugate_gradient", solver)
