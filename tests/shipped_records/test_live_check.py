"""References taken from reports: which seeds a suite has, and the seed that is trained as a check."""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from invented import fake_report
from synthetic import Suite, finish
from validating import SUITE, ship

from rlparity import records
from rlparity.analysis import live_checks
from rlparity.analysis import tables as analysis_tables
from rlparity.cell import Cell
from rlparity.provenance import host
from rlparity.reporting.pages.suite import report
from rlparity.runs import pending
from rlparity.shipped_records import live_check, references
from rlparity.suites import suite as suites
from rlparity.suites.costs import forecast

pytestmark = pytest.mark.usefixtures("in_checkout")
PPO = "CartPole-v1/sb3/ppo"


@pytest.fixture
def loaded(tmp_path: Path) -> suites.Suite:
    """A suite whose references are shipped in `reports`, six seeds each."""
    file = tmp_path / "tiny.yaml"
    file.write_text(SUITE + "references: shipped\n")
    loaded = suites.load(file)
    ship(loaded, tmp_path / "reports")
    return loaded


def seeds(suite: suites.Suite, arm: str = PPO) -> list[int]:
    return [cell.seeds[0] for cell in suite.cells if suites.arm_folder(cell) == arm]


def lose(tmp_path: Path, *lost: int) -> None:
    for seed in lost:
        shutil.rmtree(tmp_path / "reports" / "shipped" / "records" / PPO / f"seeds-{seed}-{seed}")


def settle(loaded: suites.Suite, tmp_path: Path) -> tuple[suites.Suite, list[str]]:
    lines: list[str] = []
    settled = references.settled(loaded, tmp_path / "results", tmp_path / "reports", lines.append)
    return settled, lines


def test_shipped_references_are_copied_and_one_seed_of_each_is_checked(
    loaded: suites.Suite, tmp_path: Path
) -> None:
    settled, lines = settle(loaded, tmp_path)
    assert settled == loaded and not lines
    assert references.fill(settled, tmp_path / "results", tmp_path / "reports") == 18
    theirs = [cell for cell in settled.cells if settled.restored(cell)]
    assert len(theirs) == 18
    assert all(pending.up_to_date(cell, tmp_path / "results" / cell.folder) for cell in theirs)
    assert references.fill(settled, tmp_path / "results", tmp_path / "reports") == 0
    assert [
        (cell.environment, cell.algorithm, cell.seeds)
        for cell in references.checked(settled, tmp_path / "results")
    ] == [
        ("CartPole-v1", "ppo", (0,)),
        ("CartPole-v1", "a2c", (0,)),
        ("Acrobot-v1", "a2c", (0,)),
    ]


def test_a_plan_counts_the_seeds_that_confirm_references(loaded: suites.Suite, tmp_path: Path) -> None:
    settled, _ = settle(loaded, tmp_path)
    live = references.checked(settled, tmp_path / "results")
    (cells,) = (line for line in forecast.lines(settled, live, tmp_path) if line.split()[0] == "cells")
    assert cells.endswith("3 to train (3 of them to confirm shipped references)")


def test_a_reference_that_lacks_a_seed_is_compared_by_the_others(
    loaded: suites.Suite, tmp_path: Path
) -> None:
    lose(tmp_path, 0)
    settled, lines = settle(loaded, tmp_path)
    assert seeds(settled) == [1, 2, 3, 4, 5] and not settled.unshipped
    assert lines == [f"reference {PPO}: 1 of 6 seeds are left out: no record of it is shipped"]
    assert references.checked(settled, tmp_path / "results")[0].seeds == (1,)


def test_five_seeds_are_trained_of_a_reference_of_which_fewer_are_valid(
    loaded: suites.Suite, tmp_path: Path
) -> None:
    lose(tmp_path, 0, 5)
    settled, lines = settle(loaded, tmp_path)
    assert seeds(settled) == [0, 1, 2, 3, 4] and list(settled.unshipped) == [PPO]
    assert lines == [f"reference {PPO}: 5 seeds are trained: no record of it is shipped"]
    assert not any(settled.restored(cell) for cell in settled.cells if suites.arm_folder(cell) == PPO)
    assert PPO not in map(suites.arm_folder, references.checked(settled, tmp_path / "results"))
    assert settled.plan()["unshipped"] == {PPO: "no record of it is shipped"}


def test_records_of_another_torch_are_trained_anew(loaded: suites.Suite, tmp_path: Path) -> None:
    theirs = next(cell for cell in loaded.cells if cell.implementation == "sb3")
    old = {**loaded.parts(theirs)["versions"], "torch": "2.0.1"}
    ship(loaded, tmp_path / "reports", fingerprint="0", versions=old)
    settled, lines = settle(loaded, tmp_path)
    assert seeds(settled) == [0, 1, 2, 3, 4] and len(settled.unshipped) == 3
    assert all("was 2.0.1" in reason for reason in settled.unshipped.values()) and len(lines) == 3


