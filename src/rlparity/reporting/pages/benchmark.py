"""throughput.csv -> the benchmark's figure, its page and the Markdown twin.

A *setting* is what throughputs may be compared within: environment, device, threads and hardware. The figure
has a pair of panels for each, with a line per algorithm.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from rlparity.analysis import tables
from rlparity.errors import UserError
from rlparity.reporting.figures.panels import Panels, short, styled
from rlparity.reporting.formatting import NONE, interval, join, label, number, setting, whole
from rlparity.reporting.pages.elements import Picture, Table, prose, take_apart, templates, write
from rlparity.reporting.style import COLOURS, MUTED, PAINT, SPARE

SETTING = ["environment", "device", "threads", "hardware"]
LOOKS = tuple(zip((COLOURS["scratch"], *SPARE), "os^D", strict=True))  # of algorithms, in turn
TUNED = "hyperparameters.yaml"  # what `settings` says of most rows; others are named beside the algorithm
BLOCK = 10  # the size of a block that the headline speaks of
TIMES = "\N{MULTIPLICATION SIGN}"
DASHED, DOTTED = (0, (4, 1.6)), (0, (1.2, 1.8))


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
        _scaling(rows).write(figure)
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


def _look(rows: pd.DataFrame, algorithm: str) -> tuple[str, str]:
    """Colour and mark of an algorithm, the same in all panels."""
    return LOOKS[list(dict.fromkeys(rows.algorithm)).index(algorithm) % len(LOOKS)]


def _settings(rows: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """(name, rows) of each setting, named by what the settings differ in, the environment always."""
    differing = [column for column in SETTING[1:] if rows[column].nunique() > 1]
    for _, part in rows.groupby(SETTING, sort=False):
        first = part.iloc[0]
        named = [first.environment, *(_fact(column, first[column]) for column in differing)]
        yield ", ".join(named), part


def _fact(column: str, value: Any) -> str:
    return f"{value} thread{'' if value == 1 else 's'}" if column == "threads" else str(value)


def _scaling(rows: pd.DataFrame) -> Panels:
    """Aggregate throughput, and the cost of a block, against its seeds."""
    settings = list(_settings(rows))
    key = [
        Line2D([], [], color=colour, marker=marker, markersize=5, linewidth=1.8, label=name)
        for name in dict.fromkeys(rows.algorithm)
        for colour, marker in [_look(rows, name)]
    ]
    alone = f"{label('sb3')}, one seed"
    key.append(Line2D([], [], color=MUTED, linewidth=1.2, linestyle=DASHED, label=alone))
    canvas = Panels("How cost grows with seeds", 2 * len(settings), 2, (350, 236), (52, 14, 36, 26), key)
    for place, (name, part) in enumerate(settings):
        rate, cost = canvas.axes[2 * place : 2 * place + 2]
        for algorithm, own in part[part.implementation != "sb3"].groupby("algorithm", sort=False):
            colour, marker = _look(rows, str(algorithm))
            look: dict[str, Any] = {"color": colour, "marker": marker, "markersize": 5, "linewidth": 1.8}
            own = own.sort_values("seeds")
            rate.plot(own.seeds, own.steps_per_second, zorder=3, **look)
            cost.plot(own.seeds, own.cost, zorder=3, **look)
        for one in part[part.implementation == "sb3"].itertuples():
            colour, _ = _look(rows, one.algorithm)
            rate.axhline(one.steps_per_second, color=colour, linewidth=1.2, linestyle=DASHED, zorder=2)
        ends = [part.seeds.min(), part.seeds.max()]
        cost.plot(ends, ends, color=MUTED, linewidth=0.9, linestyle=DOTTED, zorder=1)
        _scales(rate, part, f"{name}: environment steps per second")
        _scales(cost, part, f"{name}: time of a block, one seed = 1")
    return canvas


def _scales(axes: Axes, part: pd.DataFrame, title: str) -> None:
    sizes = sorted(set(part.seeds))
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=12))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(short))
    axes.set_title(title)
    axes.set_xlabel("seeds of a block")


def _view(rows: pd.DataFrame, svg: str) -> dict[str, Any]:
    """All that the templates show."""
    title, caption = prose().scaling
    panels, width = take_apart(svg, "scaling", title)
    looks = {name: _look(rows, name) for name in dict.fromkeys(rows.algorithm)}
    conditions = [_fact(column, value) for column in ("device", "threads") for value in rows[column].unique()]
    return {
        "answer": _answer(rows),
        "headline": _headline(rows),
        "picture": Picture("scaling", title, caption, panels, width),
        "key": [(name, PAINT[colour], marker) for name, (colour, marker) in looks.items()],
        "measurements": _measurements(rows),
        "measuring": prose().measuring,
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
    """(setting, algorithm, rows) of all that has been measured side by side."""
    for name, part in _settings(rows):
        for algorithm, own in part.groupby("algorithm", sort=False):
            yield name, str(algorithm), own


def _of(rows: pd.DataFrame, implementation: str, seeds: int) -> Any:
    """The row of an algorithm in one setting; None where it was not measured."""
    found = rows[(rows.implementation == implementation) & (rows.seeds == seeds)]
    return None if found.empty else found.iloc[0]


def _answer(rows: pd.DataFrame) -> str:
    """The headline as a sentence for each setting."""
    text = []
    for name, part in _settings(rows):
        blocks = {who: _of(own, "scratch", BLOCK) for who, own in part.groupby("algorithm", sort=False)}
        known = {who: row.ratio_to_reference for who, row in blocks.items() if row is not None}
        known = {who: ratio for who, ratio in known.items() if not math.isnan(ratio)}
        found = [f"{number(ratio)} times ({who})" for who, ratio in known.items()]
        if found:
            lead = f"{name}: with {BLOCK} seeds at once, the implementation from scratch takes {join(found)}"
            text.append(f"{lead} as many environment steps per second as {label('sb3')}.")
    return " ".join(text) or f"No block of {BLOCK} seeds has been measured."


def _headline(rows: pd.DataFrame) -> Table:
    """A row per algorithm: ratios to the reference with one seed and with a block, and the block's memory."""
    several = len(list(_settings(rows))) > 1
    head = ["algorithm", *["environment"] * several, f"1 seed, {TIMES} reference"]
    head += [f"{BLOCK} seeds, {TIMES} reference [min, max]", f"{BLOCK} seeds, peak memory"]
    head.append(f"{label('sb3')}, steps/s")
    cells = []
    for name, algorithm, own in _arms(rows):
        reference, alone, block = _of(own, "sb3", 1), _of(own, "scratch", 1), _of(own, "scratch", BLOCK)
        line = [algorithm, *[name] * several, NONE if alone is None else number(alone.ratio_to_reference)]
        line += [NONE, NONE] if block is None else [_ratio(block), f"{number(block.peak_memory_mib)} MiB"]
        cells.append([*line, _beside(reference, alone, block)])
    return Table(head, cells, "throughput.csv", frozenset(range(1 + several, len(head))))


