"""What is drawn into one panel, from rows of tables alone: curves, seeds, profiles, differences."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from rlparity.reporting.style import CARD, INK, MUTED, Look


def curve(axes: Axes, look: Look, seeds: pd.DataFrame, rows: pd.DataFrame) -> None:
    """A thin line for each seed (rows of `seed_curves`), the IQM with its interval (rows of `curves`)."""
    x, y = [], []
    for _, one in seeds.sort_values(["seed", "env_step"]).groupby("seed"):
        x += [*one.env_step, math.nan]  # one line with gaps: overlaps do not add up, and the file stays small
        y += [*one.value, math.nan]
    axes.plot(x, y, color=look.colour, linewidth=0.5, alpha=0.35, zorder=2)
    rows = rows.sort_values("env_step")
    axes.fill_between(
        rows.env_step, rows.ci_low, rows.ci_high, color=look.colour, alpha=0.17, linewidth=0, zorder=3
    )
    axes.plot(rows.env_step, rows.iqm, color=look.colour, linewidth=1.8, linestyle=look.dash, zorder=4)


def interval(axes: Axes, look: Look, y: float, estimate: float, low: float, high: float) -> None:
    """A mark at the estimate on a bar from low to high, in row `y`."""
    axes.plot([low, high], [y, y], color=look.colour, linewidth=3.2, alpha=0.4, solid_capstyle="butt")
    axes.plot([estimate], [y], color=look.colour, marker=look.marker, markersize=4.4)


def seeds(axes: Axes, look: Look, y: float, values: pd.Series, never: float | None) -> None:
    """A mark for each seed in row `y`; seeds without a value are crosses around x = `never`, if given."""
    jitter = np.resize([0.0, 0.06, -0.06], len(values))
    reached = values.notna().to_numpy()
    style: dict[str, Any] = {
        "color": look.colour,
        "linestyle": "none",
        "markersize": 4,
        "alpha": 0.65,
        "markeredgewidth": 0,
    }
    axes.plot(values[reached], y + jitter[reached], marker=look.marker, **style)
    if never is not None:
        missed = ~reached
        x = np.linspace(-0.035, 0.035, max(missed.sum(), 2))[: missed.sum()] * never + never
        axes.plot(x, np.full(missed.sum(), y), marker="x", **style | {"markeredgewidth": 0.9})


def profile(axes: Axes, look: Look, rows: pd.DataFrame) -> None:
    """A performance profile with its band, from rows of `profiles`."""
    rows = rows.sort_values("tau")
    style: dict[str, Any] = {"color": look.colour, "alpha": 0.17, "linewidth": 0, "step": "post"}
    axes.fill_between(rows.tau, rows.ci_low, rows.ci_high, **style)
    axes.step(rows.tau, rows.fraction, where="post", color=look.colour, linewidth=1.6, linestyle=look.dash)


def scale(verdict: pd.Series) -> float:
    """The value that margins are fractions of: the distance from the floor to the reference.

    In tables without it: the smallest margin is the further end of the 90 % interval as a fraction of it. NaN
    where unknown.
    """
    distance = verdict.get("distance", math.nan)
    if distance > 0 and math.isfinite(distance):
        return float(distance)
    end = max(abs(verdict.ci90_low), abs(verdict.ci90_high))
    known = math.isfinite(end) and math.isfinite(verdict.smallest_margin) and verdict.smallest_margin > 0
    return float(end / verdict.smallest_margin) if known else math.nan


def difference(axes: Axes, y: int, row: pd.Series, reach: float, secondary: bool = False) -> None:
    """A row of `verdicts` in row `y`: the difference with its intervals in per cent of `scale`, and the
    verdict beside the panel.

    Arrows mark intervals that end beyond `reach`; a difference beyond it has no dot, but an arrow and its
    number. Beside one without an interval stands that there is none. Those of secondary endpoints are grey
    and hollow.
    """
    colour = MUTED if secondary else INK
    word = str(row.verdict).partition(" (")[0].lower()
    axes.annotate(word, (1.02, y), xycoords=("axes fraction", "data"), va="center", fontsize=9, color=colour)
    exact = row.difference == 0 and row.ci90_low == row.ci90_high
    unit = 1.0 if exact else scale(row)
    if not (math.isfinite(unit) and math.isfinite(row.difference)):
        axes.annotate("no interval", (0, y), ha="center", va="center", fontsize=8, color=MUTED)
        return
    middle, low, high, wide_low, wide_high = (
        100 * row[name] / unit for name in ("difference", "ci90_low", "ci90_high", "ci95_low", "ci95_high")
    )
    axes.plot([wide_low, wide_high], [y, y], color=colour, linewidth=0.9)
    axes.plot([low, high], [y, y], color=colour, linewidth=4.5, alpha=0.35, solid_capstyle="butt")
    inside = abs(middle) <= reach
    if inside:
        face = CARD if secondary else colour
        axes.plot([middle], [y], color=colour, marker="o", markersize=4.6, markerfacecolor=face)
        if not math.isfinite(low):
            aside: dict[str, Any] = {"ha": "right" if middle > 0 else "left", "va": "center"}
            aside |= {"xytext": (-8 if middle > 0 else 8, 0), "textcoords": "offset points"}
            axes.annotate("no interval", (middle, y), fontsize=8, color=MUTED, **aside)
    for side, marker, wide in ((-1, "<", wide_low), (1, ">", wide_high)):
        outside = not inside and side * middle > 0
        if side * wide > reach or outside:
            axes.plot([side * reach], [y], color=colour, marker=marker, markersize=5, clip_on=False)
        if outside:
            style: dict[str, Any] = {"color": colour, "fontsize": 8, "va": "center"}
            style |= {"ha": "right" if side > 0 else "left", "textcoords": "offset points"}
            style["bbox"] = {"facecolor": CARD, "edgecolor": "none", "pad": 0.8}
            axes.annotate(_whole(middle), (side * reach, y), xytext=(-7 * side, 0), **style)


def _whole(value: float) -> str:
    """A number of per cent without places."""
    return f"{value:,.0f} %".replace("-", "\N{MINUS SIGN}")
