"""Rules of verdicts, on pairs of arms whose numbers are worked out by hand or by exact fractions."""

from __future__ import annotations

import math
from typing import Any

from rlparity.analysis.checks import distributions as exact
from rlparity.analysis.checks.check import Group, missing, near, row, same, true
from rlparity.analysis.checks.made_up import PLACE, plan, rows, scores, verdict

CHECKS = Group()
NAN = float("nan")
TIGHT = [-2.0, -1.0, 0.0, 1.0, 2.0]  # variance 2.5: two such arms have se 1 and 8 degrees of freedom
ERROR = {"name": "error", "unit": "fraction", "better": -1, "floor": 100.0}


def at(middle: float, times: float = 1.0) -> list[float]:
    """Five values with this mean."""
    return [middle + times * x for x in TIGHT]


@CHECKS
def numbers() -> None:
    """A row has Welch's numbers, and the distance of the reference's mean from the floor's."""
    x, y, z = (
        [110.0, 96.0, 101.0, 104.0, 99.0, 108.0],
        [90.0, 95.0, 93.0, 101.0, 84.0],
        [20.0, 22.0, 18.0, 19.0],
    )
    wanted, found = exact.welch(x, y), verdict(x, y, z, margin=0.25)
    distance = abs(sum(y) / 5 - sum(z) / 4)
    low, high = wanted.interval(0.9)
    row(
        "verdict",
        found,
        difference=wanted.difference,
        distance=distance,
        margin=0.25,
        ci90_low=low,
        ci90_high=high,
    )
    row("verdict", found, ci95_low=wanted.interval(0.95)[0], ci95_high=wanted.interval(0.95)[1])
    row(
        "verdict",
        found,
        p_difference=wanted.p(),
        p_equivalence=wanted.p_equivalence(0.25 * distance),
        p_holm=wanted.p(),
    )
    row(
        "verdict",
        found,
        smallest_margin=max(-low, high) / distance,
        seeds_implementation=6,
        seeds_reference=5,
    )
    row("verdict", found, mean_implementation=103.0, mean_reference=92.6, mean_random=19.75)
    row("verdict", found, implementation="scratch", reference="sb3/ppo", algorithm="ppo", environment=PLACE)
    row(
        "verdict",
        found,
        endpoint="auc",
        role="primary",
        metric="return",
        family_size=1,
        failed_seeds="",
        reason="",
    )


@CHECKS
def order() -> None:
    """Equivalence comes before a difference; then WORSE or BETTER by the sign; else neither is shown."""
    cases: dict[tuple[float, float], str] = {
        (105, 1): "EQUIVALENT",
        (95, 1): "EQUIVALENT",
        (100, 1): "EQUIVALENT",
    }
    cases |= {(60, 1): "WORSE", (140, 1): "BETTER", (100, 40): "INCONCLUSIVE", (70, 40): "INCONCLUSIVE"}
    for (middle, times), word in cases.items():
        found = verdict(at(middle, times), at(100, times))
        same(f"verdict on {middle} +- {times} against 100", found["verdict"], word)
        if word != "INCONCLUSIVE":
            same("seeds needed of a verdict", (found["seeds_needed"], found["reason"]), ("", ""))
    near(
        "a difference of 5 is significant",
        verdict(at(105), at(100))["p_difference"],
        2 * exact.t_above(5, 8),
        1e-7,
    )
    found = verdict(at(100, 40), at(100, 40))
    same("reason", found["reason"], "neither equivalence nor a difference is shown")
    n = int(found["seeds_needed"])
    power = [exact.power_of_equivalence(math.sqrt(2 * 4000 / k), 2 * (k - 1), 20) for k in (n - 1, n)]
    true(
        f"{n} seeds are the fewest for 80 % power ({power[0]:.3f}, {power[1]:.3f})",
        power[0] < 0.8 <= power[1],
    )


