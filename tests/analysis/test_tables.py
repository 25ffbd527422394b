"""Tables and the stage `collect`: what is whole comes out sorted, what is damaged or foreign is refused."""

from __future__ import annotations

import hashlib
import json
import math

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from synthetic import Suite

from rlparity.analysis import schemas
from rlparity.analysis import tables as table
from rlparity.analysis.columns.column import DTYPES
from rlparity.cell import Protocol
from rlparity.errors import UserError
from rlparity.records import SCHEMAS

SMALL = {"budget": 80, "seeds": 2, "protocol": Protocol(points=4, episodes=2, final_episodes=3)}


@pytest.fixture
def suite(tmp_path):
    made = Suite(algorithms=("ppo",), variants=(), **SMALL)
    made.write(tmp_path / "results")
    return made


def collect(suite, root):
    table.collect(suite.cells, root / "results", root / "reports", suite.plan)
    return root / "results" / suite.name / "tables"


def cell_folder(suite, root, implementation):
    cell = next(
        cell for cell in suite.cells if (cell.implementation, cell.algorithm) == (implementation, "ppo")
    )
    return root / "results" / cell.folder


def amend(folder, **changes):
    run = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(run | changes))


def rehash(folder, name):
    hashes = json.loads((folder / "run.json").read_text())["hashes"]
    amend(folder, hashes=hashes | {name: hashlib.sha256((folder / name).read_bytes()).hexdigest()})


def test_declared_columns_are_those_of_the_records():
    pandas = {"str": pa.string(), "int": pa.int64(), "float": pa.float64()}
    for kind, schema in SCHEMAS.items():
        declared = [(name, pandas[column.dtype]) for name, column in schemas.TABLES[kind].items()]
        assert declared == [(field.name, field.type) for field in schema]


def test_every_column_says_what_it_holds():
    for name, declared in schemas.TABLES.items():
        for column in declared.values():
            assert column.dtype in DTYPES and column.meaning, name


def test_collect_gathers_every_row_in_order(suite, tmp_path):
    tables = collect(suite, tmp_path)
    evaluations = table.read(tables / "evaluations.parquet")
    # 4 points of 2 episodes and 3 at the end, deterministic; 2 seeds of scratch, sb3 and random
    assert len(evaluations) == 3 * 2 * (4 * 2 + 3)
    order = table.ORDER["evaluations"]
    assert evaluations[order].equals(evaluations[order].sort_values(order, kind="stable"))
    assert (
        len(table.read(tables / "episodes.parquet"))
        == len(table.read(tables / "progress.parquet"))
        == 3 * 2 * 5
    )


def test_collect_describes_every_seed(suite, tmp_path):
    runs = table.read(collect(suite, tmp_path) / "runs.parquet")
    rows = list(zip(runs.implementation, runs.algorithm, runs.seed, runs.seeds_in_cell, strict=True))
    assert rows == [
        ("sb3", "ppo", 0, 1),
        ("sb3", "ppo", 1, 1),
        ("scratch", "ppo", 0, 2),
        ("scratch", "ppo", 1, 2),
        ("scratch", "random", 0, 2),
        ("scratch", "random", 1, 2),
    ]
    assert set(runs.status) == {"done"} and runs.reason.isna().all()
    assert set(runs.commit) == {"0" * 40} and not runs.dirty.any()
    assert runs.cell[0] == "made-up/CartPole-v1/sb3/ppo/seeds-0-0"


def test_collect_ships_records_and_plan(suite, tmp_path):
    collect(suite, tmp_path)
    shelf = tmp_path / "reports" / "made-up" / "records" / "CartPole-v1" / "scratch" / "ppo" / "seeds-0-1"
    assert sorted(file.name for file in shelf.iterdir()) == [
        "episodes.parquet",
        "evaluations.parquet",
        "run.json",
    ]
    source = cell_folder(suite, tmp_path, "scratch")
    assert all(file.read_bytes() == (source / file.name).read_bytes() for file in shelf.iterdir())
    assert json.loads((tmp_path / "reports" / "made-up" / "plan.json").read_text()) == suite.plan


