"""`rlparity validate`: the request, its layers, the exit status, and the output for people and for CI."""

from __future__ import annotations

import csv
import hashlib
import json
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from monitor_logs import monitor

from rlparity.__main__ import main as command_line
from rlparity.candidates import process_group
from rlparity.cell import Cell
from rlparity.cli import pipeline
from rlparity.errors import UserError
from rlparity.records import write, write_bytes
from rlparity.reporting.pages import validation
from rlparity.suites import hyperparameters, suite
from rlparity.validation import junit, quick_layers, request, statistics, validate
from rlparity.validation.checks import Check, NotRun
from rlparity.validation.contract.candidates import command as contract_command
from rlparity.validation.request import Request
from rlparity.validation.statistics import Verdict
from rlparity.validation.validate import Findings

ROOT = Path(__file__).parents[2]
SUITE = """\
name: tiny
title: Tiny
environments:
  - CartPole-v1
  - {id: Acrobot-v1, algorithms: [random, a2c]}
algorithms: [random, ppo, a2c]
implementations: [scratch, sb3]
seeds: [0-5]
budgets: {default: 4000}
evaluation: {points: 4, episodes: 2, final_episodes: 2}
"""


@pytest.fixture(autouse=True)
def _in_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    hyperparameters.root.cache_clear()
    hyperparameters.library.cache_clear()


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(SUITE)
    return path


def question(tiny: Path, **changes: Any) -> Request:
    candidate = changes.pop("candidate", {"command": "python learn.py {seed}"})
    return Request(**{"candidate": candidate, "against": "ppo", "suite": tiny, **changes})


# --- the request


@pytest.mark.parametrize(
    ("kind", "text", "name"),
    [
        ("entry", "their_ppo:make", "their_ppo"),
        ("entry", "lab.agents.ppo:Agent", "ppo"),
        ("entry", "folder/Their PPO.py:make", "their-ppo"),
        ("command", "python cleanrl/ppo.py --seed {seed}", "ppo"),
        ("command", "python -m lab.train --seed {seed}", "lab"),
        ("command", "train --seed {seed}", "train"),
        ("logs", "runs/{environment}__ppo__{seed}__*", "runs"),
        ("logs", "/data/old/monitor.csv", "monitor"),
        ("logs", "*", "logs"),
    ],
)
def test_a_candidate_without_a_name_is_called_after_what_it_is(kind: str, text: str, name: str) -> None:
    assert request.name_of(kind, text) == name


def test_returns_are_described_by_keys() -> None:
    found = request.returns(["tag=charts/x", "columns.env_step=step", "n_envs=4", "deterministic=false"])
    expected = {"tag": "charts/x", "columns": {"env_step": "step"}, "n_envs": 4, "deterministic": False}
    assert found == expected
    with pytest.raises(UserError, match="write KEY=VALUE"):
        request.returns(["tag"])


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("sb3/pop", "unknown configuration 'pop'"),
        ("cleanrl/ppo", "only references of sb3"),
        ("npg", "unknown"),
    ],
)
def test_what_cannot_be_a_reference_is_one_line(text: str, line: str) -> None:
    with pytest.raises(UserError, match=line):
        request.configuration(text)
    assert request.configuration("sb3/ppo") == request.configuration("ppo") == "ppo"


def test_the_plan_holds_candidate_reference_and_random_agent(tiny: Path) -> None:
    plan = request.plan(question(tiny, name="theirs", seeds=["0-2"]))
    arms: dict[str, list[int]] = {}
    for cell in plan.cells:
        arms.setdefault(f"{cell.implementation}/{cell.algorithm}", []).extend(cell.seeds)
    assert arms == {"scratch/random": [*range(6)], "sb3/ppo": [*range(6)], "theirs/ppo": [0, 1, 2]}
    assert plan.name == "validate-theirs" and list(plan.environments) == ["CartPole-v1"]


def test_a_suite_without_the_configuration_is_refused(tiny: Path) -> None:
    with pytest.raises(UserError, match="no environment has 'sac' among its algorithms"):
        request.plan(question(tiny, against="sac"))
    with pytest.raises(UserError, match="unknown environment 'Acrobot-v1'; choose from CartPole-v1"):
        request.plan(question(tiny, environments=["Acrobot-v1"]))


