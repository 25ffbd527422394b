"""The checks of the analysis: they pass, they fail where a number is off, and their trials are counted."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from rlparity.analysis import statistics
from rlparity.analysis.checks import distributions, relations, run
from rlparity.analysis.checks.by_hand import estimators, report_tables, tests_of_means
from rlparity.analysis.checks.check import Check, Differs, Group, at_least, at_most, near, row
from rlparity.analysis.checks.check import run as run_check
from rlparity.errors import UserError
from rlparity.reporting.pages.planted_bugs import analysis as page
from rlparity.validation.mutations.mutation import MutationSet, Patch
from rlparity.validation.sensitivity import analysis

pytestmark = pytest.mark.paper


NAMES = [f"{body.__module__.rpartition('.')[2]}.{body.__name__}" for body in run.bodies(drawn=False)]


@pytest.mark.parametrize("body", run.bodies(drawn=False), ids=NAMES)
def test_the_analysis_passes_what_was_worked_out_by_hand(body) -> None:
    found = run_check(body)
    assert found.passed, found.detail


@pytest.mark.whole
def test_the_analysis_passes_relations_and_calibration() -> None:
    assert [str(check) for check in run.check() if not check.passed] == []


def test_relations_hold_for_a_few_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relations, "PAIRS", 3)
    for body in (relations.order_of_seeds, relations.mirror, relations.bystanders):
        found = run_check(body)
        assert found.passed, found.detail


def failed(bodies: Group) -> list[Check]:
    return [check for check in map(run_check, bodies) if not check.passed]


def test_a_wrong_number_fails_with_both_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(statistics.STATISTICS, "median", np.mean)
    names = [check.name for check in failed(estimators.CHECKS)]
    assert "Mean and median are those of the values" in names
    monkeypatch.setattr(statistics, "holm", lambda p: np.asarray(p) * len(p))
    (found,) = [check for check in failed(tests_of_means.CHECKS) if "Holm" in check.name]
    assert found.detail == "three is 0.03 0.12 0.09, not 0.03 0.06 0.06"
    monkeypatch.setattr(statistics, "area_under_curve", lambda step, value: float(np.mean(value)))
    assert failed(report_tables.CHECKS)


def test_what_raises_has_failed() -> None:
    def broken() -> None:
        """A check."""
        raise KeyError("x")

    assert str(run_check(broken)) == "FAIL A check: it raised KeyError: 'x'"


def test_distributions_are_those_of_the_tables() -> None:
    """Student's t of 5 %, one- and two-sided; 1.96 of the normal distribution."""
    assert distributions.t_quantile(0.95, 4) == pytest.approx(2.131847, abs=1e-6)
    assert distributions.t_quantile(0.975, 9.0) == pytest.approx(2.262157, abs=1e-6)
    assert distributions.t_above(-1.0, 1.0) == pytest.approx(0.75)
    assert distributions.normal_below(1.959964) == pytest.approx(0.975, abs=1e-6)
    assert distributions.over_spreads(7.0, lambda u: u * u) == pytest.approx(1.0, abs=1e-6)
    exact = distributions.welch([1.0, 2.0, 3.0], [2.0, 4.0, 6.0])  # s^2 / n: 1 / 3 and 4 / 3
    assert exact.df == pytest.approx((5 / 3) ** 2 / ((1 / 9 + 16 / 9) / 2))


def test_bounds_are_broken_once_in_a_million() -> None:
    def above(count: int) -> float:
        return sum(math.comb(100, k) * 0.05**k * 0.95 ** (100 - k) for k in range(count, 101))

    most = at_most(0.05, 100)
    assert above(most) > 1e-6 >= above(most + 1)
    assert at_least(0.95, 100) == 100 - most
    assert at_least(0.5, 10) == 0 and at_most(0.5, 10) == 10
    with pytest.raises(Differs, match=r"a, p, is 3\.0, not missing"):
        row("a", {"p": 3.0}, p=None)
    near("equal", [1.0, float("nan")], [1.0 + 1e-12, float("nan")])


def planted() -> MutationSet:
    made = MutationSet("bug", "own", "analysis")

    @made("V1", "means are one too high")
    def _(patch: Patch) -> None:
        patch.replace(statistics, "welch", lambda *arms: 1 / 0)

    @made("V2", "nothing at all")
    def _(patch: Patch) -> None:
        pass

    @made("V3", "of what is not there")
    def _(patch: Patch) -> None:
        patch.replace(statistics, "nowhere", 1)

    return made


def test_trials_of_the_analysis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Caught, silent, and one that cannot be planted; the first run stays in the table."""
    few = [estimators.area, tests_of_means.difference_of_means]
    monkeypatch.setattr(run, "bodies", lambda drawn=True: few)
    lines: list[str] = []
    analysis.run(tmp_path, 60, lines.append, planted().mutations)
    assert lines[0].startswith("baseline analysis: silent")
    assert [line.partition(" (")[0] for line in lines[1:3]] == ["V1 analysis: caught", "V2 analysis: silent"]
    assert lines[3].startswith("V3 analysis: cannot be planted: AttributeError")
    content = json.loads((tmp_path / analysis.OUTCOMES).read_text())
    page.write(content, tmp_path)
    assert page.answer(tmp_path) == "Of 3 bugs in the analysis its own checks catch 1, at their first run 1."
    for outcome in content["trials"]:
        outcome |= {"status": "done", "caught": True, "evidence": "later"}
    page.write(content, tmp_path)
    found = page.read(tmp_path).set_index("bug")
    assert page.answer(tmp_path) == "Of 3 bugs in the analysis its own checks catch 3, at their first run 2."
    assert found.loc["V1", "first_evidence"].endswith("division by zero") and not found.loc["V2", "first"]
    (section,) = page.sections(tmp_path)
    assert section.tables[0].rows[0][:5] == ["bug", "3", "2", "3", "0"]


def test_alarms_mean_nothing_where_the_unchanged_code_has_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statistics, "area_under_curve", lambda *curve: 0.0)
    monkeypatch.setattr(run, "bodies", lambda drawn=True: [estimators.area])
    with pytest.raises(UserError, match="alarms without a mutation"):
        analysis.run(tmp_path, 60, print, planted().mutations)
