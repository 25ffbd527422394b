"""Stage `analyse`: the four tables of records -> every CSV of a report.

Endpoints are those of the deterministic evaluations, of an arm without any (the random agent) those of the
sampled ones. A failed seed keeps its learning curve as far as it goes, and has no `final` and no `auc`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rlparity.analysis import attainable, logged_returns, plans, statistics
from rlparity.analysis import tables as table
from rlparity.analysis.columns import column
from rlparity.analysis.intervals import rule
from rlparity.analysis.plans import Plan
from rlparity.analysis.published.dqn2013_table import dqn2013, printed
from rlparity.analysis.published.human_normalized import human_normalised, references
from rlparity.analysis.published.numbers import published
from rlparity.analysis.published.paper_table import paper
from rlparity.analysis.schemas import TABLES
from rlparity.analysis.scores import ENDPOINTS, TRAINING, Scores, pairs
from rlparity.analysis.verdicts import look_table, verdicts
from rlparity.environments.atari_ids import games
from rlparity.metrics import Metric

ARM = list(column.ARM)
SEED = list(column.SEED)
TAUS = 51  # points of a performance profile
ATARI = ("human_normalised", "dqn2013")  # tables that a suite without Atari games does not have
PHASES = ("training", "evaluation", "wall")  # of the time of a cell


def analyse(tables: Path, published_numbers: Path, into: Path) -> None:
    """Write the CSVs of a report; those about Atari games only where the suite has such games.

    Reads `tables/{evaluations,runs}.parquet` and `tables/plan.json`, and the folder of published numbers.
    Raises UserError where one of them is missing or damaged.
    """
    plan = plans.read(tables / "plan.json", "run the stage collect")
    evaluations, runs = (table.read(tables / f"{name}.parquet") for name in ("evaluations", "runs"))
    points = evaluation_points(evaluations, plan)
    trained = logged_returns.curves(tables / "episodes.parquet", plan)
    drawn = points if trained.empty else pd.concat([points, trained], ignore_index=True)
    scores, curve = score(points, runs, plan), curves(drawn)
    equal = logged_returns.score(points, tables / "episodes.parquet", runs, plan)
    own = equal[equal["terms"] == equal["implementation"]]
    scores = pd.concat([scores, own[list(TABLES["scores"])]], ignore_index=True)
    made = {
        "scores": scores,
        "summary": summary(scores),
        "verdicts": verdicts(scores, plan, equal),
        "paper": paper(scores, plan, published(published_numbers), curve),
        "curves": curve,
        "seed_curves": table.frame("seed_curves", drawn[list(TABLES["seed_curves"])]),
        "profiles": profiles(scores, plan),
        "improvement": improvement(scores, plan, equal),
        "thresholds": thresholds(scores, runs, plan),
        "cost": cost(runs),
    }
    if games(plan["environments"]):
        made["human_normalised"] = human_normalised(scores, plan, references(published_numbers))
        made["dqn2013"] = dqn2013(scores, plan, printed(published_numbers))
    if plans.looks(plan):
        made["looks"] = look_table(scores, plan, equal)
    for name in {*ATARI, "looks"} - made.keys():
        (into / f"{name}.csv").unlink(missing_ok=True)
    for name, rows in made.items():
        table.write_csv(into, name, rows)


def scores_of(evaluations: pd.DataFrame, runs: pd.DataFrame, plan: Plan) -> pd.DataFrame:
    """Table `scores` of records that are not collected yet; see `score`."""
    return score(evaluation_points(evaluations, plan), runs, plan)


def evaluation_points(evaluations: pd.DataFrame, plan: Plan) -> pd.DataFrame:
    """Mean value of each evaluation: columns of `seed_curves`, and `clock`, the step as it was recorded.

    `env_step` is the nominal point: an evaluation happens when a multiple of budget / points is crossed.
    """
    keys = [*ARM, "metric", "protocol", "seed", "env_step"]
    points = evaluations.groupby(keys, observed=True)["value"].mean().reset_index()
    protocols = {
        tuple(cell[key] for key in ARM): (cell["budget"], cell["evaluation"]["points"])
        for cell in plan["cells"]
    }
    known = pd.DataFrame(
        [(*arm, *numbers) for arm, numbers in protocols.items()], columns=[*ARM, "budget", "points"]
    )
    points = points.merge(known, on=ARM, how="inner")
    points["clock"] = points["env_step"]
    nominal = points["clock"] * points["points"] // points["budget"] * points["budget"] // points["points"]
    elsewhere = pd.MultiIndex.from_frame(points[ARM]).isin(
        [one.candidate for one in logged_returns.logged(plan)]
    )
    points["env_step"] = nominal.where(~elsewhere, points["clock"])
    return points.sort_values(keys, kind="stable").reset_index(drop=True)


def score(points: pd.DataFrame, runs: pd.DataFrame, plan: Plan) -> pd.DataFrame:
    """Table `scores`: one row for each seed, metric and endpoint.

    It has no value where a seed failed, has not ended, or never reached the threshold.
    """
    curves = {key: curve for key, curve in points.groupby([*ARM, "metric", "seed", "protocol"])}
    main = {key[:4]: key[-1] for key in curves if key[-1] != "sampled"}
    rows, elsewhere = [], {one.candidate for one in logged_returns.logged(plan)}
    for run in runs.sort_values([*ARM, "seed"]).to_dict("records"):
        arm = tuple(run[key] for key in ARM)
        if arm in elsewhere:
            continue
        for metric in plans.metrics(plan, run["environment"]):
            protocol = main.get((*arm, metric.name), "sampled")
            curve = curves.get((*arm, metric.name, run["seed"], protocol), points.iloc[:0])
            who = {**{key: run[key] for key in SEED}, "metric": metric.name}
            values = _endpoints(curve, run, metric, plans.threshold(plan, run["environment"], metric))
            rows += [{**who, "endpoint": endpoint, "value": value} for endpoint, value in values.items()]
    return table.frame("scores", rows)


def _endpoints(
    curve: pd.DataFrame, run: dict[str, Any], metric: Metric, threshold: float | None
) -> dict[str, float]:
    """The endpoints of one seed from its curve, by name."""
    at_end = curve["value"][curve["clock"] == run["budget"]]
    whole = run["status"] == "done" and len(at_end) == 1
    values = {
        "final": at_end.iloc[0] if whole else np.nan,
        "auc": statistics.area_under_curve(curve["clock"], curve["value"]) if whole else np.nan,
    }
    if threshold is not None and run["status"] != "unfinished":
        values["time_to_threshold"] = statistics.time_to_threshold(
            curve["clock"], curve["value"], threshold, metric.better
        )
    return values


def _arms(scores: pd.DataFrame, *keys: str) -> Iterator[tuple[dict[str, Any], statistics.Array, str]]:
    """Of each arm, metric and group: its keys, the values there are (n,), and the seeds that have none."""
    names = [*ARM, "metric", *keys]
    for key, part in scores.groupby(names):
        missing = ", ".join(str(seed) for seed in part["seed"][part["value"].isna()])
        yield dict(zip(names, key, strict=True)), part["value"].dropna().to_numpy(), missing


def summary(scores: pd.DataFrame) -> pd.DataFrame:
    """Table `summary`: IQM, mean and median over seeds, with the intervals of `intervals.rule`."""
    rows = []
    for who, x, failed in _arms(scores[scores["endpoint"].isin((*ENDPOINTS, *TRAINING))], "endpoint"):
        for name, statistic in statistics.STATISTICS.items():
            low, high = rule.of_estimate(name, x, attainable.values(who["environment"], who["metric"]))
            estimate = statistic(x) if len(x) else np.nan
            interval = {"ci_low": low, "ci_high": high, "seeds": len(x), "failed_seeds": failed}
            rows.append({**who, "statistic": name, "estimate": estimate, **interval})
    return table.frame("summary", rows)


def curves(points: pd.DataFrame) -> pd.DataFrame:
    """Table `curves`: IQM over seeds with its interval, and mean, at each nominal point."""
    parts, names = [], [*ARM, "metric", "protocol"]
    for key, part in points.groupby(names):
        who = dict(zip(names, key, strict=True))
        grid = part.pivot_table(index="env_step", columns="seed", values="value")
        for seeds, rows in grid.groupby(grid.notna().apply(tuple, axis=1)):  # failed seeds end early
            values = rows.to_numpy()[:, list(seeds)]
            bounds = attainable.values(who["environment"], who["metric"])
            low, high = rule.of_estimate("iqm", values, bounds)
            numbers = {
                "iqm": statistics.iqm(values),
                "ci_low": low,
                "ci_high": high,
                "mean": values.mean(-1),
                "seeds": values.shape[-1],
            }
            parts.append(pd.DataFrame({**who, "env_step": rows.index, **numbers}))
    whole = pd.concat(parts).sort_values([*names, "env_step"]) if parts else pd.DataFrame()
    return table.frame("curves", whole)


def profiles(scores: pd.DataFrame, plan: Plan) -> pd.DataFrame:
    """Table `profiles`: share of seeds whose final value is better than tau, on one grid for each environment
    and metric, from the worst value to the best."""
    final = scores[(scores["endpoint"] == "final") & scores["value"].notna()]
    grids = {}
    for place, values in final.groupby(["environment", "metric"])["value"]:
        oriented = plans.better(plan, *place) * values
        low, high = oriented.min(), oriented.max()
        step = ((high - low) or 1.0) / (TAUS - 1)
        grids[place] = np.linspace(low - step, high, TAUS)
    rows = []
    for who, x, _ in _arms(final):
        place = who["environment"], who["metric"]
        better = plans.better(plan, *place)
        above = better * x[None, :] > grids[place][:, None]
        for numbers in zip(better * grids[place], above.mean(-1), *rule.of_share(above), strict=True):
            rows.append({**who, **dict(zip(("tau", "fraction", "ci_low", "ci_high"), numbers, strict=True))})
    return table.frame("profiles", rows)


def improvement(scores: pd.DataFrame, plan: Plan, equal: pd.DataFrame | None = None) -> pd.DataFrame:
    """Table `improvement`: probability that a seed scores better than one of the reference's."""
    arms, rows = Scores(scores, equal), []
    chance: Callable[..., statistics.Array] = statistics.probability_of_improvement
    for pair in pairs(plan, arms):
        for quantity in arms.quantities(pair, plan):
            x, y, _ = arms.compared(pair, quantity)
            if len(x) and len(y):
                bounds = attainable.oriented(pair.environment, quantity.metric)
                low, high = rule.of_improvement(x, y, bounds)
                numbers = {"probability": chance(x, y), "ci_low": low, "ci_high": high}
                rows.append(pair.keys(quantity) | numbers)
    return table.frame("improvement", rows)


