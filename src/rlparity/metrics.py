"""What an evaluation measures: a name, a unit, which way is better, and what has learned nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Metric:
    """A quantity that evaluations record. The family of environments that makes the problem declares it."""

    name: str  # "return", "accuracy", "error"
    unit: str  # of one value: "return", "fraction correct", "nats per image"
    better: Literal[1, -1] = 1  # -1: lower is better
    floor: str | float = "random"  # what has learned nothing: a named configuration, or a constant


RETURN = Metric("return", "return")
