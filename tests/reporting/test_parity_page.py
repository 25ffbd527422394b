"""The tables of update parity, their page, and the command."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pandas as pd
import pytest

from rlparity.__main__ import main
from rlparity.analysis import schemas, tables
from rlparity.errors import UserError
from rlparity.reporting.pages import parity as parity_page
from rlparity.validation.parity import cases as parity_cases
from rlparity.validation.parity import compare as parity
from rlparity.validation.parity import table as parity_table
from rlparity.validation.parity.judgement import BESIDE_ITSELF, Finding, Row

MADE = {"hardware": "Invented CPU, 2 cores", "versions": "torch 2.13.0", "commit": "0123456789abcdef"}


def invented(folder: Path, off: str = "") -> Path:
    """Tables of two algorithms; the second has a floor, and is off if `off` says how."""
    rows, cases = [], []
    for algorithm, name, floor in (("dqn", "default", 0.0), ("trpo", "default", 2e-9)):
        for dtype, size in (("float64", 3e-15), ("float32", 2e-6)):
            who = (algorithm, name, dtype)
            for updates in (1, 10, 100):
                for kind in parity_page.KINDS[: 4 if algorithm == "trpo" else 5]:
                    found = 0.5 if off and algorithm == "trpo" else size * updates**0.5 + floor
                    allowed = max(1e-12 if dtype == "float64" else 1e-4, 100 * floor)
                    rows.append(Row(*who, updates, kind, found, allowed, found <= allowed))
                if floor:
                    rows.append(
                        Row(
                            who[0],
                            name + BESIDE_ITSELF,
                            dtype,
                            updates,
                            "parameters",
                            floor,
                            float("inf"),
                            True,
                        )
                    )
            trouble = off if algorithm == "trpo" else ""
            about = {"passed": not trouble, "first_difference": trouble, "seconds": 2.0}
            cases.append(
                dict(zip(("algorithm", "configuration", "dtype"), who, strict=True))
                | about
                | {"options": json.dumps({"gamma": 0.9, "net_arch": [32, 24]})}
                | MADE
            )
    folder.mkdir(parents=True, exist_ok=True)
    tables.write_csv(folder, "parity", tables.frame("parity", [row._asdict() for row in rows]))
    tables.write_csv(folder, "parity_cases", tables.frame("parity_cases", cases))
    return folder


def test_both_halves_mean_the_same_tables():
    assert list(Row._fields) == list(schemas.TABLES["parity"])
    assert list(parity_table.CASES) == list(schemas.TABLES["parity_cases"])
    assert parity_page.ITSELF == BESIDE_ITSELF
    wanted = "algorithm, configuration, dtype, updates, quantity, max_relative_difference, tolerance, passed"
    assert ", ".join(Row._fields) == wanted


def test_the_page_says_what_holds(tmp_path: Path):
    folder = invented(tmp_path / "parity")
    said = parity_page.render(folder)
    assert said.startswith(
        "2 of 2 configurations in float64 are within tolerance; parameters are within 3e-14 after 100 "
        "updates where rounding is not magnified. 2 of 2 configurations in float32"
    )
    page, twin = ((folder / name).read_text() for name in ("index.html", "README.md"))
    for text in (page, twin):
        assert "Update parity with Stable-Baselines3" in text
        assert "The reference beside itself" in text
        assert "0123456789ab" in text and "Invented CPU" in text and "gamma: 0.9" in text
    assert page.count('class="panel"') == 2  # an algorithm each
    assert "| trpo | default | float64 | ours | 2e-09 | 2e-09 | 2e-09 |" in twin
    assert "| trpo | default | float64 | itself | 2e-09 | 2e-09 | 2e-09 |" in twin
    before = page
    parity_page.render(folder)
    assert (folder / "index.html").read_text() == before


def test_the_page_says_what_does_not(tmp_path: Path):
    folder = invented(tmp_path / "parity", off="losses: value_loss by 5.0e-01 in update 1")
    said = parity_page.render(folder)
    assert "1 of 2 configurations in float64 are within tolerance. " in said
    assert "trpo, default (float64): losses: value_loss by 5.0e-01 in update 1." in said
    assert "off: losses: value\\_loss" in (folder / "README.md").read_text()


def test_missing_or_empty_tables_are_told(tmp_path: Path):
    with pytest.raises(UserError, match=r"parity\.csv: missing"):
        parity_page.render(tmp_path)
    for name in ("parity", "parity_cases"):
        tables.write_csv(tmp_path, name, tables.frame(name, []))
    with pytest.raises(UserError, match="holds no comparison; run rlparity dev parity"):
        parity_page.render(tmp_path)


@pytest.mark.probes
def test_the_command_compares_and_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["dev", "parity", "qrdqn", "--dtype", "float64", "float32", "--reports", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("pass parity: qrdqn, ") for line in lines) == 6  # small images among them
    assert lines[-1] == f"report: {tmp_path / 'parity' / 'index.html'}"
    rows = tables.read(tmp_path / "parity" / "parity.csv")
    assert set(rows.quantity) == set(parity_page.KINDS)
    assert set(rows.updates) == {1, 10, 100} and rows.passed.all()
    assert rows[rows["dtype"] == "float64"].max_relative_difference.max() < 1e-12
    assert list(dict.fromkeys(rows["dtype"])) == ["float64", "float32"]


def test_what_was_not_compared_again_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    size = 1e-15

    def found(case: parity_cases.Case, dtype: str, updates: object) -> Finding:
        row = Row(case.algorithm, case.name, dtype, 1, "parameters", size, 1e-12, size <= 1e-12)
        return Finding([row], floor=[row._replace(configuration=case.name + BESIDE_ITSELF)])

    monkeypatch.setattr(parity, "compare_case", found)
    said: list[str] = []
    assert parity_table.make([], ["float64", "float32"], tmp_path, said.append)
    assert len(said) == sum(len(case.dtypes) for case in parity_cases.CASES)
    first = pd.read_csv(tmp_path / "parity.csv")
    size = 2e-15
    assert parity_table.make(["ppo"], ["float32"], tmp_path, said.append)
    again = pd.read_csv(tmp_path / "parity.csv")
    assert list(again.configuration) == list(first.configuration)
    changed = again[again.max_relative_difference != first.max_relative_difference]
    assert set(zip(changed.algorithm, changed["dtype"], strict=True)) == {("ppo", "float32")}
    assert len(changed) == 2 * len(parity_cases.of("ppo"))


def test_a_failure_is_told_and_is_the_exit_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def broken(*_: object) -> Finding:
        raise ZeroDivisionError("float division by zero")

    invented(tmp_path / "parity")
    monkeypatch.setattr(parity, "compare_case", broken)
    assert main(["dev", "parity", "trpo", "--reports", str(tmp_path)]) == 1
    printed = capsys.readouterr().out
    assert "FAIL parity: trpo, default (float64) (ZeroDivisionError: float division by zero)" in printed
    assert re.search(r"1 of \d configurations in float64", printed)
    assert main(["dev", "parity", "trpoo", "--reports", str(tmp_path)]) == 4
    assert "unknown algorithm 'trpoo'" in capsys.readouterr().err
