"""Two learners read as a debugger would: where an optimiser steps, the local variables of the code that calls
it hold targets and losses, and the gradients lie ready. Neither learner is changed by that.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any
from unittest import mock

import sb3_contrib.trpo.trpo as sb3_trpo
import torch
from torch import Tensor

from rlparity.agents import base as agents
from rlparity.validation.paired_models import PairedModels
from rlparity.validation.parity.recording.quantities import PARTS, PASSED, SURROGATE, Locals, Part, Reading
from rlparity.validation.parity.recording.trace import Trace


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
def reference_read(twins: PairedModels, trace: Trace, per_step: bool) -> Iterator[None]:
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
def agent_read(twins: PairedModels, trace: Trace, per_step: bool) -> Iterator[None]:
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


def _reference_direction(trace: Trace) -> Any:
    original = sb3_trpo.conjugate_gradient_solver

    def solver(product: Any, b: Tensor, *arguments: Any, **keywords: Any) -> Tensor:
        _note(trace, SURROGATE, "theirs", sys._getframe(1).f_locals)
        trace.note("gradients", "policy objective's", b)
        found = original(product, b, *arguments, **keywords)
        trace.note("gradients", "search direction", found)
        return found

    return mock.patch.object(sb3_trpo, "conjugate_gradient_solver", solver)


def _agent_direction(twins: PairedModels, trace: Trace) -> Any:
    room = agents.module("trpo")
    original = room.conjugate_gradient

    def flat(rows: Tensor) -> Tensor:
        return torch.cat([part.flatten() for _, part in twins.lay("actor", rows)])

    def solver(product: Any, b: Tensor, *arguments: Any, **keywords: Any) -> Tensor:
        _note(trace, SURROGATE, "ours", sys._getframe(1).f_locals)
        trace.note("gradients", "policy objective's", flat(b))
        found = original(product, b, *arguments, **keywords)
        trace.note("gradients", "search direction", flat(found))
        return found

    return mock.patch.object(room, "conjugate_gradient", solver)
