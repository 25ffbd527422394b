"""Compare a candidate's `prepare(rollout)` with Stable-Baselines3's rollout buffer and with the definition.

The two references are compared with each other, too: a comparison in which they differ proves nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rlparity.validation.checks import Answer, Check, timed
from rlparity.validation.paired_models import difference
from rlparity.validation.parity.judgement import TOLERANCES
from rlparity.validation.parity.preparation.reference import Prepared, Rollout, from_definition, from_sb3
from rlparity.validation.parity.preparation.rollouts import GROUPS, Given, given

METHOD = "prepare"
TOPICS = "advantages, gamma, lambda, time limits"  # not looked at without it
Build = Callable[[Mapping[str, Any], int], Any]  # (hyper-parameters, sub-environments) -> a candidate


class References(Exception):
    """The two references disagree."""


def check(build: Build, algorithm: str, dtype: str = "float32") -> list[Check]:
    """Compare `prepare` in all rollouts, a check for each of GROUPS; `build` makes a candidate with these
    hyper-parameters in place of the case's. See `parity.candidates` for what it is given."""
    found = []
    for group in GROUPS:
        rollouts = [each for each in given() if each.group == group]
        name = f"{algorithm}, advantages: {group} ({dtype})"
        found.append(timed("parity", name, partial(_compare, build, rollouts, dtype), may_decline=True))
    return found


def _compare(build: Build, rollouts: list[Given], dtype: str) -> Answer:
    sizes = dict.fromkeys(Prepared._fields, 0.0)
    for each in rollouts:
        rollout = each.rollout.to(getattr(torch, dtype))
        references = _references(each, rollout)
        n_steps, n_envs = rollout.rewards.shape
        options = {"n_steps": n_steps, "gamma": each.gamma, "gae_lambda": each.gae_lambda}
        prepared = build(options, n_envs).prepare(_copies(rollout))
        for name, ours in _results(prepared, (n_steps, n_envs)):
            size = max(difference(ours, getattr(one, name)) for one in references)
            if not size <= TOLERANCES[dtype]:
                place = _place(ours, getattr(references[-1], name))
                return False, f"first difference: {name} by {size:.1e} with {each} ({place})"
            sizes[name] = max(sizes[name], size)
    largest = ", ".join(f"{name} {size:.0e}" for name, size in sizes.items())
    return True, f"within {len(rollouts)} rollouts: {largest}"


def _copies(rollout: Rollout) -> dict[str, Tensor]:
    """What the candidate is given, which it may modify."""
    return {name: field.clone() for name, field in rollout._asdict().items()}


def _references(each: Given, rollout: Rollout) -> tuple[Prepared, Prepared]:
    """What both references make of a rollout. Raises References if these are not the same numbers."""
    discounts = each.gamma, each.gae_lambda
    sb3, exact = (make(each.rollout, *discounts) for make in (from_sb3, from_definition))
    if max(difference(a, b) for a, b in zip(sb3, exact, strict=True)) > TOLERANCES["float64"]:
        raise References(f"Stable-Baselines3 and the definition disagree with {each}")
    return from_sb3(rollout, *discounts), exact


def _results(prepared: Any, shape: tuple[int, ...]) -> Iterator[tuple[str, Tensor]]:
    """Advantages and returns as tensors (T, N). Raises ValueError if one is missing or of another shape."""
    if not isinstance(prepared, Mapping):
        raise ValueError(f"prepare gave a {type(prepared).__name__}; expected a mapping")
    for name in Prepared._fields:
        if name not in prepared:
            raise ValueError(f"prepare left out {name}")
        values = prepared[name]
        values = values.detach().cpu() if isinstance(values, Tensor) else torch.from_numpy(np.array(values))
        if tuple(values.shape) != shape:
            raise ValueError(f"prepare gave {name} of shape {tuple(values.shape)}; expected (T, N) {shape}")
        yield name, values


def _place(ours: Tensor, exact: Tensor) -> str:
    """Where the difference is largest, and both numbers."""
    apart = (ours.double() - exact).abs().nan_to_num(torch.inf)
    step, env = divmod(int(apart.argmax()), exact.shape[1])
    return f"step {step + 1}, sub-environment {env + 1}: {ours[step, env]:g}, not {exact[step, env]:g}"
