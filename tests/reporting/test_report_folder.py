"""What is read of a report folder, and what is said where it is none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from invented import fake_report

from rlparity.errors import UserError
from rlparity.reporting.figures import draw as figures
from rlparity.reporting.report_folder import Folder


def test_a_reference_of_another_name_shares_the_panel(tmp_path: Path) -> None:
    folder = fake_report(tmp_path / "invented", algorithms=("ppo", "a2c"))
    plan = json.loads((folder / "plan.json").read_text())
    plan["algorithms"]["ppo"]["reference"] = "a2c"
    (folder / "plan.json").write_text(json.dumps(plan))
    assert Folder(folder).arms("CartPole-v1", "ppo") == [("scratch", "ppo"), ("sb3", "a2c")]


def test_candidates_get_colours_of_their_own_whatever_else_is_there(tmp_path: Path) -> None:
    folder = Folder(
        fake_report(tmp_path / "three", ("ppo",), implementations=("mine", "sb3", "scratch"), seeds=2)
    )
    assert list(folder.looks) == ["scratch", "sb3", "mine"]
    for part in zip(*folder.looks.values(), strict=True):  # colours, markers and dashes
        assert len(set(part)) == 3
    alone = Folder(fake_report(tmp_path / "two", ("ppo",), implementations=("sb3", "mine"), seeds=2))
    assert alone.looks == {name: folder.looks[name] for name in ("sb3", "mine")}


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "plan.json").unlink(), r"not a report folder, it has no plan\.json"),
        (lambda folder: (folder / "plan.json").write_text("{"), r"plan\.json: not JSON"),
        (lambda folder: (folder / "plan.json").write_text("{}"), r"lacks name, algorithms, environments"),
        (
            lambda folder: (folder / "curves.csv").write_text("a,b\n1,2\n"),
            r"curves\.csv: lacks the column impl",
        ),
        (lambda folder: (folder / "curves.csv").write_text('a,b\n"1,2\n'), r"curves\.csv: not a table"),
    ],
)
def test_a_bad_folder_is_one_line(tmp_path: Path, spoil: Any, message: str) -> None:
    folder = fake_report(tmp_path / "bad", algorithms=("ppo",), seeds=2)
    spoil(folder)
    with pytest.raises(UserError, match=message) as caught:
        Folder(folder).plan, Folder(folder).tables
    assert "\n" not in str(caught.value)


def test_an_unknown_report_is_told_from_those_that_are_there(tmp_path: Path) -> None:
    expected = r"unknown report 'mine2'; choose from mine, other \(did you mean 'mine'\?\)"
    with pytest.raises(UserError, match="not a report folder"):
        Folder(tmp_path / "mine2").plan  # noqa: B018
    for name in ("mine", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "plan.json").write_text("{}")
    with pytest.raises(UserError, match=expected):
        figures.draw(tmp_path / "mine2")
    assert not (tmp_path / "mine2").exists()