@CHECKS
def edges() -> None:
    """Equivalence ends where the 90 % interval meets the margin, a difference where p is 5 %."""
    for middle in (103.0, 98.0):
        found = verdict(at(middle), at(100.0))
        edge = found["smallest_margin"]
        half = abs(middle - 100) + exact.t_quantile(0.95, 8)
        near("smallest margin", edge, half / 100, 1e-7)
        same(
            "a margin just above it",
            verdict(at(middle), at(100.0), margin=edge * 1.0001)["verdict"],
            "EQUIVALENT",
        )
        true(
            "a margin just below",
            verdict(at(middle), at(100.0), margin=edge * 0.9999)["verdict"] != "EQUIVALENT",
        )
    t = exact.t_quantile(0.975, 8)
    for sign, word in ((1, "BETTER"), (-1, "WORSE")):
        for factor, wanted in ((1.0001, word), (0.9999, "INCONCLUSIVE")):
            found = verdict(at(100 + sign * t * factor), at(100.0), margin=0.01)
            same(f"verdict where p is 5 % times about {1 / factor}", found["verdict"], wanted)


@CHECKS
def reference_that_learned() -> None:
    """A reference within three standard errors of the floor, both arms' errors together, decides nothing."""
    se = 1.0  # of two arms of variance 2.5
    for above, learned in ((3.001 * se, True), (2.999 * se, False), (-40.0, False)):
        found = verdict(at(500), at(100 + above), at(100))
        same(
            f"learned {above} above",
            found["verdict"],
            "BETTER" if learned else "INCONCLUSIVE (reference did not learn)",
        )
        same("in the family", found["family_size"], int(learned))
        if not learned:
            missing("adjusted p", found["p_holm"])
            same("seeds needed", found["seeds_needed"], "")
    constant = ERROR | {"better": 1, "floor": 100.0}
    for above, learned in ((3.001 * 0.5**0.5, True), (2.999 * 0.5**0.5, False)):
        found = _of_metric(at(500), at(100 + above), constant)
        same(
            "learned, constant floor",
            found["verdict"],
            "BETTER" if learned else "INCONCLUSIVE (reference did not learn)",
        )


def _of_metric(
    ours: list[float], reference: list[float], metric: dict[str, Any], **more: Any
) -> dict[str, Any]:
    about = plan("ppo", **more)
    about["environments"][PLACE]["metrics"] = [metric]
    table = scores({("scratch", "ppo"): ours, ("sb3", "ppo"): reference}, metric=metric["name"])
    return rows(table, about)[0]


@CHECKS
def lower_is_better() -> None:
    """Where lower is better, a lower value is BETTER, and numbers stay in the metric's unit."""
    found = _of_metric(at(20), at(60), ERROR, margin=0.2)
    row(
        "error",
        found,
        verdict="BETTER",
        difference=-40.0,
        distance=40.0,
        mean_implementation=20.0,
        mean_reference=60.0,
    )
    t = exact.t_quantile(0.95, 8)
    row("error", found, mean_random=100.0, ci90_low=-40 - t, ci90_high=-40 + t)
    t = exact.t_quantile(0.975, 8)
    row("error", found, ci95_low=-40 - t, ci95_high=-40 + t)
    same("a higher error", _of_metric(at(80), at(60), ERROR)["verdict"], "WORSE")
    same("about the same", _of_metric(at(61), at(60), ERROR)["verdict"], "EQUIVALENT")
    found = _of_metric(at(80), at(101), ERROR)
    same("a reference above its floor", found["verdict"], "INCONCLUSIVE (reference did not learn)")


@CHECKS
def too_few() -> None:
    """Fewer than five seeds decide nothing, and the row says what they look like and what would decide."""
    three = [99.0, 100.0, 101.0]
    found = verdict(three, three)
    row("three seeds", found, verdict="INCONCLUSIVE", family_size=0, p_holm=None, seeds_needed="5")
    same("reason", found["reason"], "fewer than 5 seeds: looks EQUIVALENT; 5 seeds would decide")
    found = verdict([40.0, 50.0, 60.0], [90.0, 100.0, 110.0])
    true("looks WORSE", found["reason"].startswith("fewer than 5 seeds: looks WORSE; "))
    n = int(found["seeds_needed"])
    power = [exact.power_of_difference(math.sqrt(200 / k), 2 * (k - 1), 50) for k in (n - 1, n)]
    true(f"{n} seeds have 80 % power ({power[1]:.3f})", power[1] >= 0.8 and (n == 5 or power[0] < 0.8))
    found = verdict(at(60), [99.0, 100.0, 101.0, 102.0])
    row("four of the reference", found, verdict="INCONCLUSIVE", seeds_reference=4)
    true("looks WORSE", found["reason"].startswith("fewer than 5 seeds: looks WORSE"))
    same("five", verdict(at(60), at(100))["verdict"], "WORSE")
    found = verdict([100.0], at(100))
    row("one seed", found, verdict="INCONCLUSIVE", reason="fewer than 5 seeds", seeds_needed="")


