"""plan.json, the resolved suite, as the stages after training read it.

A plan of an older version has no metrics and no margins of environments, gives a reference by the name of its
configuration alone, declares nothing deterministic, and names no primary endpoint and no family of tests.
The plan of a suite with fixed numbers of seeds has no looks.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rlparity import arms
from rlparity.arms import OURS, Arm
from rlparity.errors import UserError
from rlparity.metrics import RETURN, Metric

Plan = Mapping[str, Any]


def read(file: Path, hint: str) -> dict[str, Any]:
    """The content of a plan.json. Raises UserError, with a hint, where it is missing or not JSON."""
    try:
        plan: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{file}: cannot be read ({error}); {hint}") from None
    return plan


def metrics(plan: Plan, environment: str) -> tuple[Metric, ...]:
    """What evaluations in an environment measure; the threshold is of the first metric."""
    declared = plan["environments"][environment].get("metrics", ())
    return tuple(Metric(**metric) for metric in declared) or (RETURN,)


def better(plan: Plan, environment: str, metric: str) -> int:
    """1 where larger values of a metric are better, else -1; by its name."""
    return next((one.better for one in metrics(plan, environment) if one.name == metric), 1)


def threshold(plan: Plan, environment: str, metric: Metric) -> float | None:
    """The value at which an environment counts as solved; None where it has none of this metric."""
    return plan["environments"][environment]["threshold"] if metric == metrics(plan, environment)[0] else None


def margin(plan: Plan, environment: str, metric: Metric) -> float:
    """Largest difference that counts as equivalent, as a fraction of the distance from floor to reference."""
    own = plan["environments"][environment].get("margins", {})
    return float(own.get(metric.name, plan["margin"]))


def primary(plan: Plan) -> str:
    """The endpoint of evaluations that decides: auc or final."""
    return str(plan.get("primary", "auc"))


def family(plan: Plan) -> str:
    """What the tests of verdicts are adjusted over: see `families`."""
    return str(plan.get("family", "report"))


def looks(plan: Plan) -> tuple[range, ...]:
    """The seeds of a judged arm at each look, where a suite's seeds grow until its pairs are decided; else
    none.
    """
    about = plan.get("looks")
    if about is None:
        return ()
    first = int(about["first"])
    return tuple(range(first, first + int(n)) for n in about["seeds"])


def reference(plan: Plan, algorithm: str) -> Arm | None:
    """The arm that a configuration is judged against, if any."""
    return arms.reference(plan["algorithms"][algorithm].get("reference"))


def references(plan: Plan) -> set[str]:
    """Implementations that references are of, but for our own; they are not judged themselves."""
    found = (reference(plan, algorithm) for algorithm in plan["algorithms"])
    return {arm.implementation for arm in found if arm is not None} - {OURS}


def floor(metric: Metric) -> Arm | None:
    """The arm that has learned nothing; None where the floor is a constant."""
    return Arm(OURS, metric.floor) if isinstance(metric.floor, str) else None


def deterministic(plan: Plan, arm: Arm) -> bool:
    """Whether an arm is declared to give the same value with every seed."""
    return str(arm) in plan.get("deterministic", ())
