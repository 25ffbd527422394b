"""Sensitivity suites: their files, trials that are resumed, interim tests, and the page."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from rlparity import project_files, records
from rlparity.analysis import sequential_tests
from rlparity.errors import UserError
from rlparity.provenance import definitions
from rlparity.provenance.definition_text import Definition
from rlparity.reporting.pages import sensitivity as sensitivity_page
from rlparity.validation.mutations.corpus import CORPUS
from rlparity.validation.sensitivity import plan as sensitivity_plan
from rlparity.validation.sensitivity import run as sensitivity
from rlparity.validation.sensitivity.plan import BASELINE, Trial
from rlparity.validation.sensitivity.process import Judge, TooBusy, attempt
from rlparity.validation.sensitivity.trial import done, not_run

ROOT = Path(__file__).parents[2]
SUITE = """
kind: sensitivity
name: few
title: A few
layers: [{layers}]
mutations: [{mutations}]
time_limits: {{contract: 60, parity: 60, lockstep: 60, statistics: 60}}
"""


def plan(
    tmp_path: Path, layers: str = "contract, parity", mutations: str = "P1, F1"
) -> sensitivity_plan.Plan:
    file = tmp_path / "few.yaml"
    file.write_text(SUITE.format(layers=layers, mutations=mutations))
    return sensitivity_plan.load(file)


def test_baselines_come_first_and_once(tmp_path: Path) -> None:
    ppo = ("ppo", "CartPole-v1")
    assert plan(tmp_path).trials() == [
        Trial(BASELINE, *ppo, "contract"),
        Trial("P1", *ppo, "contract"),
        Trial("F1", *ppo, "contract"),
        Trial(BASELINE, *ppo, "parity"),
        Trial("P1", *ppo, "parity"),
        Trial("F1", *ppo, "parity"),
    ]


def test_outcomes_have_files_of_their_own() -> None:
    layers = ("contract", "parity")
    files = [Trial(mutation.id, *mutation.pairs[0], layer).file for mutation in CORPUS for layer in layers]
    assert len(set(files)) == len(files)


def test_the_committed_suites_are_whole() -> None:
    folder = ROOT / "workflow" / "suites"
    whole, smoke = (
        sensitivity_plan.load(folder / f"{name}.yaml") for name in ("sensitivity", "sensitivity-smoke")
    )
    assert whole.mutations == CORPUS
    assert whole.layers == ("contract", "parity", "lockstep", "statistics") and whole.analysis
    assert not smoke.analysis
    assert whole.statistics is not None and whole.statistics.seeds == 10
    assert set(whole.statistics.references) == {"CartPole-v1", "Pendulum-v1"}
    assert {mutation.kind for mutation in smoke.mutations} == {"bug", "refactoring", "harmless"}
    assert set(smoke.layers) == {"contract", "parity"}


@pytest.mark.parametrize(
    ("layers", "mutations", "message"),
    [
        ("contract", "P1, P77", "unknown id 'P77'"),
        ("contract, smell", "P1", "unknown value 'smell'"),
        ("statistics", "P1", "missing key 'statistics'"),
    ],
)
def test_a_bad_suite_is_refused(tmp_path: Path, layers: str, mutations: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        plan(tmp_path, layers, mutations)


class Layers:
    """Replacement of processes: outcomes by mutation, and the requested trials."""

    def __init__(self, **outcomes: Any):
        self.outcomes, self.requested = outcomes, list[Trial]()

    def __call__(self, trial: Trial, *_: Any) -> Any:
        self.requested.append(trial)
        outcome = self.outcomes.get(trial.mutation or "baseline", False)
        if outcome is TooBusy:
            raise TooBusy
        return done(outcome, 1.5, "because") if outcome in (True, False, None) else outcome


def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outcomes: Layers, layers: str) -> list[str]:
    monkeypatch.setattr(sensitivity, "attempt", outcomes)
    lines: list[str] = []
    runner = sensitivity.Runner(plan(tmp_path, layers), tmp_path / "results", tmp_path / "reports")
    runner.run(1, lines.append)
    return [line.partition("  ")[2] for line in lines]


def test_trials_are_shown_and_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layers = Layers(P1=True)
    assert run(tmp_path, monkeypatch, layers, layers="contract") == [
        "baseline ppo CartPole-v1 contract: silent (2 s)",
        "P1 ppo CartPole-v1 contract: caught (2 s)",
        "F1 ppo CartPole-v1 contract: silent (2 s)",
    ]
    again = Layers()
    assert (
        run(tmp_path, monkeypatch, again, layers="contract")[1] == "P1 ppo CartPole-v1 contract: caught (2 s)"
    )
    assert again.requested == []
    monkeypatch.setattr(sensitivity, "planting", lambda id: f"another {id}")
    run(tmp_path, monkeypatch, again, layers="contract")
    assert [trial.mutation for trial in again.requested] == ["P1", "F1"]


@pytest.mark.parametrize(
    ("baseline", "reason"),
    [
        (True, "not run, alarms without a mutation: because"),
        (None, "not run, undecided without a mutation: because"),
        (not_run("no reference"), "not run, no reference"),
    ],
)
def test_nothing_is_planted_where_the_unchanged_code_is_not_silent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, baseline: Any, reason: str
) -> None:
    layers = Layers(baseline=baseline)
    lines = run(tmp_path, monkeypatch, layers, layers="parity")
    assert [trial.mutation for trial in layers.requested] == [BASELINE]
    assert lines[1:] == [f"{id} ppo CartPole-v1 parity: {reason}" for id in ("P1", "F1")]


def test_a_busy_machine_settles_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layers = Layers(P1=TooBusy)
    assert run(tmp_path, monkeypatch, layers, layers="contract")[1].endswith("too busy; run again")
    layers.outcomes["P1"] = True
    assert run(tmp_path, monkeypatch, layers, layers="contract")[1].endswith("caught (2 s)")


def test_statistics_report_where_they_cannot_run(tmp_path: Path) -> None:
    whole = sensitivity_plan.load(ROOT / "workflow" / "suites" / "sensitivity.yaml")
    runner = sensitivity.Runner(whole, tmp_path, ROOT / "reports")
    assert "run on CartPole-v1 and Pendulum-v1 only" in str(runner._case("ppo", "Reacher-v5"))
    assert "no reference of dqn-double" in str(runner._case("dqn-double", "CartPole-v1"))
    assert "no shipped record" in str(
        sensitivity.Runner(whole, tmp_path, tmp_path)._case("ppo", "CartPole-v1")
    )


@pytest.mark.whole
def test_a_trial_in_a_separate_process(tmp_path: Path) -> None:
    """The contract finds an end that arrives late; a process that cannot be started is an alarm."""
    trial = Trial("P11", "ppo", "CartPole-v1", "contract")
    outcome = attempt(trial, tmp_path / "p11.json", 60, None, Judge())
    assert (outcome["status"], outcome["caught"]) == ("done", True)
    assert "steps are Gymnasium's" in outcome["evidence"] and outcome["seconds"] > 0
    broken = attempt(trial._replace(mutation="P77"), tmp_path / "p77.json", 60, None, Judge())
    assert broken["caught"] and "unknown mutation 'P77'" in broken["evidence"]


@pytest.mark.whole
def test_a_trial_that_takes_too_long(tmp_path: Path) -> None:
    trial = Trial(BASELINE, "ppo", "CartPole-v1", "contract")
    outcome = attempt(trial, tmp_path / "slow.json", 1, None, Judge())
    assert outcome["caught"] and outcome["evidence"] == "it did not come to an end in 1 s"


def test_statistics_depend_on_their_judge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runner = sensitivity.Runner(plan(tmp_path), tmp_path, ROOT / "reports")
    (tmp_path / "case.json").write_text("{}")
    trials = {layer: Trial(BASELINE, "ppo", "CartPole-v1", layer) for layer in ("statistics", "lockstep")}

    def keys() -> dict[str, str]:
        return {
            layer: runner._key(trial, tmp_path / "case.json" if layer == "statistics" else None)
            for layer, trial in trials.items()
        }

    before, definition = keys(), definitions.definition
    edited = "rlparity.analysis.sequential_tests"

    def changed(module: str, name: str) -> Definition:
        found = definition(module, name)
        return found._replace(parts=("edited", *found.parts)) if module == edited else found

    monkeypatch.setattr(definitions, "definition", changed)
    definitions.digest.cache_clear()
    now = keys()
    definitions.digest.cache_clear()
    assert now["statistics"] != before["statistics"] and now["lockstep"] == before["lockstep"]


POINTS, BUDGET = 20, 10_000


def evaluations(folder: Path, returns: np.ndarray) -> Path:
    """Records of returns (points + 1, seeds)."""
    names = {"implementation": "x", "algorithm": "ppo", "environment": "e", "protocol": "deterministic"}
    rows = [
        {**names, "seed": seed, "env_step": k * BUDGET // POINTS, "episode": 0}
        | {"metric": "return", "value": value, "size": 1}
        for k, values in enumerate(returns)
        for seed, value in enumerate(values)
    ]
    records.write(folder, "evaluations", rows)
    return folder


def case(tmp_path: Path, reference: np.ndarray, random: float = 0.0) -> dict[str, Any]:
    """Four interim tests of ten seeds, margin 0.2."""
    noise = np.random.default_rng(1).normal(size=(POINTS + 1, 5))
    return {
        "cell": {"seeds": list(range(10)), "evaluation": {"points": POINTS}},
        "looks": [[point, point * BUDGET // POINTS] for point in (5, 10, 15, 20)],
        "margin": 0.2,
        "reference": [str(evaluations(tmp_path / "reference", reference))],
        "random": [str(evaluations(tmp_path / "random", random + noise))],
    }


def learning(seeds: int, rng: np.random.Generator, top: float = 100.0, noise: float = 1.0) -> np.ndarray:
    """Curves that rise to `top`, with a different level for each seed: (points + 1, seeds)."""
    rise = np.linspace(0.2, 1, POINTS + 1)[:, None]
    return top * rise + 5 * rng.normal(size=seeds) + noise * rng.normal(size=(POINTS + 1, seeds))


def arm(returns: np.ndarray) -> sequential_tests.Curves:
    return sequential_tests.Curves(
        pd.DataFrame(returns, index=[k * BUDGET // POINTS for k in range(POINTS + 1)])
    )


def test_an_interim_test_detects_what_is_far_below(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    judged = sequential_tests.Case(case(tmp_path, learning(10, rng)))
    assert judged.tests == 5
    assert judged.obstacle() == ""
    verdict, evidence = judged.judge(5, arm(learning(10, rng, top=20)))
    assert verdict == "WORSE" and evidence.startswith("auc at step 2,500: ")
    assert judged.judge(5, arm(learning(10, rng, top=180)))[0] == "BETTER"


def test_only_the_last_test_concludes_equivalence(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    reference = learning(20, rng)
    judged = sequential_tests.Case(case(tmp_path, reference))
    assert [judged.judge(point, arm(reference))[0] for point in (5, 10, 15, 20)] == [
        "INCONCLUSIVE",
        "INCONCLUSIVE",
        "INCONCLUSIVE",
        "EQUIVALENT",
    ]


def test_the_final_return_counts_too(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    judged, late = sequential_tests.Case(case(tmp_path, learning(10, rng))), learning(10, rng)
    late[-1] -= 60
    verdict, evidence = judged.judge(20, arm(late))
    assert verdict == "WORSE" and evidence.startswith("final at step 10,000: ")


def test_an_interim_evaluation_is_no_final_return(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    content = case(tmp_path, learning(10, rng))
    content["cell"]["evaluation"]["points"] = 2 * POINTS  # training ends at half its budget
    judged, late = sequential_tests.Case(content), learning(10, rng)
    late[-1] -= 60
    assert judged.tests == 4
    verdict, evidence = judged.judge(20, arm(late))
    assert verdict != "WORSE" and evidence.startswith("auc at step 10,000: ")


class Unadjusted(sequential_tests.Case):
    tests = 1  # type: ignore[assignment]


@pytest.mark.probes
def test_interim_tests_do_not_add_up_to_false_alarms(tmp_path: Path) -> None:
    """Of 160 agents like the reference, at most one in twenty is stopped by any of four tests; by the same
    tests without adjustment, more are."""
    rng = np.random.default_rng(3)
    alarms = {sequential_tests.Case: 0, Unadjusted: 0}
    for _ in range(16):
        content = case(tmp_path, learning(10, rng, noise=30))
        judges = {kind: kind(content) for kind in alarms}
        for _ in range(10):
            equal = arm(learning(10, rng, noise=30))
            for kind, judged in judges.items():
                found = (judged.judge(point, equal)[0] for point in (5, 10, 15, 20))
                alarms[kind] += any(verdict in ("WORSE", "BETTER") for verdict in found)
    assert alarms[sequential_tests.Case] <= 8 < alarms[Unadjusted], alarms


def test_a_reference_that_did_not_learn_decides_nothing(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    judged = sequential_tests.Case(case(tmp_path, learning(10, rng), random=100.0))
    assert judged.obstacle() == "reference did not learn"


@pytest.mark.whole
def test_the_judge_answers_line_by_line(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    file = tmp_path / "case.json"
    file.write_text(json.dumps(case(tmp_path, learning(10, rng))))
    evaluations(tmp_path / "look", learning(10, rng, top=20))
    judge = Judge()
    try:
        assert judge(file) == ("", "")
        assert judge(file, 10, tmp_path / "look")[0] == "WORSE"
    finally:
        judge.close()


def trials(rows: Sequence[tuple[str, str, str, Any, float | None]]) -> dict[str, Any]:
    """The input of the page, from (bug, kind, layer, outcome, seconds)."""
    who = {"agent": "ppo", "environment": "CartPole-v1", "source": "own", "hides": "the dark"}
    return {
        "suite": {
            "name": "few",
            "title": "A few",
            "description": "Of them.",
            "layers": ["contract", "parity"],
        },
        "versions": {"torch": "2"},
        "hardware": {"cpu": "a", "cores": 2},
        "git": {"commit": "0123456789abcdef", "dirty": False},
        "trials": [
            {"bug": bug, "kind": kind, "layer": layer, **who, "title": f"does {bug}"}
            | (
                not_run(outcome)
                if isinstance(outcome, str)
                else done(outcome, seconds or 0.0, "advantage by 1e-3")
            )
            for bug, kind, layer, outcome, seconds in rows
        ],
    }


@pytest.fixture
def page(tmp_path: Path) -> tuple[str, Path]:
    content = trials(
        [
            ("", "", "contract", False, 1.0),
            ("P1", "bug", "contract", True, 1.0),
            ("P2", "bug", "contract", False, 2.0),
            ("P3", "bug", "contract", False, 2.0),
            ("F1", "refactoring", "contract", False, 1.0),
            ("S1", "harmless", "contract", False, 1.0),
            ("P1", "bug", "parity", True, 10.0),
            ("P2", "bug", "parity", True, 20.0),
            ("P3", "bug", "parity", "no reference", None),
            ("F1", "refactoring", "parity", False, 10.0),
            ("S1", "harmless", "parity", True, 10.0),
        ]
    )
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "trials.json").write_text(json.dumps(content))
    return sensitivity_page.render(tmp_path / "results", tmp_path / "report"), tmp_path / "report"


def test_the_matrix(page: tuple[str, Path]) -> None:
    lines = (page[1] / "matrix.csv").read_text().splitlines()
    assert lines[0] == "bug,kind,agent,environment,layer,caught,seconds"
    assert lines[1] == "P1,bug,ppo,CartPole-v1,contract,True,1"
    assert "P3,bug,ppo,CartPole-v1,parity,," in lines
    assert len(lines) == 11  # the unchanged code is no mutation


def test_the_page_counts(page: tuple[str, Path]) -> None:
    answer, folder = page
    assert answer.startswith(
        "2 of 3 planted bugs (66.7 %) are caught by some layer. Of 1 refactorings none raises an alarm. "
        "1 of 1 harmless differences are named by parity. 1 of 10 trials were not run."
    )
    text = (folder / "README.md").read_text()
    assert "| contract | 3 | 1 | 33.3 % | 0 | 1 s | 0 of 1 | 0 of 1 | 0 |" in text
    assert "| parity | 2 | 2 | 100.0 % | 1 | 15 s | 0 of 1 | 1 of 1 | 1 |" in text
    assert "| P3 | does P3 | ppo, CartPole-v1 | the dark |" in text  # what is missed
    assert "| parity | P2 | does P2 |" in text  # found by parity alone
    assert "| P1 | does P1 | ppo, CartPole-v1 | ✓ 1 s | ✓ 10 s |" in text
    assert "| parity | no reference | 1 | P3 |" in text
    assert (folder / "index.html").stat().st_size > 1000


def test_a_false_alarm_is_reported(tmp_path: Path) -> None:
    content = trials([("P1", "bug", "parity", True, 1.0), ("F1", "refactoring", "parity", True, 1.0)])
    (tmp_path / "trials.json").write_text(json.dumps(content))
    assert "Of 1 refactorings 1 raises a false alarm." in sensitivity_page.render(
        tmp_path, tmp_path / "report"
    )


def test_missing_outcomes_are_reported(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="run rlparity dev sensitivity first"):
        sensitivity_page.render(tmp_path, tmp_path)


def test_a_suite_of_trainings_is_refused() -> None:
    with pytest.raises(UserError, match="unknown key 'environments'"):
        sensitivity_plan.load(project_files.PROJECT / project_files.SUITES / "smoke.yaml")
