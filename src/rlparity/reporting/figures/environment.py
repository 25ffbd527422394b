"""Figures of one measurement in one environment: learning curves, intervals, seeds, performance profiles."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from rlparity.arms import Arm
from rlparity.reporting.figures import marks
from rlparity.reporting.figures.panels import (
    Panels,
    legend,
    line_entry,
    rowed,
    share,
    short,
    spread,
)
from rlparity.reporting.formatting import ENDPOINTS, axis_title, endpoint_title
from rlparity.reporting.report_folder import RANDOM, Folder, Measurement
from rlparity.reporting.style import GRID, INK, MUTED, Look


def _panels(folder: Folder, measured: Measurement, table: str) -> list[tuple[str, list[Arm]]]:
    """Algorithms of which `table` has rows, with the arms that do."""
    panels = []
    for algorithm in folder.algorithms(measured.environment):
        arms = [
            arm
            for arm in folder.arms(measured.environment, algorithm)
            if not folder.rows(table, measured, arm).empty
        ]
        if arms:
            panels.append((algorithm, arms))
    return panels


def curves(folder: Folder, measured: Measurement, training: bool = False) -> Panels | None:
    """One panel per algorithm: a thin line per seed, the IQM with its interval, all arms together; of
    evaluations, or of values in training."""
    panels = [
        (algorithm, [arm for arm in arms if not folder.evaluated("curves", measured, arm, training).empty])
        for algorithm, arms in _panels(folder, measured, "curves")
    ]
    panels = [(algorithm, arms) for algorithm, arms in panels if arms]
    if not panels:
        return None
    levels = list(_levels(folder, measured))
    extra = [line_entry(label, dash) for _, label, dash in levels]
    plain = {
        name: rows
        for name, _ in panels
        if (arm := folder.plain(name)) and len(rows := folder.evaluated("curves", measured, arm, training))
    }
    if plain:
        extra.append(Line2D([], [], color=INK, linewidth=1, label="plain configuration, from scratch"))
    what = f"{measured.metric.name} in training" if training else "learning curves"
    key = legend(folder.looks, lines=True, extra=extra)
    down = measured.metric.better < 0  # a second line of the label needs room
    size, margins = (280 + 12 * down, 196), (44 + 12 * down, 12, 34, 24)
    figure = Panels(f"{measured.name}: {what}", len(panels), 3, size, margins, key)
    for axes, (algorithm, arms) in zip(figure.axes, panels, strict=True):
        for arm in arms:
            tables = (folder.evaluated(name, measured, arm, training) for name in ("seed_curves", "curves"))
            marks.curve(axes, folder.looks[arm[0]], *tables)
        if algorithm in plain:
            axes.plot(plain[algorithm].env_step, plain[algorithm].iqm, color=INK, linewidth=1, zorder=5)
        for level, _, dash in levels:
            axes.axhline(level, color=MUTED, linewidth=0.9, linestyle=dash, zorder=1)
        axes.set_title(folder.title(algorithm))
        _short_numbers(axes, "environment steps", 5)
        axes.set_ylabel(measured.metric.name + "\n(lower is better)" * down)
    share(figure.axes, "y")
    return figure


def _levels(folder: Folder, measured: Measurement) -> Iterator[tuple[float, str, Any]]:
    """Horizontal lines of a learning curve, where they are known: (level, label, dash)."""
    floor = "random agent" if measured.metric.floor == RANDOM else "floor"
    levels = (
        (folder.threshold(measured), "threshold", (0, (5, 2))),
        (folder.floor(measured), floor, (0, (1.2, 1.8))),
    )
    yield from (level for level in levels if math.isfinite(level[0]))


def _short_numbers(axes: Axes, title: str, most: int) -> None:
    axes.set_xlabel(title)
    axes.xaxis.set_major_locator(MaxNLocator(most))
    axes.xaxis.set_major_formatter(FuncFormatter(short))


def _placed(folder: Folder, panels: dict[str, list[Arm]]) -> Iterator[tuple[Arm, Look, float]]:
    """Every arm with its look and the height of its row: a row per algorithm, its arms apart."""
    for row, arms in enumerate(panels.values()):
        for arm, offset in zip(arms, spread(len(arms)), strict=True):
            yield arm, folder.looks[arm[0]], row + offset


def intervals(folder: Folder, measured: Measurement) -> Panels | None:
    """IQM, mean and median of both endpoints, a row per algorithm."""
    panels = dict(_panels(folder, measured, "summary"))
    if not panels:
        return None
    key = legend(folder.looks, lines=False)
    figure = rowed(f"{measured.name}: point and interval estimates", 6, 3, 280, list(panels), key)
    wanted = [
        (endpoint, statistic) for endpoint in ("final", "auc") for statistic in ("iqm", "mean", "median")
    ]
    for axes, (endpoint, statistic) in zip(figure.axes, wanted, strict=True):
        for arm, look, y in _placed(folder, panels):
            rows = folder.rows("summary", measured, arm, endpoint=endpoint, statistic=statistic)
            for one in rows[:1].itertuples():
                marks.interval(axes, look, y, one.estimate, one.ci_low, one.ci_high)
        axes.set_title({"iqm": "IQM", "mean": "Mean", "median": "Median"}[statistic])
        _short_numbers(axes, endpoint_title(endpoint, measured.metric.name), 4)
    share(figure.axes[:3], "x")
    share(figure.axes[3:], "x")
    return figure


def seeds(folder: Folder, measured: Measurement) -> Panels | None:
    """One mark per seed: area under the curve, final value and time to threshold, where it was reached."""
    panels = dict(_panels(folder, measured, "scores"))
    if not panels:
        return None
    scores, curves = (folder.here(name, measured) for name in ("scores", "curves"))
    scores = scores[scores.algorithm.isin(panels)]
    endpoints = [name for name in ENDPOINTS if (scores.endpoint == name).any()]
    key = legend(folder.looks, lines=False)
    figure = rowed(f"{measured.name}: every seed", len(endpoints), 3, 280, list(panels), key)
    for axes, endpoint in zip(figure.axes, endpoints, strict=True):
        timed = endpoint == "time_to_threshold"
        values = scores[scores.endpoint == endpoint].value.astype(float)
        never = 1.12 * float(pd.concat([values, curves.env_step]).max()) if timed else None
        for arm, look, y in _placed(folder, panels):
            found = folder.rows("scores", measured, arm, endpoint=endpoint).sort_values("seed")
            marks.seeds(axes, look, y, found.value.astype(float), never)
        name = endpoint_title(endpoint, measured.metric.name)
        axes.set_title(name[:1].upper() + name[1:])
        _short_numbers(axes, "environment steps" if timed else axis_title(measured.metric), 4)
        if never is not None:
            axes.axvspan(never * 0.95, never * 1.05, color=GRID, alpha=0.6, linewidth=0, zorder=0)
            axes.set_xlim(0, never * 1.05)
            axes.set_title("never", loc="right", fontsize=8.5, fontweight="normal", color=MUTED)
    return figure


def profiles(folder: Folder, measured: Measurement) -> Panels | None:
    """Performance profiles: the share of seeds whose final value is better than tau."""
    panels = _panels(folder, measured, "profiles")
    if not panels:
        return None
    key = legend(folder.looks, lines=True)
    figure = Panels(f"{measured.name}: performance profiles", len(panels), 3, (280, 176), key=key)
    for axes, (algorithm, arms) in zip(figure.axes, panels, strict=True):
        for arm in arms:
            marks.profile(axes, folder.looks[arm[0]], folder.rows("profiles", measured, arm))
        axes.set_title(folder.title(algorithm))
        _short_numbers(axes, endpoint_title("final", measured.metric.name), 5)
        axes.set_ylim(-0.04, 1.04)
        axes.set_yticks([0, 0.5, 1], ["0", "½", "1"])
        axes.set_ylabel(f"share of seeds {'above' if measured.metric.better > 0 else 'below'}")
    share(figure.axes, "x")
    return figure
