"""Records of a block from those of its parts, and the other way round, beside trained ones."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from small import cell

from rlparity import records
from rlparity.cell import Cell
from rlparity.provenance import fingerprint
from rlparity.runs import pending, regrouping, run_cell, saved_policies
from rlparity.training import checkpoint_files

pytestmark = pytest.mark.filterwarnings("ignore:You have specified a mini-batch size")
HASHED = regrouping.HASHED
BLOCKS = ((0, 1, 2, 3), (0, 1), (2, 3), (1, 2))


def of(algorithm: str, seeds: Sequence[int], **changes: Any) -> Cell:
    made = cell(algorithm, tuple(seeds), checkpoint_every=0, **changes)
    return replace(made, fingerprint=fingerprint.of(made))


@pytest.fixture(scope="module", params=["ppo", "dqn"])
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """An algorithm, and a folder with its blocks `BLOCKS`, each trained by itself."""
    folder = tmp_path_factory.mktemp("trained")
    for seeds in BLOCKS:
        made = of(request.param, seeds)
        run_cell.run_cell(made, folder / made.block)
    return request.param, folder


def found(folder: Path, *blocks: Sequence[int]) -> list[regrouping.Found]:
    folders = [folder / f"seeds-{seeds[0]}-{seeds[-1]}" for seeds in blocks]
    return [(place, json.loads((place / "run.json").read_text())) for place in folders]


def bytes_of(folder: Path) -> list[bytes]:
    return [(folder / name).read_bytes() for name in HASHED]


@pytest.mark.parametrize(
    ("seeds", "parts"),
    [
        ((0, 1), [(0, 1, 2, 3)]),
        ((1, 2), [(0, 1, 2, 3)]),
        ((0, 1, 2, 3), [(2, 3), (0, 1)]),
        ((1, 2), [(0, 1), (2, 3)]),
    ],
)
def test_the_records_are_those_of_a_training(
    trained: tuple[str, Path], seeds: tuple[int, ...], parts: list[tuple[int, ...]], tmp_path: Path
) -> None:
    """The same bytes, whether a block is divided, put together, or both."""
    algorithm, folder = trained
    wanted = of(algorithm, seeds)
    blocks = regrouping.sources(wanted, found(folder, *parts))
    assert len(blocks) == len(parts)
    regrouping.write(wanted, tmp_path, blocks)
    alone = folder / wanted.block
    assert bytes_of(tmp_path) == bytes_of(alone)
    rows = [
        pq.read_table(place / "progress.parquet").drop_columns("wall_time_s") for place in (tmp_path, alone)
    ]
    learned = [[row for row in table.to_pylist() if row["metric"] != "evaluation_time_s"] for table in rows]
    assert learned[0] == learned[1]
    run, other = (json.loads((place / "run.json").read_text()) for place in (tmp_path, alone))
    assert run["hashes"] == other["hashes"] and run["cell"] == other["cell"]
    assert pending.up_to_date(wanted, tmp_path)
    (entry,) = run["vouched"]
    assert [block["cell"] for block in entry["of"]] == [place.name for place, _ in blocks]
    last = [checkpoint_files.load(place / "checkpoint") for place in (tmp_path, alone)]
    assert last[0].keys() == last[1].keys()
    assert all(torch.equal(last[0][name], last[1][name]) for name in last[0])
    from_first = any(int(place.name.split("-")[1]) == seeds[0] for place, _ in blocks)
    assert set(run["policies"]) == (set(other["policies"]) if from_first else {"last"})
    for name in run["policies"]:
        assert saved_policies.load(wanted, tmp_path, name).keys() == last[1].keys()


def test_times_are_shared_by_seed_and_the_rate_is_the_blocks(
    trained: tuple[str, Path], tmp_path: Path
) -> None:
    algorithm, folder = trained
    (block,) = found(folder, BLOCKS[0])
    regrouping.write(of(algorithm, (3,)), tmp_path, [block])
    run = json.loads((tmp_path / "run.json").read_text())
    for name in regrouping.TIMES:
        assert run[name] == pytest.approx(block[1][name] / 4)
    assert run["steps_per_second"] == pytest.approx(block[1]["steps_per_second"])


def test_only_what_is_valid_but_for_its_seeds_is_taken(trained: tuple[str, Path]) -> None:
    algorithm, folder = trained
    wanted, ((place, run),) = of(algorithm, (0, 1)), found(folder, BLOCKS[0])
    assert regrouping.sources(wanted, [(place, run)])
    assert not regrouping.sources(of(algorithm, (3, 4)), [(place, run)])  # a seed is missing
    assert not regrouping.sources(of(algorithm, (0, 1), budget=528), [(place, run)])
    assert not regrouping.sources(replace(wanted, device="cuda"), [(place, run)])  # promises no bytes
    assert not regrouping.sources(replace(wanted, implementation="sb3"), [(place, run)])
    for changes in ({"fingerprint": "older"}, {"status": "unfinished"}, {"hashes": {}}):
        assert not regrouping.sources(wanted, [(place, {**run, **changes})])
    vouched = {**run, "fingerprint": "older", "vouched": [{"fingerprint": run["fingerprint"]}]}
    assert regrouping.sources(wanted, [(place, vouched)])


def test_blocks_of_two_machines_are_not_put_together(trained: tuple[str, Path]) -> None:
    algorithm, folder = trained
    wanted, (one, (place, run)) = of(algorithm, (0, 1, 2, 3)), found(folder, (0, 1), (2, 3))
    assert len(regrouping.sources(wanted, [one, (place, run)])) == 2
    elsewhere = {**run, "hardware": {**run["hardware"], "cpu": "another"}}
    assert not regrouping.sources(wanted, [one, (place, elsewhere)])


def test_a_failed_seed_stays_failed_and_the_others_do_not(tmp_path: Path) -> None:
    block = of("ppo", (0, 1))
    run_cell.run_cell(block, tmp_path / block.block)
    file = tmp_path / block.block / "run.json"
    file.write_text(
        json.dumps({**json.loads(file.read_text()), "status": "failed", "failed_seeds": {"1": "NaN"}})
    )
    status = {}
    for seed in (0, 1):
        regrouping.write(of("ppo", (seed,)), tmp_path / f"{seed}", found(tmp_path, (0, 1)))
        run = json.loads((tmp_path / f"{seed}" / "run.json").read_text())
        status[seed] = (run["status"], run["failed_seeds"])
    assert status == {0: ("done", {}), 1: ("failed", {"1": "NaN"})}


def test_a_cell_takes_the_seeds_of_blocks_beside_it_and_trains_the_rest(
    trained: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    algorithm, folder = trained
    (tmp_path / "seeds-0-1").symlink_to(folder / "seeds-0-1")
    monkeypatch.setattr(run_cell, "_train", None)  # whoever trains, fails
    alone = of(algorithm, (1,))
    run = run_cell.run_cell(alone, tmp_path / alone.block, regroup=True)
    assert run["fingerprint"] == of(algorithm, (0, 1)).fingerprint and alone.accepts(run)
    assert {path.name for path in (tmp_path / alone.block).iterdir()} >= set(pending.OUTPUTS)
    for seeds, regroup in (((1, 2), True), ((0,), False)):
        other = of(algorithm, seeds)
        with pytest.raises(TypeError):
            run_cell.run_cell(other, tmp_path / other.block, regroup=regroup)


def test_shipped_records_of_an_older_format_and_without_progress(
    trained: tuple[str, Path], tmp_path: Path
) -> None:
    algorithm, folder = trained
    old = tmp_path / "seeds-0-3"
    old.mkdir()
    for name in (*HASHED, "run.json"):
        (old / name).write_bytes((folder / "seeds-0-3" / name).read_bytes())
    table = pq.read_table(old / "evaluations.parquet")
    names = {"value": "episode_return", "size": "episode_length"}
    first = table.drop_columns("metric")
    first = first.rename_columns([names.get(name, name) for name in first.column_names])
    pq.write_table(first, old / "evaluations.parquet")
    wanted = of(algorithm, (2, 3))
    regrouping.write(wanted, tmp_path / "made", found(tmp_path, BLOCKS[0]))
    assert bytes_of(tmp_path / "made") == bytes_of(folder / wanted.block)
    assert pq.read_metadata(tmp_path / "made" / "progress.parquet").num_rows == 0
    run = json.loads((tmp_path / "made" / "run.json").read_text())
    assert run["format"] == records.FORMAT and run["policies"] == {}
