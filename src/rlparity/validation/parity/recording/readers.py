"""Read both learners as a debugger does: when an optimiser steps, the local variables of its caller contain
targets and losses, and gradients are ready. Neither learner is changed.
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
def reference_read(pair: PairedModels, trace: Trace, per_step: bool) -> Iterator[None]:
    """Record SB3's updates in `trace` while it trains; `per_step`: every gradient step is an update."""
    parameters = pair.theirs()
    with ExitStack() as stack:
        for part in PARTS[pair.algorithm]:
            optimizer = _path(pair.model, part.theirs)
            if optimizer is None:  # a fixed temperature
                continue
            names = [each.name for each in pair.counterparts if each.network == part.network]

            def step(
                *arguments: Any, part: Part = part, names: list[str] = names, original: Any = optimizer.step
            ) -> None:
                _note(trace, part.readings, "theirs", sys._getframe(1).f_locals)
                trace.note_gradients({name: _gradient(parameters[name]) for name in names})
                original(*arguments)
                if per_step:
                    trace.close(pair.theirs())

            stack.enter_context(mock.patch.object(optimizer, "step", step))
        if pair.algorithm == "trpo":
            stack.enter_context(_reference_direction(trace))
        yield


@contextmanager
def agent_read(pair: PairedModels, trace: Trace, per_step: bool) -> Iterator[None]:
    """Record our agent's updates in `trace` while it learns."""
    agent = pair.agent
    passed: dict[str, Any] = {}
    with ExitStack() as stack:
        for part in PARTS[pair.algorithm]:
            optimizer, network = getattr(agent, part.optimizer), getattr(agent, part.network)

            def step(
                rate: float,
                due: Tensor | None = None,
                max_norm: float | None = None,
                *,
                part: Part = part,
                network: Any = network,
                original: Any = optimizer.step,
            ) -> Tensor:
                seen = {**sys._getframe(1).f_locals, "passed": passed}
                norm: Tensor = original(rate, due, max_norm)
                if due is None or bool(due.all()):
                    _note(trace, part.readings, "ours", seen)
                    trace.note_gradients(dict(pair.lay(part.network, network.grad)))  # clipped by the step
                    if per_step:
                        trace.close(pair.ours())
                return norm

            stack.enter_context(mock.patch.object(optimizer, "step", step))
        module = agents.module(pair.algorithm)
        if pair.algorithm in PASSED:
            function, names = PASSED[pair.algorithm]
            stack.enter_context(_recorded_call(module, function, names, passed))
        if pair.algorithm == "trpo":
            stack.enter_context(_agent_direction(pair, trace))
        if pair.algorithm == "ppo":
            stack.enter_context(_every_loss(agent, passed))
        yield


@contextmanager
def _every_loss(agent: Any, passed: dict[str, Any]) -> Iterator[None]:
    """Let PPO compute the loss at every gradient step; it needs it at the last one only."""
    differentiate, loss = agent.differentiate, agent.loss

    def measured(*arguments: Any) -> dict[str, Tensor]:
        found: dict[str, Tensor] = differentiate(*arguments[:2], measured=True)
        return found

    def recorded(*arguments: Any) -> tuple[Tensor, dict[str, Tensor]]:
        passed["loss"], metrics = loss(*arguments)
        return passed["loss"], metrics

    with mock.patch.object(agent, "differentiate", measured), mock.patch.object(agent, "loss", recorded):
        yield


def _recorded_call(module: Any, function: str, names: tuple[str, ...], passed: dict[str, Any]) -> Any:
    original = getattr(module, function)

    @wraps(original)
    def recorded(*arguments: Any, **keywords: Any) -> Any:
        passed.update(zip(names, arguments, strict=False), **keywords)
        return original(*arguments, **keywords)

    return mock.patch.object(module, function, recorded)


def _reference_direction(trace: Trace) -> Any:
    original = sb3_trpo.conjugate_gradient_solver

    def solver(product: Any, b: Tensor, *arguments: Any, **keywords: Any) -> Tensor:
        _note(trace, SURROGATE, "theirs", sys._getframe(1).f_locals)
        trace.note("gradients", "policy objective's", b)
        found = original(product, b, *arguments, **keywords)
        trace.note("gradients", "search direction", found)
        return found

    return mock.patch.object(sb3_trpo, "conjugate_gradient_solver", solver)


def _agent_direction(pair: PairedModels, trace: Trace) -> Any:
    module = agents.module("trpo")
    original = module.conjugate_gradient

    def flat(values: Tensor) -> Tensor:
        return torch.cat([part.flatten() for _, part in pair.lay("actor", values)])

    def solver(product: Any, b: Tensor, *arguments: Any, **keywords: Any) -> Tensor:
        _note(trace, SURROGATE, "ours", sys._getframe(1).f_locals)
        trace.note("gradients", "policy objective's", flat(b))
        found = original(product, b, *arguments, **keywords)
        trace.note("gradients", "search direction", flat(found))
        return found

    return mock.patch.object(module, "conjugate_gradient", solver)
