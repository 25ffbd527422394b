"""The page of lock-step runs: the distance of our agents from Stable-Baselines3's while both learn."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from rlparity.analysis import tables
from rlparity.analysis.schemas import TABLES
from rlparity.errors import UserError
from rlparity.reporting.figures.panels import Panels, styled
from rlparity.reporting.formatting import join, scientific, seconds, whole
from rlparity.reporting.pages.elements import KeyEntry, Table, prose
from rlparity.reporting.pages.simple_page import Section, SimplePage, picture
from rlparity.reporting.style import INK, MUTED, OWN_COLOUR, PAINT, REFERENCE_COLOUR

CASE = ["algorithm", "environment", "settings"]
LOOKS: dict[str, tuple[str, str, Any, str]] = {  # mode -> (name, colour, dash, the same in SVG)
    "replay": ("SB3's transitions replayed", OWN_COLOUR, "-", ""),
    "own-actions": ("ours acts by itself", REFERENCE_COLOUR, (0, (4, 1.6)), "6 2.5"),
    "replay, nudged": (
        "ours beside itself, started in the last digit off",
        MUTED,
        (0, (1.2, 1.8)),
        "1.5 2.5",
    ),
}
WORDS = {"together": "together", "rounding": "parted by rounding", "part": "parted"}
LEAST = 1e-17  # where a distance of zero is drawn


def render(folder: Path) -> str:
    """Write `folder/index.html`, its Markdown twin and the figure; returns the page's answer.

    Raises UserError where `lockstep.csv` or `lockstep_runs.csv` is missing, another table or empty.
    """
    curves, runs = (tables.read(folder / f"{name}.csv") for name in ("lockstep", "lockstep_runs"))
    if curves.empty or runs.empty:
        raise UserError(f"{folder}: holds no run; run rlparity dev lockstep")
    figure = folder / "figures" / "distance.svg"
    figure.parent.mkdir(parents=True, exist_ok=True)
    with styled():
        _distance(curves, runs).write(figure)
    page = _page(folder, runs).render(folder)
    return f"{_answer(runs)}\nreport: {page}"


def _page(folder: Path, runs: pd.DataFrame) -> SimplePage:
    words = prose("lockstep")
    key = [KeyEntry(name, PAINT[colour], dash=dash) for name, colour, _, dash in LOOKS.values()]
    commits = join(sorted({str(commit)[:12] for commit in runs.commit.dropna()}))
    return SimplePage(
        kind="lock-step",
        title="Lock-step with Stable-Baselines3",
        lede="Real training runs of Stable-Baselines3, and our agents beside them, step by step.",
        answer=_answer(runs),
        facts=[
            ("Commit", commits),
            ("Hardware", join(sorted(set(runs.hardware)))),
            ("Versions", join(sorted(set(runs.versions)))),
        ],
        sections=[
            Section("Runs", tables=[_runs(runs)], wide=[2, 8]),
            Section(
                "Distance",
                pictures=[picture(folder, "distance", "Distance of the parameters", words.caption, key)],
            ),
            Section("What the two share", terms=words.shared),
            Section("Columns", terms=[(k, c.meaning) for k, c in TABLES["lockstep_runs"].items()]),
        ],
    )


def _answer(runs: pd.DataFrame) -> str:
    """Which agents stayed together, in plain sentences."""
    text = []
    for mode, lead in (
        ("own-actions", "With Stable-Baselines3's random draws alone, our {} act and learn as it does"),
        ("replay", "With its transitions, our {} learn the same"),
    ):
        kept = runs[(runs["mode"] == mode) & (runs.verdict == "together")]
        if len(kept):
            steps, largest = whole(kept.env_steps.min()), scientific(kept.largest.max())
            who = lead.format(_agents(kept))
            text.append(f"{who} for {steps} environment steps, parameters within {largest}.")
    if len(rounding := runs[runs.verdict == "rounding"]):
        names = _names(rounding, ["algorithm", "settings"], "{} with {}")
        text.append(f"Rounding parts {names}; there, ours parts from a copy of itself as early.")
    if len(parted := runs[runs.verdict == "part"]):
        names = _names(parted, ["algorithm", "environment", "mode"], "{} on {} ({})")
        text.append(f"They part in {names}.")
    return " ".join(text)


def _agents(rows: pd.DataFrame) -> str:
    """`a2c, dqn and ppo on CartPole-v1, ppo on Pendulum-v1`."""
    by_environment = rows.groupby("environment").algorithm.unique()
    return ", ".join(f"{join(names)} on {environment}" for environment, names in by_environment.items())


def _names(rows: pd.DataFrame, columns: list[str], form: str) -> str:
    """The cases of these rows, each named once."""
    return join([form.format(*case) for case in rows[columns].drop_duplicates().values], most=9)


def _runs(runs: pd.DataFrame) -> Table:
    head = [
        *("algorithm", "environment", "settings", "mode", "steps", "updates", "episodes (cut)"),
        *("largest difference", "verdict", "time"),
    ]
    cells = [
        [
            row.algorithm,
            row.environment,
            row.settings,
            row.mode,
            whole(row.env_steps),
            whole(row.updates),
            f"{whole(row.episodes)} ({whole(row.cut)})",
            scientific(row.largest),
            WORDS[row.verdict] + (f": {row.first_difference}" if row.verdict != "together" else ""),
            seconds(row.seconds),
        ]
        for row in runs.itertuples()
    ]
    return Table(head, cells, "lockstep_runs.csv", frozenset({4, 5, 6, 7, 9}))


def _cases(rows: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    for (algorithm, environment, settings), part in rows.groupby(CASE, sort=True):
        yield f"{algorithm}, {environment.partition('-')[0]}, {settings.partition(',')[0]}", part


def _distance(curves: pd.DataFrame, runs: pd.DataFrame) -> Panels:
    """A panel for each case."""
    cases = list(_cases(curves))
    key = [
        Line2D([], [], color=colour, linestyle=dash, linewidth=1.8, label=name)
        for name, colour, dash, _ in LOOKS.values()
    ]
    figure = Panels("Distance of the parameters", len(cases), 2, (350, 210), (52, 14, 34, 26), key)
    tolerance = float(runs.tolerance.min())
    lowest = min(LEAST, *curves.max_relative_difference.replace(0, 1.0))
    for axes, (name, part) in zip(figure.axes, cases, strict=True):
        for mode, (_, colour, dash, _) in LOOKS.items():
            rows = part[part["mode"] == mode]
            y = rows.max_relative_difference.clip(lower=LEAST)
            axes.plot(rows.env_step, y, color=colour, linestyle=dash, linewidth=1.6)
        axes.axhline(tolerance, color=INK, linewidth=0.8)
        _scales(axes, lowest)
        axes.set_title(name)
        axes.set_xlabel("environment steps")
    return figure


def _scales(axes: Axes, lowest: float) -> None:
    axes.set_yscale("log")
    axes.set_ylim(lowest, 10)
    axes.yaxis.set_major_locator(LogLocator(numticks=7))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"1e{math.log10(y):.0f}"))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
