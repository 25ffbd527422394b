"""Settings of candidates beside those of their references: what is known, what differs, and never the
reference's as those that ran."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from invented import fake_report, write_run

from rlparity.reporting import candidate_settings, diff
from rlparity.reporting.pages.suite import report, tables
from rlparity.reporting.report_folder import Folder

REFERENCE = {"learning_rate": 0.001, "n_epochs": 20, "target_kl": None, "net_arch": [64, 64], "n_envs": 8}
NOTHING = (
    "theirs on CartPole-v1: the settings that ran are not known, nothing states them; departures not known"
)


def made(path: Path, *stated: dict[str, Any], **declared: Any) -> Folder:
    """A report with a candidate of one seed for each of `stated`, what its run states."""
    folder = fake_report(path / "s", algorithms=("ppo",), seeds=1)
    plan = json.loads((folder / "plan.json").read_text())
    template = next(cell for cell in plan["cells"] if cell["implementation"] == "sb3")
    for seed, one in enumerate(stated):
        brought = {"command": "x {seed}", **declared}
        cell = {**template, "implementation": "theirs", "seeds": [seed], "candidate": brought}
        plan["cells"].append(cell)
        write_run(
            folder, cell, config=one.get("ran", {}), departures=[], settings={"reference": REFERENCE, **one}
        )
    (folder / "plan.json").write_text(json.dumps(plan))
    scores = pd.read_csv(folder / "scores.csv")
    own = scores[scores.implementation == "sb3"].assign(implementation="theirs")
    pd.concat([scores, own]).to_csv(folder / "scores.csv", index=False)
    return Folder(folder)


def line(folder: Folder) -> str:
    (only,) = candidate_settings.lines(folder.path)
    return only


def test_where_nothing_states_them_nothing_is_known(tmp_path: Path) -> None:
    folder = made(tmp_path, {})
    assert line(folder) == NOTHING
    (block,) = [one for one in tables.settings(folder, "CartPole-v1") if one["name"] == "ppo"]
    assert block["departures"]["theirs"] == {"points": [], "empty": "not known"}
    column = list(block["table"].head).index("theirs")
    shown = {row[0]: row[column] for row in block["table"].rows}
    assert shown["budget"] != "not known" and {shown[name] for name in REFERENCE} == {"not known"}
    assert tables.ran(folder).rows == []


def test_differences_are_named_with_what_states_them(tmp_path: Path) -> None:
    stated = {
        "ran": {"learning_rate": 0.0003, "n_envs": 8, "n_epochs": 20.0},
        "sources": {"learning_rate": "config.yml"}, "remarks": {"learning_rate": "converted"},
        "not_offered": ["target_kl"], "departures": ["no bootstrap"],
    }  # fmt: skip
    folder = made(tmp_path, stated)
    assert line(folder) == (
        "theirs on CartPole-v1: 2 of 5 settings are the reference's; other: learning_rate 0.0003 (reference "
        "0.001) and target_kl not offered (reference null); not known: net_arch; departures: no bootstrap"
    )
    first = ["CartPole-v1", "theirs", "learning_rate", "0.001", "0.0003", "config.yml (converted)"]
    assert [list(row) for row in tables.ran(folder).rows] == [
        first,
        ["CartPole-v1", "theirs", "target_kl", "null", "not offered", "its answer"],
    ]


def test_what_is_declared_counts_and_what_contradicts_it_is_shown(tmp_path: Path) -> None:
    folder = made(
        tmp_path, {"ran": {"n_epochs": 10}, "sources": {"n_epochs": "its answer"}},
        settings={**REFERENCE, "log_std_init": -2.0}, departures=[],
    )  # fmt: skip
    text = line(folder)
    assert "4 of 5 settings are the reference's; other: n_epochs 10; 20 (reference 20)" in text
    assert text.endswith("departures: none declared") and "not known" not in text
    rows = {row[2]: row[3:] for row in tables.ran(folder).rows}
    assert rows["n_epochs"] == ["20", "10; 20", "its answer; declared"]
    assert rows["log_std_init"] == ["\N{EN DASH}", "-2.0", "declared"]


def test_seeds_that_state_nothing_or_something_else(tmp_path: Path) -> None:
    one = {"ran": {"n_envs": 8, "n_epochs": 20}, "sources": {}}
    other = {"ran": {"n_envs": 4}, "sources": {}}
    text = line(made(tmp_path, one, other))
    assert "1 of 5 settings are the reference's; other: n_envs 8; 4 (reference 8)" in text
    assert "n_epochs of 1 of 2 seeds" in text and "n_envs of" not in text


@pytest.mark.parametrize(
    ("value", "other", "equal"),
    [(1, 1.0, True), (1, True, False), (0.3, 0.1 + 0.2, True), (None, None, True), (None, 0, False),
     ([64, 64], [64, 64], True), ([64], [64, 64], False), ("auto", "auto", True), ("linear", 1.0, False)],
)  # fmt: skip
def test_equal_values(value: Any, other: Any, equal: bool) -> None:
    assert candidate_settings.same(value, other) is equal


def test_the_page_and_the_terminal_say_it_beside_the_verdict(tmp_path: Path) -> None:
    folder = made(tmp_path, {}, departures=["<b>clipped</b>"])
    summary = report.render(folder.path)
    assert "settings: theirs on CartPole-v1: the settings that ran are not known" in summary
    page, twin = ((folder.path / name).read_text() for name in ("index.html", "README.md"))
    beside = page[page.index('id="verdicts"') : page.index('id="curves"')]
    assert 'id="ran"' in beside and "nothing states them; departures: &lt;b&gt;clipped" in beside
    assert "### Settings that ran" in twin and "<b>clipped" not in page + twin
    assert re.search(r"Departures, theirs:</b>\s*</p>\s*<ul><li>&lt;b&gt;clipped", page)


def test_reports_without_candidates_have_no_such_section(tmp_path: Path) -> None:
    folder = fake_report(tmp_path / "s", algorithms=("ppo",), seeds=1)
    assert "settings:" not in report.render(folder)
    assert "Settings that ran" not in (folder / "index.html").read_text()


def test_a_comparison_of_reports_takes_nothing_from_the_reference(tmp_path: Path) -> None:
    folder = made(tmp_path, {"ran": {"n_envs": 4}})
    own, _ = diff._by_arm(folder)["CartPole-v1 theirs ppo"]
    assert own["n_envs"] == 4 and "normalize" not in own
