"""A grid of equal panels in one style, written as small, reproducible SVG.

A figure is a grid of panels below a header; a page leaves out the header and lets the panels flow.
The same data give the same bytes: no dates, salted ids, no settings of the user.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rlparity.reporting.formatting import label
from rlparity.reporting.style import CARD, GRID, INK, MUTED, Look

FONTS = "system-ui, -apple-system, 'Segoe UI', 'Helvetica Neue', Arial, sans-serif"
STYLE: Any = {  # on top of seaborn's "ticks"
    "svg.hashsalt": "rlparity",
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.family": "DejaVu Sans",  # for measuring only: wider than what readers have, so nothing runs over
    "font.size": 9.5,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.linewidth": 0.7,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.handlelength": 2.2,
    **dict.fromkeys(("text.color", "axes.titlecolor", "xtick.labelcolor", "ytick.labelcolor"), INK),
    **dict.fromkeys(("axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), MUTED),
    **dict.fromkeys(("axes.labelsize", "xtick.labelsize", "ytick.labelsize", "legend.fontsize"), 9),
    **dict.fromkeys(("xtick.major.size", "ytick.major.size"), 3),
    **dict.fromkeys(("xtick.major.width", "ytick.major.width"), 0.7),
}
HEADER = 44.0  # points above the panels: title and key, which the page writes itself
ROW = 15.0  # points of a further row of the key


@contextmanager
def styled() -> Iterator[None]:
    """Apply one fixed matplotlib style, ignoring user settings."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(sns.axes_style("ticks") | STYLE)
        yield


class Panels:
    """Equal panels, `columns` to a row, below a header that holds the title and the key.

    `cell` is the width and height of a panel in points, `margins` what its labels take: left, right,
    bottom, top.
    """

    def __init__(
        self,
        title: str,
        panels: int,
        columns: int,
        cell: tuple[float, float],
        margins: tuple[float, float, float, float] = (44, 12, 34, 24),
        key: Iterable[Line2D] = (),
    ) -> None:
        self.cell, self.columns = cell, min(columns, panels)
        width, handles = self.columns * cell[0], list(key)
        in_row = _entries_in_row([str(handle.get_label()) for handle in handles], width)
        self.header = HEADER + ROW * (math.ceil(len(handles) / in_row) - 1 if handles else 0)
        height = math.ceil(panels / self.columns) * cell[1] + self.header
        self.figure = Figure(figsize=(width / 72, height / 72), facecolor=CARD)
        self.axes: list[Axes] = []
        left, right, bottom, top = margins
        for panel in range(panels):
            row, column = divmod(panel, self.columns)
            x, y = column * cell[0] + left, height - self.header - (row + 1) * cell[1] + bottom
            inner = (cell[0] - left - right, cell[1] - top - bottom)
            axes = self.figure.add_axes((x / width, y / height, inner[0] / width, inner[1] / height))
            axes.set_gid(f"panel-{panel}")
            sns.despine(ax=axes)
            self.axes.append(axes)
        self.figure.text(8 / width, 1 - 17 / height, title, fontsize=12, fontweight="bold", gid="title")
        if handles:
            place = (4 / width, 1 - 20 / height)
            legend = self.figure.legend(handles=handles, loc="upper left", bbox_to_anchor=place, ncols=in_row)
            legend.set_gid("key")

    def svg(self) -> str:
        """The figure as SVG text: no date, short numbers, text as text, the grid in `data-` attributes."""
        sink = io.StringIO()
        self.figure.savefig(sink, format="svg", metadata={"Date": None})
        width, height = self.cell
        place = f'data-cell="{width:g} {height:g}" data-header="{self.header:g}"'
        grid = f'data-columns="{self.columns}" {place}'
        return _tidy(sink.getvalue()).replace("<svg ", f'<svg {grid} font-family="{FONTS}" ', 1)

    def write(self, path: Path) -> None:
        """Write the figure as SVG."""
        path.write_text(self.svg(), encoding="utf-8", newline="\n")


def _entries_in_row(labels: Sequence[str], width: float) -> int:
    """How many entries of a key stand in one row: all if they fit, else columns as wide as the longest."""
    widths = [44 + 5.2 * len(text) for text in labels] or [width]
    return len(widths) if sum(widths) <= width else max(1, int(width / max(widths)))


def _tidy(svg: str) -> str:
    """Matplotlib's SVG without prologue, metadata, unused ids and needless digits: a third of the size."""
    svg = re.sub(r"^.*?<svg", "<svg", svg, flags=re.DOTALL)
    svg = re.sub(r"\s*<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<g id="[a-z_.A-Z0-9]+_\d+">', "<g>", svg)
    svg = re.sub(r' transform="rotate\(-0 [^"]*"', "", svg).replace("xlink:href", "href")
    svg = re.sub(r"font: ([^;\"]*?px) [^;\"]*", r"font-size: \1", svg)
    svg = re.sub(r"font-size: (?:(bold|\d+) )?([\d.]+px)", _font, svg)
    svg = re.sub(r" font-family: [^;\"]*;", "", svg)
    return re.sub(r"<[^>]*>", _shorten, svg)


def _font(found: re.Match[str]) -> str:
    weight = f"font-weight: {found[1]}; " if found[1] else ""
    return f"{weight}font-size: {found[2]}"


def _shorten(tag: re.Match[str]) -> str:
    text = re.sub(r"(\d\.\d{2})\d+", r"\1", tag[0])
    return re.sub(r'(?<=\bd=")[^"]*', lambda path: " ".join(path[0].split()), text)


def legend(looks: Mapping[str, Look], lines: bool, extra: Iterable[Line2D] = ()) -> list[Line2D]:
    """The key of the implementations, for the header of a figure."""
    handles = []
    for name, look in looks.items():
        style: dict[str, Any] = {"linestyle": look.dash, "linewidth": 1.8}
        style = style if lines else {"linestyle": "none", "marker": look.marker}
        handles.append(Line2D([], [], color=look.colour, label=label(name), markersize=5, **style))
    return [*handles, *extra]


def line_entry(text: str, dash: Any) -> Line2D:
    """The entry of a key for a horizontal line."""
    return Line2D([], [], color=MUTED, linewidth=0.9, linestyle=dash, label=text)


def short(value: float, _: int | None = None) -> str:
    """Environment steps, short: 50000 is 50k."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"


def share(panels: Iterable[Axes], axis: str) -> None:
    """The same limits in every panel."""
    many = list(panels)
    limits = np.array([getattr(axes, f"get_{axis}lim")() for axes in many])
    for axes in many:
        getattr(axes, f"set_{axis}lim")(limits[:, 0].min(), limits[:, 1].max())


def name_rows(axes: Axes, names: list[str]) -> None:
    """One horizontal row per name, the first on top."""
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
    for row in range(1, len(names), 2):
        axes.axhspan(row - 0.5, row + 0.5, color=GRID, alpha=0.35, linewidth=0, zorder=0)


def rowed(title: str, panels: int, columns: int, width: float, names: list[str], key: list[Line2D]) -> Panels:
    """Panels that have a row per name."""
    left = 16 + 5.7 * max(len(name) for name in names)
    height = 66 + max(19 * len(names), 34)
    size = (max(width, left + 140), height)  # room for the numbers below the axis, however long the names
    figure = Panels(title, panels, columns, size, margins=(left, 14, 36, 26), key=key)
    for axes in figure.axes:
        name_rows(axes, names)
    return figure


def spread(count: int) -> list[float]:
    """Offsets that keep `count` arms of a row apart."""
    return [0.0] * count if count < 2 else list(np.linspace(-0.2, 0.2, count))