# --- the status


def findings(
    tiny: Path, words: Sequence[str] = (), checks: Sequence[Check] = (), **left_out: str
) -> Findings:
    """`words` are verdicts by `auc` and, if there is a second, by `final`."""
    ends = ("auc", "final")
    verdicts = [
        Verdict("CartPole-v1", end, word, end == "auc", f"{word}: why")
        for end, word in zip(ends, words, strict=False)
    ]
    return Findings(request.plan(question(tiny)), list(checks), dict(left_out), verdicts=verdicts)


BROKEN, DIFFERS = Check("contract", "save and load", False, "lost"), Check("parity", "default", False, "1e-2")


@pytest.mark.parametrize(
    ("words", "checks", "left_out", "status", "strict"),
    [
        (["EQUIVALENT", "EQUIVALENT"], [], {}, 0, 0),
        (["BETTER", "INCONCLUSIVE"], [], {}, 0, 0),
        (["EQUIVALENT", "WORSE"], [], {}, 1, 1),
        (["INCONCLUSIVE", "EQUIVALENT"], [], {}, 2, 2),
        (["WORSE"], [], {}, 1, 1),
        ([], [], {"statistics": "no reference"}, 2, 2),
        (["EQUIVALENT"], [BROKEN], {}, 1, 1),
        (["EQUIVALENT"], [DIFFERS], {}, 0, 1),
        (["INCONCLUSIVE"], [DIFFERS], {}, 2, 1),
        ([], [], {"contract": "no such module", "statistics": "x"}, 3, 3),
    ],
)
def test_exit_status(
    tiny: Path, words: list[str], checks: list[Check], left_out: dict[str, str], status: int, strict: int
) -> None:
    found = findings(tiny, words, checks, **left_out)
    assert (found.status(), found.status(strict=True)) == (status, strict)


def test_a_line_for_each_layer(tiny: Path) -> None:
    passed = Check("contract", "trains", True, "4,096 steps")
    found = findings(tiny, ["EQUIVALENT", "WORSE"], [passed, BROKEN, DIFFERS], lockstep="no")
    assert validate.line("contract", found) == "contract: FAIL, 1 of 2: save and load: lost"
    assert validate.line("parity", found) == "parity: FAIL, 1 of 1: default: 1e-2"
    line = "statistics: EQUIVALENT by auc in CartPole-v1, WORSE by final in CartPole-v1 (why)"
    assert validate.line("statistics", found) == line
    assert validate.line("lockstep", found) == "lockstep: not run: no"
    assert validate.conclusion(found, False).endswith("does not match its reference (status 1)")


def test_a_difference_in_parity_is_a_note_where_the_verdict_is_good(tiny: Path) -> None:
    assert "its update differs" in validate.conclusion(findings(tiny, ["EQUIVALENT"], [DIFFERS]), False)
    assert "does not match" in validate.conclusion(findings(tiny, ["EQUIVALENT"], [DIFFERS]), True)


@pytest.mark.parametrize("strict", [False, True])
def test_junit_reports_failures_errors_and_skipped_cases(tiny: Path, tmp_path: Path, strict: bool) -> None:
    passed = Check("contract", "trains \x00<&>", True, "4,096 steps", 1.5)
    found = findings(tiny, ["WORSE", "INCONCLUSIVE"], [passed, BROKEN, DIFFERS], lockstep="not\x1b for this")
    junit.write(found, strict, tmp_path / "a" / "junit.xml")
    suites = {one.get("name"): one for one in ET.parse(tmp_path / "a" / "junit.xml").getroot()}
    counts = {
        name: [one.get(key) for key in ("tests", "failures", "errors", "skipped")]
        for name, one in suites.items()
    }
    assert counts == {
        "contract": ["2", "1", "0", "0"],
        "parity": ["1", str(int(strict)), "0", "0"],
        "lockstep": ["1", "0", "0", "1"],
        "statistics": ["2", "1", "0", "1"],
    }
    first = suites["contract"][0]
    assert first.get("time") == "1.500" and first.get("name") == "trains \N{REPLACEMENT CHARACTER}<&>"
    assert suites["parity"][0][0].tag == ("failure" if strict else "system-out")


