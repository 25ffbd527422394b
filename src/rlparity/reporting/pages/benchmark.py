"""The page of the benchmark, from throughput.csv."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from rlparity.analysis import tables
from rlparity.arms import OURS
from rlparity.errors import UserError
from rlparity.reporting.figures.panels import styled
from rlparity.reporting.figures.throughput import (
    SETTING,
    algorithm_look,
    by_setting,
    fact,
    reference_name,
    scaling,
)
from rlparity.reporting.formatting import NONE, interval, join, label, number, setting, whole
from rlparity.reporting.pages.elements import KeyEntry, Picture, Table, prose, take_apart, templates, write
from rlparity.reporting.style import MUTED, PAINT

TUNED = "hyperparameters.yaml"  # the usual value of `settings`; others are named beside the algorithm
BLOCK = 10  # the size of a block in the headline
BESIDE = "reference_steps_per_second"  # of the reference in the rounds of a row
TIMES = "\N{MULTIPLICATION SIGN}"


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
    return {
        "reference": reference,
        "answer": _answer(rows),
        "headline": _headline(rows),
        "picture": Picture("scaling", title, caption, panels, width, key),
        "measurements": _measurements(rows),
        "measuring": text.measuring,
        "configurations": [(name, _configuration(rows, name)) for name in looks],
        "facts": [
            ("Commit", _seen(rows.commit.str[:12])),
            ("Hardware", _seen(rows.hardware)),
            ("Device", ", ".join(conditions)),
            ("Versions", _seen(rows.versions)),
        ],
    }


def _seen(values: pd.Series) -> str:
    return "; ".join(dict.fromkeys(values.dropna())) or NONE


def _arms(rows: pd.DataFrame) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """(setting, algorithm, rows) of all that was measured side by side."""
    for name, part in by_setting(rows):
        for algorithm, own in part.groupby("algorithm", sort=False):
            yield name, str(algorithm), own


def _of(rows: pd.DataFrame, seeds: int) -> Any:
    """Our row of an algorithm in one setting; None where it was not measured."""
    found = rows[(rows.implementation == OURS) & (rows.seeds == seeds)]
    return None if found.empty else found.iloc[0]


def _answer(rows: pd.DataFrame) -> str:
    """The headline as a sentence for each setting."""
    text = []
    for name, part in by_setting(rows):
        blocks = {who: _of(own, BLOCK) for who, own in part.groupby("algorithm", sort=False)}
        known = {who: row.ratio_to_reference for who, row in blocks.items() if row is not None}
        found = [f"{number(ratio)} times ({who})" for who, ratio in known.items() if not math.isnan(ratio)]
        if found:
            lead = f"{name}: with {BLOCK} seeds at once, the implementation from scratch takes {join(found)}"
            text.append(f"{lead} as many environment steps per second as {reference_name(part)}.")
    return " ".join(text) or f"No block of {BLOCK} seeds has been measured."


def _headline(rows: pd.DataFrame) -> Table:
    """A row per algorithm: ratios to the reference with one seed and with a block, the memory of the block,
    and the rate of the reference in the same rounds."""
    several = len(list(by_setting(rows))) > 1
    head = ["algorithm", *["environment"] * several, f"1 seed, {TIMES} reference"]
    head += [f"{BLOCK} seeds, {TIMES} reference [min, max]", f"{BLOCK} seeds, peak memory"]
    head.append(f"{reference_name(rows)} in these rounds, steps/s")
    cells = []
    for name, algorithm, own in _arms(rows):
        alone, block = _of(own, 1), _of(own, BLOCK)
        line = [algorithm, *[name] * several, NONE if alone is None else number(alone.ratio_to_reference)]
        line += [NONE, NONE] if block is None else [_ratio(block), f"{number(block.peak_memory_mib)} MiB"]
        cells.append([*line, _beside(own, alone, block)])
    return Table(head, cells, "throughput.csv", frozenset(range(1 + several, len(head))))


def _beside(rows: pd.DataFrame, alone: Any, block: Any) -> str:
    """The reference's rate in the rounds of these two rows, two rates where the rounds differ; the rate of
    its own row where the rounds were not recorded."""
    ours = {"1 seed": alone, f"{BLOCK} seeds": block}
    rates = {name: row[BESIDE] for name, row in ours.items() if row is not None and row[BESIDE] > 0}
    if len(set(rates.values())) > 1:
        return ", ".join(f"{number(rate)} ({name})" for name, rate in rates.items())
    theirs = [
        f"{number(rate)}, rounds unknown" for rate in rows[rows.implementation != OURS].steps_per_second
    ]
    return next((number(rate) for rate in rates.values()), (theirs or [NONE])[0])


def _ratio(row: Any) -> str:
    """`8.1 [7.9, 8.4]`; without the brackets where it was measured once."""
    ends = (row.ratio_min, row.ratio_max) if row.rounds > 1 else (math.nan, math.nan)
    return interval(row.ratio_to_reference, *ends)


def _measurements(rows: pd.DataFrame) -> Table:
    """All rows, the reference first, then blocks by size."""
    head = ["environment", "algorithm", "implementation", "seeds", "steps/s", f"{TIMES} reference [min, max]"]
    known = bool(rows[BESIDE].notna().any())
    head += ["reference in these rounds, steps/s"] * known
    head += ["time of the block, 1 seed = 1", "peak memory", "rounds", "steps per seed"]
    counted = bool(rows.gflops.notna().any())
    head += ["GFLOP/s (machine's best)"] * counted
    cells = []
    for name, algorithm, own in _arms(rows):
        ours = own.implementation == OURS
        for row in pd.concat([own[~ours], own[ours].sort_values("seeds")]).itertuples():
            line = [name, algorithm, label(str(row.implementation)), whole(row.seeds)]
            beside = [_ratio(row), *[number(row.reference_steps_per_second)] * known]
            beside = beside if row.implementation == OURS else [NONE] * len(beside)
            line += [number(row.steps_per_second), *beside]
            line += [number(row.cost), f"{number(row.peak_memory_mib)} MiB"]
            achieved = [f"{number(row.gflops)} ({number(row.machine_gflops)})"] if row.gflops > 0 else [NONE]
            cells.append([*line, whole(row.rounds), whole(row.budget), *achieved * counted])
    return Table(head, cells, "throughput.csv", frozenset(range(3, len(head))))


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
