"""Sequential tests of a training under way, and live checks of shipped references."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from rlparity import records
from rlparity.analysis import live_checks, sequential_tests
from rlparity.analysis.checks import distributions as exact
from rlparity.analysis.checks.check import Group, near, row, same, true
from rlparity.analysis.checks.made_up import PLACE, plan, scores
from rlparity.analysis.sequential_tests import Case, Curves
from rlparity.analysis.tables import frame

CHECKS = Group()
STEPS, LOOKS = (0, 10, 30, 40), ((1, 10), (2, 30), (3, 40))
SPREAD = (-2.0, -1.0, 0.0, 1.0, 2.0)


def _arm(*levels: float) -> list[tuple[float, ...]]:
    """Values at STEPS, (seeds,) each."""
    return [tuple(level + x for x in SPREAD) for level in levels]


def _records(
    folder: Path, values: Sequence[Sequence[float]], protocol: str = "deterministic", **columns: Any
) -> str:
    rows = [
        {"implementation": "x", "algorithm": "ppo", "environment": PLACE, "seed": seed, "env_step": step}
        | {
            "episode": episode,
            "protocol": protocol,
            "metric": "return",
            "value": value + shift,
            "size": 1,
            **columns,
        }
        for step, at in zip(STEPS, values, strict=False)
        for seed, value in enumerate(at)
        for episode, shift in enumerate((6.0, -1.0, -5.0))
    ]
    records.write(folder, "evaluations", rows)
    return str(folder)


def _case(folder: Path, points: int = 3, **more: Any) -> Case:
    content: dict[str, Any] = {"looks": LOOKS, "margin": 0.2, "cell": {"evaluation": {"points": points}}}
    content["reference"] = [_records(folder / "reference", _arm(0, 100, 100, 100))]
    content["random"] = [_records(folder / "random", _arm(0, 0, 0, 0), "sampled")]
    return Case(content | more)


def _curves(*levels: float) -> Curves:
    return Curves(pd.DataFrame(_arm(*levels), index=STEPS))


@CHECKS
def curve_so_far() -> None:
    """A look scores the curve up to its step, of seeds that were evaluated at all points so far."""
    made = Curves(pd.DataFrame({0: [0.0, 4.0, 8.0, 0.0], 1: [2.0, 2.0, None, 2.0]}, index=STEPS))
    near("area at the second look", made.scores("auc", 30), [(10 * 2 + 20 * 6) / 30])
    near("area at the first look", made.scores("auc", 10), [2.0, 2.0])
    near("area between looks", made.scores("auc", 29), [2.0, 2.0])
    near("last value", made.scores("final", 40), [0.0])
    same("before the start", len(made.scores("auc", -1)), 0)


@CHECKS
def records_of_curves() -> None:
    """A curve is the mean of deterministic evaluations, of sampled ones where there are no others."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _records(folder / "a", _arm(1, 2, 3, 4))
        _records(folder / "b", _arm(7, 7, 7, 7), "sampled")
        return_ = sequential_tests.RETURN
        both = [folder / "a" / "evaluations.parquet", folder / "b" / "evaluations.parquet"]
        near("of both", sequential_tests.read_curves(both, return_).curve.mean(axis=1), [1, 2, 3, 4])
        near("of sampled ones", sequential_tests.read_curves(both[1:], return_).curve.mean(axis=1), [7] * 4)
        near("of a seed", sequential_tests.read_curves(both[:1], return_).curve[4], [3, 4, 5, 6])
        _records(folder / "b", _arm(9, 9, 9, 9), metric="error")
        near("of the metric", sequential_tests.read_curves(both, return_).curve.mean(axis=1), [1, 2, 3, 4])


@CHECKS
def all_looks_together() -> None:
    """Every p counts as many times as all looks may test, and only the last look finds equivalence."""
    with tempfile.TemporaryDirectory() as name:
        case = _case(Path(name))
        same("tests of three looks", case.tests, 4)
        same("obstacle", case.obstacle(), "")
        same("tests where training ends early", _case(Path(name), points=6).tests, 3)
        t = exact.t_quantile(1 - 0.05 / 4 / 2, 8)
        for factor, word in ((1.001, "WORSE"), (0.999, "INCONCLUSIVE")):
            # area at the first look is half of the value there: a standard error of 1
            found = case.judge(
                1, Curves(pd.DataFrame([[50 - t * factor + x for x in SPREAD]] * 2, index=STEPS[:2]))
            )
            same(f"verdict at {factor} of the critical difference", found[0], word)
        for point in (1, 2):
            same("equal at an interim look", case.judge(point, _curves(0, 100, 100, 100))[0], "INCONCLUSIVE")
        same("equal at the last look", case.judge(3, _curves(0, 100, 100, 100))[0], "EQUIVALENT")
        same("higher", case.judge(2, _curves(0, 180, 180, 180))[0], "BETTER")
        same("lower", case.judge(2, _curves(0, 50, 50, 50))[0], "WORSE")


