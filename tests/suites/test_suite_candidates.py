"""Candidates in a suite: their cells, what is refused before anything runs, and when records grow stale."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from monitor_logs import monitor
from resolved import BASE
from small import cell

from rlparity import project_files
from rlparity.cell import Cell
from rlparity.errors import UserError
from rlparity.provenance import candidate_files, fingerprint
from rlparity.runs import pending
from rlparity.shipped_records import vouch
from rlparity.suites import suite
from rlparity.suites.costs import cost
from rlparity.suites.costs.speeds import Speeds
from rlparity.validation import request

pytestmark = pytest.mark.usefixtures("in_checkout")
ROOT = Path(__file__).parents[2]
THEIRS = {"against": "ppo", "command": "python learn.py {seed}"}


def resolve(narrow: dict[str, Any] | None = None, **candidates: Any) -> suite.Suite:
    return suite.resolve({**BASE, "candidates": candidates}, "Bad suite", narrow)


def complaints(**candidates: Any) -> str:
    with pytest.raises(UserError) as caught:
        resolve(**candidates)
    return str(caught.value)


def mine(found: suite.Suite, name: str = "theirs") -> list[Cell]:
    return [cell for cell in found.cells if cell.implementation == name]


def test_a_candidate_has_a_cell_for_each_seed_of_what_it_claims_to_be() -> None:
    cells = mine(resolve(theirs=THEIRS))
    assert [(cell.algorithm, cell.seeds) for cell in cells] == [("ppo", (seed,)) for seed in range(5)]
    reference = next(cell for cell in resolve(theirs=THEIRS).cells if cell.implementation == "sb3")
    assert cells[0].hyperparameters == reference.hyperparameters and cells[0].budget == reference.budget
    assert dict(cells[0].candidate) == {"command": THEIRS["command"]} and cells[0].kind == "command"
    assert str(cells[0].folder) == "made-up/CartPole-v1/theirs/ppo/seeds-0-0"
    assert cells[0].checkpoint_every == 0
    assert Cell.from_json(cells[0].to_json()) == cells[0]


def test_logs_have_the_seeds_that_there_are(tmp_path: Path) -> None:
    for seed in (3, 9):
        monitor(tmp_path / f"seed-{seed}" / "monitor.csv", [(10, 10, 1)])
    cells = mine(resolve(theirs={"against": "ppo", "logs": "seed-{seed}", "folder": str(tmp_path)}))
    assert [cell.seeds for cell in cells] == [(3,), (9,)]


def validated(tmp_path: Path, *ranges: str) -> suite.Suite:
    """Seeds 3 and 9 of finished logs, of which these are asked for; the suite has 0 to 4."""
    for seed in (3, 9):
        monitor(tmp_path / f"seed-{seed}" / "monitor.csv", [(10, 10, 1)])
    path = tmp_path / "made-up.yaml"
    path.write_text(yaml.safe_dump(BASE))
    candidate = {"logs": "seed-{seed}", "folder": str(tmp_path)}
    return request.plan(request.Request(candidate, "ppo", path, name="theirs", seeds=ranges))


def test_seeds_that_are_asked_for_are_those_of_the_logs_that_are_judged(tmp_path: Path) -> None:
    every, some = validated(tmp_path), validated(tmp_path, "1", "8-9")
    assert [cell.seeds for cell in mine(every)] == [(3,), (9,)]
    assert [cell.seeds for cell in mine(some)] == [(9,)]
    assert len([cell for cell in some.cells if cell.implementation == "sb3"]) == 5
    assert some.description == f"{every.description} Requested, but without logs in CartPole-v1: seeds 1, 8."
    with pytest.raises(
        UserError, match="--seeds: no logs of any of them in CartPole-v1; there are seeds 3, 9"
    ):
        validated(tmp_path, "0-2")


def test_options_of_returns_are_text_unless_the_schema_has_another_type() -> None:
    schema = yaml.safe_load((project_files.schema("suite.schema.yaml")).read_text())
    keys = schema["properties"]["candidates"]["additionalProperties"]["properties"]["returns"]["properties"]
    other = sorted(key for key, value in keys.items() if value.get("type", "string") != "string")
    assert list(request.NOT_TEXT) == other
    for text in ("*.csv", "[ab]*.csv", "{a", "2013", "yes"):
        assert request.returns([f"files={text}", f"agent={text}"]) == {"files": text, "agent": text}
    assert request.returns(["n_envs=4", "deterministic=false"]) == {"n_envs": 4, "deterministic": False}


def test_a_part_of_a_suite_may_be_its_candidates() -> None:
    assert len(mine(resolve({"implementations": ["theirs"]}, theirs=THEIRS))) == 5
    assert {
        cell.implementation for cell in resolve({"implementations": ["theirs"]}, theirs=THEIRS).cells
    } == {"theirs"}
    assert [cell.seeds for cell in mine(resolve({"seeds": ["0-1"]}, theirs=THEIRS))] == [(0,), (1,)]


def test_plans_and_records_of_others_do_not_know_of_candidates() -> None:
    plan = resolve(theirs=THEIRS).plan()
    named = {cell["implementation"] for cell in plan["cells"] if "candidate" in cell}
    assert named == {"theirs"}
    assert "candidate" not in json.loads(cell("ppo").to_json())


@pytest.mark.parametrize(
    ("candidate", "line"),
    [
        ({"command": "python learn.py {seed}"}, "candidates.theirs: missing key 'against'"),
        ({"against": "pop", "command": "x {seed}"}, "candidates.theirs.against: unknown value 'pop'"),
        ({"against": "a2c", "command": "x {seed}"}, "'a2c' is not among the suite's algorithms"),
        ({"against": "dqn-double", "command": "x {seed}"}, "'dqn-double' has no reference"),
        ({"against": "ppo"}, "candidates.theirs: needs one of entry, command, logs, has nothing"),
        ({"against": "ppo", "command": "x", "logs": "y"}, "has command and logs"),
        ({"against": "ppo", "command": "x"}, "candidates.theirs.command: 'x' has no {seed}"),
        ({"against": "ppo", "entry": "nowhere"}, "'nowhere' is not MODULE:FACTORY"),
        ({"against": "ppo", "entry": "nowhere:make"}, "there is no module nowhere ("),
        ({"against": "ppo", "entry": "no/where.py:make"}, "there is no file no/where.py below"),
        ({"against": "ppo", "logs": "nowhere/*"}, "candidates.theirs.logs: nowhere/*: no such file"),
        ({"against": "ppo", "logs": "x", "folder": "/no/where"}, "there is no folder /no/where"),
        ({**THEIRS, "environments": ["CartPole-v0"]}, "environments: unknown value 'CartPole-v0'"),
        ({**THEIRS, "returns": {"tags": "x"}}, "returns: unknown key 'tags'"),
        ({**THEIRS, "returns": {"columns": {"step": "x"}}}, "returns.columns: unknown key 'step'"),
        ({**THEIRS, "time_limit_s": 0}, "time_limit_s"),
        ({**THEIRS, "settings": {"lr": 1}}, "candidates.theirs.settings: unknown setting 'lr'"),
        ({**THEIRS, "settings": {"gamma": "x"}}, "candidates.theirs.settings.gamma: expected float, got 'x'"),
        ({**THEIRS, "settings": ["gamma"]}, "candidates.theirs.settings: expected object, got ['gamma']"),
        ({**THEIRS, "departures": "none"}, "candidates.theirs.departures: expected array, got 'none'"),
    ],
)
def test_what_cannot_work_is_told_before_anything_runs(candidate: dict[str, Any], line: str) -> None:
    assert line in complaints(theirs=candidate)


@pytest.mark.parametrize("name", ["sb3", "scratch", "published"])
def test_names_of_others_are_taken(name: str) -> None:
    assert f"candidates.{name}: the name is taken" in complaints(**{name: THEIRS})


def test_everything_wrong_is_told_at_once() -> None:
    found = complaints(a={"against": "ppo"}, b={"against": "ppo", "command": "x"})
    assert "candidates.a: needs one of" in found and "candidates.b.command: 'x' has no {seed}" in found


# --- when its records grow stale


def brought(tmp_path: Path, **candidate: Any) -> Cell:
    return cell("ppo", implementation="theirs", candidate={**candidate, "folder": str(tmp_path)})


def test_a_cell_without_a_candidate_keeps_its_fingerprint() -> None:
    parts = fingerprint.parts(cell("ppo"))
    assert "files" not in parts and "candidate" not in parts["cell"]


def test_modules_of_packages_and_of_pythons_path_count_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "src" / "mine"
    (package / "deep").mkdir(parents=True)
    for name, text in {
        "__init__.py": "",
        "ppo.py": "import numpy\nfrom .deep import net\n",
        "deep/__init__.py": "",
        "deep/net.py": "from ..losses import clip\nfrom mine import rates\n",
        "losses.py": "",
        "rates.py": "",
        "unrelated.py": "",
    }.items():
        (package / name).write_text(text)
    (tmp_path / "cwd").mkdir()
    monkeypatch.syspath_prepend(tmp_path / "src")
    base = str(tmp_path / "cwd")
    used = {"__init__.py", "ppo.py", "net.py", "losses.py", "rates.py"}  # of two packages
    for candidate in ({"entry": "mine.ppo:make"}, {"command": "python -m mine.ppo {seed}"}):
        made = cell("ppo", implementation="theirs", candidate={**candidate, "folder": base})
        assert {Path(file).name for file in candidate_files.digests(made)} == used
        assert len(candidate_files.digests(made)) == 6
    assert candidate_files.bad_entry("mine.ppo:make", tmp_path / "cwd") is None


def test_an_installed_package_stands_for_itself_alone(tmp_path: Path) -> None:
    made = cell(
        "ppo", implementation="theirs", candidate={"entry": "stable_baselines3:PPO", "folder": str(tmp_path)}
    )
    files = candidate_files.digests(made)
    assert files and all("stable_baselines3" in Path(file).parts for file in files)


def test_an_edited_program_or_module_makes_its_records_stale_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "learn.py").write_text("import network\n")
    (tmp_path / "network.py").write_text("WIDTH = 64\n")
    (tmp_path / "unrelated.py").write_text("")
    command = brought(tmp_path, command="python learn.py {seed}")
    entry = brought(tmp_path, entry="learn:make")
    assert list(fingerprint.parts(command)["files"]) == ["learn.py", "network.py"]
    before = [fingerprint.of(one) for one in (command, entry)]
    (tmp_path / "unrelated.py").write_text("x = 1\n")
    assert [fingerprint.of(one) for one in (command, entry)] == before
    (tmp_path / "network.py").write_text("WIDTH = 32\n")
    after = [fingerprint.of(one) for one in (command, entry)]
    assert not set(before) & set(after)
    run = {"cell": json.loads(command.to_json()), "files": {"learn.py": "0"}, "versions": {}}
    found = fingerprint.besides_sources(command, {**fingerprint.parts(command), "versions": {}}, run)
    assert any(line.startswith("learn.py is ") and line.endswith("was 0") for line in found)


def test_where_it_lies_and_how_long_it_may_take_do_not_matter(tmp_path: Path) -> None:
    for place in (tmp_path / "a", tmp_path / "b"):
        place.mkdir()
        (place / "learn.py").write_text("")
    one = brought(tmp_path / "a", command="python learn.py {seed}", time_limit_s=1)
    other = brought(tmp_path / "b", command="python learn.py {seed}")
    assert fingerprint.of(one) == fingerprint.of(other)
    assert fingerprint.of(
        replace(other, candidate={**other.candidate, "command": "x {seed}"})
    ) != fingerprint.of(other)


@pytest.mark.parametrize("kind", ["command", "logs", "entry"])
def test_a_program_depends_on_no_package_of_this_interpreter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    (tmp_path / "learn.py").write_text("")
    values = {"command": "python learn.py {seed}", "entry": "learn:make", "logs": "learn.py"}
    made = brought(tmp_path, **{kind: values[kind]})
    before, parts = fingerprint.of(made), fingerprint.parts(made)
    monkeypatch.setattr(fingerprint, "version", lambda package: "99")
    assert (fingerprint.of(made) == before) == (kind != "entry") == (parts["versions"] == {})
    roots = " ".join(fingerprint.own_hashes(made))
    assert ("rlparity.training.evaluation" in roots) == (kind == "entry")


def test_lock_settings_and_data_files_make_its_records_stale(tmp_path: Path) -> None:
    for name in (
        "learn.py",
        "requirements.txt",
        "settings.yaml",
        "data/a.csv",
        "data/deep/b.csv",
        "other.txt",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1")
    command = "/opt/theirs/bin/python learn.py --config=settings.yaml {seed}"
    made = brought(tmp_path, command=command, files=["requirements.txt", "data"])
    used = ["data/a.csv", "data/deep/b.csv", "learn.py", "requirements.txt", "settings.yaml"]
    assert list(candidate_files.digests(made)) == used and candidate_files.has_lock(made)
    assert not candidate_files.has_lock(brought(tmp_path, command=command, files=["data/*.csv"]))
    seen = {fingerprint.of(made)}
    for name in used:
        (tmp_path / name).write_text("2")
        seen.add(fingerprint.of(made))
    assert len(seen) == 1 + len(used)
    assert fingerprint.of(replace(made, candidate={**made.candidate, "keep_logs": True})) in seen


def test_modules_of_this_interpreter_are_not_those_of_another(tmp_path: Path) -> None:
    for python, found in (("python", True), (sys.executable, True), ("/opt/theirs/bin/python", False)):
        made = brought(tmp_path, command=f"{python} -m stable_baselines3.ppo {{seed}}")
        assert bool(candidate_files.digests(made)) == found


@pytest.mark.parametrize(("pattern", "line"), [("absent.txt", "no such file below"), ("\0", "is no path")])
def test_files_that_are_not_there_are_refused(tmp_path: Path, pattern: str, line: str) -> None:
    assert line in (candidate_files.bad_files([pattern], tmp_path) or "") or pattern == "\0"
    theirs = {"against": "ppo", "command": "x {seed}", "folder": str(tmp_path), "files": [pattern]}
    with pytest.raises(UserError, match=r"candidates\.theirs\.files"):
        resolve(theirs=theirs)


def test_logs_that_state_other_settings_are_read_again(tmp_path: Path) -> None:
    monitor(tmp_path / "monitor.csv", [(10, 10, 1)])
    made = brought(tmp_path, logs="monitor.csv")
    before = fingerprint.of(made)
    (tmp_path / "config.json").write_text('{"gamma": 0.9}')
    assert fingerprint.of(made) != before and "config.json" in candidate_files.digests(made)


def test_logs_that_change_are_read_again(tmp_path: Path) -> None:
    path = monitor(tmp_path / "monitor.csv", [(10, 10, 1)])
    made = brought(tmp_path, logs="monitor.csv")
    before = fingerprint.of(made)
    assert list(candidate_files.digests(made)) == ["monitor.csv"]
    monitor(path, [(10, 10, 1), (20, 20, 2)])
    assert fingerprint.of(made) != before


def test_nothing_is_vouched_for_of_a_candidate() -> None:
    assert not [one for one in vouch.cells(resolve(theirs=THEIRS)) if one.candidate]


def test_logs_cost_no_training(tmp_path: Path) -> None:
    assert cost.seconds(brought(tmp_path, logs="x"), Speeds(tmp_path)) == cost.START_UP_S


def test_orders_of_candidates_are_read_back(tmp_path: Path) -> None:
    made = mine(resolve(theirs=THEIRS))[0]
    pending.update([made], tmp_path)
    assert pending.read(tmp_path / made.folder / pending.CELL_FILE) == made
