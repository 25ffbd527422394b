"""The page of a sensitivity suite: which layer catches which planted bug, and what is missed.

Writes `matrix.csv` and `trials.csv` beside it, from the outcomes that the trials left.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.ticker import LogLocator, NullLocator

from rlparity.analysis import tables
from rlparity.analysis.schemas import TABLES
from rlparity.errors import UserError
from rlparity.reporting.figures.panels import Panels, styled
from rlparity.reporting.formatting import NONE, join, seconds
from rlparity.reporting.pages.elements import Table
from rlparity.reporting.pages.simple_page import Section, SimplePage, picture
from rlparity.reporting.style import COLOURS, INK, PAINT, SPARE

SHADES = (COLOURS["scratch"], COLOURS["sb3"], SPARE[0], SPARE[1])  # of layers, in turn
CAPTION = (
    "Planted bugs that a layer has caught within so many seconds, imports and training included, each layer "
    "by itself; the axis of seconds is logarithmic."
)


def render(results: Path, report: Path) -> str:
    """Write the tables and the page of `results/trials.json` below `report`; returns the page's answer.

    Raises UserError where there are no outcomes.
    """
    content = _read(results / "trials.json")
    trials = tables.frame(
        "trials", [{key: row[key] for key in TABLES["trials"]} for row in content["trials"]]
    )
    mutated = trials[trials.bug != ""]
    report.mkdir(parents=True, exist_ok=True)
    tables.write_csv(report, "trials", trials)
    tables.write_csv(report, "matrix", tables.frame("matrix", mutated[list(TABLES["matrix"])]))
    layers = list(content["suite"]["layers"])
    figure = report / "figures" / "seconds.svg"
    figure.parent.mkdir(exist_ok=True)
    with styled():
        _seconds(mutated, layers).write(figure)
    page = _sheet(content, trials, mutated, layers, report).render(report)
    return f"{_answer(mutated)}\nreport: {page}"


def _read(file: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{file}: cannot be read ({error}); run rlparity sensitivity first") from None
    return content


def _sheet(
    content: Mapping[str, Any],
    trials: pd.DataFrame,
    mutated: pd.DataFrame,
    layers: Sequence[str],
    report: Path,
) -> SimplePage:
    made = content["hardware"]
    commit = str(content["git"]["commit"] or NONE)[:12] + " + uncommitted changes" * bool(
        content["git"]["dirty"]
    )
    versions = ", ".join(f"{name} {number}" for name, number in sorted(content["versions"].items()))
    bugs, others = mutated[mutated.kind == "bug"], mutated[mutated.kind != "bug"]
    return SimplePage(
        kind="sensitivity",
        title=content["suite"]["title"],
        lede=content["suite"]["description"],
        answer=_answer(mutated),
        facts=[
            ("Commit", commit),
            ("Hardware", f"{made['cpu']}, {made['cores']} cores, one thread for each trial"),
            ("Versions", versions),
        ],
        sections=[
            Section("Layers", tables=[_by_layer(mutated, layers)]),
            Section(
                "How soon",
                pictures=[picture(report, "seconds", "Bugs caught over time", CAPTION)],
                key=[(layer, PAINT[shade], "") for layer, shade in zip(layers, SHADES, strict=False)],
            ),
            _missed(bugs),
            _alone(bugs, layers),
            Section(
                "Refactorings and harmless differences",
                text=[
                    "No layer may alarm at a refactoring, whose numbers are the same up to rounding. A "
                    "harmless difference is for parity to name; statistics must not call it WORSE."
                ],
                tables=[_matrix(others, layers)],
                wide=[1],
            ),
            Section("All bugs", tables=[_matrix(bugs, layers)], wide=[1]),
            Section("What gave them away", tables=[_evidence(mutated)], wide=[3]),
            _not_run(trials),
            Section("Columns", terms=[(key, column.meaning) for key, column in TABLES["trials"].items()]),
        ],
    )


def _caught(rows: pd.DataFrame) -> pd.Series:
    """By mutation: whether any layer caught it."""
    return rows.assign(caught=rows.caught.fillna(False).astype(bool)).groupby("bug", sort=False).caught.any()


def _answer(mutated: pd.DataFrame) -> str:
    """The result in plain sentences."""
    bugs = _caught(mutated[mutated.kind == "bug"])
    text = [f"{bugs.sum()} of {len(bugs)} planted bugs ({_share(bugs)}) are caught by some layer."]
    same = mutated[mutated.kind == "refactoring"]
    if len(same):
        false = _caught(same)
        word = "no layer alarms" if not false.any() else f"{false.sum()} raise a false alarm"
        text.append(f"Of {len(false)} refactorings {word}.")
    harmless = mutated[mutated.kind == "harmless"]
    if len(harmless):
        text += _of_harmless(harmless)
    waiting = int((mutated.status == "not run").sum())
    if waiting:
        text.append(f"{waiting} of {len(mutated)} trials were not run.")
    return " ".join(text)


def _of_harmless(harmless: pd.DataFrame) -> list[str]:
    text = []
    for layer, words in (("parity", "named by parity"), ("statistics", "called WORSE by statistics")):
        rows = harmless[(harmless.layer == layer) & harmless.caught.notna()]
        if len(rows):
            text.append(f"{int(rows.caught.sum())} of {len(rows)} harmless differences are {words}.")
    return text


def _share(flags: pd.Series) -> str:
    return f"{100 * flags.mean():.1f} %" if len(flags) else NONE


def _by_layer(mutated: pd.DataFrame, layers: Sequence[str]) -> Table:
    head = ["layer", "bugs tried", "caught", "share", "by no other layer", "median time to alarm"]
    head += ["refactorings that alarm", "harmless ones that alarm", "not run"]
    alone = Counter(_only(mutated[mutated.kind == "bug"]).values())
    cells = []
    for layer in layers:
        rows = mutated[mutated.layer == layer]
        counted = {
            kind: rows[(rows.kind == kind) & rows.caught.notna()] for kind in sorted(set(mutated.kind))
        }
        bugs = counted.get("bug", rows.iloc[:0])
        alarms = bugs[bugs.caught.astype(bool)]
        others = [
            f"{int(counted[kind].caught.sum())} of {len(counted[kind])}" if kind in counted else NONE
            for kind in ("refactoring", "harmless")
        ]
        share = _share(bugs.caught.astype(float))
        waiting = str((rows.status == "not run").sum())
        line = [layer, str(len(bugs)), str(len(alarms)), share, str(alone[layer])]
        cells.append([*line, seconds(alarms.seconds.median()), *others, waiting])
    return Table(head, cells, "matrix.csv", frozenset(range(1, len(head))))


def _only(bugs: pd.DataFrame) -> dict[str, str]:
    """Bugs that a single layer caught, and which."""
    found = bugs[bugs.caught.fillna(False).astype(bool)].groupby("bug", sort=False).layer.unique()
    return {str(bug): layers[0] for bug, layers in found.items() if len(layers) == 1}


def _missed(bugs: pd.DataFrame) -> Section:
    caught = _caught(bugs)
    rows = bugs[bugs.bug.isin(caught.index[~caught])]
    if rows.empty:
        return Section("Missed", text=["Every bug that was planted is caught by some layer."])
    cells = []
    for bug, part in rows.groupby("bug", sort=False):
        said = [f"{row.layer}: {row.reason or row.evidence}" for row in part.itertuples()]
        first = part.iloc[0]
        cells.append(
            [bug, first.title, f"{first.agent}, {first.environment}", first.hides or NONE, "; ".join(said)]
        )
    head = ["bug", "what it does", "tried with", "hides in", "what the layers say"]
    return Section("Missed", tables=[Table(head, cells, "trials.csv")], wide=[1, 3, 4])


def _alone(bugs: pd.DataFrame, layers: Sequence[str]) -> Section:
    """What one layer sees and no other does."""
    only, titles = _only(bugs), bugs.drop_duplicates("bug").set_index("bug").title
    cells = [[layer, bug, titles[bug]] for layer in layers for bug, seen in only.items() if seen == layer]
    return Section(
        "Seen by one layer alone",
        text=["What a suite without that layer would let pass." if cells else "Nothing."],
        tables=[Table(["layer", "bug", "what it does"], cells, "matrix.csv")] if cells else [],
    )


def _matrix(rows: pd.DataFrame, layers: Sequence[str]) -> Table:
    """A row for each mutation, agent and environment, a column for each layer."""
    keys = ["bug", "agent", "environment"]
    cells = []
    for (bug, agent, environment), part in rows.groupby(keys, sort=False):
        outcomes = {row.layer: _outcome(row) for row in part.itertuples()}
        told = [outcomes.get(layer, NONE) for layer in layers]
        cells.append([bug, part.title.iloc[0], f"{agent}, {environment}", *told])
    return Table(["bug", "what it does", "tried with", *layers], cells, "matrix.csv")


def _outcome(row: Any) -> str:
    if row.status == "not run":
        return "not run"
    if pd.isna(row.caught):
        return "undecided"
    return f"\N{CHECK MARK} {seconds(row.seconds)}" if row.caught else "silent"


def _evidence(mutated: pd.DataFrame) -> Table:
    rows = mutated[mutated.caught.fillna(False).astype(bool)]
    cells = [[row.bug, row.layer, seconds(row.seconds), row.evidence] for row in rows.itertuples()]
    return Table(["bug", "layer", "time", "first check that failed"], cells, "trials.csv", frozenset({2}))


def _not_run(trials: pd.DataFrame) -> Section:
    rows = trials[(trials.status == "not run") & (trials.bug != "")]
    if rows.empty:
        return Section("Not run", text=["Every trial was run."])
    cells = [
        [str(layer), reason, str(len(part)), join(dict.fromkeys(part.bug), 12)]
        for (layer, reason), part in rows.groupby(["layer", "reason"], sort=False)
    ]
    head = ["layer", "why", "trials", "mutations"]
    return Section("Not run", tables=[Table(head, cells, "trials.csv", frozenset({2}))], wide=[1, 3])


def _seconds(mutated: pd.DataFrame, layers: Sequence[str]) -> Panels:
    """Bugs caught within so many seconds, a line per layer."""
    canvas = Panels("Bugs caught over time", 1, 1, (520, 280), (46, 14, 36, 14))
    (axes,) = canvas.axes
    bugs = mutated[(mutated.kind == "bug") & mutated.caught.fillna(False).astype(bool)]
    end = float(bugs.seconds.max()) if len(bugs) else 1.0
    for shade, layer in zip(SHADES, layers, strict=False):
        times = np.sort(bugs[bugs.layer == layer].seconds.to_numpy(dtype=float))
        if len(times):
            x, y = np.append(times, end), np.append(np.arange(1, len(times) + 1), len(times))
            axes.plot(x, y, color=shade, linewidth=1.8, drawstyle="steps-post", zorder=3)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=12))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set_xlabel("seconds")
    axes.set_ylabel("bugs caught", color=INK)
    axes.set_ylim(bottom=0)
    return canvas
