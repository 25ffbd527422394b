"""Error rates of sequential designs on made-up pools of which the answer is known."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rlparity.analysis import tables
from rlparity.analysis.group_sequential import design
from rlparity.analysis.simulations import adastop, sequential
from rlparity.analysis.simulations.pools import Judged, Pool
from rlparity.arms import Arm
from rlparity.errors import UserError
from rlparity.reporting.pages.calibrated import designs

pytestmark = pytest.mark.probes
FLOOR = np.array([20.0, 21.0, 19.0, 20.5])
MEASURED = Path(__file__).parents[3] / "reports" / "calibration" / "sequential.csv"


def pool(spread: float, name: str = "ppo") -> Pool:
    z = np.random.default_rng(0).standard_normal(60)
    scores = 220 + spread * (z - z.mean()) / z.std()
    return Pool(Arm("sb3", name), "CartPole-v1", "auc", scores, Arm("sb3", name))


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    references = [Judged(pool(20.0), FLOOR, 0.2), Judged(pool(60.0, "a2c"), FLOOR, 0.2)]
    return tables.frame("sequential", list(sequential.rows(references, 500)))


def test_errors_are_at_most_five_per_cent(table):
    rows = table[(table.design == design.SPENDING) & table["shift"].isin([-1, 0, 1])]
    assert len(rows) == 2 * 3 * (3 + 3) and rows.wrong.max() < 0.05 + 3 * (0.05 * 0.95 / 500) ** 0.5


def test_clear_cases_are_decided_early(table):
    rows = table[(table.design == design.SPENDING) & (table.asked == "both")].set_index(
        ["pool", "draws_from", "shift"]
    )
    near, apart = rows.loc[("sb3/ppo", "pool", 0.0)], rows.loc[("sb3/ppo", "pool", -2.0)]
    assert near.equivalent > 0.97 and near.seeds < 8
    assert apart.worse > 0.97 and apart.seeds < 6 and apart.equivalent == 0
    assert rows.loc[("sb3/a2c", "pool", 0.0)].seeds > near.seeds


def test_each_reference_is_looked_at_with_its_own_number_of_seeds(monkeypatch):
    seen = []
    monkeypatch.setattr(
        sequential, "_rows", lambda about, members, seeds: seen.append((about["pool"], *seeds)) or []
    )
    larger = pool(60.0, "a2c")
    larger = larger._replace(scores=np.concatenate([larger.scores, larger.scores]))
    list(sequential.rows([Judged(pool(20.0), FLOOR, 0.2), Judged(larger, FLOOR, 0.2)], 2))
    assert set(seen) == {("sb3/ppo", 60), ("sb3/a2c", 120), (sequential.ALL, 60, 120)}


def test_the_answer_of_the_page_names_the_largest_errors():
    rows = tables.read(MEASURED)
    own = rows[rows.design == design.SPENDING]
    alone = own[own.asked == "equivalence"].wrong.max()
    assert f"({100 * alone:.1f} % where equivalence is asked alone)" in designs.answer(rows)


def test_looking_again_and_again_without_a_design_errs_more():
    """Eight looks at 5 % each: the judged arm differs from its twin somewhere in far more than 5 %."""
    x, y = sequential.drawn(pool(20.0), "pool", 1000)
    difference, _ = sequential.scored(x, y, FLOOR, 0.2)
    naive = (np.abs(difference) > 1.96).any(-1).mean()
    guarded = (np.abs(difference) > design.Design(60).difference()).any(-1).mean()
    assert naive > 0.10 > 0.07 > guarded


def test_a_smooth_fit_keeps_mean_and_spread():
    one = pool(20.0)
    x, y = sequential.drawn(one, "smooth", 2000)
    assert len(np.unique(x)) > 1000 * 40
    for arm in (x, y):
        assert arm.mean() == pytest.approx(220, abs=0.5) and arm.std() == pytest.approx(20, rel=0.03)


def test_the_design_is_the_fastest_whose_measured_errors_are_allowed():
    found = tables.read(MEASURED)
    rows = found[found.design.isin(list(sequential.SPENDING)) & found["shift"].isin([-1, 0, 1])]
    rows = rows[rows.asked != "equivalence"]  # alone it is never asked
    allowed = rows.groupby("design").wrong.max()
    speed = found[found["shift"].isin([0, -2]) & (found.asked == "both")].groupby("design").seeds.mean()
    assert speed[allowed[allowed <= design.ALPHA].index].idxmin() == design.SPENDING


def test_a_package_that_is_missing_is_one_line(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "adastop", None)
    with pytest.raises(UserError, match="--adastop needs the package adastop"):
        adastop.measure(tmp_path, tmp_path)


def test_adastop_is_asked_as_its_package_wants(monkeypatch):
    """A stand-in for the package that decides at the third look."""

    class Comparator:
        def __init__(self, n, K, B, alpha, seed):
            assert (n, K, alpha, seed) == (5, 8, 0.05, 3)
            self.is_finished, self.decisions = False, {"[0 1]": "continue"}

        def partial_compare(self, values, verbose):
            x, y = values["judged"], values["reference"]
            assert len(x) == len(y) and x.mean() > y.mean()
            if len(x) == 15:
                self.is_finished, self.decisions = True, {"[0 1]": "larger"}

    package = types.SimpleNamespace(MultipleAgentsComparator=Comparator)
    found = adastop.decided(package, np.arange(40.0) + 100, np.arange(60.0), 3)
    assert found == (design.BETTER, 15)
