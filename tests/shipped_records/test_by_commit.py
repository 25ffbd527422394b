"""Vouching by short trainings with the sources of two commits, on one machine."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from small import cell

from rlparity.cell import Cell
from rlparity.errors import UserError
from rlparity.provenance import source_code
from rlparity.runs import run_cell
from rlparity.shipped_records import by_commit, short_training

pytestmark = pytest.mark.whole
TINY = replace(cell("a2c", budget=200), suite="tiny")


def test_the_last_valid_commit_is_that_of_the_newest_voucher() -> None:
    made = {"git": {"commit": "a", "dirty": False}}
    assert by_commit.last_commit(made) == "a"
    assert (
        by_commit.last_commit({**made, "vouched": [{"git": {"commit": "b"}}, {"git": {"commit": "c"}}]})
        == "c"
    )
    with pytest.raises(UserError, match="no commit made"):
        by_commit.last_commit({"git": {"commit": "a", "dirty": True}})


@pytest.mark.parametrize("algorithm", ["ppo", "dqn", "sac"])
def test_a_short_cell_still_learns_and_is_of_no_seed_of_its_own(algorithm: str) -> None:
    long = cell(algorithm, (7, 8), budget=100_000, checkpoint_every=10, tensorboard=True)
    short = by_commit.shorten(long)
    assert short.seeds == (0, 1) and short.budget < 10_000
    assert short.hyperparameters.get("buffer_size", 0) < short.budget and short.evaluation.points == 2
    assert not short.checkpoint_every and not short.tensorboard and not short.fingerprint
    assert short == by_commit.shorten(replace(long, seeds=(0, 1)))
    assert {key: short.hyperparameters[key] for key in ("gamma",) if key in long.hyperparameters} == {
        key: long.hyperparameters[key] for key in ("gamma",) if key in long.hyperparameters
    }


def test_the_same_sources_give_the_same_rows_in_a_process_of_their_own() -> None:
    found = by_commit._train("", TINY.to_json())
    again = short_training.digest(short_training.trainer("scratch").run(TINY))
    assert found == again and found["rows"] > 10


def test_rows_of_either_format_have_one_hash(tmp_path: Path) -> None:
    class Old:
        def __init__(self, made: object):
            self.episodes, self.failed = made.episodes, made.failed  # type: ignore[attr-defined]
            self.progress = made.progress  # type: ignore[attr-defined]
            self.evaluations = [
                {**row, "episode_return": row["value"], "episode_length": row["size"]}
                for row in made.evaluations  # type: ignore[attr-defined]
            ]
            for row in self.evaluations:
                del row["metric"], row["value"], row["size"]

    made = short_training.trainer("scratch").run(TINY)
    assert short_training.digest(Old(made)) == short_training.digest(made)


def test_metrics_of_updates_count_where_all_returns_are_alike() -> None:
    """Every episode of MountainCar that is not solved returns -200."""
    mountain = replace(cell("a2c", environment="MountainCar-v0", budget=1000), suite="tiny")
    other = replace(mountain, hyperparameters={**mountain.hyperparameters, "learning_rate": 0.00071})
    found = [short_training.digest(short_training.trainer("scratch").run(each)) for each in (mountain, other)]
    assert found[0]["digest"][:10] == found[1]["digest"][:10] and found[0]["metrics"]
    assert found[0]["digest"] != found[1]["digest"]


def repository(folder: Path, edit: tuple[str, str, str] | None = None) -> str:
    """A repository whose only commit has the package, with one edit; returns the commit."""
    subprocess.run(["cp", "-r", str(source_code.PACKAGE.parent), str(folder / "src")], check=True)
    if edit is not None:
        path = folder / "src" / "rlparity" / edit[0]
        text = path.read_text()
        assert edit[1] in text
        path.write_text(text.replace(edit[1], edit[2]))
    commands = [["init", "-q"], ["add", "src"]]
    commands.append(["-c", "user.name=x", "-c", "user.email=x@y", "commit", "-q", "-m", "x"])
    for words in commands:
        subprocess.run(["git", *words], cwd=folder, check=True)
    done = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def test_another_commit_is_trained_with_its_own_sources(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An edit of GAE gives other rows of A2C; the cache is asked first the second time."""
    edited = repository(tmp_path, ("objectives/targets.py", "delta = (reward +", "delta = (-reward +"))
    monkeypatch.chdir(tmp_path)
    cache = by_commit.Cache(tmp_path / "cache.json")
    there, here = cache.rows(edited, TINY.to_json()), cache.rows("", TINY.to_json())
    assert there["digest"] != here["digest"] and there["rows"]
    monkeypatch.setattr(by_commit, "_train", lambda *_: pytest.fail("it was trained before"))
    assert by_commit.Cache(tmp_path / "cache.json").rows(edited, TINY.to_json()) == there
    with pytest.raises(UserError, match="has no commit 0000"):
        monkeypatch.undo()
        monkeypatch.chdir(tmp_path)
        by_commit._train("0000", TINY.to_json())


def test_a_record_is_signed_with_what_was_compared(tmp_path: Path) -> None:
    from rlparity.shipped_records.restore import Shipped
    from rlparity.shipped_records.vouch import Record

    folder = tmp_path / "record"
    run = run_cell.run_cell(TINY, folder)
    asked: Cell = replace(TINY, fingerprint="f" * 16)
    kind = by_commit.Kind("a" * 40, by_commit.shorten(asked).to_json())
    by_commit._sign(Record(asked, Shipped(folder, run)), kind, 12, {"commit": "b" * 40, "dirty": False})
    written = json.loads((folder / "run.json").read_text())
    assert asked.accepts(written) and not asked.accepts(run)
    entry = written["vouched"][-1]
    assert (entry["by"], entry["against"], entry["rows"]) == ("same rows", "a" * 40, 12)
