"""Pending cells: which cells are still to be trained, and how `cell.json` shows it to Snakemake."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from rlparity.cell import Cell
from rlparity.runs import pending

PPO = Cell("made-up", "CartPole-v1", "scratch", "ppo", "ppo", (0, 1), 4096)


def finish(cell: Cell, folder: Path, print_: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in pending.OUTPUTS:
        (folder / name).write_text(json.dumps({"fingerprint": print_}) if name == "run.json" else "")


def newer(folder: Path) -> bool:
    """Whether Snakemake would train: `cell.json` is newer than the oldest of the records."""
    oldest = min((folder / name).stat().st_mtime_ns for name in pending.OUTPUTS)
    return (folder / pending.CELL_FILE).stat().st_mtime_ns > oldest


def test_cell_files_follow_the_fingerprint(tmp_path: Path) -> None:
    results = tmp_path / "results"
    cell = replace(PPO, fingerprint="a")
    folder = results / cell.folder
    assert pending.update([cell], results) == [cell]
    assert pending.read(folder / pending.CELL_FILE) == cell
    finish(cell, folder, "a")
    assert pending.update([cell], results) == [] and not newer(folder)
    edited = replace(cell, fingerprint="b")
    assert pending.update([edited], results) == [edited] and newer(folder)
    assert pending.update([edited], results) == [edited] and newer(folder)
    assert pending.update([cell], results) == [] and not newer(folder)  # the edit was undone
    (folder / pending.CELL_FILE).unlink()  # restored records, or a new checkout
    assert pending.update([cell], results) == [] and not newer(folder)
    finish(cell, folder, "b")  # records of another fingerprint, newer than cell.json
    before = (folder / pending.CELL_FILE).read_text()
    assert pending.update([cell], results) == [cell] and newer(folder)
    assert (folder / pending.CELL_FILE).read_text() != before  # Snakemake compares checksums, too


@pytest.mark.parametrize(
    "content", ["", '{"fingerprint": "a"', "[1, 2]", "7", '{"status": "done"}', "[" * 9999]
)
def test_a_cell_with_a_damaged_run_json_is_pending(content: str, tmp_path: Path) -> None:
    cell = replace(PPO, fingerprint="a")
    folder = tmp_path / cell.folder
    pending.update([cell], tmp_path)
    finish(cell, folder, "a")
    (folder / "run.json").write_text(content)
    os.utime(folder / pending.CELL_FILE, ns=(1, 1))
    assert pending.update([cell], tmp_path) == [cell] and newer(folder)


def test_an_unfinished_cell_is_not_up_to_date(tmp_path: Path) -> None:
    cell = replace(PPO, fingerprint="a")
    folder = tmp_path / cell.folder
    finish(cell, folder, "a")
    assert pending.up_to_date(cell, folder)
    (folder / "progress.parquet").unlink()
    assert not pending.up_to_date(cell, folder)


def test_tensorboard_alone_renews_no_training(tmp_path: Path) -> None:
    cell = replace(PPO, fingerprint="a")
    folder = tmp_path / cell.folder
    pending.update([cell], tmp_path)
    finish(cell, folder, "a")
    logged = replace(cell, tensorboard=True)
    assert pending.update([logged], tmp_path) == [] and not newer(folder)
    assert pending.read(folder / pending.CELL_FILE).tensorboard