def test_a_contract_that_could_not_be_run_is_an_error(tiny: Path, tmp_path: Path) -> None:
    junit.write(findings(tiny, contract="no module", statistics="no contract"), False, tmp_path / "x.xml")
    suites = {one.get("name"): one for one in ET.parse(tmp_path / "x.xml").getroot()}
    assert suites["contract"].get("errors") == "1" and suites["statistics"].get("skipped") == "1"


def test_the_page_of_what_could_not_be_run(tiny: Path, tmp_path: Path) -> None:
    found = findings(tiny, contract="there is no module x", statistics="the contract could not be run")
    validate.record(found, False, tmp_path)
    rows = list(csv.DictReader((tmp_path / "validation.csv").open()))
    assert [(row["layer"], row["result"]) for row in rows] == [
        ("contract", "not run"),
        ("statistics", "not run"),
    ]
    page = validation.render(tmp_path, found.plan.title)
    assert "there is no module x" in page.read_text()


# --- contracts of commands and of logs

LEARN = """
import random, sys
seed, budget = int(sys.argv[1]), int(sys.argv[2])
{seeding}
with open("monitor.csv", "w") as file:
    file.write('#{{"env_id": "CartPole-v1"}}\\nr,l,t\\n')
    for t in range(budget // 25):
        file.write(f"{{random.randint(15, 35)}},25,{{t}}\\n")
"""


def command(tiny: Path, seeding: str) -> list[Check]:
    (tiny.parent / "learn.py").write_text(LEARN.format(seeding=seeding))
    candidate = {"command": "python learn.py {seed} {budget}", "folder": str(tiny.parent)}
    plan = request.plan(question(tiny, candidate={**candidate, "returns": {"n_envs": 1}}))
    return contract_command.check(request.cells_of(plan, "learn")[0])


@pytest.mark.parametrize(
    ("seeding", "failed"),
    [
        ("random.seed(seed)", ""),
        ("", "the same seed gives the same run"),
        ("random.seed(7)", "another seed gives another run"),
        ("raise SystemExit('no luck')", "runs and logs comparable returns"),
        ("budget //= 4", "runs and logs comparable returns"),
    ],
)
def test_contract_of_a_command(tiny: Path, seeding: str, failed: str) -> None:
    checks = command(tiny, seeding)
    assert [check.name for check in checks if not check.passed] == ([failed] if failed else [])
    assert all("\n" not in check.detail for check in checks)


def theirs(tiny: Path, **candidate: Any) -> Cell:
    """The first cell of a candidate."""
    return request.cells_of(request.plan(question(tiny, candidate=candidate, name="theirs")), "theirs")[0]


def test_a_command_that_cannot_be_started_has_no_contract(tiny: Path) -> None:
    (tiny.parent / "learn").write_text("no program")
    with pytest.raises(NotRun, match=r"could not be started: .*learn: Permission denied"):
        contract_command.check(theirs(tiny, command="learn {seed}", folder=str(tiny.parent)))


@pytest.mark.parametrize(("given", "limit"), [({}, 120 + 4000 / 50), ({"time_limit_s": 900}, 900)])
def test_time_limit_of_the_contract_of_a_command(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, given: dict[str, float], limit: float
) -> None:
    limits = []

    def run(words: Any, where: Any, log: Any, limit_s: float, *_: Any) -> None:
        limits.append(limit_s)

    monkeypatch.setattr(process_group, "run", run)
    contract_command.check(theirs(tiny, command="python learn.py {seed}", **given))
    assert limits == [limit] * 3


