"""What must not change a verdict, and what must turn it round, on many drawn pairs of arms."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlparity.analysis.checks.check import Group, near, same, true
from rlparity.analysis.checks.made_up import FLOOR, PLACE, plan, rows, scores

CHECKS = Group()
PAIRS = 36
SEED = 7
Numbers = NDArray[np.float64]
Given = tuple[Numbers, Numbers, Numbers]  # ours, reference, floor
KEPT = (
    "verdict",
    "margin",
    "smallest_margin",
    "p_difference",
    "p_holm",
    "p_equivalence",
    "seeds_needed",
    "reason",
)
SCALED = ("difference", "ci90_low", "ci90_high", "ci95_low", "ci95_high", "distance")
MEANS = ("mean_implementation", "mean_reference", "mean_random")
SWAPPED = {"WORSE": "BETTER", "BETTER": "WORSE"}


def drawn() -> Iterator[Given]:
    """Pairs of every kind of verdict."""
    rng = np.random.default_rng(SEED)
    for k in range(PAIRS):
        n, m = rng.integers(5, 12, size=2)
        shift, spread = rng.choice([0.0, 4.0, 25.0, -25.0, 60.0, -60.0]), rng.choice([2.0, 12.0, 50.0])
        floor = 0.0 if k % 10 else 98.0
        yield (
            rng.normal(100 + shift, spread, n),
            rng.normal(100, rng.choice([2.0, 12.0]), m),
            rng.normal(floor, 3.0, 6),
        )


def each(change: Callable[[Numbers], Numbers]) -> Callable[[Given], Given]:
    """The same change of all three."""
    return lambda given: (change(given[0]), change(given[1]), change(given[2]))


def tripled(x: Numbers) -> Numbers:
    """Three seeds of about each value: equal ones would be taken for values at a bound."""
    return np.concatenate([x - 1e-6, x, x + 1e-6])


def _places() -> list[str]:
    return [f"Made{k}-v0" for k in range(PAIRS)]


def judged(change: Callable[[Given], Given], better: int = 1, **more: Any) -> list[dict[str, Any]]:
    """A row of each pair, changed; each pair in an environment and a family of its own."""
    table = []
    for place, given in zip(_places(), drawn(), strict=True):
        x, y, z = change(given)
        arms = {("scratch", "ppo"): x, ("sb3", "ppo"): y, FLOOR: z}
        table += scores({arm: list(map(float, values)) for arm, values in arms.items()}, environment=place)
    about = plan("ppo", environments=_places(), family="row", **more)
    if better < 0:
        metric = {"name": "return", "unit": "return", "better": -1, "floor": "random"}
        for one in about["environments"].values():
            one["metrics"] = [metric]
    return [line for line in rows(table, about) if line["endpoint"] == "auc"]


def _compare(
    what: str, factor: float, shift: float, found: list[dict[str, Any]], plain: list[dict[str, Any]]
) -> None:
    for a, b in zip(found, plain, strict=True):
        for key in KEPT:
            if isinstance(b[key], str):
                same(f"{key} of {what}", a[key], b[key])
            else:
                near(f"{key} of {what}", a[key], b[key], 1e-6)
        near(f"numbers of {what}", [a[key] for key in SCALED], [factor * b[key] for key in SCALED], 1e-7)
        near(f"means of {what}", [a[key] for key in MEANS], [factor * b[key] + shift for key in MEANS], 1e-7)


@CHECKS
def every_verdict() -> None:
    """The drawn pairs have every verdict, or the relations would show little."""
    found = {line["verdict"].split(" ")[0] for line in judged(lambda given: given)}
    same("verdicts", found, {"EQUIVALENT", "BETTER", "WORSE", "INCONCLUSIVE"})


@CHECKS
def order_of_seeds() -> None:
    """The order of seeds changes nothing."""
    rng = np.random.default_rng(1)
    _compare(
        "permuted seeds",
        1,
        0,
        judged(each(rng.permutation)),
        judged(lambda given: given),
    )


@CHECKS
def units() -> None:
    """A constant added to all returns, or a factor, changes no verdict, p or margin."""
    plain = judged(lambda given: given)
    _compare("shifted returns", 1, 1000, judged(each(lambda x: x + 1000)), plain)
    _compare("scaled returns", 0.01, 0, judged(each(lambda x: x * 0.01)), plain)


@CHECKS
def mirror() -> None:
    """Where lower is better, mirrored returns have the same verdicts, and mirrored numbers."""
    found, plain = judged(each(lambda x: -x), better=-1), judged(lambda given: given)
    for a, b in zip(found, plain, strict=True):
        for key in KEPT:
            if isinstance(b[key], str):
                same(f"{key} of mirrored returns", a[key], b[key])
            else:
                near(f"{key} of mirrored returns", a[key], b[key], 1e-7)
        near(
            "mirrored numbers",
            [a[key] for key in ("difference", *MEANS)],
            [-b[key] for key in ("difference", *MEANS)],
        )
        for level in ("ci90", "ci95"):
            near(
                "mirrored ends",
                [a[f"{level}_low"], a[f"{level}_high"]],
                [-b[f"{level}_high"], -b[f"{level}_low"]],
            )


@CHECKS
def swapped_arms() -> None:
    """Arms that change places have the same p and the opposite difference, BETTER for WORSE."""
    found, plain = judged(lambda given: (given[1], given[0], given[2])), judged(lambda given: given)
    turned = 0
    for a, b in zip(found, plain, strict=True):
        near("p", a["p_difference"], b["p_difference"])
        near(
            "difference",
            [a["difference"], a["ci90_low"], a["ci95_high"]],
            [-b["difference"], -b["ci90_high"], -b["ci95_low"]],
        )
        if {a["verdict"], b["verdict"]} <= SWAPPED.keys():
            same("verdict", a["verdict"], SWAPPED[b["verdict"]])
            turned += 1
        true(
            "a difference is none the other way round",
            b["p_difference"] < 0.05 or a["verdict"] not in SWAPPED,
        )
    true(f"{turned} pairs are turned round", turned > 5)


@CHECKS
def more_seeds() -> None:
    """More seeds of the same values narrow intervals, and leave the means."""
    found, plain = (
        judged(lambda given: (tripled(given[0]), tripled(given[1]), given[2])),
        judged(lambda given: given),
    )
    for a, b in zip(found, plain, strict=True):
        near("difference", a["difference"], b["difference"])
        for low, high in (("ci90_low", "ci90_high"), ("ci95_low", "ci95_high")):
            true("the interval is narrower", a[high] - a[low] < 0.65 * (b[high] - b[low]))
        true(
            "the 90 % interval lies in the 95 % one",
            b["ci95_low"] < b["ci90_low"] < b["ci90_high"] < b["ci95_high"],
        )


@CHECKS
def wider_margin() -> None:
    """With a wider margin what was EQUIVALENT stays so, and nothing new is WORSE or BETTER."""
    plain, wide = judged(lambda given: given), judged(lambda given: given, margin=0.4)
    for a, b in zip(plain, wide, strict=True):
        true("EQUIVALENT stays", a["verdict"] != "EQUIVALENT" or b["verdict"] == "EQUIVALENT")
        true("no new difference", b["verdict"] not in SWAPPED or b["verdict"] == a["verdict"])
        true(
            "equivalence by the smallest margin", (b["smallest_margin"] < 0.4) == (b["p_equivalence"] < 0.05)
        )
        near("smallest margin", a["smallest_margin"], b["smallest_margin"])


@CHECKS
def the_same_arm() -> None:
    """An arm against itself has no difference and a p of 1."""
    for line in judged(lambda given: (given[1], given[1], given[2])):
        near("difference and p", [line["difference"], line["p_difference"]], [0, 1])
        true("no difference", line["verdict"] not in SWAPPED)


@CHECKS
def bystanders() -> None:
    """Arms that cannot decide anything change no other verdict."""
    arms = {
        ("scratch", "ppo"): [61.0, 58.0, 60.0, 59.0, 90.0],
        ("sb3", "ppo"): [100.0, 99.0, 101.0, 98.0, 80.0],
    }
    more = {
        ("scratch", "dqn"): [5.0, 1.0, 2.0, 8.0, 1.0],
        ("sb3", "dqn"): [0.0, 1.0, 2.0, -1.0, -2.0],
        ("scratch", "a2c"): [5.0, 7.0],
        ("sb3", "a2c"): [50.0, 70.0],
    }
    floor = {FLOOR: [0.0, 1.0, -1.0, 0.5, 0.0]}
    alone = rows(scores(arms | floor), plan("ppo"))[0]
    among = rows(scores(arms | floor | more), plan("ppo", "dqn", "a2c"))[0]
    for key in KEPT:
        same(key, str(among[key]), str(alone[key]))
    same("place", (among["environment"], among["algorithm"]), (PLACE, "ppo"))
