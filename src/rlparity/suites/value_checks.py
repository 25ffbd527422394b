"""Types and ranges of hyper-parameters, checked against the agents' settings."""

from __future__ import annotations

import ast
import math
from collections.abc import Mapping
from typing import Any

from rlparity.errors import unknown
from rlparity.suites import hyperparameters

COUNTS = {
    "n_steps",
    "n_epochs",
    "batch_size",
    "buffer_size",
    "train_freq",
    "n_episodes",
    "target_update_interval",
    "policy_delay",
    "cg_max_steps",
    "n_critic_updates",
    "line_search_max_iter",
    "sub_sampling_factor",
    "n_quantiles",
}
SHARES = {
    "gamma",
    "tau",
    "line_search_shrinking_factor",
    "gae_lambda",
    "baseline_decay",
    *(f"exploration_{end}_eps" for end in ("initial", "final")),
}

ANY_SIGN = {"log_std_init", "target_entropy"}


def bad_hyperparameters(values: Mapping[str, Any], agent: str, where: str) -> list[str]:
    """One line for every hyper-parameter that the agent's `Config` does not have, or not of that type."""
    fields = hyperparameters.config(agent)
    found = []
    for name, value in values.items():
        if name not in fields:
            found.append(str(unknown("hyper-parameter", name, fields, where)))
        elif not fits(value, fields[name].annotation):
            expected = ast.unparse(fields[name].annotation)
            found.append(f"{where}.{name}: expected {expected}, got {value!r}")
        elif (allowed := out_of_range(name, value)) is not None:
            found.append(f"{where}.{name}: {value!r} is out of range; allowed is {allowed}")
    return found


def bad_settings(values: Mapping[str, Any], agent: str, where: str) -> list[str]:
    """As `bad_hyperparameters`, for what a program is said to have run with: `n_envs` and `normalize` too."""
    fields = hyperparameters.config(agent)
    kinds = {"n_envs": int, "normalize": bool}
    unknown_names = [name for name in values if name not in fields and name not in kinds]
    found = [
        f"{unknown('setting', name, {*fields, *kinds}, where)}; others can be named as departures"
        for name in unknown_names
    ]
    for name, kind in kinds.items():
        if name in values and (type(values[name]) is not kind or (kind is int and values[name] < 1)):
            wanted = "a whole number from 1" if kind is int else "true or false"
            found.append(f"{where}.{name}: expected {wanted}, got {values[name]!r}")
    inside = {name: value for name, value in values.items() if name in fields}
    return [*found, *bad_hyperparameters(inside, agent, where)]


def out_of_range(name: str, value: Any) -> str | None:
    """The range that a hyper-parameter must lie in, if it does not; the names are the same for all agents."""
    if name == "net_arch":
        return None if all(width >= 1 for width in value) else "1 and more units per layer"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if name == "gradient_steps":
        return None if value == -1 or value >= 1 else "1 and more, or -1"
    if name == "exploration_fraction":
        return None if 0 < value <= 1 else "above 0, to 1"
    if name in COUNTS:
        return None if value >= 1 else "1 and more"
    if name in ANY_SIGN:
        return None if math.isfinite(value) else "finite"
    if name in SHARES:
        return None if 0 <= value <= 1 else "0 to 1"
    return None if 0 <= value < math.inf else "0 and more, finite"


def fits(value: Any, annotation: ast.expr) -> bool:
    """Whether a YAML value is of an annotated type. Types that YAML has no values for are let pass."""
    match annotation:
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return fits(value, left) or fits(value, right)
        case ast.Constant(value=None):
            return value is None
        case ast.Subscript(value=ast.Name(id="Literal"), slice=choices):
            allowed = choices.elts if isinstance(choices, ast.Tuple) else [choices]
            return any(ast.literal_eval(choice) == value for choice in allowed)
        case ast.Subscript(value=ast.Name(id="tuple" | "list" | "Sequence"), slice=inner):
            item = inner.elts[0] if isinstance(inner, ast.Tuple) else inner
            return isinstance(value, list | tuple) and all(fits(each, item) for each in value)
        case ast.Name(id="bool"):
            return isinstance(value, bool)
        case ast.Name(id="int"):
            return isinstance(value, int) and not isinstance(value, bool)
        case ast.Name(id="float"):
            return isinstance(value, int | float) and not isinstance(value, bool)
        case ast.Name(id="str"):
            return isinstance(value, str)
    return True
