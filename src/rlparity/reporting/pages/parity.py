"""The page of update parity: the distance of our agents' updates from Stable-Baselines3's, by tensor."""

from __future__ import annotations

import json
import math
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
from rlparity.reporting.formatting import join, number, scientific, seconds
from rlparity.reporting.pages.elements import KeyEntry, Table, prose
from rlparity.reporting.pages.simple_page import Section, SimplePage, picture
from rlparity.reporting.style import INK, MUTED, OWN_COLOUR, PAINT, REFERENCE_COLOUR

KINDS = ("targets", "losses", "gradients", "parameters", "target networks")  # in the order of computation
WHO = ["algorithm", "configuration", "dtype"]
ITSELF = ": SB3 beside itself"  # ends the configuration of the reference compared with itself
DASHED, DOTTED = (0, (4, 1.6)), (0, (1.2, 1.8))
LOOKS: dict[str, tuple[str, str, Any, str]] = {  # (name, colour, dash, the same in SVG)
    "float64": ("ours, float64", OWN_COLOUR, "-", ""),
    "float32": ("ours, float32", REFERENCE_COLOUR, DASHED, "6 2.5"),
    "itself": ("Stable-Baselines3 beside itself, sums in another order", MUTED, DOTTED, "1.5 2.5"),
}
LEAST = 1e-17  # where a difference of zero is drawn


def render(folder: Path) -> str:
    """Write `folder/index.html`, its Markdown twin and the figure; returns the page's answer.

    Raises UserError where `parity.csv` or `parity_cases.csv` is missing, another table or empty.
    """
    rows, cases = (tables.read(folder / f"{name}.csv") for name in ("parity", "parity_cases"))
    if rows.empty or cases.empty:
        raise UserError(f"{folder}: holds no comparison; run rlparity dev parity")
    figure = folder / "figures" / "growth.svg"
    figure.parent.mkdir(parents=True, exist_ok=True)
    with styled():
        _growth(rows).write(figure)
    page = _page(folder, rows, cases).render(folder)
    return f"{_answer(rows, cases)}\nreport: {page}"


def _page(folder: Path, rows: pd.DataFrame, cases: pd.DataFrame) -> SimplePage:
    own, itself = _apart(rows)
    words = prose("parity")
    key = [KeyEntry(name, PAINT[colour], dash=dash) for name, colour, _, dash in LOOKS.values()]
    growth = picture(folder, "growth", "How differences grow", words.caption, key)
    sections = [
        Section("Agents", tables=[_agents(own, cases)]),
        Section("How differences grow", pictures=[growth]),
        Section("Configurations", tables=[_configurations(own, cases)], wide=[1, 9]),
        Section("How it was measured", terms=words.measuring),
        Section("Patches of the reference", terms=words.patched),
    ]
    if not itself.empty:
        sections.insert(
            3, Section("The reference beside itself", [words.itself], tables=[_beside(itself, own)], wide=[1])
        )
    sections.append(Section("Hyper-parameters", tables=[_options(cases)], wide=[2]))
    sections.append(Section("Columns", terms=[(k, c.meaning) for k, c in TABLES["parity"].items()]))
    return SimplePage(
        kind="update parity",
        title="Update parity with Stable-Baselines3",
        lede="The same weights, batches and random draws into both: are the updates the same?",
        answer=_answer(rows, cases),
        facts=[
            ("Commit", join(sorted({str(commit)[:12] for commit in cases.commit.dropna()}))),
            ("Hardware", join(sorted(set(cases.hardware)))),
            ("Versions", join(sorted(set(cases.versions)))),
            ("Time", seconds(cases.seconds.sum())),
        ],
        sections=sections,
    )


