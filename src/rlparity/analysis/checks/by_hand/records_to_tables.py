"""From the records of cells to tables: what is taken, in which order, and what is refused."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from rlparity import records
from rlparity.analysis import plans, tables
from rlparity.analysis.checks.check import Group, near, refused, same, true
from rlparity.analysis.checks.made_up import PLACE, plan, scores
from rlparity.cell import Cell, Protocol
from rlparity.metrics import Metric

CHECKS = Group()
CELL = Cell(
    "made-up", PLACE, "scratch", "ppo", "ppo", (4, 5), 100, 2, evaluation=Protocol(2), fingerprint="f"
)


def _rows(seeds: tuple[int, ...], implementation: str = "scratch") -> dict[str, list[dict[str, Any]]]:
    who = {"implementation": implementation, "algorithm": "ppo", "environment": PLACE}
    at: list[dict[str, Any]] = [
        {**who, "seed": seed, "env_step": step} for step in (100, 0, 50) for seed in reversed(seeds)
    ]
    return {
        "episodes": [
            {**one, "episode_return": one["env_step"] + one["seed"], "episode_length": 3} for one in at
        ],
        "evaluations": [
            {**one, "episode": episode, "protocol": "deterministic", "metric": "return", "size": 9}
            | {"value": 10.0 * one["env_step"] + one["seed"] + episode / 2}
            for one in at
            for episode in (1, 0)
        ],
        "progress": [{**one, "wall_time_s": 1.0, "metric": "loss", "value": 0.5} for one in at],
    }


def _write(folder: Path, cell: Cell = CELL, rows: dict[str, Any] | None = None, **run: Any) -> None:
    for kind, content in (rows or _rows(cell.seeds)).items():
        records.write(folder / cell.folder, kind, content)
    files = (folder / cell.folder).glob("*.parquet")
    hashes = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
    content = {"fingerprint": "f", "hashes": hashes, "status": "done", "steps_per_second": 7.0, **run}
    (folder / cell.folder / "run.json").write_text(json.dumps(content))


def _collect(folder: Path, *cells: Cell) -> dict[str, Any]:
    tables.collect(list(cells or (CELL,)), folder, folder / "reports", plan("ppo"))
    found = folder / "made-up" / "tables"
    return {
        kind: tables.read(found / f"{kind}.parquet")
        for kind in ("episodes", "evaluations", "progress", "runs")
    }


@CHECKS
def collected() -> None:
    """All rows of all cells are collected, in the order of their keys, with one row of runs for each seed."""
    with tempfile.TemporaryDirectory() as name:
        folder, other = Path(name), replace(CELL, implementation="sb3", seeds=(1,))
        _write(folder)
        _write(
            folder,
            other,
            _rows((1,), "sb3"),
            status="failed",
            reason="it broke",
            git={"commit": "c", "dirty": True},
        )
        found = _collect(folder, other, CELL)
        same(
            "rows",
            {kind: len(table) for kind, table in found.items()},
            {"episodes": 9, "evaluations": 18, "progress": 9, "runs": 3},
        )
        rows = found["evaluations"]
        order = list(
            rows[["implementation", "seed", "env_step", "episode"]].itertuples(index=False, name=None)
        )
        same("order of rows", order, sorted(order))
        near("values", rows["value"], 10.0 * rows["env_step"] + rows["seed"] + rows["episode"] / 2)
        near(
            "returns",
            found["episodes"]["episode_return"],
            found["episodes"]["env_step"] + found["episodes"]["seed"],
        )
        runs = found["runs"]
        same("seeds", list(runs["seed"]), [1, 4, 5])
        same(
            "status",
            dict(zip(runs["seed"], runs["status"], strict=True)),
            {1: "failed", 4: "done", 5: "done"},
        )
        same("reason", runs["reason"][runs["seed"] == 1].item(), "it broke")
        same(
            "facts",
            (set(runs["budget"]), set(runs["n_envs"]), set(runs["steps_per_second"])),
            ({100}, {2}, {7.0}),
        )
        same(
            "seeds in a cell", dict(zip(runs["seed"], runs["seeds_in_cell"], strict=True)), {1: 1, 4: 2, 5: 2}
        )
        shipped = (
            folder / "reports" / "made-up" / "records" / Path(*CELL.folder.parts[1:]) / "episodes.parquet"
        )
        true(
            "shipped records are those of the cell",
            shipped.read_bytes() == (folder / CELL.folder / "episodes.parquet").read_bytes(),
        )


@CHECKS
def seeds_of_runs() -> None:
    """A failed seed of a cell is failed by itself; a cell that failed without naming one failed whole."""
    cases: list[tuple[dict[str, Any], list[str]]] = [
        ({"failed_seeds": {"5": "no"}}, ["done", "failed"]),
        ({"failed_seeds": {"5": "no"}, "status": "failed"}, ["done", "failed"]),
        ({"status": "failed", "reason": "all"}, ["failed", "failed"]),
        ({"failed_seeds": {"4": "not yet"}, "status": "unfinished"}, ["unfinished", "done"]),
    ]
    for run, wanted in cases:
        with tempfile.TemporaryDirectory() as name:
            _write(Path(name), **run)
            found = _collect(Path(name))["runs"]
            same(f"status of {run}", list(found["status"]), wanted)
            same(
                "reasons",
                [isinstance(one, str) for one in found["reason"]],
                [word != "done" for word in wanted],
            )


@CHECKS
def refusals() -> None:
    """Records that are damaged, of another cell or of other code are refused."""

    def changed(file: Path) -> None:
        file.write_bytes(file.read_bytes() + b"x")

    def without_hash(file: Path) -> None:
        run = json.loads((file.parent / "run.json").read_text())
        del run["hashes"][file.name]
        (file.parent / "run.json").write_text(json.dumps(run))

    cases: dict[str, Callable[[Path], Any]] = {
        "a changed record": changed,
        "a record without a hash": without_hash,
        "a missing record": Path.unlink,
        "a missing run": lambda file: (file.parent / "run.json").unlink(),
    }
    for what, damage in cases.items():
        for kind in ("episodes", "evaluations"):
            with tempfile.TemporaryDirectory() as name:
                _write(Path(name))
                damage(Path(name) / CELL.folder / f"{kind}.parquet")
                refused(f"{what} ({kind})", partial(_collect, Path(name)))
    others = {
        "another fingerprint": {"fingerprint": "g"},
        "an unknown status": {"status": "perhaps"},
        "rows of another seed": {"rows": _rows((4, 6))},
        "rows of another arm": {"rows": _rows((4, 5), "sb3")},
    }
    for what, given in others.items():
        with tempfile.TemporaryDirectory() as name:
            _write(Path(name), **given)  # type: ignore[arg-type]
            refused(what, partial(_collect, Path(name)))


@CHECKS
def read_again() -> None:
    """What is written as CSV is read again, to ten digits; another table's columns are refused."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        table = tables.frame("scores", scores({("scratch", "ppo"): [1 / 3, float("nan"), -12345.678]}))
        tables.write_csv(folder, "scores", table)
        found = tables.read(folder / "scores.csv")
        near("values", found["value"], [1 / 3, float("nan"), -12345.678], 1e-9)
        same("columns", list(found), list(table))
        refused("another table", lambda: tables.write_csv(folder, "summary", table))
        (folder / "scores.csv").write_text("seed,value\n1,2\n")
        refused("a file with other columns", lambda: tables.read(folder / "scores.csv"))
        refused("no file", lambda: tables.read(folder / "curves.csv"))
        try:
            tables.frame("scores", [{"sead": 1}])
        except KeyError:
            return
        true("a misspelt column is refused", False)


