"""Budgets and presets of Atari games in words."""

from __future__ import annotations

from typing import Any

import pandas as pd

from rlparity.environments.atari_ids import FRAMES
from rlparity.reporting.formatting import NONE, whole

PRESETS = {"nature": "no sticky actions", "machado": "sticky actions"}


def budget(steps: Any) -> str:
    """A budget of an Atari game: `2.5 M steps (10 M frames)`; a dash where it is not known."""
    return NONE if pd.isna(steps) else f"{_count(steps)} steps ({_count(FRAMES * steps)} frames)"


def as_printed(frames: Any) -> str:
    """A budget whose unit the source does not state; a dash where there is none."""
    return NONE if pd.isna(frames) else f"{_count(frames)} frames as printed"


def _count(value: float) -> str:
    return f"{value / 1e6:g} M" if value >= 1e6 and value % 1e4 == 0 else whole(value)