def test_collect_twice_gives_the_same_bytes(suite, tmp_path):
    tables = collect(suite, tmp_path)
    first = {file.name: file.read_bytes() for file in tables.iterdir()}
    assert len(first) == 5
    collect(suite, tmp_path)
    assert {file.name: file.read_bytes() for file in tables.iterdir()} == first


def test_a_failed_seed_keeps_its_rows_and_gives_its_reason(tmp_path):
    failed = {("scratch", "ppo"): {1: "the loss was not finite"}, ("sb3", "ppo"): {0: "SB3 stopped"}}
    suite = Suite(algorithms=("ppo",), variants=(), failed=failed, **SMALL)
    suite.write(tmp_path / "results")
    tables = collect(suite, tmp_path)
    runs = table.read(tables / "runs.parquet").set_index(["implementation", "algorithm", "seed"])
    assert runs.loc[("scratch", "ppo", 0), "status"] == "done"
    assert tuple(runs.loc[("scratch", "ppo", 1), ["status", "reason"]]) == (
        "failed",
        "the loss was not finite",
    )
    assert tuple(runs.loc[("sb3", "ppo", 0), ["status", "reason"]]) == ("failed", "SB3 stopped")
    evaluations = table.read(tables / "evaluations.parquet")
    steps = evaluations[(evaluations.implementation == "scratch") & (evaluations.seed == 1)].groupby(
        "algorithm"
    )
    assert steps["env_step"].max().to_dict() == {"ppo": 40, "random": 80}


def test_a_failed_cell_that_names_no_seed_failed_with_all(suite, tmp_path):
    amend(cell_folder(suite, tmp_path, "scratch"), status="failed", failed_seeds={})
    runs = table.read(collect(suite, tmp_path) / "runs.parquet")
    assert runs[runs.status == "failed"][["implementation", "seed"]].to_numpy().tolist() == [
        ["scratch", 0],
        ["scratch", 1],
    ]


def test_a_restored_cell_has_no_progress(suite, tmp_path):
    (cell_folder(suite, tmp_path, "scratch") / "progress.parquet").unlink()
    progress = table.read(collect(suite, tmp_path) / "progress.parquet")
    assert set(zip(progress.implementation, progress.algorithm, strict=True)) == {
        ("sb3", "ppo"),
        ("scratch", "random"),
    }


def refused(suite, root, *words):
    with pytest.raises(UserError) as caught:
        collect(suite, root)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message
    assert not (root / "results" / suite.name / "tables").exists()


def test_missing_records_are_refused(suite, tmp_path):
    folder = cell_folder(suite, tmp_path, "scratch")
    (folder / "episodes.parquet").unlink()
    refused(suite, tmp_path, "seeds-0-1/episodes.parquet", "missing")
    (folder / "run.json").unlink()
    refused(suite, tmp_path, "seeds-0-1/run.json", "missing")


def test_truncated_records_are_refused(suite, tmp_path):
    folder = cell_folder(suite, tmp_path, "sb3")
    file = folder / "evaluations.parquet"
    file.write_bytes(file.read_bytes()[:-20])
    refused(suite, tmp_path, "sb3/ppo/seeds-0-0/evaluations.parquet", "truncated or changed")
    rehash(folder, "evaluations.parquet")
    refused(suite, tmp_path, "evaluations.parquet", "not a Parquet file")


def test_truncated_run_json_is_refused(suite, tmp_path):
    file = cell_folder(suite, tmp_path, "sb3") / "run.json"
    file.write_text(file.read_text()[:100])
    refused(suite, tmp_path, "run.json", "not the record of a run")
    file.write_text("[1, 2]")
    refused(suite, tmp_path, "run.json", "not the record of a run")