def _apart(rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows of ours, and of the reference beside itself under the name of the configuration."""
    itself = rows.configuration.str.endswith(ITSELF)
    return rows[~itself], rows[itself].assign(configuration=rows.configuration.str.removesuffix(ITSELF))


def _answer(rows: pd.DataFrame, cases: pd.DataFrame) -> str:
    """The result in plain sentences."""
    own, itself = _apart(rows)
    magnified = set(zip(itself.algorithm, itself.configuration, strict=True))
    text = []
    for dtype, part in cases.groupby("dtype", sort=False):
        passed = part[part.passed]
        sizes = own[(own["dtype"] == dtype) & (own.quantity == "parameters")]
        plain = [who not in magnified for who in zip(sizes.algorithm, sizes.configuration, strict=True)]
        sentence = f"{len(passed)} of {len(part)} configurations in {dtype} are within tolerance"
        if len(passed) == len(part) and any(plain):
            sizes = sizes[plain]
            largest, updates = scientific(sizes.max_relative_difference.max()), number(sizes.updates.max())
            sentence += f"; parameters are within {largest} after {updates} updates"
            sentence += " where rounding is not magnified" if magnified else ""
        text.append(f"{sentence}.")
    for row in cases[~cases.passed].itertuples():
        text.append(f"{row.algorithm}, {row.configuration} ({row.dtype}): {row.first_difference}.")
    return " ".join(text)


def _agents(own: pd.DataFrame, cases: pd.DataFrame) -> Table:
    """A row per agent and precision: its largest difference of a parameter."""
    points = sorted(set(own.updates))
    largest = (f"parameters, {_updates(n)}" for n in points)
    head = ["algorithm", "precision", "configurations", *largest, "passed"]
    parameters = own[own.quantity == "parameters"]
    lines = []
    for (algorithm, dtype), part in cases.groupby(["algorithm", "dtype"], sort=False):
        mine = parameters[(parameters.algorithm == algorithm) & (parameters["dtype"] == dtype)]
        sizes = mine.groupby("updates").max_relative_difference.max()
        passed = f"{int(part.passed.sum())} of {len(part)}"
        found = [scientific(sizes.get(n, math.nan)) for n in points]
        lines.append([algorithm, dtype, str(len(part)), *found, passed])
    return Table(head, lines, "parity.csv", frozenset(range(2, len(head))))


def _configurations(own: pd.DataFrame, cases: pd.DataFrame) -> Table:
    """A row per configuration: the largest difference of each kind."""
    sizes = own.groupby([*WHO, "quantity"]).max_relative_difference.max()
    allowed = own[own.quantity == "parameters"].groupby(WHO).tolerance.max()
    lines = []
    for row in cases.itertuples():
        key = (row.algorithm, row.configuration, row.dtype)
        found = [scientific(sizes.get((*key, kind), math.nan)) for kind in KINDS]
        verdict = "passed" if row.passed else f"off: {row.first_difference}"
        lines.append([*key, *found, scientific(allowed.get(key, math.nan)), verdict])
    head = ["algorithm", "configuration", "precision", *KINDS, "tolerance", "verdict"]
    return Table(head, lines, "parity_cases.csv", frozenset(range(3, 9)))


def _beside(itself: pd.DataFrame, own: pd.DataFrame) -> Table:
    """Parameters: ours from the reference, the reference from itself."""
    points = sorted(set(itself.updates))
    head = ["algorithm", "configuration", "precision", "from the reference", *map(_updates, points)]
    lines = []
    ours = own[own.quantity == "parameters"].set_index(WHO)
    for key, part in itself[itself.quantity == "parameters"].groupby(WHO):
        beside = ours.loc[[key]]
        for name, sizes in (("ours", beside), ("itself", part)):
            found = sizes.set_index("updates").max_relative_difference
            lines.append([*key, name, *(scientific(found.get(n, math.nan)) for n in points)])
    return Table(head, lines, "parity.csv", frozenset(range(4, len(head))))


def _options(cases: pd.DataFrame) -> Table:
    """The hyper-parameters of each configuration that are not defaults."""
    seen = cases.drop_duplicates(["algorithm", "configuration"])
    lines = []
    for row in seen.itertuples():
        options = json.loads(row.options)
        lines.append(
            [row.algorithm, row.configuration, ", ".join(f"{k}: {json.dumps(v)}" for k, v in options.items())]
        )
    return Table(["algorithm", "configuration", "hyper-parameters"], lines, "parity_cases.csv")


def _updates(n: int) -> str:
    return f"{n} update{'s' * (n > 1)}"


def _growth(rows: pd.DataFrame) -> Panels:
    """A panel for each algorithm."""
    rows = rows[rows.quantity == "parameters"]
    own, itself = _apart(rows)
    key = [
        Line2D([], [], color=colour, linestyle=dash, linewidth=1.6, label=name)
        for name, colour, dash, _ in LOOKS.values()
    ]
    algorithms = list(dict.fromkeys(own.algorithm))
    figure = Panels("How differences grow", len(algorithms), 4, (190, 190), (44, 10, 34, 24), key)
    tolerances = own.groupby("dtype").tolerance.min()
    for axes, algorithm in zip(figure.axes, algorithms, strict=True):
        for part, look in ((own, None), (itself, "itself")):
            mine = part[part.algorithm == algorithm]
            for (_, dtype), line in mine.groupby(["configuration", "dtype"], sort=False):
                _, colour, dash, _ = LOOKS[look or str(dtype)]
                y = line.max_relative_difference.clip(lower=LEAST)
                axes.plot(line.updates, y, color=colour, linestyle=dash, linewidth=1.1, alpha=0.8)
        for tolerance in tolerances:
            axes.axhline(tolerance, color=INK, linewidth=0.7)
        _scales(axes, sorted(set(own.updates)))
        axes.set_title(algorithm)
        axes.set_xlabel("updates")
    return figure


def _scales(axes: Axes, updates: list[int]) -> None:
    axes.set_xscale("log")
    axes.set_xticks(updates, [str(n) for n in updates])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_yscale("log")
    axes.set_ylim(LEAST, 1)
    axes.yaxis.set_major_locator(LogLocator(numticks=6))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"1e{math.log10(y):.0f}"))
