"""Who looks how, in figures and on pages: the same colour, mark and dash wherever it is drawn."""

from __future__ import annotations

from typing import Any

INK, MUTED, GRID, CARD = "#24292e", "#5b646d", "#d9dee3", "#ffffff"
COLOURS = {"scratch": "#0173b2", "sb3": "#d55e00", "random": "#7d7d7d"}  # seaborn's "colorblind"
SPARE = ("#029e73", "#cc78bc", "#ca9161")  # candidates, in order of appearance
SHAPES = {"scratch": ("o", "-"), "sb3": ("D", (0, (4, 1.6)))}  # never told apart by colour alone
LABELS = {"scratch": "from scratch", "sb3": "Stable-Baselines3"}
PAINT = {  # what a page puts in their place, light or dark
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    GRID: "var(--grid)",
    CARD: "var(--card)",
}
PAINT |= {colour: f"var(--{name})" for name, colour in COLOURS.items()}
PAINT |= {colour: f"var(--spare-{number})" for number, colour in enumerate(SPARE)}


def shape(implementation: str) -> tuple[str, Any]:
    """Mark and dash of an implementation, as matplotlib takes them."""
    return SHAPES.get(implementation, ("^", (0, (1, 1.2))))
