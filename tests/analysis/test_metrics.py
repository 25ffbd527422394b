"""A made-up metric, lower is better with a constant floor, from records to verdicts, beside the return."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from synthetic import CEILING, Suite, finish

from rlparity.analysis import calibration, sequential_tests, tables
from rlparity.cell import Protocol
from rlparity.metrics import RETURN, Metric
from rlparity.records import KEYS, write

ERROR = Metric("error", "fraction wrong", better=-1, floor=0.95)
WHO = {"implementation": "scratch", "algorithm": "ppo", "environment": "CartPole-v1"}
WITH_METRIC = {"scores", "summary", "verdicts", "paper", "curves", "seed_curves", "profiles"}
WITH_METRIC |= {"improvement", "thresholds"}
NAMES = sorted({*WITH_METRIC, "cost"})


def made(root: Path, metrics: tuple[Metric, ...]) -> dict[str, pd.DataFrame]:
    """All tables of a suite in which A2C is as good as its reference, and PPO has returns that are 150 less,
    hence errors that are 0.3 more. It has no random agent."""
    suite = Suite(
        metrics=metrics,
        threshold=0.1 if metrics[0] == ERROR else 475.0,
        random=RETURN in metrics,
        shift={"ppo": 150.0},
        variants=(),
        protocol=Protocol(points=10, episodes=5, final_episodes=20),
    )
    report = finish(suite, root)
    return {name: tables.read(report / f"{name}.csv") for name in NAMES}


@pytest.fixture(scope="module")
def errors(tmp_path_factory: pytest.TempPathFactory) -> dict[str, pd.DataFrame]:
    return made(tmp_path_factory.mktemp("errors"), (ERROR,))


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> dict[str, pd.DataFrame]:
    return made(tmp_path_factory.mktemp("both"), (RETURN, ERROR))


def of(frame: pd.DataFrame, metric: str) -> pd.DataFrame:
    return frame[frame.metric == metric].drop(columns="metric").reset_index(drop=True)


def test_the_metric_follows_the_environment_in_every_table(errors: dict[str, pd.DataFrame]):
    for name in WITH_METRIC:
        columns = list(errors[name])
        assert columns.index("metric") == columns.index("environment") + 1
        assert name == "paper" or set(errors[name].metric) == {"error"}
    assert "metric" not in errors["cost"]


def test_verdicts_know_that_lower_is_better(errors: dict[str, pd.DataFrame]):
    rows = errors["verdicts"].set_index(["algorithm", "endpoint"])
    assert rows.verdict.to_dict() == {
        ("a2c", "auc"): "EQUIVALENT",
        ("a2c", "final"): "EQUIVALENT",
        ("ppo", "auc"): "WORSE",
        ("ppo", "final"): "WORSE",
    }
    worse = rows.loc["ppo", "final"]
    assert worse.mean_implementation > worse.mean_reference > 0  # in the metric's unit
    assert worse.difference == pytest.approx(0.3, abs=0.1) and worse.ci95_low > 0
    assert worse.mean_random == 0.95
    assert worse.distance == pytest.approx(0.95 - worse.mean_reference)


def test_scores_of_the_error_are_those_of_the_return_turned_over(both: dict[str, pd.DataFrame]):
    """An error is 1 - return / 500 of the same episode, so both metrics say the same of every arm."""
    returns, errors = (of(both["scores"], name) for name in ("return", "error"))
    whole = returns[returns.endpoint != "time_to_threshold"].reset_index(drop=True)
    assert errors.endpoint.tolist() == whole.endpoint.tolist()
    np.testing.assert_allclose(errors.value, 1 - whole.value / CEILING)
    rows = both["verdicts"].set_index(["metric", "algorithm", "endpoint"])
    assert rows.loc["error"].verdict.to_dict() == rows.loc["return"].verdict.to_dict()
    np.testing.assert_allclose(rows.loc["error"].p_difference, rows.loc["return"].p_difference)
    known = rows.loc["return"].ci95_high.notna()  # not where a return is at its ceiling
    assert known.any() and rows.loc["error"].ci95_low[known].notna().all()
    ends = rows.loc["error"].ci95_low[known], -rows.loc["return"].ci95_high[known] / CEILING
    np.testing.assert_allclose(*ends)
    chances = both["improvement"].set_index(["metric", "algorithm", "endpoint"]).probability
    np.testing.assert_allclose(chances["error"], chances["return"])


def test_profiles_count_the_seeds_below_tau(both: dict[str, pd.DataFrame]):
    for name, direction in (("return", 1), ("error", -1)):
        for _, rows in of(both["profiles"], name).groupby(["implementation", "algorithm"]):
            assert rows.fraction.iloc[0] == 1 and rows.fraction.is_monotonic_decreasing
            assert (direction * rows.tau).is_monotonic_increasing
    final = of(both["scores"], "error").query("endpoint == 'final'")
    own = final[(final[list(WHO)] == list(WHO.values())).all(axis=1)].value
    rows = of(both["profiles"], "error")
    row = rows[(rows[list(WHO)] == list(WHO.values())).all(axis=1)].iloc[25]
    assert row.fraction == pytest.approx((own < row.tau).mean())


def test_a_threshold_is_reached_from_above(errors: dict[str, pd.DataFrame]):
    """Errors fall from 0.956: with a threshold of 0.1 the returns must reach 450."""
    times = errors["scores"].query("endpoint == 'time_to_threshold'")
    curves = errors["seed_curves"].query("protocol == 'deterministic'")
    reached = 0
    for row in times.itertuples():
        own = curves[(curves.seed == row.seed) & (curves.implementation == row.implementation)]
        own = own[own.algorithm == row.algorithm].sort_values("env_step")
        assert np.isnan(row.value) == (own.value > 0.1).all()
        reached += not np.isnan(row.value)
    assert errors["thresholds"].reached.sum() == reached > 0
    assert set(errors["thresholds"].threshold) == {0.1}


def test_only_the_first_metric_has_the_threshold(both: dict[str, pd.DataFrame]):
    assert set(both["thresholds"].metric) == {"return"}


def test_evaluations_of_format_1_are_returns(tmp_path: Path):
    """The same records in either format give the same tables."""
    suite = Suite(algorithms=("ppo",), variants=(), budget=80, protocol=Protocol(points=4, episodes=2))
    new = finish(suite, tmp_path / "new")
    suite.write(tmp_path / "old" / "results")
    for file in (tmp_path / "old" / "results").rglob("evaluations.parquet"):
        rows = pq.read_table(file)
        kept = rows.drop_columns("metric").rename_columns(
            {"value": "episode_return", "size": "episode_length"}
        )
        assert kept.column_names[-2:] == ["episode_return", "episode_length"]
        pq.write_table(kept, file)
        run = json.loads((file.parent / "run.json").read_text())
        run["hashes"][file.name] = hashlib.sha256(file.read_bytes()).hexdigest()
        (file.parent / "run.json").write_text(json.dumps(run))
    old = finish_written(suite, tmp_path / "old")
    for name in NAMES:
        assert (new / f"{name}.csv").read_bytes() == (old / f"{name}.csv").read_bytes()
    columns = pq.read_table(tmp_path / "old" / "results" / suite.name / "tables" / "evaluations.parquet")
    assert columns.column_names == [name for name, _ in KEYS] + [
        "episode",
        "protocol",
        "metric",
        "value",
        "size",
    ]
    assert set(columns["metric"].to_pylist()) == {"return"}


def finish_written(suite: Suite, root: Path) -> Path:
    """As `finish`, of records that are written already."""
    suite.write = lambda results: None  # type: ignore[method-assign]
    return finish(suite, root)


def test_a_csv_without_metrics_is_of_returns(tmp_path: Path):
    row = {**WHO, "metric": "return", "seed": 0, "endpoint": "final", "value": 1.0}
    table = tables.frame("scores", [row])
    table.drop(columns="metric").to_csv(tmp_path / "scores.csv", index=False)
    pd.testing.assert_frame_equal(tables.read(tmp_path / "scores.csv"), table)


def evaluations(folder: Path, values: np.ndarray, algorithm: str = "ppo") -> str:
    """Evaluations (points, seeds) of an arm, one every ten steps."""
    rows = [
        {**WHO, "algorithm": algorithm, "seed": seed, "env_step": 10 * point, "episode": 0}
        | {"protocol": "deterministic", "metric": "error", "value": value, "size": 1}
        for point, row in enumerate(values.tolist())
        for seed, value in enumerate(row)
    ]
    write(folder, "evaluations", rows)
    return str(folder)


def test_looks_judge_a_metric_with_a_constant_floor(tmp_path: Path):
    """Errors fall from 0.95 to 0.05 in twenty evaluations; a mutated agent stays at 0.8, or falls faster."""
    fall = np.linspace(0.95, 0.05, 21)[:, None]
    noise = 0.01 * np.random.default_rng(0).standard_normal((21, 10))
    content = {
        "looks": [[10, 100], [20, 200]],
        "margin": 0.2,
        "cell": {"evaluation": {"points": 20}},
        "metric": {"name": "error", "unit": "fraction wrong", "better": -1, "floor": 0.95},
        "reference": [evaluations(tmp_path / "reference", fall + noise)],
    }
    case = sequential_tests.Case(content)
    assert case.obstacle() == ""
    for values, words in (
        (np.maximum(fall, 0.8) + noise[:, ::-1], ("WORSE", "WORSE")),
        (np.maximum(fall - 0.4, 0.0) + noise[:, ::-1], ("BETTER", "BETTER")),
        (fall + noise[:, ::-1], (sequential_tests.UNDECIDED, "EQUIVALENT")),
    ):
        curves = case.curves(Path(evaluations(tmp_path / "look", values), "evaluations.parquet"))
        assert tuple(case.judge(point, curves)[0] for point in (10, 20)) == words


def test_a_pool_of_errors_is_drawn_from_with_its_own_floor(tmp_path: Path):
    """Sixty seeds of a reference: their draws keep the metric, the constant floor and its distance."""
    z = np.random.default_rng(0).standard_normal(60)
    scores = [
        {**WHO, "implementation": "sb3", "metric": "error", "seed": seed, "endpoint": end, "value": value}
        for end in ("auc", "final")
        for seed, value in enumerate((0.25 + 0.03 * (z - z.mean()) / z.std(ddof=1)).tolist())
    ]
    tables.write_csv(tmp_path, "scores", tables.frame("scores", scores))
    metric = {"name": "error", "unit": "fraction wrong", "better": -1, "floor": 0.95}
    plan = {
        "margin": 0.1,
        "algorithms": {"ppo": {"agent": "ppo", "reference": {"implementation": "sb3", "algorithm": "ppo"}}},
        "environments": {"CartPole-v1": {"algorithms": ["ppo"], "threshold": None, "metrics": [metric]}},
    }
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    (pool,) = calibration.pools(tmp_path)
    assert (pool.metric.name, pool.size, pool.margin, pool.floor["auc"]) == ("error", 60, 0.1, -0.95)
    wrong, power = calibration.calibrate(tmp_path, tmp_path / "into", 40)
    assert set(wrong.metric) == set(power.metric) == {"error"}
    assert wrong.different.max() < 0.2
    sure = power[(power.margin == 0.1) & (power.seeds == 30) & (power.endpoint == "auc")].iloc[0]
    assert sure.planned > 0.99  # 0.1 x 0.7 is more than twice the spread of 0.03
    assert sure.equivalent == 1.0 and sure.worse_at_twice == 1.0