@CHECKS
def final_at_the_end() -> None:
    """The final value is tested where training ends with its budget, and WORSE in either is WORSE."""
    with tempfile.TemporaryDirectory() as name:
        case = _case(Path(name))
        found = case.judge(3, _curves(0, 100, 110, 10))
        same("a fall at the end", (found[0], found[1].split(":")[0]), ("WORSE", "final at step 40"))
        true("no final value before", case.judge(2, _curves(0, 100, 10, 100))[1].startswith("auc at step 30"))
        early = _case(Path(name), points=6)
        true(
            "none where training ends early", early.judge(3, _curves(0, 100, 110, 10))[1].startswith("auc at")
        )
        same("better and worse", sequential_tests.worst([("BETTER", "a"), ("WORSE", "b")]), ("WORSE", "b"))
        same("better", sequential_tests.worst([("EQUIVALENT", "a"), ("BETTER", "b")]), ("BETTER", "b"))
        same(
            "neither",
            sequential_tests.worst([("EQUIVALENT", "a"), ("INCONCLUSIVE", "b")]),
            ("EQUIVALENT", "a"),
        )


@CHECKS
def floor_of_looks() -> None:
    """A reference that did not learn is an obstacle, and an error counts downwards from a constant floor."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        high = [_records(folder / "high", _arm(100, 100, 100, 100), "sampled")]
        same("obstacle", _case(folder, random=high).obstacle(), "reference did not learn")
        error = {"name": "return", "unit": "x", "better": -1, "floor": 200.0}
        case = _case(folder, metric=error, random=[])
        same("no obstacle", case.obstacle(), "")
        found = [
            case.judge(2, case.curves(Path(_records(folder / "a", _arm(*levels)), "evaluations.parquet")))[0]
            for levels in ((90, 190, 190), (0, 10, 10))
        ]
        same("a higher and a lower error", found, ["WORSE", "BETTER"])


def _live(value: float, difference: str | None, same_machine: bool) -> dict[str, Any]:
    cell = {"implementation": "sb3", "algorithm": "ppo", "environment": PLACE}
    made = plan("ppo")
    made["cells"] = [{**cell, "budget": 40, "evaluation": {"points": 4, "modes": ["deterministic"]}}]
    evaluated = [
        {**cell, "seed": 2, "env_step": step, "episode": k, "protocol": "deterministic", "metric": "return"}
        | {"value": value - 2.5 + above + shift, "size": 1}  # the area is 2.5 above the middle one
        for step, above in ((0, -10.0), (20, 0.0), (40, 20.0))
        for k, shift in enumerate((6.0, -1.0, -5.0))
    ]
    runs = [{**cell, "seed": seed, "status": "done", "budget": 40} for seed in range(5)]
    check = {"cell": {**cell, "seeds": [2]}, "difference": difference, "same_machine": same_machine}
    check |= {"shipped_on": "a", "trained_on": "b"}
    table = frame(
        "scores", scores({("sb3", "ppo"): [98.0, 99.0, 100.0, 101.0, 102.0], ("scratch", "ppo"): [5.0]})
    )
    found = live_checks.judged([check], frame("evaluations", evaluated), pd.DataFrame(runs), table, made)
    return {str(key): one for key, one in found.iloc[0].to_dict().items()}


@CHECKS
def live() -> None:
    """A reference trained again has the same rows, or lies inside the 99.9 % prediction interval, or not."""
    half = exact.t_quantile(0.9995, 4) * (2.5 * 1.2) ** 0.5
    found = _live(100 + 0.999 * half, "row 3", False)
    row(
        "inside",
        found,
        outcome="inside",
        low=100 - half,
        high=100 + half,
        seeds=5,
        seed=2,
        difference="row 3",
    )
    near("value", found["value"], 100 + 0.999 * half)
    same("above", _live(100 + 1.001 * half, "row 3", False)["outcome"], "outside")
    same("below", _live(100 - 1.001 * half, "row 3", False)["outcome"], "outside")
    same("just inside below", _live(100 - 0.999 * half, "row 3", False)["outcome"], "inside")
    same("the same kind of machine", _live(100.0, "row 3", True)["outcome"], "other rows")
    same("the same rows", _live(900.0, None, True)["outcome"], "same rows")
