"""Figures over all environments of a suite: verdicts, probability of improvement, cost."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MultipleLocator, NullLocator

from rlparity.reporting.figures.panels import Panels, interval, legend, name_rows, rowed, short, spread
from rlparity.reporting.report_folder import ENDPOINTS, SHORT, Folder
from rlparity.reporting.style import CARD, INK, MUTED, shape


def scale(verdict: pd.Series) -> float:
    """The return that margins are fractions of: the distance from the random agent to the reference.

    The smallest margin is the further end of the 90 % interval as a fraction of it. NaN where unknown.
    """
    end = max(abs(verdict.ci90_low), abs(verdict.ci90_high))
    known = math.isfinite(end) and math.isfinite(verdict.smallest_margin) and verdict.smallest_margin > 0
    return float(end / verdict.smallest_margin) if known else math.nan


def verdicts(folder: Folder) -> Panels | None:
    """Differences to the reference beside the margin, in per cent of the distance random to reference."""
    frame = folder.tables["verdicts"]
    environments = [name for name in folder.plan["environments"] if (frame.environment == name).any()]
    if not environments:
        return None
    most = {name: [*frame[frame.environment == name].itertuples(index=False)] for name in environments}
    depth = max(len(rows) for rows in most.values())
    names = [_judged(folder, row) for rows in most.values() for row in rows]
    left, height = 16 + 5.7 * max(map(len, names)), 66 + max(20 * depth, 40)
    margins, width = (left, 80, 36, 26), max(350, left + 240)
    canvas = Panels(
        "Differences to the reference", len(environments), 3, (width, height), margins, _verdict_key()
    )
    for axes, environment in zip(canvas.axes, environments, strict=True):
        rows = frame[frame.environment == environment]
        name_rows(axes, [_judged(folder, row) for row in rows.itertuples()])
        axes.set_ylim(depth - 0.4, -0.6)
        margin = 100 * float(rows.margin.max())
        reach = 3 * margin
        axes.axvspan(-margin, margin, color=MUTED, alpha=0.13, linewidth=0, zorder=0)
        axes.axvline(0, color=MUTED, linewidth=0.8)
        for y, (_, row) in enumerate(rows.iterrows()):
            _difference(axes, y, row, reach)
        axes.set_xlim(-1.07 * reach, 1.07 * reach)
        axes.set_title(environment)
        axes.set_xlabel("difference, % of reference \N{MINUS SIGN} random")
        axes.xaxis.set_major_locator(MultipleLocator(margin))
    return canvas


def _verdict_key() -> list[Line2D]:
    return [
        Line2D([], [], color=INK, marker="o", markersize=5, linewidth=3, label="difference, 90 % interval"),
        Line2D([], [], color=INK, linewidth=0.9, label="95 % interval"),
        Line2D([], [], color=MUTED, alpha=0.25, linewidth=8, label="margin"),
    ]


def _difference(axes: Axes, y: int, row: pd.Series, reach: float) -> None:
    word = str(row.verdict).partition(" (")[0].lower()
    axes.annotate(word, (1.02, y), xycoords=("axes fraction", "data"), va="center", fontsize=9, color=INK)
    exact = row.difference == 0 and row.ci90_low == row.ci90_high
    unit = 1.0 if exact else scale(row)
    if not math.isfinite(unit):
        axes.annotate("no interval", (0, y), ha="center", va="center", fontsize=8, color=MUTED)
        return
    middle, low, high, wide_low, wide_high = (
        100 * row[name] / unit for name in ("difference", "ci90_low", "ci90_high", "ci95_low", "ci95_high")
    )
    axes.plot([wide_low, wide_high], [y, y], color=INK, linewidth=0.9)
    axes.plot([low, high], [y, y], color=INK, linewidth=4.5, alpha=0.35, solid_capstyle="butt")
    axes.plot([np.clip(middle, -reach, reach)], [y], color=INK, marker="o", markersize=4.6)
    for end, beyond, marker in ((-reach, wide_low < -reach, "<"), (reach, wide_high > reach, ">")):
        if beyond:
            axes.plot([end], [y], color=INK, marker=marker, markersize=5, clip_on=False)


def _judged(folder: Folder, row: Any) -> str:
    """A row of verdicts as a figure names it."""
    return f"{folder.called(row)}, {SHORT.get(row.endpoint, row.endpoint)}"


def improvement(folder: Folder) -> Panels | None:
    """Probability that a seed of ours beats a seed of the reference, a panel per environment."""
    frame = folder.tables["improvement"]
    environments = [name for name in folder.plan["environments"] if (frame.environment == name).any()]
    if not environments:
        return None
    names = [folder.called(row) for row in folder.ordered("improvement").itertuples()]
    names = list(dict.fromkeys(names))
    marks = {
        "auc": ("o", INK),
        "final": ("o", CARD),
        "training_auc": ("s", INK),
        "training_final": ("s", CARD),
    }
    ends = {name: mark for name, mark in marks.items() if (frame.endpoint == name).any()}
    look: dict[str, Any] = {"color": INK, "markersize": 5, "linewidth": 2}
    key = [
        Line2D([], [], marker=marker, markerfacecolor=face, label=ENDPOINTS[end], **look)
        for end, (marker, face) in ends.items()
    ]
    canvas = rowed("Probability of improvement over the reference", len(environments), 3, 280, names, key)
    for axes, environment in zip(canvas.axes, environments, strict=True):
        axes.axvline(0.5, color=MUTED, linewidth=0.8)
        for row in frame[frame.environment == environment].itertuples(index=False):
            offset = list(ends).index(row.endpoint) / max(len(ends) - 1, 1) - 0.5
            y = names.index(folder.called(row)) + 0.3 * offset
            marker, face = ends[row.endpoint]
            axes.plot(
                [row.ci_low, row.ci_high], [y, y], color=INK, linewidth=2.6, alpha=0.4, solid_capstyle="butt"
            )
            axes.plot([row.probability], [y], color=INK, marker=marker, markersize=4.6, markerfacecolor=face)
        axes.set_title(environment)
        axes.set_xlabel("probability that a seed of ours scores higher")
        axes.set_xlim(-0.03, 1.03)
        axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "¼", "½", "¾", "1"])
    return canvas


def cost(folder: Folder) -> Panels | None:
    """Steps per second and wall time per seed, per environment."""
    frame = folder.tables["cost"]
    environments = [name for name in folder.plan["environments"] if (frame.environment == name).any()]
    if not environments:
        return None
    panels = [
        (name, column) for name in environments for column in ("steps_per_second", "wall_time_per_seed_s")
    ]
    names = [
        name
        for name in folder.plan["algorithms"]
        if (frame.algorithm == name).any() and name not in folder.random
    ]
    if not names:
        return None
    key = legend(folder.colours, lines=False)
    canvas = rowed("Cost", len(panels), 2, 350, names, key)
    for axes, (environment, column) in zip(canvas.axes, panels, strict=True):
        axes.set_xscale("log")
        for row, name in enumerate(names):
            arms = folder.arms(environment, name)
            for arm, offset in zip(arms, spread(len(arms)), strict=True):
                found = folder.rows("cost", environment, arm)[column].astype(float).dropna()
                for value in found[found > 0][:1]:
                    look = folder.colours[arm[0]], shape(arm[0])[0]
                    interval(axes, *look, row + offset, value, value, value)
        axes.set_title(environment)
        axes.set_xlabel(
            "environment steps per second" if column == "steps_per_second" else "wall time per seed, s"
        )
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=8))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(short))
    return canvas