@pytest.mark.parametrize(
    ("environment", "n_envs", "steps"),
    [
        ("CartPole-v1", 1, 2_048),
        ("CartPole-v1", 8, 8_000),
        ("CartPole-v1", 20, 16_384),
        ("CartPole-v1", 64, 32_000),  # one episode each may take so long
        ("ALE/Pong-v5@nature", 8, 16_384),
    ],
)
def test_runs_of_the_contract_of_a_command_are_short(
    tiny: Path, environment: str, n_envs: int, steps: int
) -> None:
    cell = replace(theirs(tiny, command="x {seed}"), environment=environment, n_envs=n_envs)
    assert contract_command.budget(replace(cell, budget=10**7)) == steps
    assert contract_command.budget(replace(cell, budget=1_000)) == 1_000


# --- contract and parity of a Python candidate, in another process

EXAMPLES = ROOT / "tests" / "support" / "examples"
CRASHES = """
import os, signal, sys
sys.path.append({examples!r})
from tiny_ppo import TinyPPO

class Crashes(TinyPPO):
    def load_reference(self, state):
        os.kill(os.getpid(), signal.SIGSEGV)
"""


def test_a_crash_in_another_process_is_a_failed_check(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "crashes.py").write_text(CRASHES.format(examples=str(ROOT / "examples")))
    found = findings(tiny, ["EQUIVALENT"])
    found.checks = quick_layers.check_entry_point(
        "parity", theirs(tiny, entry="crashes:Crashes", folder=str(tmp_path))
    )
    assert [tuple(check)[:3] for check in found.checks] == [("parity", "comes to an end", False)]
    assert found.checks[0].detail.startswith("its process crashed by signal SIGSEGV")
    assert (found.status(), found.status(strict=True)) == (0, 1)


def test_the_time_limit_reaches_the_contract(tiny: Path) -> None:
    made = theirs(tiny, entry="misbehaving.py:Hangs", folder=str(EXAMPLES), time_limit_s=0.5)
    (check,) = quick_layers.check_entry_point("contract", made)
    assert not check.passed and "nothing happened for 0.5 s (time_limit_s)" in check.detail


@pytest.mark.parametrize(
    ("given", "inner", "outer"),
    [({}, 120, 1200), ({"time_limit_s": 5}, 5, 600), ({"time_limit_s": 300}, 300, 3000)],
)
def test_time_limits_of_layers(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, given: dict[str, float], inner: float, outer: float
) -> None:
    limits = []

    def run(words: list[str], where: Any, log: Any, limit_s: float, *_: Any) -> None:
        limits.append((json.loads(words[words.index("--asked") + 1])["time_limit_s"], limit_s))
        raise process_group.Stopped("was stopped")

    monkeypatch.setattr(process_group, "run", run)
    (check,) = quick_layers.check_entry_point(
        "contract", theirs(tiny, entry="examples/tiny_ppo.py:TinyPPO", **given)
    )
    assert limits == [(inner, outer)] and (check.layer, check.passed) == ("contract", False)
    assert check.detail == "its process was stopped"


