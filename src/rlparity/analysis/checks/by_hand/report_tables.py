"""Tables of a report from evaluations of few seeds, each number worked out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from rlparity.analysis import statistics, summarize, tables
from rlparity.analysis.checks.check import Group, inside, missing, near, row, same, true
from rlparity.analysis.checks.made_up import NAN, PLACE, only, plan, scores

CHECKS = Group()
ARM = {"implementation": "scratch", "algorithm": "ppo", "environment": PLACE}
BUDGET, POINTS = 100, 4
STEPS = (0, 26, 52, 76, 100)  # an evaluation happens once its point is crossed: by 1, 2 and 1 steps
CURVES = {  # seed -> mean values at STEPS; seed 3 failed on its way
    0: (0.0, 10.0, 20.0, 30.0, 40.0),
    1: (4.0, 8.0, 50.0, 30.0, 20.0),
    2: (2.0, 6.0, 4.0, 12.0, 100.0),
    3: (8.0, 0.0, 30.0),
    4: (1.0, 3.0, 9.0, 27.0, 81.0),
}


def about(threshold: float | None = 30.0, **more: Any) -> dict[str, Any]:
    """A plan with one cell of our arm."""
    made = plan("ppo", **more)
    made["environments"][PLACE]["threshold"] = threshold
    made["cells"] = [{**ARM, "budget": BUDGET, "evaluation": {"points": POINTS, "modes": ["deterministic"]}}]
    return made


def evaluations(protocol: str = "deterministic", metric: str = "return", sign: float = 1) -> pd.DataFrame:
    """Episodes of each evaluation around its mean, which is not their median; the last one has more."""
    rows = [
        {**ARM, "seed": seed, "env_step": step, "episode": episode, "protocol": protocol, "metric": metric}
        | {"value": sign * (value + shift), "size": 1}
        for seed, values in CURVES.items()
        for step, value in zip(STEPS, values, strict=False)
        for episode, shift in enumerate((6.0, -1.0, -5.0) if step < BUDGET else (9.0, -1.0, -2.0, -3.0, -3.0))
    ]
    return tables.frame("evaluations", rows[::-1])


def runs(**changed: str) -> pd.DataFrame:
    """Seeds that are done, but for 3."""
    rows = [
        {**ARM, "seed": seed, "status": changed.get(f"seed{seed}", "failed" if seed == 3 else "done")}
        | {
            "budget": BUDGET,
            "n_envs": 2,
            "steps_per_second": 50.0,
            "training_time_s": 10.0,
            "seeds_in_cell": 5,
        }
        | {"evaluation_time_s": 2.0, "wall_time_s": 15.0, "peak_memory_mib": 300.0, "cell": "one"}
        for seed in CURVES
    ]
    rows[4] |= {"cell": "two", "steps_per_second": 20.0, "training_time_s": 30.0, "peak_memory_mib": 400.0}
    return tables.frame(
        "runs",
        [
            {"fingerprint": "", "reason": "", "commit": "", "dirty": False, "startup_time_s": 1.0} | one
            for one in rows
        ],
    )


def _area(values: tuple[float, ...]) -> float:
    areas = [(b - a) * (u + v) / 2 for a, b, u, v in zip(STEPS, STEPS[1:], values, values[1:], strict=False)]
    return sum(areas) / 100


@CHECKS
def points() -> None:
    """An evaluation is the mean of its episodes, at the nominal point before the step of its record."""
    found = summarize.evaluation_points(evaluations(), about())
    same("points", len(found), 4 * 5 + 3)
    for seed, values in CURVES.items():
        mine = found[found.seed == seed]
        near(f"means of seed {seed}", mine["value"], values)
        near("recorded steps", mine["clock"], STEPS[: len(values)])
        near("nominal steps", mine["env_step"], (0, 25, 50, 75, 100)[: len(values)])
    other = evaluations().assign(implementation="sb3")
    same("points of an arm without a cell", len(summarize.evaluation_points(other, about())), 0)


@CHECKS
def endpoints() -> None:
    """A seed's scores are its last evaluation, its area on recorded steps and its first good evaluation."""
    made = about()
    found = summarize.score(summarize.evaluation_points(evaluations(), made), runs(), made)
    reached = {0: 76.0, 1: 52.0, 2: 100.0, 3: 52.0, 4: 100.0}
    same("rows", len(found), 15)
    for seed, values in CURVES.items():
        mine = found[found.seed == seed].set_index("endpoint")["value"]
        if seed == 3:
            missing("scores of a failed seed", mine["final"], mine["auc"])
        else:
            near(f"final of seed {seed}", mine["final"], values[-1])
            near(f"area of seed {seed}", mine["auc"], _area(values))
        near(f"time to threshold of seed {seed}", mine["time_to_threshold"], reached[seed])
    never = about(threshold=1000.0)
    found = summarize.score(summarize.evaluation_points(evaluations(), never), runs(), never)
    missing("time of seeds that never reach it", *found[found.endpoint == "time_to_threshold"].value)
    without = about(threshold=None)
    found = summarize.score(summarize.evaluation_points(evaluations(), without), runs(), without)
    same("endpoints without a threshold", set(found.endpoint), {"final", "auc"})
    late = runs(seed4="unfinished")
    found = summarize.score(summarize.evaluation_points(evaluations(), made), late, made)
    mine = found[found.seed == 4].set_index("endpoint")["value"]
    same("endpoints of a seed in training", sorted(mine.index), ["auc", "final"])
    missing("scores of a seed in training", *mine)


