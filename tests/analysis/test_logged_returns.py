"""Logged returns are scored on equal terms: the candidate's grid, training returns with training returns."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from synthetic import PUBLISHED, Suite

from rlparity.analysis import logged_returns, summarize, tables
from rlparity.analysis.scores import Pair, Quantity, Scores
from rlparity.arms import Arm
from rlparity.cell import Cell
from rlparity.metrics import RETURN
from rlparity.records import write

pytestmark = pytest.mark.paper

KEYS = ("implementation", "algorithm", "environment")
THEIRS, SB3, RANDOM = (
    ("theirs", "ppo", "CartPole-v1"),
    ("sb3", "ppo", "CartPole-v1"),
    ("scratch", "random", "CartPole-v1"),
)


def plan(kind: str = "logs", budget: int = 100, points: int = 4) -> dict[str, Any]:
    cells = [{**dict(zip(KEYS, who, strict=True)), "budget": budget} for who in (THEIRS, SB3, RANDOM)]
    cells = [{**cell, "evaluation": {"points": points}} for cell in cells]
    cells[0]["candidate"] = {kind: "x"}
    algorithms = {"random": {"agent": "random"}, "ppo": {"agent": "ppo", "reference": "ppo"}}
    return {"cells": cells, "algorithms": algorithms}


def points(*rows: tuple[tuple[str, str, str], str, int, float]) -> pd.DataFrame:
    """Evaluations of seed 0: (who, protocol, step, mean return)."""
    return pd.DataFrame(
        [
            {
                **dict(zip(KEYS, who, strict=True)),
                "metric": "return",
                "protocol": mode,
                "seed": 0,
                "clock": step,
                "value": value,
            }
            for who, mode, step, value in rows
        ],
        columns=[*KEYS, "metric", "protocol", "seed", "clock", "value"],
    )


def runs(status: str = "done") -> pd.DataFrame:
    rows = [
        {**dict(zip(KEYS, who, strict=True)), "seed": 0, "status": "done"} for who in (THEIRS, SB3, RANDOM)
    ]
    rows[0]["status"] = status
    return pd.DataFrame(rows)


def episodes(folder: Path, *rows: tuple[tuple[str, str, str], int, float]) -> Path:
    """Training episodes of seed 0: (who, step, return)."""
    ended = [
        {
            **dict(zip(KEYS, who, strict=True)),
            "seed": 0,
            "env_step": step,
            "episode_return": value,
            "episode_length": 1,
        }
        for who, step, value in rows
    ]
    path = folder / "episodes.parquet"
    tables.frame("episodes", ended).to_parquet(path)
    return path


def scores(found: pd.DataFrame) -> dict[tuple[str, str], float]:
    return {(row.implementation, row.endpoint): row.value for row in found.itertuples()}


def test_a_reference_is_scored_on_the_candidates_grid(tmp_path: Path) -> None:
    """The candidate was evaluated at 40 and 80. The reference's line 0 -> 100 has 40 and 80 there, whose mean
    over 40 to 80 is 60; the random agent's 20 stays 20."""
    found = logged_returns.score(
        points(
            *((THEIRS, "deterministic", step, value) for step, value in ((40, 10.0), (80, 30.0))),
            *((SB3, "deterministic", step, float(step)) for step in (0, 25, 50, 75, 100)),
            *((SB3, "sampled", step, -1.0) for step in (0, 100)),
            *((RANDOM, "sampled", step, 20.0) for step in (0, 100)),
        ),
        episodes(tmp_path),
        runs(),
        plan(),
    )
    assert scores(found) == {
        ("theirs", "auc"): 20.0, ("theirs", "final"): 30.0,
        ("sb3", "auc"): 60.0, ("sb3", "final"): 80.0,
        ("scratch", "auc"): 20.0, ("scratch", "final"): 20.0,
    }  # fmt: skip
    assert set(found["terms"]) == {"theirs"}


