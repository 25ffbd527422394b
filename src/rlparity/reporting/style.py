"""Colours, markers and dashes of implementations, the same in figures and on pages."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from rlparity.arms import OURS, SB3

INK, MUTED, GRID, CARD = "#24292e", "#5b646d", "#d9dee3", "#ffffff"
OWN_COLOUR, REFERENCE_COLOUR = "#0173b2", "#d55e00"  # of seaborn's "colorblind"
SPARE = ("#029e73", "#cc78bc", "#ca9161")  # of further implementations, in turn
SPARE_MARKERS = "^svP<"  # in turn: with a colour, markers and dashes repeat after 15 implementations
SPARE_DASHES = (  # of matplotlib and of SVG, in turn
    ((0, (1, 1.2)), "2.4 2.4"),
    ((0, (6, 1.4, 1, 1.4)), "9 2.5 2 2.5"),
    ((0, (2.4, 2.4)), "4.5 4.5"),
    ((0, (8, 2)), "14 3.5"),
    ((0, (6, 1.2, 1, 1.2, 1, 1.2)), "9 2 2 2 2 2"),
)
LABELS = {OURS: "from scratch", SB3: "Stable-Baselines3"}  # implementation -> its name for readers
PAINT = {  # colour in a figure -> variable of the page, which has a light and a dark value
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    GRID: "var(--grid)",
    CARD: "var(--card)",
    OWN_COLOUR: "var(--own)",
    REFERENCE_COLOUR: "var(--reference)",
}
PAINT |= {colour: f"var(--spare-{number})" for number, colour in enumerate(SPARE)}


class Look(NamedTuple):
    """How an implementation is drawn: colour, marker and dash each tell it apart."""

    colour: str
    marker: str  # of matplotlib
    dash: Any  # of matplotlib
    svg_dash: str  # the same on a page; "" is a solid line


OWN_LOOK = Look(OWN_COLOUR, "o", "-", "")
REFERENCE_LOOK = Look(REFERENCE_COLOUR, "D", (0, (4, 1.6)), "7 2.8")


def looks(implementations: Iterable[str], references: Iterable[str]) -> dict[str, Look]:
    """The look of each implementation: fixed for ours and the first reference, spare ones for the others."""
    fixed = {OURS: OWN_LOOK} | dict.fromkeys(list(references)[:1], REFERENCE_LOOK)
    names = list(implementations)
    others = [name for name in names if name not in fixed]
    spare = {name: _spare(place) for place, name in enumerate(others)}
    return {name: (fixed | spare)[name] for name in names}


def _spare(place: int) -> Look:
    marker = SPARE_MARKERS[place % len(SPARE_MARKERS)]
    return Look(SPARE[place % len(SPARE)], marker, *SPARE_DASHES[place % len(SPARE_DASHES)])
