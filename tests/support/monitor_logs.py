"""Write a log of Stable-Baselines3's Monitor."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

HEADER = json.dumps({"t_start": 1.0, "env_id": "CartPole-v1"})


def monitor(path: Path, rows: Sequence[tuple[float, int, float]], header: str = HEADER) -> Path:
    """A monitor file with rows of (return, length, seconds)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"#{header}", "r,l,t", *(",".join(map(str, row)) for row in rows)]
    path.write_text("\n".join(lines) + "\n")
    return path