def test_a_random_agent_of_a_shorter_budget_counts_by_its_mean(tmp_path: Path) -> None:
    """It ends at 20 where the candidate's grid is 40 and 80; a reference that ends at 60 has no score."""
    found = logged_returns.score(
        points(
            *((THEIRS, "deterministic", step, value) for step, value in ((40, 10.0), (80, 30.0))),
            *((SB3, "deterministic", step, float(step)) for step in (0, 60)),
            *((RANDOM, "sampled", step, value) for step, value in ((0, 19.0), (10, 18.0), (20, 23.0))),
        ),
        episodes(tmp_path),
        runs(),
        plan(),
    )
    valued = scores(found)
    assert valued["scratch", "auc"] == valued["scratch", "final"] == 20.0
    assert np.isnan([valued["sb3", "auc"], valued["sb3", "final"]]).all()


def test_training_returns_meet_training_returns(tmp_path: Path) -> None:
    """Quarters of a budget of 100. The candidate's means are 1, -, 4, 6; the second lies between 1 and 4."""
    path = episodes(
        tmp_path,
        *((THEIRS, step, value) for step, value in ((10, 0.0), (25, 2.0), (60, 4.0), (90, 5.0), (100, 7.0))),
        *((SB3, step, 8.0) for step in (20, 40, 60, 80)),
        *((RANDOM, step, 2.0) for step in (20, 40)),
    )
    found = scores(logged_returns.score(points(), path, runs(), plan("command")))
    assert found["theirs", "training_auc"] == pytest.approx((1 + 2.5 + 4 + 6) / 4)
    assert found["theirs", "training_final"] == 6.0
    assert found["sb3", "training_auc"] == 8.0 and found["scratch", "training_final"] == 2.0
    assert ("theirs", "auc") not in found


@pytest.mark.parametrize("lacking", ["evaluations", "training"])
def test_what_all_seeds_have_is_judged(tmp_path: Path, lacking: str) -> None:
    """Seed 1 of the candidate logged only one of both."""
    evaluated = points(
        (THEIRS, "sampled", 50, 1.0), (THEIRS, "sampled", 100, 3.0), (SB3, "sampled", 100, 2.0)
    )
    path = episodes(tmp_path, (THEIRS, 50, 1.0), (SB3, 50, 2.0))
    ended, seeds = pd.read_parquet(path), pd.concat([runs(), runs().iloc[:1].assign(seed=1)])
    if lacking == "training":
        evaluated = pd.concat([evaluated, evaluated.iloc[:2].assign(seed=1)])
    else:
        tables.frame(
            "episodes", [*ended.to_dict("records"), *ended.iloc[:1].assign(seed=1).to_dict("records")]
        ).to_parquet(path)
    found = logged_returns.score(evaluated, path, seeds, plan())
    ends = set(found[found["implementation"] == "theirs"]["endpoint"])
    assert ends == ({"auc", "final"} if lacking == "training" else {"training_auc", "training_final"})
    assert not found[found["implementation"] == "theirs"]["value"].isna().any()


def test_stretches_are_of_the_arms_own_budget() -> None:
    step, value = pd.Series([100, 200]), pd.Series([1.0, 3.0])
    assert logged_returns.stretches(step, value, 200, 2).tolist() == [1.0, 3.0]
    assert logged_returns.stretches(step, value, 800, 4).tolist() == [2.0, 2.0, 2.0, 2.0]


def test_a_failed_candidate_has_no_score_but_is_counted(tmp_path: Path) -> None:
    found = logged_returns.score(points(), episodes(tmp_path), runs("failed"), plan("command"))
    own = found[found["implementation"] == "theirs"]
    assert set(own["endpoint"]) == {"training_auc", "training_final"} and own["value"].isna().all()


def test_python_candidates_are_scored_as_our_own(tmp_path: Path) -> None:
    assert logged_returns.logged(plan("entry")) == []
    assert logged_returns.score(points(), tmp_path / "nowhere", runs(), plan("entry")).empty


