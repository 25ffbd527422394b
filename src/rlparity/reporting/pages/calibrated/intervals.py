"""How often intervals held the truth: the part of the page of a calibration about coverage."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from matplotlib.ticker import PercentFormatter

from rlparity.analysis.intervals import rule
from rlparity.analysis.simulations import coverage as measured
from rlparity.reporting.figures.panels import Panels, line_entry, styled
from rlparity.reporting.formatting import NONE, endpoint_title, percent, whole
from rlparity.reporting.pages.elements import KeyEntry, Table
from rlparity.reporting.pages.simple_page import Section, picture
from rlparity.reporting.style import INK, MUTED, OWN_COLOUR, PAINT, REFERENCE_COLOUR, SPARE

SHADES = (INK, OWN_COLOUR, REFERENCE_COLOUR, *SPARE)  # of pools, in turn
DOTTED = (0, (1.2, 1.8))
NAMES = {
    "mean": "mean",
    "iqm": "IQM",
    "median": "median",
    "difference": "difference of means",
    "improvement": "probability of improvement",
}
RARE = 0.05  # share of draws with an interval, below which the figure has no point
CAPTION = (
    "Share of 95 % intervals that hold the value of the pool that seeds were drawn from, with replacement. "
    "Solid: the intervals that reports show, of the draws that have one; dotted: the percentile bootstrap, "
    "shown before. No point where fewer than 5 % of the draws have an interval."
)


def section(coverage: pd.DataFrame, into: Path) -> Section:
    """The section of the page; its figure is written below `into`."""
    figure = into / "figures" / "coverage.svg"
    figure.parent.mkdir(parents=True, exist_ok=True)
    pools = _pools(coverage)
    with styled():
        _figure(coverage, pools).write(figure)
    key = [KeyEntry(pool, PAINT[shade]) for pool, shade in zip(pools, SHADES, strict=False)]
    return Section(
        "Intervals",
        text=[
            "Seeds are drawn with replacement from pools of which all is known. Of each estimate, the first "
            f"method counts whose interval held the pool's value in at least {percent(rule.HOLDS)} of the "
            "draws from every pool, for draws inside the bounds of the metric and for those with a seed at a "
            "bound; where none did, reports show no interval. Coverage is that of the intervals that are "
            "shown; “missed” counts all draws: how often an interval is shown that does not hold.",
        ],
        tables=[_table(coverage)],
        pictures=[picture(into, "coverage", "Coverage of 95 % intervals", CAPTION, key)],
    )


def answer(coverage: pd.DataFrame) -> str:
    """The worst coverage of the mean before and now, in a sentence."""
    rows = coverage[(coverage.estimator == "mean") & (coverage.seeds == 5)]
    before = rows[rows.method == measured.BEFORE]
    now = rows[(rows.method == measured.SHOWN) & (rows.shown > RARE)]
    worst = before.loc[before.coverage.idxmin()]
    return (
        f"The 95 % percentile bootstrap of the mean of five seeds held the truth in {_share(worst.coverage)} "
        f"at worst ({worst.pool}, {endpoint_title(worst.endpoint, worst.metric)}); the intervals shown now "
        f"do in at least {_share(now.coverage.min())}."
    )


def _pools(coverage: pd.DataFrame) -> list[str]:
    """The arms whose seeds were drawn, by name."""
    return list(dict.fromkeys(coverage.pool[coverage.estimator == "mean"]))


def _table(coverage: pd.DataFrame) -> Table:
    head = ["estimate", "endpoint", "seeds", "inside the bounds", "at a bound", "coverage before"]
    head += ["coverage now", "draws with an interval", "missed at most"]
    cells = []
    for (estimator, endpoint, seeds), rows in coverage.groupby(
        ["estimator", "endpoint", "seeds"], sort=False, observed=True
    ):
        before, now = (rows[rows.method == method] for method in (measured.BEFORE, measured.SHOWN))
        ways = [rule.chosen(str(estimator), where, int(seeds)) for where in (rule.INSIDE, rule.AT_A_BOUND)]
        cells.append(
            [
                NAMES[str(estimator)],
                endpoint_title(str(endpoint), str(rows.metric.iloc[0])),
                whole(seeds),
                *(way or "none" for way in ways),
                _span(before.coverage),
                _span(now[now.shown > RARE].coverage),
                _span(now.shown),
                _share(now.missed.max()),
            ]
        )
    return Table(head, cells, "coverage.csv", frozenset({2, 5, 6, 7, 8}))


def _span(values: pd.Series) -> str:
    """The lowest and highest over pools."""
    values = values.dropna()
    if values.empty:
        return NONE
    low, high = _share(values.min()), _share(values.max())
    return low if low == high else f"{low.removesuffix(' %')} to {high}"


def _share(value: float) -> str:
    return f"{100 * value:.1f} %"


def _figure(coverage: pd.DataFrame, pools: list[str]) -> Panels:
    """A panel per estimate and endpoint of one arm, a colour per pool."""
    of_one = coverage[coverage.estimator.isin(["mean", "iqm", "median"])]
    groups = list(of_one.groupby(["estimator", "endpoint", "metric"], sort=False))
    key = [line_entry("percentile bootstrap, before", DOTTED)]
    title = "Coverage of 95 % intervals"
    figure = Panels(title, len(groups), 3, (280, 210), (48, 12, 36, 26), key)
    for axes, ((estimator, endpoint, metric), rows) in zip(figure.axes, groups, strict=True):
        for pool, shade in zip(pools, SHADES, strict=False):
            here = rows[rows.pool == pool].sort_values("seeds")
            before = here[here.method == measured.BEFORE]
            now = here[(here.method == measured.SHOWN) & (here.shown > RARE)]
            axes.plot(before.seeds, before.coverage, color=shade, linewidth=1.1, linestyle=DOTTED)
            axes.plot(now.seeds, now.coverage, color=shade, linewidth=1.6, marker="o", markersize=3.4)
        axes.axhline(measured.LEVEL, color=MUTED, linewidth=0.7, zorder=1)
        axes.set_title(f"{NAMES[str(estimator)]}, {endpoint_title(str(endpoint), str(metric))}")
        axes.set_xlabel("seeds in a draw")
        axes.set_xticks(list(rule.SIZES))
        axes.set_ylim(-0.02, 1.04)
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    return figure