def test_a_process_without_a_result_has_failed_one_that_never_ran_has_not(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = theirs(tiny, entry="examples/tiny_ppo.py:TinyPPO")
    monkeypatch.setattr(process_group, "run", lambda *_: None)
    (check,) = quick_layers.check_entry_point("contract", made)
    assert not check.passed and check.detail == "its process ended without a result"

    def run(*_: Any) -> None:
        raise process_group.Stopped("could not be started: python: Cannot allocate memory")

    monkeypatch.setattr(process_group, "run", run)
    with pytest.raises(NotRun, match="Cannot allocate memory"):
        quick_layers.check_entry_point("contract", made)


def test_parity_is_not_run_with_images(tiny: Path) -> None:
    made = theirs(tiny, entry="examples/tiny_ppo.py:TinyPPO")
    with pytest.raises(NotRun, match="compared with vectors, and ALE/Pong-v5@nature shows images"):
        quick_layers.check_entry_point("parity", replace(made, environment="ALE/Pong-v5@nature"))


def logged(tiny: Path, folder: Path) -> list[Check]:
    candidate = {"logs": "seed-{seed}", "folder": str(folder)}
    plan = request.plan(question(tiny, candidate=candidate))
    return quick_layers.check_logs(request.cells_of(plan, "logs"))


def write_logs(folder: Path, shift: float = 0.0, seeds: int = 6, length: int = 25) -> None:
    """Returns that rise from about 22 to about 200 - `shift` over 4,000 steps."""
    for seed in range(seeds):
        rng = np.random.default_rng([seed, 1])
        level = np.linspace(22, 200 - shift, 160) + rng.normal(0, 3, 160) + rng.normal(0, 3)
        monitor(
            folder / f"seed-{seed}" / "monitor.csv", [(value, length, t) for t, value in enumerate(level)]
        )


def test_contract_of_logs(tiny: Path, tmp_path: Path) -> None:
    write_logs(tmp_path, seeds=3)
    assert all(check.passed for check in logged(tiny, tmp_path))
    (tmp_path / "seed-2" / "monitor.csv").write_text((tmp_path / "seed-0" / "monitor.csv").read_text())
    monitor(tmp_path / "seed-1" / "monitor.csv", [(1.0, 10, 1)])
    first, second = logged(tiny, tmp_path)
    assert not first.passed and "seed 1: " in first.detail and "trained 10 of 4,000" in first.detail
    assert not second.passed and second.detail == "seed 2 has the same records as seed 0"


def test_logs_of_which_none_can_be_read_are_no_contract(tiny: Path, tmp_path: Path) -> None:
    monitor(tmp_path / "seed-1" / "monitor.csv", [(1.0, 10, 1)])
    with pytest.raises(NotRun, match="trained 10 of 4,000"):
        logged(tiny, tmp_path)


# --- references


def ship(plan: suite.Suite, reports: Path, **changes: Any) -> None:
    """Records of reference and random agent, whose returns are those of `write_logs`, 8 sub-environments."""
    for cell in plan.cells:
        if not cell.candidate:
            folder = reports / "shipped" / "records" / Path(*cell.folder.parts[1:])
            episodes = [row for seed in cell.seeds for row in _episodes(cell, seed)]
            write(folder, "episodes", episodes)
            rows = [
                {**row, "episode": 0, "protocol": mode, "metric": "return"}
                | {"value": row["episode_return"], "size": row["episode_length"]}
                for row in episodes[::40]
                for mode in cell.evaluation.modes
            ]
            write(folder, "evaluations", rows)
            names = ("episodes.parquet", "evaluations.parquet")
            run = {
                "status": "done", "failed_seeds": {}, "cell": json.loads(cell.to_json()),
                "fingerprint": cell.fingerprint, "versions": plan.parts(cell)["versions"],
                "hashes": {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names},
                **changes,
            }  # fmt: skip
            write_bytes(folder / "run.json", json.dumps(run).encode())


def _episodes(cell: Cell, seed: int) -> list[dict[str, Any]]:
    names = {name: getattr(cell, name) for name in ("implementation", "algorithm", "environment")}
    rng = np.random.default_rng([seed, 2])
    top = 22 if cell.agent == "random" else 200
    level = np.linspace(22, top, 160) + rng.normal(0, 3, 160) + rng.normal(0, 3)
    episode = {**names, "seed": seed, "episode_length": 25}
    return [
        {**episode, "env_step": 25 * (i + 1), "episode_return": float(value)} for i, value in enumerate(level)
    ]


def test_shipped_references_are_restored(tiny: Path, tmp_path: Path) -> None:
    plan = request.plan(question(tiny))
    ship(plan, tmp_path / "reports")
    there = statistics.references(plan, tmp_path / "results", tmp_path / "reports")
    assert [cell.seeds[0] for cell in there.cells] == [*range(6)] and not there.refused and not there.waiting
    assert statistics.floor(plan, tmp_path / "results", tmp_path / "reports") == []


def test_seeds_that_other_reports_ship_are_used_too(tiny: Path, tmp_path: Path) -> None:
    ship(request.plan(question(tiny)), tmp_path / "reports")
    tiny.write_text(SUITE.replace("seeds: [0-5]", "seeds: [0-1]"))
    there = statistics.references(request.plan(question(tiny)), tmp_path / "results", tmp_path / "reports")
    assert [cell.seeds[0] for cell in there.cells] == [*range(6)]


def test_stale_references_are_refused_by_what_differs(tiny: Path, tmp_path: Path) -> None:
    plan = request.plan(question(tiny))
    theirs = next(cell for cell in plan.cells if cell.implementation == "sb3")
    old = {**plan.parts(theirs)["versions"], "torch": "2.0.1"}
    ship(plan, tmp_path / "reports", fingerprint="0", versions=old)
    there = statistics.references(plan, tmp_path / "results", tmp_path / "reports")
    now = plan.parts(theirs)["versions"]["torch"]
    (line,) = there.refused
    assert not there.cells and f"torch is {now}, was 2.0.1" in line and "seeds 0, 1, 2, 3, 4, 5" in line
    trained = request.plan(question(tiny, references="train"))
    there = statistics.references(trained, tmp_path / "results", tmp_path / "reports")
    assert [cell.seeds[0] for cell in there.waiting] == [*range(6)]


# --- all of it


def main(tiny: Path, tmp_path: Path, *options: str) -> int:
    folders = ["--results", str(tmp_path / "results"), "--reports", str(tmp_path / "reports")]
    return command_line(
        [
            "validate",
            "--against",
            "sb3/ppo",
            "--suite",
            str(tiny),
            *folders,
            "--folder",
            str(tmp_path),
            *options,
        ]
    )


@pytest.mark.parametrize(("shift", "status", "word"), [(0.0, 0, "EQUIVALENT"), (80.0, 1, "WORSE")])
def test_finished_logs_from_end_to_end(
    tiny: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    shift: float,
    status: int,
    word: str,
) -> None:
    monkeypatch.setattr(pipeline, "draw", lambda chosen, rest: None)
    ship(request.plan(question(tiny)), tmp_path / "reports")
    write_logs(tmp_path / "runs", shift)
    xml = tmp_path / "junit.xml"
    options = ("--logs", "runs/seed-{seed}", "--name", "old", "--returns", "n_envs=1", "--junit", str(xml))
    assert main(tiny, tmp_path, *options) == status
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("contract: pass, 2 of 2") and "parity: not run" in lines[1]
    assert f"statistics: {word} by training_auc in CartPole-v1" in lines[-3]
    assert lines[-1].endswith(f"(status {status})")
    page = (tmp_path / "reports" / "validate-old" / "index.html").read_text()
    assert "Layers of validation" in page and "summed up from the lengths of games" in page
    assert ET.parse(xml).getroot().find("testsuite[@name='statistics']") is not None


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (("--logs", "nowhere"), "nowhere: no such file or folder"),
        (("nowhere:make",), "there is no module nowhere"),
        (("--command", "python learn.py"), "has no {seed}"),
        (("--command", "x {seed}", "--returns", "tags=1"), "unknown key 'tags'"),
        (("--command", "x {seed}", "--suite", "pop"), "unknown suite 'pop'"),
    ],
)
def test_what_cannot_be_run_at_all_is_status_3(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], line: str
) -> None:
    xml = tmp_path / "ci" / "junit.xml"
    assert main(tiny, tmp_path, *options, "--junit", str(xml)) == 3
    assert line in capsys.readouterr().err
    (one,) = ET.parse(xml).getroot()
    assert [one.get(name) for name in ("tests", "failures", "errors", "skipped")] == ["1", "0", "1", "0"]
    assert line in str(one[0][0].get("message"))


def test_an_earlier_file_for_ci_is_removed_first(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*_: Any) -> Findings:
        raise MemoryError

    monkeypatch.setattr(validate, "run", run)
    xml = tmp_path / "junit.xml"
    xml.write_text("green")
    assert main(tiny, tmp_path, "--command", "x {seed}", "--junit", str(xml)) == 2
    assert not xml.exists()


def test_without_references_nothing_is_decided(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_logs(tmp_path / "runs")
    (tmp_path / "reports").mkdir()
    assert main(tiny, tmp_path, "--logs", "runs/seed-{seed}", "--returns", "n_envs=1") == 2
    output = capsys.readouterr().out
    refused = "sb3/ppo in CartPole-v1, seeds 0, 1, 2, 3, 4, 5: no record is shipped"
    assert f"statistics: not run: no reference: {refused}" in output
    assert "--references train trains it" in output