def thresholds(scores: pd.DataFrame, runs: pd.DataFrame, plan: Plan) -> pd.DataFrame:
    """Table `thresholds`: seeds that reached the threshold, and when; the others are censored."""
    failed = {tuple(run[key] for key in SEED) for run in runs[runs.status != "done"].to_dict("records")}
    budgets = runs.groupby(ARM)["budget"].max()
    rows = []
    names = [*ARM, "metric"]
    for key, part in scores[scores["endpoint"] == "time_to_threshold"].groupby(names):
        who, arm = dict(zip(names, key, strict=True)), key[: len(ARM)]
        rows.append(
            {
                **who,
                "threshold": plan["environments"][who["environment"]]["threshold"],
                "reached": part["value"].notna().sum(),
                "seeds": len(part),
                "median_env_step": statistics.censored_median(part["value"]),
                "budget": budgets[arm],
                "failed_seeds": ", ".join(str(seed) for seed in part["seed"] if (*arm, seed) in failed),
            }
        )
    return table.frame("thresholds", rows)


def cost(runs: pd.DataFrame) -> pd.DataFrame:
    """Table `cost`: over the cells of an arm, steps per second, times per seed, largest memory."""
    rows = []
    for key, part in runs.groupby(ARM):
        cells = part.drop_duplicates("cell")
        steps = (cells["steps_per_second"] * cells["training_time_s"]).sum()
        trained = cells["training_time_s"].sum()
        times = {f"{name}_time_per_seed_s": cells[f"{name}_time_s"].sum() / len(part) for name in PHASES}
        rates = {"steps_per_second": steps / trained if trained > 0 else np.nan, **times}
        who = dict(zip(ARM, key, strict=True))
        rows.append({**who, "seeds": len(part), **rates, "peak_memory_mib": cells["peak_memory_mib"].max()})
    return table.frame("cost", rows)