@CHECKS
def protocols() -> None:
    """Deterministic evaluations count; sampled ones of an arm without any; cut ones do not."""
    made = about()
    both = pd.concat([evaluations("sampled").assign(value=-1.0), evaluations()], ignore_index=True)
    found = summarize.score(summarize.evaluation_points(both, made), runs(), made)
    near("final of seed 0, both", only(found, seed=0, endpoint="final")["value"], 40.0)
    found = summarize.score(summarize.evaluation_points(evaluations("sampled"), made), runs(), made)
    near("final of seed 0, sampled", only(found, seed=0, endpoint="final")["value"], 40.0)
    short = evaluations()
    short = short[short.env_step < 100]
    found = summarize.score(summarize.evaluation_points(short, made), runs(), made)
    missing("scores without an evaluation at the end", *found[found.endpoint != "time_to_threshold"].value)


@CHECKS
def of_errors() -> None:
    """Where lower is better the threshold is reached from above, and other metrics are scored apart."""
    made = about(threshold=-30.0)
    error = {"name": "error", "unit": "x", "better": -1, "floor": 0.0}
    made["environments"][PLACE]["metrics"] = [error, {"name": "return", "unit": "return"}]
    both = pd.concat([evaluations(), evaluations(metric="error", sign=-1)], ignore_index=True)
    found = summarize.score(summarize.evaluation_points(both, made), runs(), made)
    near("error at the end", only(found, seed=2, metric="error", endpoint="final")["value"], -100.0)
    near("return at the end", only(found, seed=2, metric="return", endpoint="final")["value"], 100.0)
    near("time down to -30", only(found, seed=1, metric="error", endpoint="time_to_threshold")["value"], 52.0)
    same(
        "the threshold is of the first metric",
        set(found[found.endpoint == "time_to_threshold"].metric),
        {"error"},
    )


@CHECKS
def curves() -> None:
    """A curve has IQM and mean over the seeds that were evaluated at each point."""
    found = summarize.curves(summarize.evaluation_points(evaluations(), about()))
    columns = [[values[k] for values in CURVES.values() if len(values) > k] for k in range(5)]
    near("points", found["env_step"], (0, 25, 50, 75, 100))
    same("seeds", list(found["seeds"]), [5, 5, 5, 4, 4])
    near("means", found["mean"], [sum(values) / len(values) for values in columns])
    near("IQM", found["iqm"], [sum(sorted(values)[1:-1]) / (len(values) - 2) for values in columns])
    for line, values in zip(found.to_dict("records"), columns, strict=True):
        if not np.isnan(line["ci_low"]):
            widest = 20 * (max(values) - min(values))
            inside("lower end", line["ci_low"], min(values) - widest, line["iqm"])
            inside("upper end", line["ci_high"], line["iqm"], max(values) + widest)
            true("an interval is no point", line["ci_high"] > line["ci_low"])


@CHECKS
def curves_of_unequal_seeds() -> None:
    """A seed that has no evaluation at a point is left out there, and stands at its own steps elsewhere."""
    points = summarize.evaluation_points(evaluations(), about())
    lacking = points[(points["seed"] != 1) | (points["env_step"] != 25)]
    found = summarize.curves(lacking[lacking["seed"] != 3])
    same("seeds", list(found["seeds"]), [4, 3, 4, 4, 4])
    near("means", found["mean"], [7 / 4, 19 / 3, 83 / 4, 99 / 4, 241 / 4])
    near("IQM", found["iqm"], [1.5, 19 / 3, 14.5, 28.5, 60.5])
    only_late = summarize.curves(points[(points["seed"] == 2) | (points["env_step"] > 50)])
    near("means of late ones", only_late["mean"], [2, 6, 4, 99 / 4, 241 / 4])


