"""The page of a calibration: the error rates of verdicts, and the seeds that they need."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from rlparity.analysis import calibration
from rlparity.analysis.schemas import TABLES
from rlparity.analysis.scores import ENDPOINTS
from rlparity.analysis.simulations import coverage, sequential
from rlparity.analysis.verdicts import ALPHA
from rlparity.metrics import RETURN
from rlparity.reporting.figures.panels import Panels, line_entry, styled
from rlparity.reporting.formatting import endpoint_title, join, percent, whole
from rlparity.reporting.pages.calibrated import designs, intervals
from rlparity.reporting.pages.elements import KeyEntry, Table
from rlparity.reporting.pages.provenance import commits
from rlparity.reporting.pages.simple_page import Section, SimplePage, picture
from rlparity.reporting.report_folder import Folder
from rlparity.reporting.style import INK, MUTED, OWN_COLOUR, PAINT, REFERENCE_COLOUR, SPARE

SHADES = (INK, OWN_COLOUR, REFERENCE_COLOUR, *SPARE)  # of margins, in turn
DOTTED = (0, (1.2, 1.8))
_PRIMARY = "the area under the curve"
CAPTION = (
    "Share of pairs of disjoint draws that are called EQUIVALENT, by the seeds in each draw; dotted: the "
    "power that the formula behind `seeds_needed` gives for the pool's spread. No interval."
)


def render(report: Path, into: Path, draws: int = calibration.DRAWS) -> str:
    """Calibrate on the report of a suite and write the page below `into`; returns its answer."""
    wrong, power = (_with_metric(table) for table in calibration.calibrate(report, into, draws))
    held = coverage.measure(report, into, coverage.DRAWS * draws // calibration.DRAWS)
    figure = into / "figures" / "power.svg"
    figure.parent.mkdir(parents=True, exist_ok=True)
    with styled():
        _power(power).write(figure)
    folder = Folder(report)
    looks = sequential.measure(report, into, sequential.DRAWS * draws // calibration.DRAWS)
    answer = f"{_answer(wrong)} {intervals.answer(held)} {designs.answer(looks)}"
    key = [
        KeyEntry(f"margin {percent(margin)}", PAINT[shade])
        for margin, shade in zip(calibration.MARGINS, SHADES, strict=False)
    ]
    page = SimplePage(
        kind="calibration",
        title="How often the verdict errs",
        lede="Verdicts on an implementation against itself: two disjoint draws of its own seeds.",
        answer=answer,
        facts=[
            ("Seeds from", f"the suite {folder.plan['name']}, commit {join(commits(folder))}"),
            ("Pools", _pools(wrong)),
            ("Draws", f"{whole(draws)} pairs of each size, from the same stream"),
        ],
        sections=[
            Section(
                "False differences",
                text=[
                    "Both draws come from one implementation, so every WORSE or BETTER is wrong. "
                    f"The primary endpoint, {_PRIMARY}, has a family of tests of its own, and so has the "
                    f"secondary one: each is held to {percent(ALPHA)}, and at least one of the two may be "
                    "called different twice as often. “Alone”: Welch's test by itself. A verdict asks for "
                    "equivalence first, so draws that are shown EQUIVALENT are not called different: that is "
                    "why the first column is smaller where most are.",
                ],
                tables=[_differences(wrong)],
            ),
            Section(
                "Power over seeds",
                pictures=[picture(into, "power", "Power of the equivalence test", CAPTION, key)],
            ),
            Section(
                "Where there is a difference",
                text=[
                    "One draw is lowered by one margin and by two. A difference of a whole margin may be "
                    f"called EQUIVALENT in {percent(ALPHA)} of all cases; the columns on WORSE contain how "
                    "often a difference of that size is found.",
                ],
                tables=[_shifted(power)],
            ),
            intervals.section(held, into),
            designs.section(looks, into),
            Section("Columns", terms=[(key, column.meaning) for key, column in TABLES["power"].items()]),
        ],
    )
    return f"{answer}\nreport: {page.render(into)}"


def _with_metric(table: pd.DataFrame) -> pd.DataFrame:
    """The table with a metric in each row; rows without one are of returns."""
    return table if "metric" in table else table.assign(metric=RETURN.name)


def _pools(wrong: pd.DataFrame) -> str:
    sizes = wrong.groupby("algorithm", sort=False).pool.first()
    return "; ".join(f"{algorithm}: {size} seeds" for algorithm, size in sizes.items())


def _answer(wrong: pd.DataFrame) -> str:
    """The largest rates of false differences, by the primary endpoint, the secondary, and any, in words."""
    primary, secondary = ENDPOINTS
    one, other, both = (_worst(wrong, endpoint) for endpoint in (primary, secondary, "either"))
    return (
        f"By the primary endpoint, {_PRIMARY}, a verdict calls draws of the same implementation different in "
        f"{one} of all pairs at worst; by the secondary one, which decides nothing, in {other}; by at least "
        f"one of the two in {both}. The rule is meant to allow {percent(ALPHA)} for each."
    )


def _worst(wrong: pd.DataFrame, endpoint: str) -> str:
    """The largest rate of an endpoint with its interval, and where."""
    rows = wrong[wrong.endpoint == endpoint]
    row = rows.loc[rows.different.idxmax()]
    interval = f"[{_share(row.ci_low)}, {_share(row.ci_high)}]"
    return f"{_share(row.different)} {interval} ({row.algorithm}, {row.seeds} seeds a side)"


def _differences(wrong: pd.DataFrame) -> Table:
    head = [
        "algorithm",
        "seeds a side",
        "endpoint",
        "called different [95 % interval]",
        "alone",
        "EQUIVALENT",
    ]
    cells = [
        [
            row.algorithm,
            whole(row.seeds),
            _endpoint(row.endpoint, row.metric),
            f"{_share(row.different)} [{_share(row.ci_low)}, {_share(row.ci_high)}]",
            _share(row.unadjusted),
            _share(row.equivalent),
        ]
        for row in wrong.itertuples()
    ]
    return Table(head, cells, "false_differences.csv", frozenset({1, 3, 4, 5}))


def _shifted(power: pd.DataFrame) -> Table:
    head = ["algorithm", "endpoint", "margin", "seeds a side", "EQUIVALENT, difference 0", "by the formula"]
    head += ["EQUIVALENT, one margin", "WORSE, one margin", "WORSE, two margins"]
    numbers = ("equivalent", "planned", "equivalent_at_margin", "worse_at_margin", "worse_at_twice")
    cells = [
        [
            row["algorithm"],
            _endpoint(row["endpoint"], row["metric"]),
            percent(row["margin"]),
            whole(row["seeds"]),
            *(_share(row[name]) for name in numbers),
        ]
        for row in power.to_dict("records")
    ]
    return Table(head, cells, "power.csv", frozenset(range(2, len(head))))


def _endpoint(endpoint: str, metric: str) -> str:
    """An endpoint of the tables in words."""
    return "at least one of the two" if endpoint == "either" else endpoint_title(endpoint, metric)


def _share(value: float) -> str:
    return f"{100 * value:.1f} %"


def _power(power: pd.DataFrame) -> Panels:
    """A panel per algorithm and endpoint, a line per margin."""
    groups = list(power.groupby(["algorithm", "metric", "endpoint"], sort=False))
    figure = Panels(
        "Power of the equivalence test",
        len(groups),
        2,
        (350, 220),
        (52, 14, 36, 26),
        [line_entry("by the formula", DOTTED)],
    )
    for axes, ((algorithm, metric, endpoint), rows) in zip(figure.axes, groups, strict=True):
        for shade, (_, line) in zip(SHADES, rows.groupby("margin"), strict=False):
            axes.plot(line.seeds, line.equivalent, color=shade, linewidth=1.8, zorder=3)
            axes.plot(line.seeds, line.planned, color=shade, linewidth=1.1, linestyle=DOTTED, zorder=2)
        _label(axes, f"{algorithm}, {_endpoint(str(endpoint), str(metric))}", rows)
    return figure


def _label(axes: Axes, title: str, rows: pd.DataFrame) -> None:
    axes.set_title(title)
    axes.set_xlabel("seeds in each draw")
    axes.set_xticks(sorted(set(rows.seeds)))
    axes.set_ylabel("called EQUIVALENT")
    axes.set_ylim(-0.02, 1.04)
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.axhline(0.8, color=MUTED, linewidth=0.7, zorder=1)
