"""Live checks of references, as a table: are the shipped records those that this machine makes?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import scipy.stats
from numpy.typing import ArrayLike

from rlparity.analysis import attainable, plans, summarize
from rlparity.analysis import tables as table
from rlparity.analysis.columns import column
from rlparity.analysis.plans import Plan
from rlparity.analysis.scores import ENDPOINTS
from rlparity.records import SCHEMAS, write_bytes, write_table

CHECKS, EVALUATIONS = "live_checks.json", "live_evaluations"  # in the tables of a suite's results
LEVEL = 0.999  # of the prediction interval
SAME, OTHER, INSIDE, OUTSIDE, NOT_JUDGED = "same rows", "other rows", "inside", "outside", "not judged"
CONFIRMED = (SAME, INSIDE)
SEED = list(column.SEED)


def keep(found: list[tuple[dict[str, Any], pa.Table]], tables: Path) -> None:
    """Write the results of live checks and the evaluations of the seeds trained here to `tables`."""
    checks = [check for check, _ in found]
    evaluations = pa.concat_tables(
        [SCHEMAS["evaluations"].empty_table(), *(rows for _, rows in found)]
    ).combine_chunks()
    write_table(tables, "evaluations", evaluations, EVALUATIONS)
    write_bytes(tables / CHECKS, (json.dumps(checks, indent=1) + "\n").encode())


def analyse(tables: Path, into: Path) -> None:
    """Write `live_checks.csv` beside the scores of a report; none where no reference was checked."""
    file = tables / CHECKS
    checks = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else []
    if not checks:
        (into / "live_checks.csv").unlink(missing_ok=True)
        return
    plan = plans.read(tables / "plan.json", "run the stage collect")
    evaluations = pq.read_table(tables / f"{EVALUATIONS}.parquet").to_pandas()
    runs, scores = table.read(tables / "runs.parquet"), table.read(into / "scores.csv")
    table.write_csv(into, "live_checks", judged(checks, evaluations, runs, scores, plan))


def judged(
    checks: list[dict[str, Any]],
    evaluations: pd.DataFrame,
    runs: pd.DataFrame,
    scores: pd.DataFrame,
    plan: Plan,
) -> pd.DataFrame:
    """Table `live_checks`: `evaluations` are of the seeds trained here, `runs` and `scores` of the suite."""
    cells = pd.DataFrame(
        [{**{key: one["cell"][key] for key in column.ARM}, "seed": one["cell"]["seeds"][0]} for one in checks]
    )
    fresh = summarize.score(summarize.evaluation_points(evaluations, plan), runs.merge(cells, on=SEED), plan)
    rows = []
    for one, who in zip(checks, cells.to_dict("records"), strict=True):
        metric = plans.metrics(plan, who["environment"])[0]
        wanted = {**who, "metric": metric.name, "endpoint": ENDPOINTS[0]}
        value = _values(fresh, wanted)
        pool = _values(scores, {key: wanted[key] for key in wanted if key != "seed"})
        bounds = attainable.values(who["environment"], metric)
        low, high = attainable.clipped(prediction_interval(pool), bounds)
        if one["difference"] is None:
            outcome = SAME
        elif one["same_machine"]:
            outcome = OTHER
        elif len(pool) < 2 or not len(value):  # no interval, or a seed that failed
            outcome = NOT_JUDGED
        else:
            outcome = INSIDE if low <= value[0] <= high else OUTSIDE
        rows.append(
            {
                **wanted,
                "outcome": outcome,
                "value": value[0] if len(value) else np.nan,
                "low": low,
                "high": high,
                "seeds": len(pool),
                **{key: one[key] for key in ("difference", "shipped_on", "trained_on")},
            }
        )
    return table.frame("live_checks", rows)


def _values(scores: pd.DataFrame, wanted: dict[str, Any]) -> np.ndarray:
    chosen = (scores[list(wanted)] == pd.Series(wanted)).all(axis=1)
    return scores["value"][chosen].dropna().to_numpy()


def prediction_interval(x: ArrayLike, level: float = LEVEL) -> tuple[float, float]:
    """Student's interval of one more value of a normal distribution: (n,) -> ends; unbounded below two."""
    x = np.asarray(x, dtype=float)
    if len(x) < 2:
        return -np.inf, np.inf
    half = scipy.stats.t.ppf((1 + level) / 2, len(x) - 1) * x.std(ddof=1) * np.sqrt(1 + 1 / len(x))
    return float(x.mean() - half), float(x.mean() + half)
