"""Pending cells: which cells are still to be trained, and how Snakemake learns of it."""

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
    """Whether Snakemake would train: the order is newer than the oldest of the records."""
    oldest = min((folder / name).stat().st_mtime_ns for name in pending.OUTPUTS)
    return (folder / pending.ORDER).stat().st_mtime_ns > oldest


def test_orders_follow_the_fingerprint(tmp_path: Path) -> None:
    results = tmp_path / "results"
    cell = replace(PPO, fingerprint="a")
    folder = results / cell.folder
    assert pending.place([cell], results) == [cell]
    assert pending.read(folder / pending.ORDER) == cell
    finish(cell, folder, "a")
    assert pending.place([cell], results) == [] and not newer(folder)
    edited = replace(cell, fingerprint="b")
    assert pending.place([edited], results) == [edited] and newer(folder)
    assert pending.place([edited], results) == [edited] and newer(folder)
    assert pending.place([cell], results) == [] and not newer(folder)  # the edit was undone
    (folder / pending.ORDER).unlink()  # restored records, or a new checkout
    assert pending.place([cell], results) == [] and not newer(folder)
    finish(cell, folder, "b")  # records of another fingerprint, newer than the order
    before = (folder / pending.ORDER).read_text()
    assert pending.place([cell], results) == [cell] and newer(folder)
    assert (folder / pending.ORDER).read_text() != before  # Snakemake compares checksums, too


@pytest.mark.parametrize(
    "content", ["", '{"fingerprint": "a"', "[1, 2]", "7", '{"status": "done"}', "[" * 9999]
)
def test_a_run_that_says_nothing_is_made_again(content: str, tmp_path: Path) -> None:
    cell = replace(PPO, fingerprint="a")
    folder = tmp_path / cell.folder
    pending.place([cell], tmp_path)
    finish(cell, folder, "a")
    (folder / "run.json").write_text(content)
    os.utime(folder / pending.ORDER, ns=(1, 1))
    assert pending.place([cell], tmp_path) == [cell] and newer(folder)


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
    pending.place([cell], tmp_path)
    finish(cell, folder, "a")
    logged = replace(cell, tensorboard=True)
    assert pending.place([logged], tmp_path) == [] and not newer(folder)
    assert pending.read(folder / pending.ORDER).tensorboard