@CHECKS
def older_records() -> None:
    """Evaluations of the first format are returns."""
    with tempfile.TemporaryDirectory() as name:
        rows = _rows(CELL.seeds)
        _write(Path(name), rows=rows)
        file = Path(name) / CELL.folder / "evaluations.parquet"
        table = pq.read_table(file).drop_columns(["metric"])
        names = {"value": "episode_return", "size": "episode_length"}
        pq.write_table(table.rename_columns([names.get(one, one) for one in table.column_names]), file)
        run = json.loads((file.parent / "run.json").read_text())
        run["hashes"][file.name] = hashlib.sha256(file.read_bytes()).hexdigest()
        (file.parent / "run.json").write_text(json.dumps(run))
        found = _collect(Path(name))["evaluations"]
        same("metric", set(found["metric"]), {"return"})
        near("values", found["value"], 10.0 * found["env_step"] + found["seed"] + found["episode"] / 2)


@CHECKS
def of_plans() -> None:
    """A plan gives margins, thresholds, references and floors; what it lacks has its default."""
    about = plan("ppo", margin=0.3)
    here = about["environments"][PLACE]
    here["threshold"] = 5.0
    first, second = Metric("error", "x", -1, 0.9), Metric("return", "return")
    same("metrics", plans.metrics(about, PLACE), (second,))
    near("threshold", plans.threshold(about, PLACE, second), 5.0)
    here["metrics"] = [
        {"name": "error", "unit": "x", "better": -1, "floor": 0.9},
        {"name": "return", "unit": "return"},
    ]
    here["margins"] = {"error": 0.05}
    same("two metrics", plans.metrics(about, PLACE), (first, second))
    near("margins", [plans.margin(about, PLACE, one) for one in (first, second)], [0.05, 0.3])
    near("threshold of the first", plans.threshold(about, PLACE, first), 5.0)
    same("threshold of the second", plans.threshold(about, PLACE, second), None)
    same("better", [plans.better(about, PLACE, one) for one in ("error", "return", "?")], [-1, 1, 1])
    same("primary, family", (plans.primary(about), plans.family(about)), ("auc", "report"))
    same("given", (plans.primary({"primary": "final"}), plans.family({"family": "row"})), ("final", "row"))
    same("floors", (str(plans.floor(second)), plans.floor(first)), ("scratch/random", None))
    same("reference", str(plans.reference(about, "ppo")), "sb3/ppo")
    same("references", plans.references(about), {"sb3"})
    same("no reference", plans.reference(about, "random"), None)
