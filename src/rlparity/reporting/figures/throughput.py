"""The figure of the benchmark: throughput and the time of a block against its number of seeds.

Throughputs are compared within a *setting*: environment, device, threads and hardware. The figure has two
panels for each setting, with a line per algorithm. Peers have the algorithm's colour, hollow marks and a
dash of their own. Rows of the reference are those of another implementation than ours and than a peer.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from rlparity.arms import OURS, is_peer
from rlparity.reporting.figures.panels import Panels, short
from rlparity.reporting.formatting import join, label
from rlparity.reporting.style import MUTED, OWN_COLOUR, REFERENCE_COLOUR, SPARE

SETTING = ["environment", "device", "threads", "hardware"]
COLOURS, MARKERS = (OWN_COLOUR, *SPARE, REFERENCE_COLOUR), "os^DvP<>"  # of algorithms: 40 different pairs
DASHED, DOTTED = (0, (4, 1.6)), (0, (1.2, 1.8))
PEER_DASHES = (((0, (1, 1.2)), "2.4 2.4"), ((0, (6, 1.4, 1, 1.4)), "9 2.5 2 2.5"), ((0, (3, 3)), "5 5"))


def algorithm_look(rows: pd.DataFrame, algorithm: str) -> tuple[str, str]:
    """Colour and mark of an algorithm, the same in all panels."""
    place = list(dict.fromkeys(rows.algorithm)).index(algorithm)
    return COLOURS[place % len(COLOURS)], MARKERS[place % len(MARKERS)]


def peer_dashes(rows: pd.DataFrame) -> dict[str, tuple[Any, str]]:
    """The dash of each peer in these rows, of matplotlib and of SVG."""
    names = [name for name in dict.fromkeys(rows.implementation) if is_peer(name)]
    return {name: PEER_DASHES[place % len(PEER_DASHES)] for place, name in enumerate(names)}


def is_reference(rows: pd.DataFrame) -> pd.Series:
    """Which rows are of the reference."""
    return (rows.implementation != OURS) & ~rows.implementation.map(is_peer).astype(bool)


def by_setting(rows: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """(name, rows) of each setting, named by what the settings differ in, the environment always."""
    differing = [column for column in SETTING[1:] if rows[column].nunique() > 1]
    for _, part in rows.groupby(SETTING, sort=False):
        first = part.iloc[0]
        named = [first.environment, *(fact(column, first[column]) for column in differing)]
        yield ", ".join(named), part


def reference_name(rows: pd.DataFrame) -> str:
    """The name of the reference."""
    names = dict.fromkeys(rows[is_reference(rows)].implementation)
    return join(map(label, names)) or "the reference"


def fact(column: str, value: Any) -> str:
    """A property of a setting in words: `2 threads`, `cpu`."""
    return f"{value} thread{'' if value == 1 else 's'}" if column == "threads" else str(value)


def scaling(rows: pd.DataFrame) -> Panels:
    """Throughput of all seeds of a block, and the time that it takes, against its number of seeds.

    `rows` are those of `throughput` with `cost`, the time of a block as a multiple of that of one seed.
    """
    panels, dashes = list(by_setting(rows)), peer_dashes(rows)
    key = [
        Line2D([], [], color=colour, marker=marker, markersize=5, linewidth=1.8, label=name)
        for name in dict.fromkeys(rows.algorithm)
        for colour, marker in [algorithm_look(rows, name)]
    ]
    alone = f"{reference_name(rows)}, one seed"
    key.append(Line2D([], [], color=MUTED, linewidth=1.2, linestyle=DASHED, label=alone))
    key += [
        Line2D([], [], color=MUTED, linewidth=1.2, linestyle=dash, label=label(name))
        for name, (dash, _) in dashes.items()
    ]
    figure = Panels("How cost grows with seeds", 2 * len(panels), 2, (350, 236), (52, 14, 36, 26), key)
    for place, (name, part) in enumerate(panels):
        rate, cost = figure.axes[2 * place : 2 * place + 2]
        for algorithm, own in part[part.implementation == OURS].groupby("algorithm", sort=False):
            colour, marker = algorithm_look(rows, str(algorithm))
            style: dict[str, Any] = {"color": colour, "marker": marker, "markersize": 5, "linewidth": 1.8}
            own = own.sort_values("seeds")
            rate.plot(own.seeds, own.steps_per_second, zorder=3, **style)
            cost.plot(own.seeds, own.cost, zorder=3, **style)
        for one in part[is_reference(part)].itertuples():
            colour, _ = algorithm_look(rows, one.algorithm)
            rate.axhline(one.steps_per_second, color=colour, linewidth=1.2, linestyle=DASHED, zorder=2)
        _peers(rate, rows, part, dashes)
        ends = [part.seeds.min(), part.seeds.max()]
        cost.plot(ends, ends, color=MUTED, linewidth=0.9, linestyle=DOTTED, zorder=1)
        _scales(rate, part, f"{name}: environment steps per second")
        _scales(cost, part, f"{name}: time of a block, one seed = 1")
    return figure


def _peers(axes: Axes, rows: pd.DataFrame, part: pd.DataFrame, dashes: dict[str, tuple[Any, str]]) -> None:
    """Throughput of peers: a line over the sizes of blocks, across the panel where there is one size."""
    others = part[part.implementation.isin(list(dashes))]
    for (algorithm, name), own in others.groupby(["algorithm", "implementation"], sort=False):
        colour, marker = algorithm_look(rows, str(algorithm))
        style: dict[str, Any] = {"color": colour, "linewidth": 1.2, "zorder": 2}
        style["linestyle"] = dashes[str(name)][0]
        if len(own) == 1:
            axes.axhline(own.steps_per_second.iloc[0], **style)
            continue
        own, style = (
            own.sort_values("seeds"),
            style | {"marker": marker, "markersize": 5, "fillstyle": "none"},
        )
        axes.plot(own.seeds, own.steps_per_second, **style)


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
