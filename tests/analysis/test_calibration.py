"""Error rates of verdicts on made-up pools of which the truth is known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from rlparity.analysis import calibration, statistics, tables
from rlparity.analysis.calibration import Pool
from rlparity.analysis.scores import ENDPOINTS
from rlparity.errors import UserError
from rlparity.reporting.pages import calibration as calibration_page

pytestmark = pytest.mark.probes

FLOOR = {end: np.array([20.0, 21.0, 19.0, 20.0, 20.0]) for end in ENDPOINTS}


def pool(spread: float = 30.0, size: int = 60, mean: float = 120.0) -> Pool:
    """Normal scores whose mean and deviation are exactly those asked for."""
    rng = np.random.default_rng(0)
    scores = {}
    for end in ENDPOINTS:
        z = rng.standard_normal(size)
        scores[end] = mean + spread * (z - z.mean()) / z.std(ddof=1)
    return Pool("ppo", "CartPole-v1", scores, FLOOR, margin=0.2)


def test_draws_are_disjoint_and_of_the_pool():
    x, y = pool().draw(np.random.default_rng(1), 20)
    assert len({*x, *y}) == 40 and {*x, *y} <= set(range(60))


def test_false_differences_stay_below_five_per_cent():
    """Each endpoint is a family of its own: about 5 %, as Welch's test alone; either, at most twice that."""
    rows = list(calibration.false_differences(pool(), draws=400))
    assert [(row["seeds"], row["endpoint"]) for row in rows] == [
        (seeds, end) for seeds in (5, 10, 20) for end in ("auc", "final", "either")
    ]
    for row in rows:
        assert row["different"] <= row["unadjusted"]
        assert row["ci_low"] <= row["different"] <= row["ci_high"]
        if row["endpoint"] == "either":
            assert row["different"] < 0.14
        else:
            assert row["different"] < 0.085 and 0.02 < row["unadjusted"] < 0.085


def test_a_rule_that_cries_wolf_is_seen(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(statistics, "holm", lambda p: 0.3 * np.array(p))  # as if p values were divided
    rows = list(calibration.false_differences(pool(), draws=100))
    assert max(row["different"] for row in rows if row["endpoint"] == "either") > 0.15


def test_power_agrees_with_the_formula_and_the_margin_holds():
    """Distance 100, deviation 30: at a margin of 30 % twenty seeds a side have power 0.85 by the formula."""
    rows = {
        (row["margin"], row["seeds"]): row
        for row in calibration.power(pool(), 300)
        if row["endpoint"] == "auc"
    }
    assert rows[0.3, 20]["planned"] == pytest.approx(statistics.tost_power(20, 30.0, 30.0, 30.0))
    for row in rows.values():
        assert row["equivalent"] == pytest.approx(row["planned"], abs=0.09)
        assert row["equivalent_at_margin"] < 0.11
    for margin in calibration.MARGINS:
        curve = [rows[margin, seeds]["equivalent"] for seeds in calibration.CURVE]
        assert curve[-1] >= curve[0]
    assert rows[0.5, 30]["worse_at_twice"] > 0.99 > rows[0.1, 5]["worse_at_margin"]


def test_equal_scores_get_no_verdict_at_any_size():
    still = pool()._replace(scores={end: np.full(60, 500.0) for end in ENDPOINTS})
    assert {row["equivalent"] for row in calibration.power(still, 50)} == {0.0}
    rows = list(calibration.false_differences(still, 50))
    assert {row["different"] for row in rows} == {row["equivalent"] for row in rows} == {0.0}


def report(folder: Path, size: int) -> Path:
    """The scores and the plan of a suite, as `analyse` leaves them."""
    folder.mkdir()
    drawn = pool(size=size)
    who = {"environment": "CartPole-v1", "metric": "return"}
    rows = [
        {**who, "implementation": name, "algorithm": algorithm, "seed": seed, "endpoint": end, "value": value}
        for name, algorithm, arms in (("sb3", "ppo", drawn.scores), ("scratch", "random", FLOOR))
        for end, values in arms.items()
        for seed, value in enumerate(values)
    ]
    tables.write_csv(folder, "scores", tables.frame("scores", rows))
    plan = {
        "name": "pool",
        "title": "Pool",
        "margin": 0.2,
        "cells": [],
        "algorithms": {"random": {"agent": "random"}, "ppo": {"agent": "ppo", "reference": "ppo"}},
        "environments": {"CartPole-v1": {"algorithms": ["random", "ppo"], "threshold": None}},
    }
    (folder / "plan.json").write_text(json.dumps(plan))
    return folder


def test_too_small_a_pool_is_one_line(tmp_path: Path):
    with pytest.raises(UserError, match="no reference has 60 seeds"):
        calibration.calibrate(report(tmp_path / "pool", 59), tmp_path / "calibration", 10)
    with pytest.raises(UserError, match="name the report of a suite"):
        calibration.calibrate(tmp_path / "nothing", tmp_path / "calibration", 10)


def test_the_page_says_what_was_found(tmp_path: Path):
    text = calibration_page.render(report(tmp_path / "pool", 60), tmp_path / "calibration", 40)
    wrong = tables.read(tmp_path / "calibration" / "false_differences.csv")
    worst = wrong[wrong.endpoint == "either"].different.max()
    assert f"{100 * worst:.1f} %" in text
    page = (tmp_path / "calibration" / "index.html").read_text()
    assert "How often the verdict errs" in page and "power.csv" in page and "coverage.csv" in page
    assert page.count('<svg class="panel"') == 2 + 6
    again = calibration_page.render(tmp_path / "pool", tmp_path / "calibration", 40)
    assert again == text and (tmp_path / "calibration" / "index.html").read_text() == page
