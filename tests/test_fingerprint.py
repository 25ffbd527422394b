"""Fingerprints: what must change them, and what must not. Tried on an edited copy of the package."""

from __future__ import annotations

import ast
import dataclasses
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from rlparity import fingerprint, orders, sources
from rlparity.cell import Cell

pytestmark = pytest.mark.probes

PPO = Cell("made-up", "CartPole-v1", "scratch", "ppo", "ppo", (0, 1), 4096)
A2C = dataclasses.replace(PPO, algorithm="a2c", agent="a2c")
SB3 = dataclasses.replace(PPO, implementation="sb3", seeds=(0,))
Edit = Callable[..., None]


@pytest.fixture(autouse=True)
def edit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Edit:
    """Change a file of a copy of the package, which is what fingerprints are then taken of."""
    copy = tmp_path / "rlparity"
    shutil.copytree(sources.PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(sources, "PACKAGE", copy)

    def forget() -> None:
        for cached in (sources.path, sources.tree, sources.fields, fingerprint.closure):
            cached.cache_clear()
        for cached in (fingerprint._imports, fingerprint.digest):
            cached.cache_clear()

    def change(name: str, old: str = "", new: str = "", append: str = "") -> None:
        file = copy / name
        text = file.read_text() if file.exists() else ""
        assert old in text
        file.write_text(text.replace(old, new, 1) + append)
        forget()

    forget()
    yield change
    forget()


def test_an_agent_concerns_itself_alone(edit: Edit) -> None:
    before = [fingerprint.of(cell) for cell in (PPO, A2C, SB3)]
    edit("agents/ppo.py", append="\nADDED = 1\n")
    after = [fingerprint.of(cell) for cell in (PPO, A2C, SB3)]
    assert [old == new for old, new in zip(before, after, strict=True)] == [False, True, True]


def test_the_reference_concerns_sb3_alone(edit: Edit) -> None:
    before = [fingerprint.of(cell) for cell in (PPO, A2C, SB3)]
    edit("reference.py", append="\nADDED = 1\n")
    after = [fingerprint.of(cell) for cell in (PPO, A2C, SB3)]
    assert [old == new for old, new in zip(before, after, strict=True)] == [True, True, False]


@pytest.mark.parametrize("name", ["evaluate.py", "seeding.py", "records.py", "tasks/classic.py"])
def test_what_all_share_concerns_all(edit: Edit, name: str) -> None:
    before = [fingerprint.of(cell) for cell in (PPO, A2C, SB3)]
    edit(name, append="\nADDED = 1\n")
    after = [fingerprint.of(cell) for cell in (PPO, A2C, SB3)]
    assert not set(before) & set(after)


@pytest.mark.parametrize("name", ["train.py", "memory.py", "networks.py"])
def test_the_reference_does_not_depend_on_our_loop(edit: Edit, name: str) -> None:
    before = [fingerprint.of(cell) for cell in (PPO, A2C, SB3)]
    edit(name, append="\nADDED = 1\n")
    after = [fingerprint.of(cell) for cell in (PPO, A2C, SB3)]
    assert [a == b for a, b in zip(before, after, strict=True)] == [False, False, True]


@pytest.mark.parametrize(
    "name",
    [
        *("suite.py", "registry.py", "errors.py", "__main__.py", "commands/people.py", "runner.py"),
        *("progress.py", "__init__.py"),
        *("table.py", "stats.py", "verdict.py", "figures.py", "report.py", "bench.py", "agents/another.py"),
    ],
)
def test_what_makes_no_number_concerns_none(edit: Edit, name: str) -> None:
    before = [fingerprint.of(cell) for cell in (PPO, A2C, SB3)]
    edit(name, append="\nADDED = 1\n")
    assert [fingerprint.of(cell) for cell in (PPO, A2C, SB3)] == before


def test_comments_docstrings_and_layout_do_not_count(edit: Edit) -> None:
    before = fingerprint.of(PPO)
    edit("train.py", '"""', '"""Other words. ', append="\n\n# a comment\n")
    assert fingerprint.of(PPO) == before
    edit("train.py", append='\ndef added():\n    """Words."""\n    return 1\n')
    added = fingerprint.of(PPO)
    edit("train.py", '"""Words."""\n    return 1', '"""Others."""\n    # more\n    return  (1)')
    assert fingerprint.of(PPO) == added != before
    edit("train.py", "return  (1)", "return 2")
    assert fingerprint.of(PPO) != added


def test_imports_are_followed_but_not_those_for_type_checkers(edit: Edit) -> None:
    edit("helper.py", append="VALUE = 1\n")
    edit("typing_only.py", append="VALUE = 1\n")
    edit(
        "agents/ppo.py",
        append="\nif TYPE_CHECKING:\n    import rlparity.typing_only\nfrom rlparity.helper import VALUE\n",
    )
    found = fingerprint.parts(PPO)["sources"]
    assert "rlparity.helper" in found and "rlparity.typing_only" not in found and "rlparity" not in found
    before = fingerprint.of(PPO)
    edit("helper.py", "1", "2")
    assert fingerprint.of(PPO) != before


def test_relative_imports_and_imports_in_functions_are_followed(edit: Edit) -> None:
    edit("helper.py", append="VALUE = 1\n")
    edit("agents/aside.py", append="VALUE = 1\n")
    edit(
        "agents/ppo.py",
        append="\nfrom .aside import VALUE\n\ndef later():\n    from ..helper import VALUE\n",
    )
    assert {"rlparity.helper", "rlparity.agents.aside"} <= set(fingerprint.parts(PPO)["sources"])


def test_cycles_end(edit: Edit) -> None:
    edit("one.py", append="from rlparity import two\n")
    edit("two.py", append="from rlparity import one\n")
    assert fingerprint.closure(("rlparity.one",)) == {"rlparity.one", "rlparity.two"}


def test_empty_fields_are_dropped_and_values_are_not() -> None:
    tree = ast.parse("def f(a=None): return None\nx = 1")
    text = fingerprint._dump(tree)
    assert "type_params" not in text and "decorator_list" not in text  # Python 3.12 and 3.13 differ there
    assert text.count("NoneType:None") == 2
    different = ["x = 1", "x = 1.0", "x = True", "x = '1'", "x = None", "x = b'1'"]
    assert len({fingerprint._dump(ast.parse(source)) for source in different}) == len(different)


def test_versions_count_without_their_local_part(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = {"torch": "2.13.0+cpu"}
    monkeypatch.setattr(fingerprint.metadata, "version", lambda name: installed.get(name, "1.0"))
    fingerprint.version.cache_clear()
    before = fingerprint.of(PPO)
    assert fingerprint.parts(PPO)["versions"] == {"torch": "2.13.0", "numpy": "1.0", "gymnasium": "1.0"}
    assert fingerprint.parts(SB3, "box2d")["versions"].keys() == {
        *("torch", "numpy", "gymnasium", "stable_baselines3", "box2d")
    }
    installed["torch"] = "2.13.0+cu128"
    fingerprint.version.cache_clear()
    assert fingerprint.of(PPO) == before
    installed["torch"] = "2.14.0"
    fingerprint.version.cache_clear()
    assert fingerprint.of(PPO) != before
    fingerprint.version.cache_clear()


def test_stages_know_their_own_sources_and_the_report_its_templates(edit: Edit) -> None:
    def stages() -> dict[str, str]:
        return {name: fingerprint.stage(name) for name in fingerprint.STAGES}

    concerned = {
        ("draw",): ("figures.py", "overview.py"),
        ("report",): ("report.py", "sections.py", "facts.py"),
        ("draw", "report"): ("folder.py",),
        ("draw", "sensitivity"): ("canvas.py",),
        ("report", "sensitivity"): ("page.py", "wording.py"),
        ("draw", "report", "sensitivity"): ("palette.py",),
        ("sensitivity",): ("sensitivity_page.py",),
        (): ("train.py", "benchmark_page.py"),
    }
    for expected, file in [(stage, file) for stage, files in concerned.items() for file in files]:
        before = stages()
        edit(file, append="\nADDED = 1\n")
        assert tuple(name for name, value in stages().items() if value != before[name]) == expected, file
    before = stages()
    edit("templates/style.css", append="\n/* wider */\n")
    assert {name for name, value in stages().items() if value != before[name]} == set(fingerprint.PAGES)


def test_differences_name_what_changed(edit: Edit) -> None:
    parts = fingerprint.parts(PPO)
    versions = {**parts["versions"], "torch": "2.1.0+cpu", "pandas": "0.1"}
    run = {
        "cell": json.loads(PPO.to_json()),
        "versions": versions,
        "source_hash": fingerprint.source_hash(PPO),
    }
    assert fingerprint.differences(PPO, parts, run) == [f"torch is {parts['versions']['torch']}, was 2.1.0"]
    run["versions"] = parts["versions"]
    run["cell"]["hyperparameters"] = {"gamma": 0.5}
    changed = dataclasses.replace(PPO, hyperparameters={"gamma": 0.9}, budget=8192)
    assert fingerprint.differences(changed, fingerprint.parts(changed), run) == [
        "budget is 8192, was 4096",
        "hyperparameters.gamma is 0.9, was 0.5",
    ]
    run["cell"], run["sources"] = json.loads(PPO.to_json()), parts["sources"]
    edit("evaluate.py", append="\nADDED = 1\n")
    now = fingerprint.parts(PPO)
    assert fingerprint.differences(PPO, now, run) == ["the sources changed: rlparity.evaluate"]


def finish(cell: Cell, folder: Path, print_: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in orders.OUTPUTS:
        (folder / name).write_text(json.dumps({"fingerprint": print_}) if name == "run.json" else "")


def newer(folder: Path) -> bool:
    """Whether Snakemake would train: the order is newer than the oldest of the records."""
    oldest = min((folder / name).stat().st_mtime_ns for name in orders.OUTPUTS)
    return (folder / orders.ORDER).stat().st_mtime_ns > oldest


def test_orders_follow_the_fingerprint(tmp_path: Path) -> None:
    results = tmp_path / "results"
    cell = dataclasses.replace(PPO, fingerprint="a")
    folder = results / cell.folder
    assert orders.place([cell], results) == [cell]
    assert orders.read(folder / orders.ORDER) == cell
    finish(cell, folder, "a")
    assert orders.place([cell], results) == [] and not newer(folder)
    edited = dataclasses.replace(cell, fingerprint="b")
    assert orders.place([edited], results) == [edited] and newer(folder)
    assert orders.place([edited], results) == [edited] and newer(folder)
    assert orders.place([cell], results) == [] and not newer(folder)  # the edit was undone
    (folder / orders.ORDER).unlink()  # restored records, or a new checkout
    assert orders.place([cell], results) == [] and not newer(folder)
    finish(cell, folder, "b")  # records of another fingerprint, newer than the order
    before = (folder / orders.ORDER).read_text()
    assert orders.place([cell], results) == [cell] and newer(folder)
    assert (folder / orders.ORDER).read_text() != before  # Snakemake compares checksums, too


@pytest.mark.parametrize(
    "content", ["", '{"fingerprint": "a"', "[1, 2]", "7", '{"status": "done"}', "[" * 9999]
)
def test_a_run_that_says_nothing_is_made_again(content: str, tmp_path: Path) -> None:
    cell = dataclasses.replace(PPO, fingerprint="a")
    folder = tmp_path / cell.folder
    orders.place([cell], tmp_path)
    finish(cell, folder, "a")
    (folder / "run.json").write_text(content)
    os.utime(folder / orders.ORDER, ns=(1, 1))
    assert orders.place([cell], tmp_path) == [cell] and newer(folder)


def test_an_unfinished_cell_is_not_up_to_date(tmp_path: Path) -> None:
    cell = dataclasses.replace(PPO, fingerprint="a")
    folder = tmp_path / cell.folder
    finish(cell, folder, "a")
    assert orders.up_to_date(cell, folder)
    (folder / "progress.parquet").unlink()
    assert not orders.up_to_date(cell, folder)


def test_tensorboard_alone_renews_no_training(tmp_path: Path) -> None:
    cell = dataclasses.replace(PPO, fingerprint="a")
    folder = tmp_path / cell.folder
    orders.place([cell], tmp_path)
    finish(cell, folder, "a")
    logged = dataclasses.replace(cell, tensorboard=True)
    assert orders.place([logged], tmp_path) == [] and not newer(folder)
    assert orders.read(folder / orders.ORDER).tensorboard
