"""`rlparity validate`: the request, its layers, the exit status, and the output for people and for CI."""

from __future__ import annotations

import csv
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from invented import fake_report
from validating import findings, question, ship, write_logs

from rlparity.__main__ import main as command_line
from rlparity.cli import pipeline
from rlparity.reporting.pages import validation
from rlparity.reporting.pages.suite.report import render_index
from rlparity.validation import junit, request, statistics, validate
from rlparity.validation.checks import Check, not_looked_at
from rlparity.validation.validate import Findings

pytestmark = pytest.mark.usefixtures("in_checkout")


SHORT = Check("contract", "logs of x can be compared", False, "seed 1: trained 60 of 100", ran=False)
BROKEN, DIFFERS = Check("contract", "save and load", False, "lost"), Check("parity", "default", False, "1e-2")


@pytest.mark.parametrize(
    ("words", "checks", "left_out", "status", "strict"),
    [
        (["EQUIVALENT", "EQUIVALENT"], [], {}, 0, 0),
        (["BETTER", "INCONCLUSIVE"], [], {}, 0, 0),
        (["EQUIVALENT", "WORSE"], [], {}, 1, 1),
        (["INCONCLUSIVE", "EQUIVALENT"], [], {}, 2, 2),
        (["WORSE"], [], {}, 1, 1),
        ([], [], {"statistics": "no reference"}, 3, 3),
        (["EQUIVALENT, lower"], [], {}, 0, 0),
        (["EQUIVALENT, higher", "INCONCLUSIVE"], [], {}, 0, 0),
        (["EQUIVALENT"], [BROKEN], {}, 1, 1),
        (["EQUIVALENT"], [DIFFERS], {}, 0, 1),
        (["INCONCLUSIVE"], [DIFFERS], {}, 2, 1),
        ([], [], {"contract": "no such module", "statistics": "x"}, 3, 3),
        (["EQUIVALENT"], [SHORT], {}, 3, 3),
        (["INCONCLUSIVE"], [SHORT], {}, 3, 3),
        (["WORSE"], [SHORT], {}, 1, 1),
        (["EQUIVALENT"], [SHORT, BROKEN], {}, 1, 1),
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


def test_a_short_log_says_nothing_of_the_implementation(tiny: Path, tmp_path: Path) -> None:
    found = findings(tiny, ["INCONCLUSIVE"], [SHORT])
    line = "contract: could not be judged, 1 of 1: logs of x can be compared: seed 1: trained 60 of 100"
    assert validate.line("contract", found) == line
    last = validate.conclusion(found, False)
    assert "could not be judged: seed 1: trained 60" in last
    assert "does not match" not in last
    validate.record(found, False, tmp_path)
    assert [row[2] for row in validation.layers(tmp_path).rows] == ["could not be judged", "INCONCLUSIVE"]
    junit.write(found, False, tmp_path / "x.xml")
    assert ET.parse(tmp_path / "x.xml").getroot()[0].get("errors") == "1"


def test_what_was_not_looked_at_is_named_everywhere(tiny: Path, tmp_path: Path) -> None:
    """In the line, in validation.csv and so on the page, and in JUnit XML."""
    default = Check("parity", "ppo, default (float32)", True, "within 108 updates: parameters 0e+00")
    unseen = [not_looked_at("parity", name, "no prepare") for name in ("advantages", "gamma", "target KL")]
    found = findings(tiny, checks=[default, default, *unseen])
    line = "parity: pass, 2 of 2: within 108 updates: parameters 0e+00"
    assert validate.line("parity", found) == f"{line} (advantages, gamma, target KL not looked at)"
    wrong = default._replace(passed=False, detail="first difference")
    assert validate.line("parity", findings(tiny, checks=[wrong] * 5 + unseen[:1])) == (
        "parity: FAIL, 5 of 5: "
        + "; ".join(["ppo, default (float32): first difference"] * 3)
        + "; and 2 more (advantages not looked at)"
    )
    validate.record(found, True, tmp_path)
    rows = validation.layers(tmp_path).rows
    assert [row[2] for row in rows] == ["pass"] * 2 + ["not looked at"] * 3
    junit.write(found, True, tmp_path / "x.xml")
    (parity,) = ET.parse(tmp_path / "x.xml").getroot()
    assert (parity.get("tests"), parity.get("skipped"), parity.get("failures")) == ("5", "3", "0")


def test_a_layer_that_looked_at_nothing_has_not_passed(tiny: Path) -> None:
    unseen = [not_looked_at("parity", name, "declined") for name in ("advantages", "gamma")]
    line = validate.line("parity", findings(tiny, checks=unseen))
    assert line == "parity: nothing was looked at (advantages, gamma not looked at)"


def test_a_primary_row_of_every_metric_decides(tiny: Path, tmp_path: Path) -> None:
    """Two metrics: the second is undecided, so the candidate is not shown to match."""
    columns = (
        "environment,metric,endpoint,role,implementation,reference,verdict,reason,smallest_margin,margin,"
        "mean_implementation,mean_reference,seeds_implementation,seeds_reference,failed_seeds"
    )
    numbers = "theirs,sb3/ppo,{},,0.1,0.2,1,1,6,6,"
    rows = [
        "CartPole-v1,return,auc,primary," + numbers.format("EQUIVALENT"),
        "CartPole-v1,return,final,secondary," + numbers.format("INCONCLUSIVE"),
        "CartPole-v1,error,auc,primary," + numbers.format("INCONCLUSIVE"),
    ]
    (tmp_path / "verdicts.csv").write_text("\n".join([columns, *rows]) + "\n")
    found = findings(tiny)
    found.verdicts = statistics.verdicts(tmp_path, "theirs")
    assert [(one.endpoint, one.primary) for one in found.verdicts] == [
        ("auc", True), ("auc of error", True), ("final", False),
    ]  # fmt: skip
    assert found.status() == 2


def test_junit_skips_what_is_undecided_in_any_words(tiny: Path, tmp_path: Path) -> None:
    junit.write(findings(tiny, ["NO VERDICT", "EQUIVALENT, lower"]), False, tmp_path / "x.xml")
    (suite,) = ET.parse(tmp_path / "x.xml").getroot()
    assert [case[0].tag for case in suite] == ["skipped", "system-out"]


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


def test_a_verdict_of_an_earlier_validation_is_not_shown_for_this_one(tiny: Path, tmp_path: Path) -> None:
    folder = fake_report(tmp_path / "invented")
    render_index(tmp_path)
    assert "EQUIVALENT" in (tmp_path / "index.html").read_text()
    found = findings(tiny, statistics="no reference")
    validate.record(found, False, folder)
    validation.render(folder, found.plan.title)
    render_index(tmp_path)
    text = (tmp_path / "index.html").read_text()
    assert found.plan.title in text and "EQUIVALENT" not in text and not (folder / "verdicts.csv").exists()


# --- from end to end

FAILS_LATER = """
import random, sys
seed, budget = int(sys.argv[1]), int(sys.argv[2])
if seed > 1:
    sys.exit("no luck")
random.seed(seed)
with open("monitor.csv", "w") as file:
    file.write('#{"env_id": "CartPole-v1"}\\nr,l,t\\n')
    for t in range(budget // 25):
        file.write(f"{random.randint(15, 35)},25,{t}\\n")
"""


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


@pytest.mark.whole
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
    assert "settings: old on CartPole-v1: the settings that ran are not known" in lines[-4]
    page = (tmp_path / "reports" / "validate-old" / "index.html").read_text()
    assert "Layers of validation" in page and "sums of the lengths of episodes" in page
    assert ET.parse(xml).getroot().find("testsuite[@name='statistics']") is not None


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (("--logs", "nowhere"), "nowhere: no such file or folder"),
        (("nowhere:make",), "there is no module nowhere"),
        (("--command", "python learn.py"), "has no {seed}"),
        (("--command", "x {seed}", "--returns", "tags=1"), "unknown key 'tags'"),
        (("--command", "x {seed}", "--suite", "pop"), "unknown suite 'pop'"),
        (("--command", "pyhton learn.py {seed}"), "there is no program 'pyhton' in "),
    ],
)
def test_a_mistake_in_the_words_is_status_4(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], line: str
) -> None:
    xml = tmp_path / "ci" / "junit.xml"
    assert main(tiny, tmp_path, *options, "--junit", str(xml)) == 4
    assert line in capsys.readouterr().err
    (one,) = ET.parse(xml).getroot()
    assert [one.get(name) for name in ("tests", "failures", "errors", "skipped")] == ["1", "0", "1", "0"]
    assert line in str(one[0][0].get("message"))