def test_each_pair_is_judged_on_its_own_terms() -> None:
    """The candidate's terms give the reference another score; for our own agent it keeps its own."""
    columns = ["implementation", "algorithm", "environment", "seed", "endpoint", "value"]
    own = pd.DataFrame(
        [("sb3", "ppo", "x", 0, "auc", 1.0), ("scratch", "ppo", "x", 0, "auc", 2.0)], columns=columns
    ).assign(metric="return")
    rows = [("sb3", "ppo", "x", 0, "auc", 5.0), ("theirs", "ppo", "x", 0, "auc", 6.0)]
    theirs = pd.DataFrame(rows, columns=columns).assign(metric="return", terms="theirs")
    arms, plan = Scores(own, theirs), {"environments": {"x": {}}}
    sb3 = Arm("sb3", "ppo")
    logged = arms.quantities(Pair("x", Arm("theirs", "ppo"), sb3), plan)
    assert list(logged) == [Quantity("x", RETURN, "auc", "theirs")]
    ours = arms.quantities(Pair("x", Arm("scratch", "ppo"), sb3), plan)
    assert list(ours) == [Quantity("x", RETURN, "auc"), Quantity("x", RETURN, "final")]
    assert arms(Quantity("x", RETURN, "auc", "theirs"), sb3).tolist() == [5.0]
    assert arms(Quantity("x", RETURN, "auc"), sb3).tolist() == [1.0]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A made-up suite in which `theirs` has the training returns of sb3, and `worse` 100 less."""
    root = tmp_path_factory.mktemp("comparable")
    made = Suite(algorithms=("ppo",), variants=(), seeds=6)
    for cell in [cell for cell in made.cells if cell.implementation == "sb3"]:
        for name in ("theirs", "worse"):
            values = {**vars(cell), "implementation": name, "candidate": {"logs": "x"}}
            made.cells.append(Cell(**values))
    made.plan["cells"] = [json.loads(cell.to_json()) for cell in made.cells]
    made.write(root / "results")
    for cell in made.cells:
        if cell.candidate:
            _relabel(root / "results", cell)
    tables.collect(made.cells, root / "results", root / "reports", made.plan)
    summarize.analyse(root / "results" / made.name / "tables", PUBLISHED, root / "reports" / made.name)
    return root / "reports" / made.name


def _relabel(results: Path, cell: Cell) -> None:
    """The training episodes of sb3 under the candidate's name, without evaluations."""
    theirs = results / cell.folder
    rows = pq.read_table(
        results / str(cell.folder).replace(f"/{cell.implementation}/", "/sb3/") / "episodes.parquet"
    )
    lacks = 100.0 if cell.implementation == "worse" else 0.0
    renamed = [
        {**row, "implementation": cell.implementation, "episode_return": row["episode_return"] - lacks}
        for row in rows.to_pylist()
    ]
    write(theirs, "episodes", renamed)
    write(theirs, "evaluations", [])
    run = json.loads((theirs / "run.json").read_text())
    for name in ("episodes.parquet", "evaluations.parquet"):
        run["hashes"][name] = hashlib.sha256((theirs / name).read_bytes()).hexdigest()
    (theirs / "run.json").write_text(json.dumps(run))


def test_logged_candidates_get_verdicts_by_their_training_returns(report: Path) -> None:
    rows = pd.read_csv(report / "verdicts.csv")
    verdict = {(row.implementation, row.endpoint): row.verdict for row in rows.itertuples()}
    assert verdict["theirs", "training_auc"] == verdict["theirs", "training_final"] == "EQUIVALENT"
    assert verdict["worse", "training_auc"] == verdict["worse", "training_final"] == "WORSE"
    assert {end for who, end in verdict if who == "scratch"} == {"auc", "final"}
    same = rows[(rows.implementation == "theirs") & (rows.endpoint == "training_auc")]
    assert same.difference.item() == pytest.approx(0, abs=1e-9)
    scored = pd.read_csv(report / "scores.csv")
    assert set(scored[scored.implementation == "theirs"].endpoint) == {"training_auc", "training_final"}
    assert set(scored[scored.implementation == "sb3"].endpoint) == {"auc", "final", "time_to_threshold"}
    assert np.isfinite(scored[scored.implementation == "worse"].value).all()


def test_curves_of_training_returns_stand_beside_the_references(report: Path) -> None:
    curves = pd.read_csv(report / "curves.csv")
    trained = curves[curves.protocol == "training"]
    assert set(trained.implementation) == {"theirs", "worse", "sb3"}
    wide = trained.pivot_table(index="env_step", columns="implementation", values="mean")
    assert wide.index.tolist() == [50 * k for k in range(1, 21)]  # budget 1,000 in 20 stretches
    assert np.allclose(wide.theirs, wide.sb3) and np.allclose(wide.theirs - wide.worse, 100)