def test_records_without_a_hash_are_refused(suite, tmp_path):
    amend(cell_folder(suite, tmp_path, "sb3"), hashes={})
    refused(suite, tmp_path, "run.json", "hashes lacks episodes.parquet")


def test_another_status_is_refused(suite, tmp_path):
    amend(cell_folder(suite, tmp_path, "sb3"), status="perhaps")
    refused(suite, tmp_path, "run.json", "'perhaps'", "done, failed")


def test_a_foreign_table_is_refused(suite, tmp_path):
    folder = cell_folder(suite, tmp_path, "sb3")
    pq.write_table(pa.table({"answer": [42]}), folder / "episodes.parquet")
    rehash(folder, "episodes.parquet")
    refused(suite, tmp_path, "episodes.parquet", "answer int64")


def test_rows_of_another_cell_are_refused(suite, tmp_path):
    mine, other = cell_folder(suite, tmp_path, "scratch"), cell_folder(suite, tmp_path, "sb3")
    (other / "episodes.parquet").write_bytes((mine / "episodes.parquet").read_bytes())
    rehash(other, "episodes.parquet")
    refused(suite, tmp_path, "episodes.parquet", "'scratch'", "made-up/CartPole-v1/sb3/ppo/seeds-0-0")


def test_rows_of_another_seed_are_refused(suite, tmp_path):
    first = cell_folder(suite, tmp_path, "sb3")
    second = first.with_name("seeds-1-1")
    (second / "episodes.parquet").write_bytes((first / "episodes.parquet").read_bytes())
    rehash(second, "episodes.parquet")
    refused(suite, tmp_path, "seeds-1-1/episodes.parquet", "rows of seed 0")


def test_another_fingerprint_is_refused(suite, tmp_path):
    amend(cell_folder(suite, tmp_path, "scratch"), fingerprint="beef")
    refused(suite, tmp_path, "made-up/CartPole-v1/scratch/ppo/seeds-0-1", "beef", "CartPole-v1-ppo")


def test_csv_is_whole_deterministic_and_reads_back(tmp_path):
    row = {"implementation": "scratch", "algorithm": "ppo", "environment": "CartPole-v1"}
    row |= {"metric": "return", "seed": 3}
    rows = [{**row, "endpoint": "final", "value": 1 / 3}, {**row, "endpoint": "auc", "value": math.nan}]
    made = table.frame("scores", rows)
    table.write_csv(tmp_path, "scores", made)
    assert (tmp_path / "scores.csv").read_bytes() == (
        b"implementation,algorithm,environment,metric,seed,endpoint,value\n"
        b"scratch,ppo,CartPole-v1,return,3,final,0.3333333333\n"
        b"scratch,ppo,CartPole-v1,return,3,auc,\n"
    )
    assert [file.name for file in tmp_path.iterdir()] == ["scores.csv"]
    back = table.read(tmp_path / "scores.csv")
    pd.testing.assert_frame_equal(back, made, rtol=1e-9)


def test_a_wrong_table_is_neither_written_nor_read(tmp_path):
    with pytest.raises(UserError, match=r"scores\.csv: not a table of scores: its columns are answer"):
        table.write_csv(tmp_path, "scores", pd.DataFrame({"answer": [42]}))
    (tmp_path / "scores.csv").write_text("answer\n42\n")
    with pytest.raises(UserError, match="not a table of scores"):
        table.read(tmp_path / "scores.csv")
    with pytest.raises(UserError, match=r"runs\.parquet: missing"):
        table.read(tmp_path / "runs.parquet")
    (tmp_path / "runs.parquet").write_bytes(b"PAR1")
    with pytest.raises(UserError, match=r"runs\.parquet: cannot be read"):
        table.read(tmp_path / "runs.parquet")
    with pytest.raises(KeyError, match="colour"):
        table.frame("scores", [{"colour": "red"}])
