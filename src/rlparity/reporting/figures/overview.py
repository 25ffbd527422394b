"""Figures over all environments of a suite: verdicts, probability of improvement, cost."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MultipleLocator, NullLocator

from rlparity.analysis.decisions.families import SECONDARY
from rlparity.arms import Arm
from rlparity.metrics import Metric
from rlparity.reporting.figures import marks
from rlparity.reporting.figures.panels import Panels, legend, name_rows, rowed, short, spread
from rlparity.reporting.formatting import SHORT, endpoint_title, number
from rlparity.reporting.report_folder import Folder
from rlparity.reporting.style import CARD, INK, MUTED

CHANCES = {  # endpoint -> marker and face
    "auc": ("o", INK),
    "final": ("o", CARD),
    "training_auc": ("s", INK),
    "training_final": ("s", CARD),
}
COSTS = {  # column of `cost` -> the label of its axis
    "steps_per_second": "environment steps per second",
    "wall_time_per_seed_s": "wall time per seed, s",
}


def verdicts(folder: Folder) -> Panels | None:
    """Differences to the reference beside the margin, in per cent of the distance floor to reference."""
    panels = folder.measured("verdicts")
    if not panels:
        return None
    tables = [folder.here("verdicts", one).sort_values("role", kind="stable") for one in panels]
    names = [[_judged(folder, row) for row in rows.itertuples(index=False)] for rows in tables]
    depth = max(map(len, names))
    left = 16 + 5.7 * max(len(name) for part in names for name in part)
    size = (max(350, left + 240), 66 + max(20 * depth, 40))
    figure = Panels(
        "Differences to the reference", len(panels), 3, size, (left, 80, 36, 26), _verdict_key(tables)
    )
    for axes, measured, rows, named in zip(figure.axes, panels, tables, names, strict=True):
        name_rows(axes, named)
        axes.set_ylim(depth - 0.4, -0.6)
        margin = 100 * float(rows.margin.max())
        reach = 3 * margin
        axes.axvspan(-margin, margin, color=MUTED, alpha=0.13, linewidth=0, zorder=0)
        axes.axvline(0, color=MUTED, linewidth=0.8)
        for y, (_, row) in enumerate(rows.iterrows()):
            marks.difference(axes, y, row, reach, row.role == SECONDARY)
        axes.set_xlim(-1.07 * reach, 1.07 * reach)
        axes.set_title(measured.name)
        axes.set_xlabel(_distance(measured.metric))
        axes.xaxis.set_major_locator(MultipleLocator(margin))
    return figure


def _distance(metric: Metric) -> str:
    floor = metric.floor if isinstance(metric.floor, str) else number(metric.floor)
    lower = ", lower is better" * (metric.better < 0)
    return f"difference, % of reference \N{MINUS SIGN} {floor}{lower}"


def _verdict_key(tables: list[pd.DataFrame]) -> list[Line2D]:
    secondary = any((rows.role == SECONDARY).any() for rows in tables)
    style: dict[str, Any] = {"color": MUTED, "marker": "o", "markersize": 5, "markerfacecolor": CARD}
    return [
        Line2D([], [], color=INK, marker="o", markersize=5, linewidth=3, label="difference, 90 % interval"),
        *[Line2D([], [], label="of a secondary endpoint", linewidth=3, **style)] * secondary,
        Line2D([], [], color=INK, linewidth=0.9, label="95 % interval"),
        Line2D([], [], color=MUTED, alpha=0.25, linewidth=8, label="margin"),
    ]


def _judged(folder: Folder, row: Any) -> str:
    """The label of a row of verdicts."""
    return f"{folder.called(row)}, {SHORT.get(row.endpoint, row.endpoint)}"


def improvement(folder: Folder) -> Panels | None:
    """Probability that a seed of ours beats a seed of the reference, a panel per measurement."""
    frame, panels = folder.tables["improvement"], folder.measured("improvement")
    if not panels:
        return None
    names = list(dict.fromkeys(folder.called(row) for row in folder.ordered("improvement").itertuples()))
    ends = {name: mark for name, mark in CHANCES.items() if (frame.endpoint == name).any()}
    style: dict[str, Any] = {"color": INK, "markersize": 5, "linewidth": 2}
    titles = {name: endpoint_title(name, folder.quantity) for name in ends}
    key = [
        Line2D([], [], marker=marker, markerfacecolor=face, label=titles[name], **style)
        for name, (marker, face) in ends.items()
    ]
    figure = rowed("Probability of improvement over the reference", len(panels), 3, 280, names, key)
    for axes, measured in zip(figure.axes, panels, strict=True):
        axes.axvline(0.5, color=MUTED, linewidth=0.8)
        for row in folder.here("improvement", measured).itertuples(index=False):
            offset = list(ends).index(row.endpoint) / max(len(ends) - 1, 1) - 0.5
            _chance(axes, names.index(folder.called(row)) + 0.3 * offset, row)
        axes.set_title(measured.name)
        axes.set_xlabel("probability that a seed of ours is better")
        axes.set_xlim(-0.03, 1.03)
        axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "¼", "½", "¾", "1"])
    return figure


def _chance(axes: Axes, y: float, row: Any) -> None:
    marker, face = CHANCES[row.endpoint]
    axes.plot([row.ci_low, row.ci_high], [y, y], color=INK, linewidth=2.6, alpha=0.4, solid_capstyle="butt")
    axes.plot([row.probability], [y], color=INK, marker=marker, markersize=4.6, markerfacecolor=face)


def cost(folder: Folder) -> Panels | None:
    """Steps per second and wall time per seed, per environment."""
    frame = folder.tables["cost"]
    environments = [name for name in folder.plan["environments"] if (frame.environment == name).any()]
    names = [
        name
        for name in folder.plan["algorithms"]
        if (frame.algorithm == name).any() and name not in folder.baselines
    ]
    if not environments or not names:
        return None
    panels = [(name, column) for name in environments for column in COSTS]
    figure = rowed("Cost", len(panels), 2, 350, names, legend(folder.looks, lines=False))
    for axes, (environment, column) in zip(figure.axes, panels, strict=True):
        axes.set_xscale("log")
        for row, name in enumerate(names):
            arms = folder.arms(environment, name)
            for arm, offset in zip(arms, spread(len(arms)), strict=True):
                for value in _cost(frame, environment, arm, column):
                    marks.interval(axes, folder.looks[arm[0]], row + offset, value, value, value)
        axes.set_title(environment)
        axes.set_xlabel(COSTS[column])
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=8))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(short))
    return figure


def _cost(frame: pd.DataFrame, environment: str, arm: Arm, column: str) -> list[float]:
    """The positive number of an arm, if there is one."""
    rows = frame[frame.environment == environment]
    rows = rows[(rows.implementation == arm[0]) & (rows.algorithm == arm[1])]
    values = rows[column].astype(float)
    return list(values[values > 0][:1])
