"""Comparisons with published numbers: errors, intervals, what is comparable, and verdicts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from rlparity.analysis import tables
from rlparity.analysis.checks import distributions as exact
from rlparity.analysis.checks.check import Group, inside, missing, near, row, same, true
from rlparity.analysis.checks.made_up import FLOOR, NAN, PLACE, plan, scores
from rlparity.analysis.published import paper_table

CHECKS = Group()
OURS = [98.0, 99.0, 100.0, 101.0, 102.0]  # variance 2.5
SOURCE = {"source_id": "s", "algorithm": "PPO", "environment": PLACE, "metric": "mean episode return"}
SOURCE |= {"spread_kind": "none", "protocol": "deterministic policy", "reference": "a paper"}
SOURCE |= {"provenance": "primary", "configuration": "ppo"}
Row = dict[str, Any]


def printed(value: float = 100.0, **more: Any) -> Row:
    """A published row with a budget of 1000 steps."""
    numbers = {
        "value": value,
        "spread": NAN,
        "low": NAN,
        "high": NAN,
        "seeds": NAN,
        "frames_or_steps": 1000.0,
    }
    return {**SOURCE, **numbers, "preset": NAN, "counted": NAN, **more}


def table(
    ours: Sequence[float],
    *known: Row,
    floor: Sequence[float] = (0.0, 0.0, 0.0),
    environment: str = PLACE,
    curves: pd.DataFrame | None = None,
    **more: Any,
) -> list[Row]:
    """Rows of table `paper` about our PPO; that of the reference has other scores."""
    arms = {("scratch", "ppo"): ours, ("sb3", "ppo"): [7.0] * 5, FLOOR: floor}
    about = plan("ppo", environments=(environment,), **more)
    who = {"environment": environment, "algorithm": "ppo", "budget": 1000}
    about["cells"] = [
        {**who, "implementation": name, "evaluation": {"modes": ["deterministic"]}}
        for name in ("scratch", "sb3")
    ]
    frame = tables.frame(
        "scores", scores(arms, "final", environment) + scores({FLOOR: [999.0] * 3}, "auc", environment)
    )
    made = paper_table.paper(frame, about, pd.DataFrame(list(known)), curves)
    return [{str(key): value for key, value in line.items()} for line in made.to_dict("records")]


@CHECKS
def verdicts() -> None:
    """REPLICATED within the margin, NOT REPLICATED by p beyond it, else UNDECIDED."""
    stated = {"seeds": 5.0, "spread": 2.5**0.5, "spread_kind": "sd"}  # with ours: error 1, 8 degrees
    t = exact.t_quantile(0.95, 8)
    for value, word in (
        (100.0, "REPLICATED"),
        (103.0, "REPLICATED"),
        (150.0, "NOT REPLICATED"),
        (60.0, "NOT REPLICATED"),
    ):
        (line,) = table(OURS, printed(value, **stated))
        row(
            f"{value}",
            line,
            verdict=word,
            published=value,
            ours=100.0,
            difference=100 - value,
            margin=0.2 * value,
        )
        row(
            f"{value}",
            line,
            ci90_low=100 - value - t,
            ci90_high=100 - value + t,
            seeds=5,
            implementation="scratch",
        )
        row(
            f"{value}",
            line,
            p_difference=2 * exact.t_above(abs(100 - value), 8),
            p_holm=2 * exact.t_above(abs(100 - value), 8),
        )
    half = exact.t_quantile(0.975, 4) * 0.5**0.5
    row("our interval", line, ci_low=100 - half, ci_high=100 + half)
    precise = {**stated, "spread": 0.0}  # their error is 0: 4 degrees
    t = exact.t_quantile(0.95, 4) * 0.5**0.5
    for factor, word in ((1.0001, "REPLICATED"), (0.9999, "UNDECIDED")):
        (line,) = table(OURS, printed(100.0, **precise), margin=t * factor / 100)
        row("at the margin", line, verdict=word)
    (line,) = table(OURS, printed(150.0, **stated), margin=0.9, floor=[90.0, 100.0, 125.0])
    row("a floor", line, margin=40.5, verdict="NOT REPLICATED")
    skewed = [90.0, 91.0, 92.0, 99.0, 128.0]  # the mean is 100, the median 92
    (line,) = table(skewed, printed(150.0, **stated))
    a, b = float(exact.variance(skewed)) / 5, 0.5
    df = (a + b) ** 2 / (a * a / 4 + b * b / 4)
    half = exact.t_quantile(0.95, df) * (a + b) ** 0.5
    row("skewed seeds", line, ours=100.0, difference=-50.0, ci90_low=-50 - half, ci90_high=-50 + half)
    row("skewed seeds", line, p_difference=2 * exact.t_above(50 / (a + b) ** 0.5, df))
    (line,) = table(OURS, printed(60.0, **stated))
    wide = [20.0, 60.0, 100.0, 140.0, 180.0]
    (line,) = table(wide, printed(100.0, **stated))
    row("a wide interval", line, verdict="UNDECIDED")
    needed = int(line["seeds_needed"])
    for n, low, high in ((needed, 0.8 - 1e-4, 1.0), (needed - 1, 0.0, 0.8 + 1e-4)):
        a, b = 4000 / n, 0.5
        df = (a + b) ** 2 / (a * a / (n - 1) + b * b / 4)
        inside(f"power of {n} seeds", exact.power_of_equivalence((a + b) ** 0.5, df, 20), low, high)


@CHECKS
def unknown_error() -> None:
    """A number whose seeds are not stated is REPLICATED or UNDECIDED, and has no p."""
    for value, word in ((100.0, "REPLICATED"), (150.0, "UNDECIDED"), (10.0, "UNDECIDED")):
        (line,) = table(OURS, printed(value))
        row(f"{value}", line, verdict=word, p_difference=None, p_holm=None)
        true("it says so", line["reason"].startswith("against the number, not its expectation"))
    for ours, reason in (([*OURS[:4]], "fewer than 5 seeds"), ([100.0] * 5, "our seeds have no spread")):
        (line,) = table(ours, printed(100.0))
        row(reason, line, verdict="UNDECIDED", reason=reason)
    (line,) = table(OURS, printed(100.0), floor=[])
    row("no floor", line, verdict="UNDECIDED", reason="no random agent in the suite")
    (line,) = table([*OURS, NAN], printed(100.0))
    row("a failed seed", line, verdict="UNDECIDED", failed_seeds="5", seeds=5)
    true("what it would be", line["reason"] == "REPLICATED but for failed seeds (5)")


@CHECKS
def several() -> None:
    """Holm runs over the comparable rows alone."""
    stated = {"seeds": 5.0, "spread": 0.0, "spread_kind": "sd"}  # without an error of its own: 4 degrees
    t = [3.0, 2.9, 4.2]
    values = [100 + one * 0.5**0.5 for one in t]
    other = printed(500.0, **stated | {"frames_or_steps": 7.0})
    found = table(OURS, *(printed(value, **stated) for value in values), other, margin=0.01)
    p = [2 * exact.t_above(one, 4) for one in t]
    adjusted = [2 * p[0], max(2 * p[0], p[1]), 3 * p[2], NAN]
    near("p", [line["p_holm"] for line in found], adjusted, 1e-7)
    words = ["UNDECIDED", "UNDECIDED", "NOT REPLICATED", "NOT COMPARABLE"]
    same("verdicts", [line["verdict"] for line in found], words)
    same("what differs", found[3]["differs_in"], "budget")
    missing("p of what is not comparable", found[3]["p_holm"])


@CHECKS
def comparable() -> None:
    """Version, budget and protocol must be the same and be stated."""
    modes = ["deterministic", "sampled"]
    game = "ALE/Pong-v5@nature"
    cases: list[tuple[Row, str, list[str]]] = [
        ({}, PLACE, []),
        ({"environment": "Made-v1"}, PLACE, ["environment version"]),
        ({"frames_or_steps": 999.0}, PLACE, ["budget"]),
        ({"frames_or_steps": NAN}, PLACE, ["budget"]),
        ({"protocol": "sampled actions"}, PLACE, ["evaluation protocol"]),
        ({"protocol": NAN}, PLACE, ["evaluation protocol"]),
        ({"metric": "max average return"}, PLACE, ["evaluation protocol"]),
        ({"metric": "final average return"}, PLACE, ["evaluation protocol"]),
        (
            {"environment": "Pong", "preset": "nature", "counted": "frames", "frames_or_steps": 4000.0},
            game,
            [],
        ),
        ({"environment": "Pong", "preset": "nature", "counted": "steps"}, game, []),
        ({"environment": "Pong", "preset": "machado", "counted": "steps"}, game, ["environment version"]),
        ({"environment": "Pong", "preset": "nature", "counted": "unclear"}, game, ["budget"]),
        ({"environment": "Pong", "preset": "nature", "counted": "frames"}, game, ["budget"]),
    ]
    for change, environment, wanted in cases:
        same(
            f"differences of {change}",
            paper_table.differences(printed(**change), environment, 1000, modes),
            wanted,
        )
    same(
        "an agent that never acts so",
        paper_table.differences(printed(), PLACE, 1000, ["sampled"]),
        ["evaluation protocol"],
    )
    bases = {
        "ALE/Pong-v5@nature": "Pong",
        "PongNoFrameskip-v4": "Pong",
        "Hopper-v5": "Hopper",
        "a:Made-v0": "Made",
    }
    for name, wanted_base in bases.items():
        same(f"base of {name}", paper_table.base(name), wanted_base)
    (line,) = table(OURS, printed(100.0, environment="Made-v7", seeds=5.0))
    row("another version", line, verdict="NOT COMPARABLE", differs_in="environment version", difference=0.0)
    (line,) = table(
        [5.0] * 5,
        printed(10.0, environment="Pong", counted="frames", preset="nature", frames_or_steps=4000.0),
        environment=game,
    )
    row("frames", line, published_budget=1000.0, published_frames=4000.0, differs_in="")


@CHECKS
def best_evaluation() -> None:
    """A max average return is the best mean over seeds of a deterministic evaluation, of whole curves."""
    at = {"implementation": "scratch", "algorithm": "ppo", "environment": PLACE, "metric": "return"}
    points = [
        ("deterministic", 0, 3.0, 5),
        ("deterministic", 9, 70.0, 5),
        ("deterministic", 20, 60.0, 5),
        ("sampled", 9, 99.0, 5),
    ]
    numbers = [
        {**at, "protocol": mode, "env_step": step, "mean": mean, "iqm": 500.0, "seeds": n}
        for mode, step, mean, n in points
    ]
    curves = tables.frame("curves", [*numbers, {**numbers[0], "implementation": "sb3", "mean": 88.0}])
    (line,) = table(OURS, printed(100.0, metric="max average return"), curves=curves)
    row("best", line, ours_same_protocol=70.0, ours=100.0, verdict="NOT COMPARABLE")
    curves.loc[1, "seeds"] = 4
    (line,) = table(OURS, printed(100.0, metric="max average return"), curves=curves)
    row("of unequal seeds", line, ours_same_protocol=None)
    (line,) = table(OURS, printed(100.0), curves=curves)
    row("another metric", line, ours_same_protocol=None)
