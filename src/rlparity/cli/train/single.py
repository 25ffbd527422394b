"""One algorithm in one environment as a suite, for `rlparity train`."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from rlparity.arms import OURS, Arm
from rlparity.cell import Cell
from rlparity.errors import UserError, unknown
from rlparity.suites import hyperparameters, suite
from rlparity.suites.suite import FLOOR, Suite

WHERE = "rlparity train"
COMPARED = "0-4"  # seeds of the reference and the random agent that are trained where none are shipped


@dataclass(frozen=True)
class Wanted:
    """What is trained, and what it is compared with."""

    algorithm: str  # named configuration
    environment: str
    seeds: Sequence[str]  # blocks such as "0-4"
    budget: int  # environment steps per seed
    implementation: str = OURS
    values: Mapping[str, Any] = field(default_factory=dict)  # hyper-parameters in place of the settings'
    against: str | None = None  # named configuration of the reference; None: its own, if it has one
    train_reference: bool = False

    def __post_init__(self) -> None:
        known = hyperparameters.library().algorithms
        if self.algorithm not in known:
            raise unknown("algorithm", self.algorithm, known, "train")

    @property
    def name(self) -> str:
        """The folder of its records: the same for the same settings, whatever the seeds are."""
        settings = json.dumps(
            [self.environment, self.implementation, self.budget, self.values], sort_keys=True
        )
        words = re.sub(r"[^a-z0-9]+", "-", f"train-{self.algorithm}-{self.environment}".lower()).strip("-")
        return f"{words}-{hashlib.sha256(settings.encode()).hexdigest()[:6]}"

    @property
    def reference(self) -> Arm | None:
        """The arm that it is judged against; None for a reference itself, and where there is none."""
        if self.implementation != OURS:
            return None
        own = hyperparameters.library().algorithms[self.algorithm].reference
        return Arm("sb3", self.against) if self.against else own


def mine(wanted: Wanted) -> Suite:
    """The suite with the cells to be trained alone. Raises UserError."""
    made = suite.resolve(_keys(wanted, [wanted.algorithm], wanted.seeds, [wanted.implementation]), WHERE)
    if not made.cells:
        problem = f"algorithm {wanted.algorithm!r} has no reference in {wanted.implementation}"
        raise UserError(f"{problem}; train it with scratch")
    return made


def compared(wanted: Wanted, cells: Sequence[Cell]) -> Suite:
    """The suite with these cells, those of the reference and of the random agent.

    Raises UserError, also where the reference does not know a hyper-parameter.
    """
    assert wanted.reference is not None
    arms = [OURS, wanted.reference.implementation]
    made = suite.resolve(_keys(wanted, [FLOOR, wanted.algorithm], [COMPARED], arms), WHERE)
    others = [cell for cell in made.cells if cell.agent == FLOOR or cell.implementation != OURS]
    return replace(made, cells=(*others, *cells))


def _keys(
    wanted: Wanted, algorithms: Sequence[str], seeds: Sequence[str], implementations: Sequence[str]
) -> dict[str, Any]:
    reference, name, known = wanted.reference, wanted.algorithm, hyperparameters.library().algorithms
    alike = reference is not None and known[reference.algorithm].agent == known[name].agent
    replaced = dict.fromkeys([name, *([reference.algorithm] if reference and alike else [])], wanted.values)
    title = f"{name} in {wanted.environment}" + (f" against {reference}" if wanted.against else "")
    return {
        "name": wanted.name,
        "title": title,
        "environments": [wanted.environment],
        "algorithms": list(algorithms),
        "implementations": list(implementations),
        "seeds": list(seeds),
        "budgets": {"default": wanted.budget},
        "hyperparameters": {name: dict(values) for name, values in replaced.items()},
        "references": "train" if wanted.train_reference else "shipped",
        "live_check": False,
        "split": 1,
        **({"reference": {name: reference._asdict()}} if reference and wanted.against else {}),
    }
