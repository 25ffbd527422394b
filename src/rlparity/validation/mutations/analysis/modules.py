"""Modules of the analysis, imported when a mutation is planted and not before: what trains imports none."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def module(name: str) -> Any:
    """A module of `rlparity.analysis`, such as "statistics" or "published.comparison"."""
    return import_module(f"rlparity.analysis.{name}")
