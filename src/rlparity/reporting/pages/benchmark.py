"""The page of the benchmark, from throughput.csv."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import pandas as pd

from rlparity.analysis import tables
from rlparity.arms import OURS, is_peer
from rlparity.errors import UserError
from rlparity.reporting.figures.panels import styled
from rlparity.reporting.figures.throughput import (
    SETTING,
    algorithm_look,
    by_setting,
    fact,
    peer_dashes,
    reference_name,
    scaling,
)
from rlparity.reporting.formatting import NONE, join, label, number, setting
from rlparity.reporting.pages import benchmark_tables
from rlparity.reporting.pages.benchmark_tables import BLOCK
from rlparity.reporting.pages.elements import KeyEntry, Picture, Table, prose, take_apart, templates, write
from rlparity.reporting.style import MUTED, PAINT

TUNED = "hyperparameters.yaml"  # the usual value of `settings`; others are named beside the algorithm


def render(folder: Path) -> str:
    """Write `folder/figures/scaling.svg`, `index.html` and `README.md`; return the headline as text.

    Raises UserError where `folder/throughput.csv` is missing, another table or empty.
    """
    file = folder / "throughput.csv"
    rows = tables.read(file)
    if rows.empty:
        raise UserError(f"{file}: holds no measurement; run rlparity bench")
    named = rows.settings.isna() | (rows.settings == TUNED)
    rows["algorithm"] = rows.algorithm.where(named, rows.algorithm + ", " + rows.settings)
    rows = rows.assign(cost=_cost(rows))
    figure = folder / "figures" / "scaling.svg"
    figure.parent.mkdir(parents=True, exist_ok=True)
    with styled():
        scaling(rows).write(figure)
    view = _view(rows, figure.read_text(encoding="utf-8"))
    for template, name in (("benchmark.html", "index.html"), ("benchmark.md", "README.md")):
        page = templates().get_template(template).render(view)
        write(folder / name, re.sub(r"\n{3,}", "\n\n", page))
    headline: Table = view["headline"]
    return "\n".join([headline.text(), view["answer"], f"report: {folder / 'index.html'}"])


def _cost(rows: pd.DataFrame) -> pd.Series:
    """Time that a block of S seeds takes, in trainings of one seed: S times rate(1) / rate(S).

    Missing where one seed alone was not measured. A block without any gain from its size costs S.
    """
    arm = [*SETTING, "algorithm", "implementation"]
    alone = rows[rows.seeds == 1].drop_duplicates(arm).set_index(arm).steps_per_second
    rates = rows[arm].join(alone.rename("alone"), on=arm).alone
    return rows.seeds * rates / rows.steps_per_second


def _view(rows: pd.DataFrame, svg: str) -> dict[str, Any]:
    """All values that the templates show."""
    reference = reference_name(rows)
    text = prose("benchmark", reference=reference)
    title, caption = text.scaling
    panels, width = take_apart(svg, "scaling", title)
    looks = {name: algorithm_look(rows, name) for name in dict.fromkeys(rows.algorithm)}
    conditions = [fact(column, value) for column in ("device", "threads") for value in rows[column].unique()]
    key = [KeyEntry(name, PAINT[colour], marker) for name, (colour, marker) in looks.items()]
    key.append(KeyEntry(f"{reference}, one seed", PAINT[MUTED], dash="7 2.8"))
    key += [KeyEntry(label(name), PAINT[MUTED], dash=svg) for name, (_, svg) in peer_dashes(rows).items()]
    return {
        "reference": reference,
        "answer": _answer(rows),
        "headline": benchmark_tables.headline(rows),
        "peers": benchmark_tables.beside_peers(rows),
        "differences": _differences(rows, text.peers),
        "picture": Picture("scaling", title, caption, panels, width, key),
        "measurements": benchmark_tables.measurements(rows),
        "measuring": text.measuring,
        "configurations": [(name, _configuration(rows, name)) for name in looks],
        "facts": [
            ("Commit", _seen(rows.commit.str[:12])),
            ("Hardware", _seen(rows.hardware)),
            ("Device", ", ".join(conditions)),
            ("Core", _cores(rows)),
            ("Kernel", _seen(rows.kernel)),
            ("Versions", benchmark_tables.versions(rows)),
        ],
    }


def _seen(values: pd.Series) -> str:
    return "; ".join(dict.fromkeys(values.dropna())) or NONE


def _cores(rows: pd.DataFrame) -> str:
    """The cores that runs were kept on, and whether some were not."""
    kept = [f"every run was kept on core {core:g}" for core in sorted(rows.core.dropna().unique())]
    free = ["not kept on one core" if not kept else "rows of older versions were not"]
    return "; ".join([*kept, *(free if rows.core.isna().any() else [])])


def _differences(rows: pd.DataFrame, known: dict[str, str]) -> list[tuple[str, str]]:
    """What differs for each peer in these rows."""
    names = [name for name in dict.fromkeys(rows.implementation) if is_peer(name)]
    return [(label(name), known.get(name, known[OURS])) for name in names]


def _answer(rows: pd.DataFrame) -> str:
    """The headline as a sentence for each setting."""
    text = []
    for name, part in by_setting(rows):
        blocks = {who: benchmark_tables.of(own, BLOCK) for who, own in part.groupby("algorithm", sort=False)}
        known = {who: row.ratio_to_reference for who, row in blocks.items() if row is not None}
        found = [f"{number(ratio)} times ({who})" for who, ratio in known.items() if not math.isnan(ratio)]
        if found:
            lead = f"{name}: with {BLOCK} seeds at once, the implementation from scratch takes {join(found)}"
            text.append(f"{lead} as many environment steps per second as {reference_name(part)}.")
    return " ".join(text) or f"No block of {BLOCK} seeds has been measured."


def _configuration(rows: pd.DataFrame, algorithm: str) -> Table:
    """The hyper-parameters that all ran with; a column for each set of them, should they differ."""
    seen = rows[rows.algorithm == algorithm].configuration.dropna().unique()
    columns = [_parsed(text) for text in seen]
    keys = list(dict.fromkeys(key for column in columns for key in column))
    cells = [[key, *(setting(column.get(key, NONE)) for column in columns)] for key in keys]
    return Table(["hyper-parameter", *["value"] * len(columns)], cells)


def _parsed(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        found = text
    return found if isinstance(found, dict) else {"configuration": text}
