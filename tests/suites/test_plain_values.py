"""A configuration that only computes otherwise is judged against the plain one too: does it learn alike?"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from resolved import resolve
from synthetic import Suite, finish

from rlparity.reporting import diff
from rlparity.reporting.figures import draw as figures
from rlparity.reporting.pages.suite import report
from rlparity.reporting.pages.suite.tables import primary, verdicts
from rlparity.reporting.report_folder import Folder
from rlparity.suites import hyperparameters

pytestmark = pytest.mark.probes


def test_the_plain_configuration_is_found_in_the_suite() -> None:
    """By its options, its agent and its reference; what is not in the suite is none."""
    known = hyperparameters.library().algorithms
    both = {name: known[name] for name in ("random", "dqn", "dqn-double", "dqn-bfloat16")}
    assert [hyperparameters.plain(one, both) for one in both.values()] == [None, None, None, "dqn"]
    assert hyperparameters.plain(known["dqn-bfloat16"], {"dqn-bfloat16": known["dqn-bfloat16"]}) is None
    plan = resolve(environments=["ALE/Pong-v5@nature"], algorithms=["ppo-bfloat16", "ppo"]).plan()
    assert {name: about["plain"] for name, about in plan["algorithms"].items()} == {
        "ppo-bfloat16": "ppo",
        "ppo": None,
    }


def test_what_is_trained_otherwise_is_not_plain() -> None:
    raw = {"environments": ["ALE/Pong-v5@nature"], "algorithms": ["ppo-bfloat16", "ppo"]}
    for change in (
        {"hyperparameters": {"ppo": {"n_epochs": 1}}},
        {"budgets": {"default": 20_000, "ppo-bfloat16": 10_000}},
    ):
        assert resolve(**raw, **change).plan()["algorithms"]["ppo-bfloat16"]["plain"] is None
    same = {"hyperparameters": {"ppo": {"n_epochs": 1}, "ppo-bfloat16": {"n_epochs": 1}}}
    assert resolve(**raw, **same).plan()["algorithms"]["ppo-bfloat16"]["plain"] == "ppo"


def halves(root: Path, **changes: object) -> Folder:
    """A made-up suite with `ppo` and `ppo-half`, as if the latter computed in another precision."""
    suite = Suite(algorithms=("ppo", "ppo-half"), variants=(), **changes)
    about = suite.plan["algorithms"]
    about["ppo-half"] |= {"reference": "ppo", "plain": "ppo"}
    suite.cells = [
        cell for cell in suite.cells if (cell.implementation, cell.algorithm) != ("sb3", "ppo-half")
    ]
    return Folder(finish(suite, root))


@pytest.fixture(scope="module")
def worse(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    return halves(tmp_path_factory.mktemp("worse"), shift={"ppo-half": 300.0})


def test_it_is_judged_against_the_reference_and_against_the_plain_one(worse: Folder) -> None:
    rows = worse.tables["verdicts"]
    assert list(zip(rows.algorithm, rows.reference, rows.endpoint, strict=True)) == [
        ("ppo", "sb3/ppo", "auc"),
        ("ppo", "sb3/ppo", "final"),
        ("ppo-half", "sb3/ppo", "auc"),
        ("ppo-half", "sb3/ppo", "final"),
        ("ppo-half", "scratch/ppo", "auc"),
        ("ppo-half", "scratch/ppo", "final"),
    ]
    assert list(rows.verdict) == ["EQUIVALENT"] * 2 + ["WORSE"] * 4
    means = worse.tables["scores"].query("endpoint == 'auc'").groupby(["implementation", "algorithm"]).value
    assert rows.mean_reference[4] == pytest.approx(means.mean()["scratch", "ppo"])
    chance = worse.tables["improvement"].set_index(["reference", "algorithm", "endpoint"]).probability
    assert chance["scratch/ppo", "ppo-half", "auc"] == 0.0


def test_the_report_says_so_in_a_sentence_and_counts_it_apart(worse: Folder) -> None:
    figures.draw(worse.path)
    report.render(worse.path)
    text = (worse.path / "README.md").read_text()
    assert "1 of 2 pairs of implementation and environment is shown to match the reference" in text
    assert "Significantly worse: PPO-HALF than PPO on CartPole-v1." in text
    for role, endpoint in (("primary", "area"), ("secondary", "final")):
        rows = [(row[1], row[3]) for row in verdicts(worse, role).rows]
        assert rows == [(name, endpoint) for name in ("ppo", "ppo-half", "ppo-half against our ppo")]
    assert list(primary(worse, plain=True).reference) == ["scratch/ppo"]
    curves = (worse.path / "figures" / "curves-CartPole-v1.svg").read_text()
    assert "plain configuration, from scratch" in curves
    assert "ppo-half against our ppo" in (worse.path / "figures" / "improvement.svg").read_text()


def test_equal_halves_learn_the_same(tmp_path: Path, worse: Folder) -> None:
    same = halves(tmp_path / "same")
    report.render(same.path)
    text = (same.path / "README.md").read_text()
    assert "Shown to learn the same: PPO-HALF as PPO on CartPole-v1." in text
    changed = [line for line in diff.compare(worse.path, same.path).splitlines() if "against our ppo" in line]
    assert len(changed) == 2 and all("WORSE -> EQUIVALENT" in line for line in changed)


def test_failed_seeds_of_the_plain_one_do_not_condemn(tmp_path: Path) -> None:
    lost = halves(tmp_path, shift={"ppo-half": 300.0}, failed={("scratch", "ppo"): {0: "no"}}, seeds=6)
    rows = lost.tables["verdicts"].set_index(["algorithm", "reference", "endpoint"])
    row = rows.loc["ppo-half", "scratch/ppo", "auc"]
    assert (row.verdict, row.failed_seeds) == ("INCONCLUSIVE", "scratch/ppo 0")
    assert row.reason == "WORSE but for failed seeds (scratch/ppo 0)"
    assert rows.loc["ppo-half", "sb3/ppo", "auc"].verdict == "WORSE"
    assert pd.isna(rows.loc["ppo-half", "sb3/ppo", "auc"].failed_seeds)
