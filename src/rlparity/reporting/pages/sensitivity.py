"""The page of a sensitivity suite: which layer catches which planted bug, and which bugs none catches.

Writes `matrix.csv` and `trials.csv` beside it, from the outcomes of the trials.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.ticker import LogLocator, NullLocator

from rlparity.analysis import tables
from rlparity.analysis.schemas import TABLES
from rlparity.errors import UserError
from rlparity.records import write_bytes
from rlparity.reporting.figures.panels import Panels, styled
from rlparity.reporting.formatting import NONE
from rlparity.reporting.pages import sensitivity_tables, sensitivity_ways
from rlparity.reporting.pages.elements import KeyEntry
from rlparity.reporting.pages.planted_bugs import analysis
from rlparity.reporting.pages.simple_page import Section, SimplePage, picture
from rlparity.reporting.style import INK, OWN_COLOUR, PAINT, REFERENCE_COLOUR, SPARE

SHADES = (OWN_COLOUR, REFERENCE_COLOUR, SPARE[0], SPARE[1])  # of layers, in turn
MADE = "made.json"  # suite, versions, hardware and commit of the committed trials
CAPTION = (
    "Planted bugs that each layer by itself has caught within the time on the axis, imports and training "
    "included; the axis is logarithmic."
)


def render(results: Path, report: Path) -> str:
    """Write the tables and the page of `results/trials.json` below `report`; returns the page's answer.

    Where there are none but the report has its tables, these stay, and only `results/candidates.json` is new.
    Raises UserError where there are no outcomes.
    """
    if (results / "candidates.json").is_file():
        _write_candidates(_read(results / "candidates.json"), report)
    if (results / "analysis.json").is_file():
        analysis.write(_read(results / "analysis.json"), report)
    if not (results / "trials.json").is_file() and (report / MADE).is_file():
        content = _read(report / MADE)
        trials = tables.read(report / "trials.csv")
        texts = [key for key, column in TABLES["trials"].items() if column.dtype == "str"]
        trials[texts] = trials[texts].fillna("")
    else:
        content = _read(results / "trials.json")
        trials = tables.frame(
            "trials", [{key: row[key] for key in TABLES["trials"]} for row in content.pop("trials")]
        )
    report.mkdir(parents=True, exist_ok=True)
    write_bytes(report / MADE, json.dumps(content, indent=1).encode())
    mutated = trials[trials.bug != ""]
    tables.write_csv(report, "trials", trials)
    tables.write_csv(report, "matrix", tables.frame("matrix", mutated[list(TABLES["matrix"])]))
    layers = list(content["suite"]["layers"])
    figure = report / "figures" / "seconds.svg"
    figure.parent.mkdir(exist_ok=True)
    with styled():
        _seconds(mutated, layers).write(figure)
    page = _page(content, trials, mutated, layers, report).render(report)
    return "\n".join(filter(None, [_answer(mutated), analysis.answer(report), f"report: {page}"]))


def _write_candidates(content: Mapping[str, Any], report: Path) -> None:
    """Write candidates.csv from the outcomes of the ways to bring an implementation."""
    made = content["hardware"]
    origin = {
        "hardware": f"{made['cpu']}, {made['cores']} cores",
        "versions": ", ".join(f"{name} {number}" for name, number in sorted(content["versions"].items())),
        "commit": str(content["git"]["commit"] or ""),
    }
    keys = [key for key in TABLES["candidates"] if key not in origin]
    rows = [{key: row[key] for key in keys} | origin for row in content["trials"] if row["bug"]]
    tables.write_csv(report, "candidates", tables.frame("candidates", rows))


def _read(file: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{file}: cannot be read ({error}); run rlparity dev sensitivity first") from None
    return content


def _page(
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
    key = [KeyEntry(layer, PAINT[shade]) for layer, shade in zip(layers, SHADES, strict=False)]
    bugs, others = mutated[mutated.kind == "bug"], mutated[mutated.kind != "bug"]
    return SimplePage(
        kind="sensitivity",
        title=content["suite"]["title"],
        lede=content["suite"]["description"],
        answer=" ".join(filter(None, [_answer(mutated), analysis.answer(report)])),
        facts=[
            ("Commit", commit),
            ("Hardware", f"{made['cpu']}, {made['cores']} cores, one thread for each trial"),
            ("Versions", versions),
        ],
        sections=[
            Section("Layers", tables=[sensitivity_tables.by_layer(mutated, layers)]),
            *sensitivity_ways.sections(mutated, report),
            *analysis.sections(report),
            Section(
                "Time until bugs are caught",
                pictures=[picture(report, "seconds", "Bugs caught over time", CAPTION, key)],
            ),
            sensitivity_tables.missed(bugs),
            sensitivity_tables.alone(bugs, layers),
            Section(
                "Refactorings and harmless differences",
                text=[
                    "No layer may raise an alarm at a refactoring: its numbers are the same up to rounding. "
                    "Parity should name a harmless difference; statistics must not call it WORSE."
                ],
                tables=[sensitivity_tables.matrix(others, layers)],
                wide=[1],
            ),
            Section("All bugs", tables=[sensitivity_tables.matrix(bugs, layers)], wide=[1]),
            Section("How they were found", tables=[sensitivity_tables.evidence(mutated)], wide=[3]),
            sensitivity_tables.not_run(trials),
            Section("Columns", terms=[(key, column.meaning) for key, column in TABLES["trials"].items()]),
        ],
    )


def _answer(mutated: pd.DataFrame) -> str:
    """The result in plain sentences."""
    bugs = sensitivity_tables.caught(mutated[mutated.kind == "bug"])
    share = sensitivity_tables.share(bugs)
    text = [f"{bugs.sum()} of {len(bugs)} planted bugs ({share}) are caught by some layer."]
    same = mutated[mutated.kind == "refactoring"]
    if len(same):
        alarms = int(sensitivity_tables.caught(same).sum())
        word = f"{alarms} raise{'s' * (alarms == 1)} a false alarm" if alarms else "none raises an alarm"
        text.append(f"Of {same.bug.nunique()} refactorings {word}.")
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


def _seconds(mutated: pd.DataFrame, layers: Sequence[str]) -> Panels:
    """Bugs caught within so many seconds, a line per layer."""
    figure = Panels("Bugs caught over time", 1, 1, (520, 280), (46, 14, 36, 14))
    (axes,) = figure.axes
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
    return figure