@CHECKS
def summaries() -> None:
    """A summary has each statistic of the seeds that have a score, in its interval, and names the others."""
    values = [3.0, NAN, 10.0, 1.0, 50.0, 7.0, NAN, 9.0]
    seen = sorted(value for value in values if value == value)
    table = tables.frame("scores", scores({("scratch", "ppo"): values, ("sb3", "ppo"): [4.0]}, "final"))
    table = pd.concat([table, table.assign(endpoint="time_to_threshold")], ignore_index=True)
    found = summarize.summary(table)
    same("rows", len(found), 6)
    for name, wanted in {"iqm": sum(seen[1:-1]) / 4, "mean": 80 / 6, "median": 8.0}.items():
        line = only(found, implementation="scratch", statistic=name)
        row(name, line, estimate=wanted, seeds=6, failed_seeds="1, 6", endpoint="final")
        inside(f"{name}, lower end", line["ci_low"], -60.0, wanted - 0.5)
        inside(f"{name}, upper end", line["ci_high"], wanted + 0.5, 60.0)
        line = only(found, implementation="sb3", statistic=name)
        row(f"{name} of one", line, estimate=4.0, ci_low=None, ci_high=None, seeds=1, failed_seeds="")
    lost = tables.frame("scores", scores({("scratch", "ppo"): [NAN, NAN]}, "auc"))
    row("none", only(summarize.summary(lost), statistic="iqm"), estimate=None, seeds=0, failed_seeds="0, 1")


@CHECKS
def profiles() -> None:
    """A profile has the share of seeds above each of 51 values, from 1 at the worst to 0 at the best."""
    arms = {("scratch", "ppo"): [0.0, 10.0, 20.0, NAN], ("sb3", "ppo"): [49.0, 5.0]}
    table = tables.frame("scores", scores(arms, "final") + scores({("scratch", "ppo"): [999.0]}, "auc"))
    error = [{"name": "return", "unit": "x", "better": -1, "floor": 1.0}]
    for better in (1, -1):
        made = plan("ppo")
        if better < 0:
            made["environments"][PLACE]["metrics"] = error
            table = table.assign(value=-table["value"])
        found = summarize.profiles(table, made)
        for implementation, values in {"scratch": (0.0, 10.0, 20.0), "sb3": (49.0, 5.0)}.items():
            mine = found[found.implementation == implementation]
            grid = np.linspace(-0.98, 49.0, 51)  # one step below the worst
            near("grid", better * mine["tau"], grid)
            wanted = [sum(value > tau for value in values) / len(values) for tau in grid]
            near(f"shares of {implementation}", mine["fraction"], wanted)
            known = mine.dropna()
            true(
                "shares lie in their bands",
                ((known.ci_low <= known.fraction) & (known.fraction <= known.ci_high)).all(),
            )


@CHECKS
def improvement() -> None:
    """The table of improvement has the share of better pairs of seeds, also where lower is better."""
    x, y = [1.0, 2.0, 5.0, 9.0, 3.5], [2.0, 2.0, 0.0, 7.0, 3.0]
    wanted = sum((a > b) + (a == b) / 2 for a in x for b in y) / 25
    table = tables.frame("scores", scores({("scratch", "ppo"): [*x, NAN], ("sb3", "ppo"): y}))
    line = only(summarize.improvement(table, plan("ppo")), endpoint="auc")
    row("improvement", line, probability=wanted, implementation="scratch", reference="sb3/ppo")
    inside("lower end", line["ci_low"], 0.0, wanted - 0.05)
    inside("upper end", line["ci_high"], wanted + 0.05, 1.0)
    made = plan("ppo")
    made["environments"][PLACE]["metrics"] = [{"name": "return", "unit": "x", "better": -1, "floor": 99.0}]
    near("of errors", only(summarize.improvement(table, made), endpoint="auc")["probability"], 1 - wanted)
    near("the estimator", statistics.probability_of_improvement(x, y), wanted)


@CHECKS
def thresholds() -> None:
    """Thresholds count seeds that reached them; failed and slow ones are censored at the budget."""
    made = about()
    times = [30.0, NAN, 50.0, NAN, 40.0]
    table = tables.frame("scores", scores({("scratch", "ppo"): times}, "time_to_threshold"))
    line = only(summarize.thresholds(table, runs(), made))
    row(
        "three of five",
        line,
        threshold=30.0,
        reached=3,
        seeds=5,
        median_env_step=50.0,
        budget=100,
        failed_seeds="3",
    )
    table = tables.frame(
        "scores", scores({("scratch", "ppo"): [30.0, NAN, NAN, NAN, 40.0]}, "time_to_threshold")
    )
    row(
        "two of five",
        only(summarize.thresholds(table, runs(), made)),
        reached=2,
        seeds=5,
        median_env_step=None,
    )


@CHECKS
def cost() -> None:
    """Costs count each cell once: steps of all cells over their time, times per seed, the largest memory."""
    line = only(summarize.cost(runs()))  # 50 * 10 + 20 * 30 steps in 40 s; five seeds in two cells
    row(
        "cost",
        line,
        seeds=5,
        steps_per_second=27.5,
        training_time_per_seed_s=8.0,
        evaluation_time_per_seed_s=0.8,
    )
    row("cost", line, wall_time_per_seed_s=6.0, peak_memory_mib=400.0)