def train(cell: Cell, tmp_path: Path) -> None:
    """Leave a record in the results as training does, which has progress too."""
    folder, source = tmp_path / "results" / cell.folder, tmp_path / "all" / "shipped" / "records"
    shutil.copytree(source / Path(*cell.folder.parts[1:]), folder)
    who = {name: getattr(cell, name) for name in ("implementation", "algorithm", "environment")}
    row = {**who, "seed": cell.seeds[0], "env_step": 0, "wall_time_s": 1.0, "metric": "loss", "value": 1.0}
    records.write(folder, "progress", [row])


def test_the_plan_is_the_same_before_while_and_after_seeds_are_trained(
    loaded: suites.Suite, tmp_path: Path
) -> None:
    """It is made anew by every process of a run, and by the next run."""
    shutil.copytree(tmp_path / "reports", tmp_path / "all")
    lose(tmp_path, 0, 1, 2, 3)
    before, _ = settle(loaded, tmp_path)
    assert seeds(before) == [0, 1, 2, 3, 4] and list(before.unshipped) == [PPO]
    for cell in before.cells:
        if suites.arm_folder(cell) == PPO:
            train(cell, tmp_path)
            assert settle(loaded, tmp_path)[0] == before
    assert PPO not in map(suites.arm_folder, references.checked(before, tmp_path / "results"))
    tables_reports = tmp_path / "reports" / "tiny"
    shutil.copytree(tmp_path / "all" / "shipped" / "records" / PPO, tables_reports / "records" / PPO)
    (tables_reports / "plan.json").write_text(json.dumps(before.plan()))
    assert settle(loaded, tmp_path) == (before, [])


def test_a_seed_that_was_trained_here_is_no_live_check(loaded: suites.Suite, tmp_path: Path) -> None:
    shutil.copytree(tmp_path / "reports", tmp_path / "all")
    theirs = [cell for cell in loaded.cells if suites.arm_folder(cell) == PPO]
    train(theirs[0], tmp_path)
    settled, _ = settle(loaded, tmp_path)
    assert seeds(settled) == [*range(6)] and not settled.unshipped
    references.fill(settled, tmp_path / "results", tmp_path / "reports")
    first = references.checked(settled, tmp_path / "results")[0]
    assert suites.arm_folder(first) == PPO and first.seeds == (1,)


def test_copies_are_trained_where_the_command_line_asks_for_it(loaded: suites.Suite, tmp_path: Path) -> None:
    """As the report advises where references are not confirmed; else copies would pass for trained."""
    shutil.copytree(tmp_path / "reports", tmp_path / "all")
    theirs = [cell for cell in loaded.cells if suites.arm_folder(cell) == PPO]
    train(theirs[0], tmp_path)
    results = tmp_path / "results"
    references.fill(settle(loaded, tmp_path)[0], results, tmp_path / "reports")
    assert loaded.path is not None
    asked = suites.load(loaded.path, {"references": "train", "algorithms": ["ppo"]})
    pending.update(asked.cells, results)
    assert references.renewed(loaded, results) == []
    assert [cell.seeds[0] for cell in references.renewed(asked, results)] == [1, 2, 3, 4, 5]

    def is_waiting(cell: Cell) -> bool:
        folder = results / cell.folder
        return (folder / "cell.json").stat().st_mtime_ns > (folder / "run.json").stat().st_mtime_ns

    assert [is_waiting(cell) for cell in theirs] == [False] + [True] * 5


