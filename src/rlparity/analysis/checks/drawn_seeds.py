"""Calibration in small: error rates and coverage on drawn seeds whose truth is known.

A bound is broken by chance in one of a million draws at most, and the draws are always the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from rlparity.analysis import calibration, statistics, summarize, tables
from rlparity.analysis.calibration import Pool
from rlparity.analysis.checks.check import Group, at_least, at_most, inside, near, same, true
from rlparity.analysis.checks.made_up import FLOOR, only, plan, rows, scores
from rlparity.analysis.sequential_tests import Case, Curves

CHECKS = Group()
FAR = [-1000.0, -1000.5, -999.5, -1000.0]  # a floor so far that the margin is as good as known
DISTANCE, SD = 1000.0, 10.0


def pipeline(
    pairs: int, n: int, m: int, shift: float, margin: float, algorithms: Sequence[str] = ("ppo",), **more: Any
) -> pd.DataFrame:
    """Verdicts on so many environments: seeds are normal, of unequal spreads, ours `shift` higher."""
    rng = np.random.default_rng([pairs, n, m, len(algorithms)])
    places, table = [f"Made{k}-v0" for k in range(pairs)], []
    for place in places:
        for name in algorithms:
            arms = {("scratch", name): rng.normal(shift, SD, n), ("sb3", name): rng.normal(0, 2 * SD, m)}
            table += scores({arm: list(map(float, x)) for arm, x in arms.items()}, environment=place)
        table += scores({FLOOR: FAR}, environment=place)
    made = rows(table, plan(*algorithms, environments=places, margin=margin, **more))
    return pd.DataFrame([line for line in made if line["endpoint"] == "auc"])


def _rate(what: str, wrong: int, trials: int, share: float) -> None:
    inside(f"{what}, of {trials}: the number", wrong, 0, at_most(share, trials))


@CHECKS
def false_differences() -> None:
    """Of pairs that do not differ, at most 5 % are called WORSE or BETTER, and by either sign alike."""
    for n, m in ((5, 5), (6, 20)):
        found = pipeline(160, n, m, 0.0, 0.001, family="row")
        words = Counter(found["verdict"])
        _rate("false differences", words["WORSE"] + words["BETTER"], len(found), 0.055)
        _rate("p below 5 %", int((found.p_difference < 0.05).sum()), len(found), 0.055)
        true(
            "p is spread evenly", at_least(0.5, 160) <= (found.p_difference > 0.5).sum() <= at_most(0.52, 160)
        )
        same("verdicts", len(found), 160)


@CHECKS
def families() -> None:
    """A family of four pairs that do not differ has any false difference in at most 5 %."""
    wrong = 0
    for k in range(40):
        found = pipeline(1, 6, 6 + k % 9, 0.0, 0.001, ("a", "b", "c", "d"))
        wrong += bool(found["verdict"].isin(("WORSE", "BETTER")).any())
        same("family", set(found["family_size"]), {4})
    _rate("families with a false difference", wrong, 40, 0.055)


@CHECKS
def coverage_of_differences() -> None:
    """90 and 95 % intervals of a difference hold the truth as often as they say."""
    found = pipeline(200, 7, 9, 12.0, 0.02, family="row")
    for level in (90, 95):
        held = int(((found[f"ci{level}_low"] <= 12.0) & (found[f"ci{level}_high"] >= 12.0)).sum())
        inside(
            f"{level} % intervals that hold",
            held,
            at_least(level / 100 - 0.01, 200),
            at_most(level / 100 + 0.02, 200),
        )


@CHECKS
def equivalence_at_the_margin() -> None:
    """At most 5 % of pairs that differ by the margin are called EQUIVALENT; others as planned."""
    n, margin = 12, 0.025
    found = pipeline(150, n, n, margin * DISTANCE, margin, family="row")
    _rate("EQUIVALENT at the margin", int((found["verdict"] == "EQUIVALENT").sum()), 150, 0.055)
    found = pipeline(150, n, n, 0.0, margin, family="row")
    planned = statistics.tost_power(n, margin * DISTANCE, SD, 2 * SD)
    equal = int((found["verdict"] == "EQUIVALENT").sum())
    inside(
        "EQUIVALENT where nothing differs", equal, at_least(planned - 0.02, 150), at_most(planned + 0.02, 150)
    )
    found = pipeline(150, n, n, 20.0, 0.001, family="row")
    planned = statistics.power_of_difference(n, 20.0, SD, 2 * SD)
    better = int((found["verdict"] == "BETTER").sum())
    inside("BETTER where ours are", better, at_least(planned - 0.02, 150), at_most(planned + 0.02, 150))


@CHECKS
def coverage_of_summaries() -> None:
    """Intervals of a summary hold the truth about as often as they say, with twenty seeds."""
    rng, draws = np.random.default_rng(3), 80
    table = [
        line
        for k in range(draws)
        for line in scores(
            {("scratch", "ppo"): list(map(float, rng.normal(5, 2, 20)))}, environment=f"Made{k}-v0"
        )
    ]
    found = summarize.summary(tables.frame("scores", table))
    for name in statistics.STATISTICS:
        mine = found[found.statistic == name]
        held = int(((mine.ci_low <= 5) & (mine.ci_high >= 5)).sum())
        inside(f"intervals of the {name} that hold", held, at_least(0.9, draws), draws)
        inside(f"mean width of the {name}'s", float((mine.ci_high - mine.ci_low).mean()), 1.2, 3.2)


@CHECKS
def improvement_of_equals() -> None:
    """Of arms that do not differ the probability of improvement is a half on average, inside its interval."""
    rng = np.random.default_rng(4)
    table = []
    places = [f"Made{k}-v0" for k in range(60)]
    for place in places:
        arms = {
            ("scratch", "ppo"): rng.normal(0, 1, 12),
            ("sb3", "ppo"): rng.normal(0, 1, 12),
            FLOOR: rng.normal(-9, 1, 5),
        }
        table += scores({arm: list(map(float, x)) for arm, x in arms.items()}, environment=place)
    found = summarize.improvement(tables.frame("scores", table), plan("ppo", environments=places))
    inside("mean", float(found["probability"].mean()), 0.42, 0.58)
    held = int(((found.ci_low <= 0.5) & (found.ci_high >= 0.5)).sum())
    inside("intervals that hold a half", held, at_least(0.9, 60), 60)


@CHECKS
def interim_looks(agents: int = 60) -> None:
    """All looks at one training together stop at most 5 % of agents that do not differ."""
    rng, wrong, found_worse = np.random.default_rng(6), 0, 0
    steps = [0, 25, 50, 75, 100]

    def curves(shift: float = 0.0, seeds: int = 8) -> Curves:
        level = rng.normal(100 + shift, 10, seeds)
        return Curves(pd.DataFrame(level + rng.normal(0, 20, (5, seeds)), index=steps))

    class Drawn(Case):
        def __init__(self) -> None:
            content = {"looks": [(k, steps[k]) for k in range(1, 5)], "margin": 0.2}
            super().__init__(
                {**content, "cell": {"evaluation": {"points": 4}}, "reference": [], "random": []}
            )
            arms = {"reference": curves(), "random": curves(-1000.0)}
            self._scores = lambda name, *at: arms[name].scores(*at)  # type: ignore[assignment]

    for _ in range(agents):
        case, same_agent, worse = Drawn(), curves(), curves(-40.0)
        wrong += any(case.judge(k, same_agent)[0] in ("WORSE", "BETTER") for k in range(1, 5))
        found_worse += any(case.judge(k, worse)[0] == "WORSE" for k in range(1, 5))
    _rate("agents stopped by a false difference", wrong, agents, 0.05)
    inside("agents 40 below that are stopped", found_worse, 0.8 * agents, agents)


@CHECKS
def calibration_of_a_pool() -> None:
    """The calibration counts what a verdict calls two draws of a pool, shares of the draws there are."""
    rng = np.random.default_rng(8)
    both = rng.normal(0, SD, (2, 80))
    ends = {end: both[k] for k, end in enumerate(("auc", "final"))}
    pool = Pool("ppo", "Made-v0", ends, dict.fromkeys(ends, np.array(FAR)), 0.05)
    x, y = pool.draw(np.random.default_rng(0), 20)
    true("draws are disjoint", len(set(x) | set(y)) == 40)
    found = pd.DataFrame(list(calibration.false_differences(pool, draws=60)))
    same("rows", len(found), 9)
    for line in found.to_dict("records"):
        _rate(f"different in {line['endpoint']}", round(line["different"] * 60), 60, 0.1)
        inside("its interval", line["different"], line["ci_low"], line["ci_high"])
    alone = found[found.endpoint != "either"].groupby("seeds")[["different", "unadjusted", "equivalent"]]
    either = found[found.endpoint == "either"].set_index("seeds")[["different", "unadjusted", "equivalent"]]
    true("either is at least each", (either >= alone.max() - 1e-9).all().all())
    true("either is at most both", (either <= alone.sum() + 1e-9).all().all())
    curve = pd.DataFrame(list(calibration.power(pool, draws=40)))
    sd = float(both[0].std(ddof=1))
    width = 0.05 * abs(float(both[0].mean()) + 1000.0)
    line = only(curve, endpoint="auc", margin=0.05, seeds=10)
    near("planned power", line["planned"], statistics.tost_power(10, width, sd, sd))
    inside("its share", line["equivalent"], line["planned"] - 0.25, 1.0)
    _rate("EQUIVALENT at the margin", round(40 * line["equivalent_at_margin"]), 40, 0.06)
    true("a shift of two margins shows more often", line["worse_at_twice"] >= line["worse_at_margin"])
