"""`--json`: every command that reports prints one object, and nothing else, that the schema describes."""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from answered import ENVELOPE, answer, schema
from invented import fake_report
from validating import SUITE, findings

from rlparity.__main__ import main
from rlparity.cli import cells, parser, suites
from rlparity.playback import play
from rlparity.validation import validate
from rlparity.validation.checks import Check
from rlparity.validation.lockstep import table as lockstep_table
from rlparity.validation.parity import table as parity_table

pytestmark = pytest.mark.usefixtures("in_checkout")
Patch = pytest.MonkeyPatch
ROOT = Path(__file__).parents[2]


def having_json() -> set[str]:
    """The commands that have the option."""

    def below(made: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
        (found,) = (each for each in made._actions if isinstance(each, argparse._SubParsersAction))
        return dict(found.choices)

    people = below(parser.build())
    dev = below(people.pop("dev"))
    both = people | {f"dev {name}": command for name, command in dev.items()}
    return {name for name, command in both.items() if "--json" in command._option_string_actions}


def test_the_schema_describes_each_of_them() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())
    assert set(schema()["properties"]) == having_json()
    assert set(parser.ORDER) <= having_json()


def plan(tmp_path: Path, _: Patch) -> list[str]:
    return ["plan", "smoke", "--results", str(tmp_path), "--reports", str(tmp_path)]


def plan_of_bugs(tmp_path: Path, _: Patch) -> list[str]:
    return ["plan", "sensitivity-smoke", "--reports", str(tmp_path)]


def restore(tmp_path: Path, _: Patch) -> list[str]:
    return ["restore", "smoke", "--results", str(tmp_path / "results"), "--reports", str(tmp_path)]


def run(tmp_path: Path, monkeypatch: Patch) -> list[str]:
    class Process:
        def __init__(self, *_: Any, stdout: Any, **__: Any):
            assert stdout is sys.stderr

        def __enter__(self) -> Process:
            print("what Snakemake prints", file=sys.stderr)
            return self

        def __exit__(self, *_: object) -> None: ...
        def wait(self) -> int:
            return 0

    monkeypatch.setattr(subprocess, "Popen", Process)
    monkeypatch.setattr(suites, "_limits_jobs", lambda *_: True)
    return ["run", "smoke"]


def diff(tmp_path: Path, _: Patch) -> list[str]:
    a = fake_report(tmp_path / "a" / "invented", algorithms=("random", "ppo"), seeds=3)
    b = fake_report(tmp_path / "b" / "invented", algorithms=("random", "ppo", "dqn"), seeds=3)
    return ["diff", str(a), str(b)]


def new(tmp_path: Path, _: Patch) -> list[str]:
    return ["new", "candidate", "my_ppo", "--folder", str(tmp_path)]


def played(tmp_path: Path, monkeypatch: Patch) -> list[str]:
    monkeypatch.setattr(play, "play", lambda *_: 12.5)
    return ["play", str(tmp_path), "--film", str(tmp_path / "film.mp4")]


def bench(tmp_path: Path, monkeypatch: Patch) -> list[str]:
    monkeypatch.setattr(cells, "_measure", lambda _: [{"algorithm": "ppo", "steps_per_second": float("nan")}])
    return ["bench", "--table-only", "--reports", str(tmp_path)]


def validated(tmp_path: Path, monkeypatch: Patch) -> list[str]:
    tiny = tmp_path / "tiny.yaml"
    tiny.write_text(SUITE)
    seen = [
        Check("contract", "a rule", True, "10 steps"),
        Check("parity", "unseen", True, "no", looked=False),
    ]
    found = findings(tiny, checks=seen, statistics="the reference is missing")
    monkeypatch.setattr(validate, "run", lambda *_: found)
    folders = ["--results", str(tmp_path / "results"), "--reports", str(tmp_path / "reports")]
    return ["validate", "their:make", "--against", "sb3/ppo", "--suite", str(tiny), *folders]


def report(tmp_path: Path, monkeypatch: Patch) -> list[str]:
    def written(chosen: argparse.Namespace, rest: list[str]) -> Any:
        for name in ("verdicts.csv", "index.html"):
            shutil.copy(ROOT / "reports" / "cartpole" / name, tmp_path / "invented" / name)
        return suites.Answer({**suites._report_facts(tmp_path / "invented", "invented"), "unfinished": True})

    (tmp_path / "invented").mkdir(exist_ok=True)
    monkeypatch.setattr(suites, "report_suite", written)
    return ["report", "invented", "--reports", str(tmp_path)]


def check(tmp_path: Path, _: Patch) -> list[str]:
    file = tmp_path / "tiny" / "tables" / "plan.json"
    file.parent.mkdir(parents=True)
    file.write_text('{"cells": []}')
    return ["dev", "check", "tiny", "--results", str(tmp_path)]


def parity(tmp_path: Path, monkeypatch: Patch) -> list[str]:
    monkeypatch.setattr(parity_table, "make", lambda *_: True)
    monkeypatch.setattr("rlparity.reporting.pages.parity.render", lambda _: "a page")
    return ["dev", "parity", "--reports", str(tmp_path)]


def lockstep(tmp_path: Path, monkeypatch: Patch) -> list[str]:
    monkeypatch.setattr(lockstep_table, "record", lambda *_: True)
    monkeypatch.setattr("rlparity.reporting.pages.lockstep.render", lambda _: "a page")
    return ["dev", "lockstep", "--reports", str(tmp_path)]


@pytest.mark.parametrize(
    "prepare",
    [plan, plan_of_bugs, restore, run, diff, new, played, bench, validated, report, check, parity, lockstep],
)
def test_an_answer_can_be_parsed(
    prepare: Callable[[Path, Patch], list[str]],
    tmp_path: Path,
    monkeypatch: Patch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = prepare(tmp_path, monkeypatch)
    status = main([*words, "--json"])
    command = " ".join(words[: 1 + (words[0] == "dev")])
    assert status == (3 if prepare is validated else 0)
    assert answer(capsys.readouterr().out, command, status)


def test_what_is_found_is_in_the_answer(tmp_path: Path, monkeypatch: Patch, capsys: Any) -> None:
    main([*diff(tmp_path, monkeypatch), "--json"])
    changes = answer(capsys.readouterr().out, "diff")["changes"]
    assert any("dqn" in line for line in changes["Cells"])
    main([*report(tmp_path, monkeypatch), "--json"])
    found = answer(capsys.readouterr().out, "report")
    assert {row["algorithm"] for row in found["verdicts"]} == {"a2c", "dqn", "ppo"} and found[
        "unfinished"
    ] is True
    main([*plan(tmp_path / "empty", monkeypatch), "--json"])
    forecast = answer(capsys.readouterr().out, "plan")
    assert forecast["to_train"] == forecast["cells"] == 4 and forecast["does_not_fit"] == []
    assert sum(arm["cells"] for arm in forecast["arms"]) == 4


def test_a_mistake_is_an_answer_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "smok", "--json"]) == 4
    printed = capsys.readouterr()
    found = json.loads(printed.out)
    jsonschema.validate(found, ENVELOPE)
    assert found["status"] == 4 and found["answer"] is None
    assert printed.err == f"rlparity: {found['error']}\n"
