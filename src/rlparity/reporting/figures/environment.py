"""Tables -> figures, `reports/<suite>/figures/*.svg`; drawn here are those of one environment."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from rlparity.reporting.figures import overview
from rlparity.reporting.figures.panels import (
    Panels,
    interval,
    legend,
    line_entry,
    rowed,
    share,
    short,
    spread,
    styled,
)
from rlparity.reporting.report_folder import ENDPOINTS, Arm, Folder, slug
from rlparity.reporting.style import GRID, INK, MUTED, shape


def draw(report: Path) -> list[Path]:
    """Draw `report/figures/*.svg` from the tables of `report`; figures of no data are left out.

    Raises UserError where the folder is no report.
    """
    folder = Folder(report)
    into = report / "figures"
    into.mkdir(parents=True, exist_ok=True)
    for old in into.glob("*.svg"):
        old.unlink()
    drawn = []
    with styled():
        for name, make in _jobs(folder):
            canvas = make()
            if canvas is not None:
                path = into / f"{name}.svg"
                canvas.write(path)
                drawn.append(path)
    return drawn


def _jobs(folder: Folder) -> Iterable[tuple[str, Callable[[], Panels | None]]]:
    yield "verdicts", partial(overview.verdicts, folder)
    kinds: dict[str, Callable[[Folder, str], Panels | None]] = {
        "curves": _curves,
        "training": partial(_curves, training=True),
        "intervals": _intervals,
        "seeds": _seeds,
        "profiles": _profiles,
    }
    for environment in folder.plan["environments"]:
        for kind, make in kinds.items():
            yield f"{kind}-{slug(environment)}", partial(make, folder, environment)
    yield "improvement", partial(overview.improvement, folder)
    yield "cost", partial(overview.cost, folder)


def _panels(folder: Folder, environment: str, table: str) -> list[tuple[str, list[Arm]]]:
    """Algorithms of which `table` has rows, with the arms that do."""
    panels = []
    for algorithm in folder.algorithms(environment):
        arms = [
            arm
            for arm in folder.arms(environment, algorithm)
            if not folder.rows(table, environment, arm).empty
        ]
        if arms:
            panels.append((algorithm, arms))
    return panels


def _curves(folder: Folder, environment: str, training: bool = False) -> Panels | None:
    """One panel per algorithm: a thin line per seed, the IQM with its interval, all arms together; of
    evaluations, or of returns in training."""
    panels = [
        (algorithm, [arm for arm in arms if not folder.evaluated("curves", environment, arm, training).empty])
        for algorithm, arms in _panels(folder, environment, "curves")
    ]
    panels = [(algorithm, arms) for algorithm, arms in panels if arms]
    if not panels:
        return None
    threshold = folder.plan["environments"][environment].get("threshold")
    baseline = folder.random_return(environment)
    levels = ((threshold, "threshold", (0, (5, 2))), (baseline, "random agent", (0, (1.2, 1.8))))
    lines = [
        (level, label, dash) for level, label, dash in levels if level is not None and math.isfinite(level)
    ]
    extra = [line_entry(label, dash) for _, label, dash in lines]
    plain = {
        name: rows
        for name, _ in panels
        if (arm := folder.plain(name)) and len(rows := folder.evaluated("curves", environment, arm, training))
    }
    if plain:
        extra.append(Line2D([], [], color=INK, linewidth=1, label="plain configuration, from scratch"))
    key = legend(folder.colours, lines=True, extra=extra)
    what = "training returns" if training else "learning curves"
    canvas = Panels(f"{environment}: {what}", len(panels), 3, (280, 196), key=key)
    for axes, (algorithm, arms) in zip(canvas.axes, panels, strict=True):
        for arm in arms:
            _curve(axes, folder, environment, arm, training)
        if algorithm in plain:
            axes.plot(plain[algorithm].env_step, plain[algorithm].iqm, color=INK, linewidth=1, zorder=5)
        for level, _, dash in lines:
            axes.axhline(level, color=MUTED, linewidth=0.9, linestyle=dash, zorder=1)
        axes.set_title(folder.title(algorithm))
        axes.set_xlabel("environment steps")
        axes.xaxis.set_major_formatter(FuncFormatter(short))
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.set_ylabel("return")
    share(canvas.axes, "y")
    return canvas


def _curve(axes: Axes, folder: Folder, environment: str, arm: Arm, training: bool) -> None:
    colour, dash = folder.colours[arm[0]], shape(arm[0])[1]
    seeds = folder.evaluated("seed_curves", environment, arm, training)
    x, y = [], []
    for _, one in seeds.sort_values(["seed", "env_step"]).groupby("seed"):
        x += [*one.env_step, math.nan]  # one line with gaps: overlaps do not add up, and the file stays small
        y += [*one.value, math.nan]
    axes.plot(x, y, color=colour, linewidth=0.5, alpha=0.35, zorder=2)
    rows = folder.evaluated("curves", environment, arm, training).sort_values("env_step")
    axes.fill_between(
        rows.env_step, rows.ci_low, rows.ci_high, color=colour, alpha=0.17, linewidth=0, zorder=3
    )
    axes.plot(rows.env_step, rows.iqm, color=colour, linewidth=1.8, linestyle=dash, zorder=4)


def _intervals(folder: Folder, environment: str) -> Panels | None:
    """IQM, mean and median of both endpoints, a row per algorithm."""
    panels = dict(_panels(folder, environment, "summary"))
    if not panels:
        return None
    names = list(panels)
    key = legend(folder.colours, lines=False)
    canvas = rowed(f"{environment}: point and interval estimates", 6, 3, 280, names, key)
    wanted = [
        (endpoint, statistic) for endpoint in ("final", "auc") for statistic in ("iqm", "mean", "median")
    ]
    for axes, (endpoint, statistic) in zip(canvas.axes, wanted, strict=True):
        for row, arms in enumerate(panels.values()):
            for arm, offset in zip(arms, spread(len(arms)), strict=True):
                rows = folder.rows("summary", environment, arm, endpoint=endpoint, statistic=statistic)
                if not rows.empty:
                    one = rows.iloc[0]
                    look = folder.colours[arm[0]], shape(arm[0])[0]
                    interval(axes, *look, row + offset, one.estimate, one.ci_low, one.ci_high)
        axes.set_title({"iqm": "IQM", "mean": "Mean", "median": "Median"}[statistic])
        axes.set_xlabel(ENDPOINTS[endpoint])
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.xaxis.set_major_formatter(FuncFormatter(short))
    share(canvas.axes[:3], "x")
    share(canvas.axes[3:], "x")
    return canvas


def _seeds(folder: Folder, environment: str) -> Panels | None:
    """One mark per seed: area under the curve, final return and time to threshold, where it was reached."""
    panels = dict(_panels(folder, environment, "scores"))
    if not panels:
        return None
    scores = folder.tables["scores"]
    here = scores[(scores.environment == environment) & scores.algorithm.isin(panels)]
    ends = folder.tables["curves"].query("environment == @environment").env_step
    endpoints = [name for name in ENDPOINTS if (here.endpoint == name).any()]
    key = legend(folder.colours, lines=False)
    canvas = rowed(f"{environment}: every seed", len(endpoints), 3, 280, list(panels), key)
    for axes, endpoint in zip(canvas.axes, endpoints, strict=True):
        values = here[here.endpoint == endpoint].value.astype(float)
        timed = endpoint == "time_to_threshold"
        never = 1.12 * float(pd.concat([values, ends]).max() if timed else 1)
        for row, arms in enumerate(panels.values()):
            for arm, offset in zip(arms, spread(len(arms)), strict=True):
                found = folder.rows("scores", environment, arm, endpoint=endpoint).sort_values("seed")
                _marks(axes, folder, arm, row + offset, found.value.astype(float), never if timed else None)
        axes.set_title(ENDPOINTS[endpoint].capitalize())
        axes.set_xlabel("environment steps" if timed else "return")
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.xaxis.set_major_formatter(FuncFormatter(short))
        if timed:
            axes.axvspan(never * 0.95, never * 1.05, color=GRID, alpha=0.6, linewidth=0, zorder=0)
            axes.set_xlim(0, never * 1.05)
            axes.set_title("never", loc="right", fontsize=8.5, fontweight="normal", color=MUTED)
    return canvas


def _marks(axes: Axes, folder: Folder, arm: Arm, y: float, values: pd.Series, never: float | None) -> None:
    colour, marker = folder.colours[arm[0]], shape(arm[0])[0]
    jitter = np.resize([0.0, 0.06, -0.06], len(values))
    reached = values.notna().to_numpy()
    look: dict[str, Any] = {
        "color": colour,
        "linestyle": "none",
        "markersize": 4,
        "alpha": 0.65,
        "markeredgewidth": 0,
    }
    axes.plot(values[reached], y + jitter[reached], marker=marker, **look)
    if never is not None:
        missed = ~reached
        x = np.linspace(-0.035, 0.035, max(missed.sum(), 2))[: missed.sum()] * never + never
        axes.plot(x, np.full(missed.sum(), y), marker="x", **look | {"markeredgewidth": 0.9})


def _profiles(folder: Folder, environment: str) -> Panels | None:
    """Performance profiles: the share of seeds whose final return exceeds tau."""
    panels = _panels(folder, environment, "profiles")
    if not panels:
        return None
    canvas = Panels(
        f"{environment}: performance profiles",
        len(panels),
        3,
        (280, 176),
        key=legend(folder.colours, lines=True),
    )
    for axes, (algorithm, arms) in zip(canvas.axes, panels, strict=True):
        for arm in arms:
            rows = folder.rows("profiles", environment, arm).sort_values("tau")
            colour, dash = folder.colours[arm[0]], shape(arm[0])[1]
            look: dict[str, Any] = {"color": colour, "alpha": 0.17, "linewidth": 0, "step": "post"}
            axes.fill_between(rows.tau, rows.ci_low, rows.ci_high, **look)
            axes.step(rows.tau, rows.fraction, where="post", color=colour, linewidth=1.6, linestyle=dash)
        axes.set_title(folder.title(algorithm))
        axes.set_xlabel("final return")
        axes.xaxis.set_major_formatter(FuncFormatter(short))
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.set_ylim(-0.04, 1.04)
        axes.set_yticks([0, 0.5, 1], ["0", "½", "1"])
        axes.set_ylabel("share of seeds above")
    share(canvas.axes, "x")
    return canvas