@CHECKS
def nothing_there() -> None:
    """Missing arms and floors are named, and decide nothing."""
    found = verdict([NAN] * 5, at(100))
    row(
        "no score of ours",
        found,
        verdict="NO VERDICT",
        seeds_implementation=0,
        failed_seeds="scratch 0, 1, 2, 3, 4",
    )
    true("reason", found["reason"].startswith("no finished seed"))
    found = verdict(at(100), [NAN] * 5)
    row("no score of theirs", found, verdict="INCONCLUSIVE", reason="no finished run of the reference")
    found = verdict(at(100), at(100), floor=[])
    row("no floor", found, verdict="INCONCLUSIVE", reason="no random agent in the suite", mean_random=None)
    found = verdict(at(100), at(100), floor=[0.0])
    row(
        "one seed of the floor",
        found,
        verdict="INCONCLUSIVE",
        reason="fewer than 2 seeds of the random agent",
    )


@CHECKS
def without_a_spread() -> None:
    """Equal values at a bound get no verdict, differing ones a permutation test; declared ones are exact."""
    found = verdict([500.0] * 5, [500.0] * 7)
    row(
        "ceiling",
        found,
        verdict="NO VERDICT",
        reason="all at the ceiling, 5 and 7 seeds",
        family_size=0,
        p_holm=None,
    )
    found = verdict([0.0] * 5, [0.0] * 7, [0.0] * 4)
    row("floor", found, verdict="INCONCLUSIVE (reference did not learn)")
    same("reason", found["reason"], "reference did not learn: all at the floor, 5 and 7 seeds")
    found = verdict([500.0] * 5, [400.0] * 5)
    row("two bounds", found, verdict="BETTER", p_difference=2 / 252, p_holm=2 / 252, family_size=1)
    found = verdict([500.0] * 5, [490.0] * 5)
    row("within the margin", found, verdict="INCONCLUSIVE", p_difference=2 / 252, family_size=1)
    same("reason", found["reason"], "no arm has a spread over seeds, and they differ by less than the margin")
    declared = ["scratch/ppo", "sb3/ppo"]
    found = verdict([500.0], [490.0], deterministic=declared)
    row("declared", found, verdict="EQUIVALENT", p_equivalence=0.0, ci90_low=10.0, ci90_high=10.0)
    same("declared, apart", verdict([500.0], [100.0], deterministic=declared)["verdict"], "BETTER")
    found = verdict(at(500), at(490), deterministic=declared)
    row(
        "declared and not",
        found,
        verdict="INCONCLUSIVE",
        reason="an arm is declared deterministic, and its seeds differ",
    )
    found = verdict(at(60), [100.0], deterministic=["sb3/ppo"])
    row("one-sample", found, verdict="WORSE", p_difference=2 * exact.t_above(40 / 0.5**0.5, 4))


@CHECKS
def failed_seeds() -> None:
    """No verdict rests on seeds that are left when others failed."""
    cases = {  # ours, theirs -> verdict where a seed of ours, or of theirs, failed
        (100.0, 100.0): ("INCONCLUSIVE", "INCONCLUSIVE"),
        (60.0, 100.0): ("WORSE", "INCONCLUSIVE"),
        (140.0, 100.0): ("INCONCLUSIVE", "BETTER"),
    }
    for (x, y), (if_ours, if_theirs) in cases.items():
        found = verdict([*at(x), NAN, NAN], at(y))
        row("ours failed", found, verdict=if_ours, failed_seeds="scratch 5, 6", seeds_implementation=5)
        true(
            "what it would be",
            (if_ours != "INCONCLUSIVE") or "but for failed seeds (scratch 5, 6)" in found["reason"],
        )
        found = verdict(at(x), [NAN, *at(y)])
        row("theirs failed", found, verdict=if_theirs, failed_seeds="sb3 0", seeds_reference=5)
    found = verdict([*at(60), NAN], [*at(100), NAN])
    row("both failed", found, verdict="INCONCLUSIVE", failed_seeds="scratch 5; sb3 5")