def test_copied_records_are_no_longer_marked_as_incomplete(
    loaded: suites.Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else Snakemake trains again what was killed in training before."""
    told: list[Path] = []
    monkeypatch.setattr(references.restore, "unmark", lambda suite, folders: told.extend(folders))
    settled, _ = settle(loaded, tmp_path)
    references.fill(settled, tmp_path / "results", tmp_path / "reports")
    theirs = [cell for cell in settled.cells if settled.restored(cell)]
    assert told == [tmp_path / "results" / cell.folder for cell in theirs]


def test_references_have_seeds_of_their_own(tmp_path: Path) -> None:
    file = tmp_path / "tiny.yaml"
    file.write_text(SUITE + "reference_seeds: {ppo: [0-8]}\n")
    loaded = suites.load(file)
    assert seeds(loaded) == [*range(9)] and seeds(loaded, "CartPole-v1/sb3/a2c") == [*range(6)]
    assert next(cell.seeds for cell in loaded.cells if cell.implementation == "scratch") == (*range(6),)


def row(step: int, value: float, episode: int = 0) -> dict[str, object]:
    who = {"implementation": "sb3", "algorithm": "ppo", "environment": "CartPole-v1", "seed": 0}
    return {**who, "env_step": step, "episode": episode, "protocol": "deterministic", "metric": "return",
            "value": value, "size": 9}  # fmt: skip


def left(folder: Path, ended: list[tuple[int, float]], evaluated: list[tuple[int, float]]) -> Path:
    who = {"implementation": "sb3", "algorithm": "ppo", "environment": "CartPole-v1", "seed": 0}
    episodes = [
        {**who, "env_step": step, "episode_return": value, "episode_length": 9} for step, value in ended
    ]
    records.write(folder, "episodes", episodes)
    records.write(folder, "evaluations", [row(step, value) for step, value in evaluated])
    return folder


def test_the_first_row_that_differs_is_named_in_the_order_of_training(tmp_path: Path) -> None:
    ended, evaluated = [(9, 9.0), (18, 9.0), (30, 12.0)], [(0, 9.0), (20, 10.0)]
    then = left(tmp_path / "then", ended, evaluated)

    def found(ended: list[tuple[int, float]], evaluated: list[tuple[int, float]]) -> str | None:
        return live_check.first_difference(then, left(tmp_path / "now", ended, evaluated))

    assert found(ended, evaluated) is None
    tiniest = math.nextafter(10.0, 11)
    other = found([*ended[:2], (30, 13.0)], [(0, 9.0), (20, tiniest)])
    assert other == (
        "deterministic episode 0 of the evaluation at environment step 20: "
        "value is 10.000000000000002, was 10.0"
    )
    assert "step 18: env_step is 17, was 18" in str(found([(9, 9.0), (17, 9.0), (30, 12.0)], evaluated))
    assert "step 30 is in the record, and did not come again" in str(found(ended[:2], evaluated))
    assert "step 40 is new" in str(found([*ended, (40, 10.0)], evaluated))


def test_a_check_trains_the_seed_and_finds_what_was_changed(tmp_path: Path) -> None:
    file = tmp_path / "tiny.yaml"
    text = SUITE.replace("budgets: {default: 4000}", "budgets: {default: 256}").replace("[0-5]", "[3]")
    file.write_text(text.replace("algorithms: [random, ppo, a2c]", "algorithms: [random, ppo]"))
    cell = next(cell for cell in suites.load(file).cells if cell.implementation == "sb3")
    first = live_check.folder_of(cell, tmp_path)
    shipped = tmp_path / cell.folder
    assert first == tmp_path / "tiny" / "live" / "CartPole-v1" / "sb3" / "ppo" / "seeds-3-3"
    from rlparity.runs.run_cell import run_cell

    run_cell(cell, shipped)
    same = live_check.check(cell, shipped, first)
    assert same["difference"] is None and same["same_machine"]
    assert json.loads((first / live_check.FILE).read_text()) == same
    assert [check for check, _ in live_check.gather([cell], tmp_path)] == [same]
    run = json.loads((shipped / "run.json").read_text())
    run["hardware"]["instructions"] = "other"
    (shipped / "run.json").write_text(json.dumps(run))
    table = records.pq.read_table(shipped / "episodes.parquet").to_pylist()
    table[-1]["episode_return"] += 1
    records.write(shipped, "episodes", table)
    other = live_check.check(cell, shipped, first)
    assert "the episode that ended at" in other["difference"] and not other["same_machine"]
    assert other["trained_on"] == host.hardware()["cpu"]


def test_the_prediction_interval_by_hand_and_by_draws() -> None:
    low, high = live_checks.prediction_interval([1.0, 2.0, 3.0])
    half = 31.59905457644 * math.sqrt(4 / 3)  # 0.9995 quantile of Student's t with 2 degrees of freedom
    assert low == pytest.approx(2 - half) and high == pytest.approx(2 + half)
    rng = np.random.default_rng(0)
    draws = rng.normal(5, 2, (4000, 21))
    inside = [
        low <= x[-1] <= high for x in draws for low, high in [live_checks.prediction_interval(x[:-1], 0.9)]
    ]
    assert np.mean(inside) == pytest.approx(0.9, abs=4 * math.sqrt(0.09 / 4000))


def checks_of(cell: Cell, **changes: object) -> dict[str, object]:
    machines = {"shipped_on": "A", "trained_on": "B"}
    return {
        "cell": json.loads(cell.to_json()),
        "difference": None,
        "same_machine": False,
        **machines,
        **changes,
    }


@pytest.mark.parametrize(
    ("shift", "same_machine", "difference", "outcome"),
    [
        (0.0, True, None, "same rows"),
        (0.0, False, None, "same rows"),
        (3.0, True, "a row", "other rows"),
        (3.0, False, "a row", "inside"),
        (-400.0, False, "a row", "outside"),
    ],
)
def test_outcomes_of_a_live_check(
    tmp_path: Path, shift: float, same_machine: bool, difference: str | None, outcome: str
) -> None:
    made = Suite(seeds=8)
    folder = finish(made, tmp_path)
    tables = tmp_path / "results" / made.name / "tables"
    cell = next(cell for cell in made.cells if cell.implementation == "sb3" and cell.algorithm == "ppo")
    evaluations = records.pq.read_table(tmp_path / "results" / cell.folder / "evaluations.parquet")
    frame = evaluations.to_pandas()
    frame["value"] += shift
    shifted = records.pa.Table.from_pandas(frame, schema=evaluations.schema, preserve_index=False)
    check = checks_of(cell, same_machine=same_machine, difference=difference)
    live_checks.keep([(check, shifted)], tables)
    live_checks.analyse(tables, folder)
    (found,) = pd.read_csv(folder / "live_checks.csv").to_dict("records")
    assert found["outcome"] == outcome and found["seeds"] == 8
    scores = pd.read_csv(folder / "scores.csv")
    pool = scores[(scores.implementation == "sb3") & (scores.algorithm == "ppo") & (scores.endpoint == "auc")]
    own = pool.value[pool.seed == 0].item()
    assert found["value"] == pytest.approx(own + shift)
    live_checks.keep([], tables)
    live_checks.analyse(tables, folder)
    assert not (folder / "live_checks.csv").exists()


@pytest.mark.parametrize(("seeds", "status"), [(1, "done"), (8, "failed")])
def test_what_cannot_be_judged_is_neither_inside_nor_outside(tmp_path: Path, seeds: int, status: str) -> None:
    """One shipped seed has no range; a seed that failed has no score."""
    made = Suite(seeds=8)
    folder = finish(made, tmp_path)
    tables = tmp_path / "results" / made.name / "tables"
    cell = next(cell for cell in made.cells if cell.implementation == "sb3" and cell.algorithm == "ppo")
    evaluations = records.pq.read_table(tmp_path / "results" / cell.folder / "evaluations.parquet")
    scores = analysis_tables.read(folder / "scores.csv")
    runs = analysis_tables.read(tables / "runs.parquet")
    runs.loc[runs.implementation == "sb3", "status"] = status
    checks = [checks_of(cell, difference="a row")]
    plan = json.loads((tables / "plan.json").read_text())
    found = live_checks.judged(checks, evaluations.to_pandas(), runs, scores[scores.seed < seeds], plan)
    assert found.outcome.tolist() == ["not judged"]


def test_a_gpu_promises_no_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cell = Cell("s", "CartPole-v1", "sb3", "ppo", "ppo", (0,), 1000, device="cuda")
    machine = {"hardware": {"cpu": "A", "instructions": "AVX2"}}
    monkeypatch.setattr(live_check, "check_code", lambda cell: None)
    monkeypatch.setattr(live_check.pending, "up_to_date", lambda cell, folder: True)
    monkeypatch.setattr(live_check.pending, "finished", lambda folder: machine)
    then = left(tmp_path / "then", [(9, 9.0)], [(0, 9.0)])
    now = left(tmp_path / "now", [(9, 9.0)], [(0, 9.5)])
    assert not live_check.check(cell, then, now)["same_machine"]
    assert live_check.check(dataclasses.replace(cell, device="cpu"), then, now)["same_machine"]


def test_the_page_is_headlined_where_a_reference_is_not_confirmed(tmp_path: Path) -> None:
    folder = fake_report(tmp_path / "invented")
    row = {
        "implementation": "sb3", "algorithm": "ppo", "environment": "CartPole-v1", "metric": "return",
        "seed": 0, "endpoint": "auc", "value": 12.0, "low": 300.0, "high": 500.0, "seeds": 60,
        "difference": "a row", "shipped_on": "A", "trained_on": "B",
    }  # fmt: skip

    def page(outcome: str) -> str:
        pd.DataFrame([{**row, "outcome": outcome}]).to_csv(folder / "live_checks.csv", index=False)
        report.render(folder)
        return (folder / "index.html").read_text() + (folder / "README.md").read_text()

    confirmed, headline = page("inside"), "references not confirmed here"
    assert headline not in confirmed and "a score within their range" in confirmed
    for outcome, words in (
        ("outside", "outside [300, 500]"),
        ("other rows", "has other rows: a row"),
        ("not judged", "could not be judged by its score: it has no score"),
    ):
        text = page(outcome)
        assert text.count(f"({headline})") >= 2 and words in text
        assert "--config references=train" in text
    assert headline in report.render(folder)
    report.render_index(tmp_path)
    assert headline in (tmp_path / "index.html").read_text()