def _beside(reference: Any, *ours: Any) -> str:
    """The reference's rate in the rounds of these rows; in rows without one that of its own row."""
    rates = [row.reference_steps_per_second for row in ours if row is not None]
    rates = [rate for rate in rates if not math.isnan(rate)]
    if not rates and reference is not None:
        rates = [reference.steps_per_second]
    return ", ".join(dict.fromkeys(map(number, rates))) or NONE


def _ratio(row: Any) -> str:
    """`8.1 [7.9, 8.4]`; without the brackets where it was measured once."""
    ends = (row.ratio_min, row.ratio_max) if row.rounds > 1 else (math.nan, math.nan)
    return interval(row.ratio_to_reference, *ends)


def _measurements(rows: pd.DataFrame) -> Table:
    """All rows; the reference before the blocks, which grow."""
    head = ["environment", "algorithm", "implementation", "seeds", "steps/s", f"{TIMES} reference [min, max]"]
    head += ["time of the block, 1 seed = 1", "peak memory", "rounds", "steps per seed"]
    beside = bool(rows.reference_steps_per_second.notna().any())
    head += [f"{label('sb3')}, steps/s"] * beside
    counted = bool(rows.gflops.notna().any())
    head += ["GFLOP/s (machine's best)"] * counted
    cells = []
    for name, algorithm, own in _arms(rows):
        for row in own.sort_values(["implementation", "seeds"]).itertuples():
            line = [name, algorithm, label(str(row.implementation)), whole(row.seeds)]
            line += [number(row.steps_per_second), NONE if row.implementation == "sb3" else _ratio(row)]
            line += [number(row.cost), f"{number(row.peak_memory_mib)} MiB"]
            achieved = [f"{number(row.gflops)} ({number(row.machine_gflops)})"] if row.gflops > 0 else [NONE]
            line += [whole(row.rounds), whole(row.budget), *[number(row.reference_steps_per_second)] * beside]
            cells.append([*line, *achieved * counted])
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