@pytest.mark.parametrize("there", [False, True])
def test_where_nothing_ran_nothing_is_written(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], there: bool
) -> None:
    report = tmp_path / "reports" / "validate-nowhere"
    if there:
        report.mkdir(parents=True)
        (report / "index.html").write_text("<h1>earlier</h1>")
    (tmp_path / "nowhere").write_text("no program")
    assert main(tiny, tmp_path, "--command", "./nowhere {seed}") == 3
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("contract: not run: could not be started: ")
    assert lines[-1].endswith("Permission denied; wrote nothing (status 3)") and "report:" not in "".join(
        lines
    )
    assert sorted(tmp_path.glob("reports/**/*.*")) == [report / "index.html"] * there
    assert not there or (report / "index.html").read_text() == "<h1>earlier</h1>"


def test_an_earlier_file_for_ci_is_removed_first(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*_: Any) -> Findings:
        raise MemoryError

    monkeypatch.setattr(validate, "run", run)
    xml = tmp_path / "junit.xml"
    xml.write_text("green")
    assert main(tiny, tmp_path, "--command", "x {seed}", "--junit", str(xml)) == 5
    assert not xml.exists()


@pytest.mark.parametrize(
    ("places", "words", "checks", "status"),
    [
        (["CartPole-v1"], [], [BROKEN], 3),
        (["CartPole-v1"], ["INCONCLUSIVE"], [], 3),
        ([], ["INCONCLUSIVE"], [BROKEN], 1),
    ],
)
def test_without_a_finished_seed_nothing_is_judged(
    tiny: Path, tmp_path: Path, places: list[str], words: list[str], checks: list[Check], status: int
) -> None:
    found = findings(tiny, words, checks)
    found.unfinished = dict.fromkeys(places, "was stopped at the time limit of 1 s")
    assert found.status() == status
    line = validate.conclusion(found, False)
    if places:
        reason = "no seed finished in CartPole-v1: was stopped at the time limit of 1 s"
        assert line.endswith(f"could not be judged: {reason} (status 3)")
        said = validate.line("statistics", found)
        assert said.startswith("statistics: could not be judged in CartPole-v1, no seed") and "by" not in said
        junit.write(found, False, tmp_path / "junit.xml")
        suite = ET.parse(tmp_path / "junit.xml").getroot().find("testsuite[@name='statistics']")
        assert (
            suite is not None and suite.get("errors") == "1" and reason[:10] in ET.tostring(suite, "unicode")
        )
    else:
        assert line.endswith("does not match its reference (status 1)")


@pytest.mark.whole
def test_seeds_that_all_fail_are_not_judged(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Though the contract, of seeds 0 and 1, passes."""
    monkeypatch.setattr(pipeline, "draw", lambda chosen, rest: None)
    ship(request.plan(question(tiny)), tmp_path / "reports")
    (tmp_path / "learn.py").write_text(FAILS_LATER)
    options = ("--command", "python learn.py {seed} {budget}", "--returns", "n_envs=1", "--seeds", "2-3")
    assert main(tiny, tmp_path, *options) == 3
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("contract: pass, 3 of 3") and "could not be judged in CartPole-v1" in lines[-3]
    assert "ended with status 1: no luck" in lines[-1] and "does not match" not in lines[-1]


def test_without_references_nothing_is_decided(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_logs(tmp_path / "runs")
    (tmp_path / "reports").mkdir()
    assert main(tiny, tmp_path, "--logs", "runs/seed-{seed}", "--returns", "n_envs=1") == 3
    output = capsys.readouterr().out
    refused = "sb3/ppo in CartPole-v1, seeds 0, 1, 2, 3, 4, 5: no record is shipped"
    assert f"statistics: not run: no reference: {refused}" in output
    assert "--references train trains it" in output
