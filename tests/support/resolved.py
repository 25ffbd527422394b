"""Resolve a suite from plain values."""

from __future__ import annotations

from typing import Any

from rlparity.suites import suite

BASE: dict[str, Any] = {
    "name": "made-up",
    "title": "Made up",
    "environments": ["CartPole-v1"],
    "algorithms": ["random", "ppo", "dqn-double"],
    "implementations": ["scratch", "sb3"],
    "seeds": ["0-1", "2-4"],
    "budgets": {"default": 4096, "dqn": 2048},
    "evaluation": {"points": 4},
}


def resolve(narrow: dict[str, Any] | None = None, **changes: Any) -> suite.Suite:
    return suite.resolve({**BASE, **changes}, "Bad suite", narrow)
