"""The arms of an experiment: an implementation of a named configuration, and the one it is judged against."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

OURS = "scratch"  # our own agents
SB3 = "sb3"  # Stable-Baselines3, sb3-contrib included
PEERS = ("sbx", "rejax")  # libraries whose speed is measured, too


class Arm(NamedTuple):
    """An implementation of a named configuration."""

    implementation: str  # a key of `registry.IMPLEMENTATIONS`, or the name of a candidate
    algorithm: str  # named configuration

    def __str__(self) -> str:
        return f"{self.implementation}/{self.algorithm}"


def reference(data: str | Mapping[str, str] | None) -> Arm | None:
    """The arm that a key `reference` names in YAML or plan.json; None where there is none.

    A plain string is a configuration of Stable-Baselines3.
    """
    if isinstance(data, Mapping):
        return Arm(data["implementation"], data["algorithm"])
    return None if data is None else Arm(SB3, data)


def at(commit: str) -> str:
    """The name of our own agents of another commit in a table of speeds."""
    return f"{OURS}@{commit}"


def is_peer(implementation: str) -> bool:
    """Whether an implementation is only measured beside ours: a library, or our agents of another commit."""
    return implementation in PEERS or implementation.startswith(at(""))
