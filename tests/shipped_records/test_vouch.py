"""Vouching: equal rows keep records valid, and nothing else does. Cells are small and really trained."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from invented import fake_report, write_run
from small import cell as small_cell

from rlparity.analysis import tables
from rlparity.cell import Cell, Protocol
from rlparity.environments import metadata
from rlparity.environments.normalization import Normalised
from rlparity.errors import UserError
from rlparity.nn import networks
from rlparity.provenance import fingerprint, host
from rlparity.references import sb3
from rlparity.reporting.pages import provenance as facts
from rlparity.reporting.report_folder import Folder
from rlparity.runs import pending, run_cell
from rlparity.shipped_records import restore, retrain, vouch
from rlparity.shipped_records.retrain import Comparison, Difference, Enough
from rlparity.shipped_records.vouch import Finding, Group, Record
from rlparity.suites import suite as suites
from rlparity.suites.suite import Suite
from rlparity.training import loop as train
from rlparity.training.recorder import Recorder
from rlparity.transitions import Episode

pytestmark = pytest.mark.filterwarnings("ignore:You have specified a mini-batch size")
RAW: dict[str, Any] = {
    "name": "tiny",
    "title": "Tiny",
    "environments": ["CartPole-v1"],
    "algorithms": ["random", "a2c"],
    "implementations": ["scratch", "sb3"],
    "seeds": ["0-1", "2"],
    "budgets": {"default": 1600},
    "evaluation": {"points": 8, "episodes": 2, "final_episodes": 2},
}
OLD = {"fingerprint": "of older sources", "source_hash": "older"}
GIT = {"commit": "c0ffee" + 34 * "0", "dirty": False}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Suite, Path]:
    """A suite of nine cells and a report that ships their records: two blocks of two agents, SB3's seeds."""
    suite, reports = suites.resolve(RAW, "tiny"), tmp_path_factory.mktemp("trained")
    for cell in suite.cells:
        ship(cell, reports / "tiny" / "records" / Path(*cell.folder.parts[1:]))
    return suite, reports


def ship(cell: Cell, folder: Path) -> None:
    """Train a cell; its run.json says that older sources did."""
    run_cell.run_cell(cell, folder)
    for name in (".lock", "progress.parquet"):
        (folder / name).unlink()
    amend(folder, **OLD)


def amend(folder: Path, **changes: Any) -> None:
    run = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(run | changes, indent=1, sort_keys=True))


@pytest.fixture
def tiny(trained: tuple[Suite, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Suite, Path]:
    """A copy of it; seeds are trained again in this process."""
    suite, reports = trained
    subprocess.run(["cp", "-r", str(reports), str(tmp_path / "reports")], check=True)
    monkeypatch.setattr(host, "git", lambda: dict(GIT))

    def here(suite: Suite, group: Group, share: float) -> tuple[Finding, float]:
        record, seed = group.chosen
        alone = replace(record.cell, seeds=(seed,))
        alone = replace(alone, fingerprint=fingerprint.text_hash(suite.parts(alone)))
        return retrain.retrain_part(alone, record.shipped.folder, share), 0.0

    monkeypatch.setattr(vouch, "_retrain", here)
    return suite, tmp_path / "reports"


def run_jsons(reports: Path) -> dict[str, dict[str, Any]]:
    """By cell, such as scratch/a2c/seeds-0-1."""
    files = sorted(reports.glob("tiny/records/CartPole-v1/**/run.json"))
    return {"/".join(file.parts[-4:-1]): json.loads(file.read_text()) for file in files}


def ask(suite: Suite, reports: Path, **options: Any) -> tuple[bool, list[str]]:
    """Whether all is valid, and the lines said."""
    lines: list[str] = []
    asked = vouch.cells(suite, **options)
    return vouch.vouch(suite, asked, reports, 0.1, 1, lines.append), lines


def test_equal_rows_make_every_record_of_a_kind_valid(tiny: tuple[Suite, Path], tmp_path: Path) -> None:
    suite, reports = tiny
    before = run_jsons(reports)
    stale = [restore.choose(cell, restore.shipped(reports), suite.parts(cell)) for cell in suite.cells]
    assert stale == [(None, "the sources changed")] * 7
    valid, lines = ask(suite, reports)
    assert valid and lines[-1] == "7 vouched for, 0 valid already, 0 stale, 0 not shipped"
    assert [line.split(":")[0] for line in lines[:-1]] == [
        "1/3  CartPole-v1 scratch/random, seed 0",
        "2/3  CartPole-v1 scratch/a2c, seed 0",
        "3/3  CartPole-v1 sb3/a2c, seed 0",
    ]
    after = run_jsons(reports)
    for cell in suite.cells:
        run = after["/".join(cell.folder.parts[2:])]
        (entry,) = run.pop("vouched")
        assert run == before["/".join(cell.folder.parts[2:])]
        assert entry["fingerprint"] == cell.fingerprint and entry["git"] == GIT and entry["seed"] == 0
        assert entry["source_hash"] == fingerprint.source_hash(cell)
        # a tenth of 1600 is step 160; two evaluations after different updates end at 400 (eight worlds)
        assert entry["env_step"] == (161 if cell.algorithm == "random" else 408)
        assert entry["rows"] > 4 and entry["date"][:2] == "20"
    assert ask(suite, reports) == (
        True,
        ["nothing to vouch for: 0 vouched for, 7 valid already, 0 stale, 0 not shipped"],
    )
    told = restore.restore(suite, tmp_path / "results", reports)
    assert told.splitlines()[-1] == "7 restored, 0 there already, 0 stale, 0 not shipped"
    for cell in suite.cells:
        folder = tmp_path / "results" / cell.folder
        assert (
            pending.up_to_date(cell, folder)
            and tables.read_run(folder, cell)["fingerprint"] == OLD["fingerprint"]
        )
        assert not pending.up_to_date(replace(cell, fingerprint="another"), folder)
    assert pending.update(suite.cells, tmp_path / "results") == []


def test_what_a_fingerprint_made_comes_before_what_was_vouched_for(tiny: tuple[Suite, Path]) -> None:
    suite, _ = tiny
    made, told = (
        {"fingerprint": suite.cells[0].fingerprint},
        {"vouched": [{"fingerprint": suite.cells[0].fingerprint}]},
    )
    catalogue = [restore.Shipped(Path("told"), told), restore.Shipped(Path("made"), made)]
    assert all(suite.cells[0].accepts(one.run) for one in catalogue)
    _, reason = restore.choose(suite.cells[0], catalogue, suite.parts(suite.cells[0]))
    assert reason is not None and reason.startswith("made/episodes.parquet is not the file")


def test_vouchers_of_later_sources_are_added(tiny: tuple[Suite, Path]) -> None:
    suite, reports = tiny
    amend(reports / "tiny/records/CartPole-v1/scratch/random/seeds-0-1", vouched=[{"fingerprint": "between"}])
    assert ask(suite, reports, algorithms=["random"])[0]
    entries = run_jsons(reports)["scratch/random/seeds-0-1"]["vouched"]
    assert [entry["fingerprint"] for entry in entries] == ["between", suite.cells[0].fingerprint]


def test_a_changed_number_is_refused(tiny: tuple[Suite, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    suite, reports = tiny
    before = run_jsons(reports)
    schedule = networks.linear_schedule
    monkeypatch.setattr(networks, "linear_schedule", lambda *words: schedule(*words) * 1.5)
    valid, lines = ask(suite, reports, algorithms=["a2c"])
    assert not valid and lines[-1] == "3 vouched for, 0 valid already, 2 stale, 0 not shipped"
    assert lines[0].startswith("1/2  CartPole-v1 scratch/a2c, seed 0: DIFFERS after ")
    assert " is " in lines[0] and ", was " in lines[0] and "; 2 records stale" in lines[0]
    after = run_jsons(reports)
    changed = {name for name, run in after.items() if run != before[name]}
    assert changed == {f"sb3/a2c/seeds-{seed}-{seed}" for seed in (0, 1, 2)}


def test_what_else_differs_is_not_vouched_for(
    tiny: tuple[Suite, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    suite, reports = tiny
    monkeypatch.setattr(vouch, "_retrain", lambda *_: pytest.fail("nothing is to be trained"))
    records = reports / "tiny" / "records" / "CartPole-v1"
    for folder in (records / "sb3" / "a2c").iterdir():
        run = json.loads((folder / "run.json").read_text())
        amend(folder, versions=run["versions"] | {"torch": "2.1.0+cpu"})
    damaged = records / "scratch" / "a2c" / "seeds-0-1" / "evaluations.parquet"
    damaged.write_bytes(damaged.read_bytes() + b"!")
    other = records / "scratch" / "a2c" / "seeds-2-2"
    run = json.loads((other / "run.json").read_text())
    amend(other, cell=run["cell"] | {"budget": 800})
    before = run_jsons(reports)
    valid, lines = ask(suite, reports, algorithms=["a2c"])
    torch = suite.parts(suite.cells[0])["versions"]["torch"]
    assert lines == [
        "stale  tiny/CartPole-v1/scratch/a2c/seeds-0-1: evaluations.parquet is not the file "
        "whose hash run.json has",
        "stale  tiny/CartPole-v1/scratch/a2c/seeds-2-2: budget is 1600, was 800",
        *(f"stale  tiny/CartPole-v1/sb3/a2c/seeds-{s}-{s}: torch is {torch}, was 2.1.0" for s in (0, 1, 2)),
        "0 vouched for, 0 valid already, 5 stale, 0 not shipped",
    ]
    assert not valid and run_jsons(reports) == before


def test_a_field_that_records_do_not_know_counts_as_its_default(tiny: tuple[Suite, Path]) -> None:
    suite, _ = tiny
    cell = suite.cells[0]
    run = {"cell": json.loads(cell.to_json()), "versions": suite.parts(cell)["versions"]}
    del run["cell"]["device"], run["cell"]["normalize"]
    assert fingerprint.besides_sources(cell, suite.parts(cell), run) == []
    other = replace(cell, normalize=True)
    assert fingerprint.besides_sources(other, suite.parts(other), run) == ["normalize is True, was False"]
    del run["versions"]["numpy"]
    assert "numpy is " in fingerprint.besides_sources(cell, suite.parts(cell), run)[0]


@pytest.mark.parametrize(
    ("git", "expected"),
    [
        ({"commit": "abc", "dirty": True}, "uncommitted changes"),
        ({"commit": None, "dirty": None}, "no git checkout"),
    ],
)
def test_a_voucher_needs_a_commit(
    tiny: tuple[Suite, Path], monkeypatch: pytest.MonkeyPatch, git: dict[str, Any], expected: str
) -> None:
    monkeypatch.setattr(host, "git", lambda: git)
    with pytest.raises(UserError, match=expected) as refused:
        ask(*tiny)
    assert "\n" not in str(refused.value)


def test_unknown_names_are_refused(tiny: tuple[Suite, Path]) -> None:
    suite, _ = tiny
    with pytest.raises(UserError, match=r"unknown algorithm 'a2cc'.*did you mean 'a2c'"):
        vouch.cells(suite, algorithms=["a2cc"])
    with pytest.raises(UserError, match="unknown environment"):
        vouch.cells(suite, environments=["CartPole"])
    assert len(vouch.cells(suite, ["CartPole-v1"], ["random"])) == 2


def test_records_of_other_sources_or_machines_are_kinds_of_their_own(tiny: tuple[Suite, Path]) -> None:
    suite, reports = tiny
    records = reports / "tiny" / "records" / "CartPole-v1" / "sb3" / "a2c"
    asked = vouch.cells(suite, algorithms=["a2c"])

    def kinds() -> list[list[tuple[int, ...]]]:
        groups = vouch.take_stock(suite, asked, reports).groups.values()
        return [[record.cell.seeds for record in group.records] for group in groups]

    assert kinds() == [[(0, 1), (2,)], [(0,), (1,), (2,)]]
    amend(records / "seeds-1-1", source_hash="older still")
    assert kinds() == [[(0, 1), (2,)], [(0,), (2,)], [(1,)]]
    amend(records / "seeds-2-2", hardware={"cpu": "another"})
    assert kinds() == [[(0, 1), (2,)], [(0,)], [(1,)], [(2,)]]
    places = suite.environments["CartPole-v1"]
    own = replace(
        suite, environments={"CartPole-v1": replace(places, info=replace(places.info, module="json"))}
    )
    amend(reports / "tiny/records/CartPole-v1/scratch/a2c/seeds-2-2", fingerprint="its own")
    assert len(vouch.take_stock(own, asked, reports).groups) == 4


def test_a_seed_that_did_not_fail_is_chosen() -> None:
    def record(failed: dict[str, str], *seeds: int) -> Record:
        return Record(small_cell("a2c", seeds), restore.Shipped(Path(), {"failed_seeds": failed}))

    broken, sound = record({"0": "NaN", "1": "NaN"}, 0, 1), record({"2": "NaN"}, 2, 3)
    assert Group([broken, sound]).chosen == (sound, 3)
    assert Group([broken]).chosen == (broken, 0)
    assert Group([record({}, 4, 5), sound]).chosen[1] == 4


def fingerprinted(cell: Cell) -> Cell:
    world = metadata.probe(cell.environment)
    return replace(cell, fingerprint=fingerprint.of(cell, world.simulator, world.module))


FOUR = Protocol(points=4, episodes=2, final_episodes=2)
ALL_KINDS = [
    ("reinforce", "scratch", {}),
    (
        "ppo",
        "scratch",
        {"normalize": True, "n_envs": 4, "hyperparameters": {"n_steps": 16, "batch_size": 32}},
    ),
    ("dqn", "scratch", {"hyperparameters": {"target_update_interval": 50}}),
    ("td3", "scratch", {"budget": 400}),
    ("ppo", "sb3", {"normalize": True, "n_envs": 4, "hyperparameters": {"n_steps": 16, "batch_size": 32}}),
    ("dqn", "sb3", {"hyperparameters": {"target_update_interval": 50}}),
]


@pytest.mark.parametrize(("algorithm", "implementation", "changes"), ALL_KINDS)
def test_every_kind_of_learner_repeats_its_rows(
    algorithm: str, implementation: str, changes: dict[str, Any], tmp_path: Path
) -> None:
    """Seed 4 of a block, again by itself; SB3's are single."""
    seeds = (3, 4) if implementation == "scratch" else (4,)
    cell = small_cell(algorithm, seeds, implementation=implementation, evaluation=FOUR, **changes)
    ship(cell, tmp_path)
    finding = retrain.retrain_part(fingerprinted(replace(cell, seeds=(4,))), tmp_path, 0.1)
    assert finding.difference is None and finding.rows >= 6  # three evaluations of two games
    assert cell.budget / 4 < finding.env_step < cell.budget


def test_a_share_of_one_is_the_whole_seed(tmp_path: Path) -> None:
    cell = fingerprinted(small_cell("a2c", (4,), evaluation=FOUR))
    ship(cell, tmp_path)
    finding = retrain.retrain_part(cell, tmp_path, 1.0)
    rows = train.run(cell)
    assert finding == Finding(cell.budget, len(rows.episodes) + len(rows.evaluations))


def test_edited_sources_are_noticed_by_the_process_that_trains(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="edited meanwhile"):
        retrain.retrain_part(replace(small_cell("a2c"), fingerprint="of yesterday"), tmp_path, 0.1)


def test_replay_learners_go_on_until_a_target_network_was_copied() -> None:
    dqn = small_cell(
        "dqn", budget=5000, hyperparameters={"learning_starts": 300, "target_update_interval": 900}
    )
    assert retrain.least(dqn, 0.1) == 1200 and retrain.least(dqn, 0.5) == 2500
    assert retrain.least(replace(dqn, budget=1000), 0.1) == 1000
    assert retrain.least(replace(dqn, implementation="sb3", hyperparameters={}), 0.1) == 5000  # 100 + 10,000
    assert retrain.least(small_cell("ppo", budget=5000), 0.1) == 500


def game(env_step: int, total: float) -> dict[str, Any]:
    names = {"implementation": "scratch", "algorithm": "a2c", "environment": "CartPole-v1", "seed": 0}
    return {**names, "env_step": env_step, "episode_return": total, "episode_length": 1}


def compare(*left: dict[str, Any], failure: str | None = None, least: int = 1000) -> Comparison:
    return Comparison(
        small_cell("a2c", budget=100), {"episodes": list(left), "evaluations": []}, failure, least
    )


def ends(comparison: Comparison, env_step: int, total: float) -> None:
    """A game ends at a step."""
    comparison.rows.ended([Episode(0, 0, env_step, total, 1)])
    comparison(env_step, ())


def test_rows_are_equal_to_the_last_bit() -> None:
    comparison = compare(game(10, 0.1 + 0.2), game(20, float("nan")), game(30, 0.0))
    ends(comparison, 10, 0.1 + 0.2)
    ends(comparison, 20, float("nan"))
    assert comparison.n_rows == 2
    with pytest.raises(
        Difference, match=r"^the game that ended at environment step 30: episode_return is -0.0, was 0.0"
    ):
        ends(comparison, 30, -0.0)
    with pytest.raises(Difference, match=r"episode_return is 0.3, was 0.30000000000000004"):
        ends(compare(game(10, 0.1 + 0.2)), 10, 0.3)
    with pytest.raises(Difference, match=r"step 11: env_step is 10, was 11$"):
        ends(compare(game(11, 1.0)), 10, 1.0)


def test_rows_too_many_or_too_few_are_differences() -> None:
    with pytest.raises(Difference, match="step 10 is not in the record"):
        ends(compare(), 10, 1.0)
    comparison = compare(game(10, 1.0))
    comparison(9, ())
    comparison.close(whole=False)
    comparison(10, ())
    with pytest.raises(Difference, match="step 10 is in the record, and did not come again"):
        comparison.close(whole=False)
    late = compare(game(90, 1.0))
    late(50, ())
    late.close(whole=False)
    with pytest.raises(Difference, match="did not come again"):
        late.close(whole=True)


def test_an_evaluation_at_the_last_step_is_still_to_come() -> None:
    row = {**game(20, 1.0), "episode": 3, "protocol": "sampled"}
    comparison = Comparison(small_cell("a2c", budget=100), {"episodes": [], "evaluations": [row]}, None, 10)
    comparison(20, ())
    comparison.close(whole=False)
    comparison(21, ())
    with pytest.raises(
        Difference, match=r"^sampled game 3 of the evaluation at environment step 20 is in the record"
    ):
        comparison.close(whole=False)


def test_a_seed_that_fails_must_have_failed_so() -> None:
    for now, then, whole in [("loss", None, False), (None, "loss", True), ("loss", "another", True)]:
        comparison = compare(failure=then)
        comparison.rows.failed |= {0: now} if now else {}
        with pytest.raises(Difference, match="the seed ended with"):
            comparison.close(whole)
    compare(failure="later").close(whole=False)


def test_it_ends_after_two_evaluations_that_saw_different_updates() -> None:
    comparison = compare(least=5)

    def evaluated(env_step: int, **metrics: float) -> None:
        for name, value in {"evaluation_time_s": float(env_step), **metrics}.items():
            comparison.rows.progress.append({"env_step": env_step, "metric": name, "value": value})
        comparison(env_step + 1, ())

    evaluated(0)
    evaluated(10, loss=1.0)
    evaluated(20, loss=1.0)  # no update in between
    with pytest.raises(Enough):
        evaluated(30, loss=2.0)
    learner = replace(comparison.cell, agent="random", algorithm="random")
    random = Comparison(learner, {"episodes": [], "evaluations": []}, None, 5)
    random(5, ())
    with pytest.raises(Enough):
        random(6, ())
    Comparison(learner, {"episodes": [], "evaluations": []}, None, 5)(100, ())  # the budget: the loop ends it


@pytest.mark.parametrize(("implementation", "trainer"), [("scratch", train), ("sb3", sb3)])
def test_rows_outlive_a_watch_that_ends_the_training(
    implementation: str, trainer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = small_cell("a2c", (4,), implementation=implementation, normalize=True)
    closed: list[type] = []
    for kind in (trainer.Evaluator, Normalised, sb3.VecNormalize):
        monkeypatch.setattr(kind, "close", lambda self: closed.append(type(self)))

    def watch(env_step: int, ended: Any) -> None:
        if env_step > 300:
            raise Enough

    rows = Recorder(cell)
    with pytest.raises(Enough):
        trainer.run(cell, watch, rows=rows)
    assert rows.episodes and {row["env_step"] for row in rows.evaluations} == {0, 264}
    assert closed == [
        trainer.Evaluator,
        Normalised if implementation == "scratch" else sb3.VecNormalize,
    ]


def test_the_page_says_what_was_vouched_for(tmp_path: Path) -> None:
    folder = fake_report(tmp_path / "invented", algorithms=("ppo",), budget=1000)
    assert facts.vouched(Folder(folder)) == []
    ours, theirs = Folder(folder).plan["cells"]
    older = {"git": {"commit": "a" * 40}, "env_step": 999}
    write_run(folder, ours, vouched=[older, {"git": {"commit": "b" * 40}, "env_step": 109}])
    assert facts.vouched(Folder(folder)) == [
        "1 of 2 records, by commit bbbbbbbbbbbb: of each kind one seed was trained again, "
        "to the same rows over the first 10 % of its budget"
    ]
    write_run(folder, theirs, vouched=[{"git": {"commit": "b" * 40}, "env_step": 200}])
    (line,) = facts.vouched(Folder(folder))
    assert line.startswith("2 of 2 records") and line.endswith("the first 10 % to 20 % of its budget")
    assert facts.provenance(Folder(folder))["vouched"] == [line]


@pytest.fixture
def checkout(trained: tuple[Suite, Path], tmp_path: Path) -> Iterator[Path]:
    """A git checkout with the suite and its report, in which commands are run."""
    subprocess.run(["cp", "-r", str(trained[1]), str(tmp_path / "reports")], check=True)
    (tmp_path / "tiny.yaml").write_text(json.dumps(RAW))
    person = ["-c", "user.name=a", "-c", "user.email=b"]
    for words in (["init", "-q"], ["add", "."], [*person, "commit", "-qm", "c"]):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    yield tmp_path


def test_the_command(checkout: Path) -> None:
    def command(*words: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONPATH": ":".join(filter(None, sys.path))}
        return subprocess.run(
            [sys.executable, "-m", "rlparity", "vouch", "tiny.yaml", *words],
            cwd=checkout,
            env=environment,
            capture_output=True,
            text=True,
        )

    done = command("--algorithms", "random")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "rows equal up to environment step 161 of 1,600; 2 records vouched for (" in lines[0]
    assert lines[1:] == ["2 vouched for, 0 valid already, 0 stale, 0 not shipped"]
    entry = run_jsons(checkout / "reports")["scratch/random/seeds-2-2"]["vouched"][0]
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=checkout, capture_output=True, text=True
    ).stdout.strip()
    assert entry["git"] == {"commit": head, "dirty": False}  # reports may change, sources may not
    (checkout / "tiny.yaml").write_text(json.dumps(RAW) + "\n")
    refused = command()
    assert refused.returncode == 2 and refused.stderr.count("\n") == 1 and "uncommitted" in refused.stderr
    (checkout / "tiny.yaml").write_text(json.dumps(RAW))
    (checkout / "src").mkdir(exist_ok=True)
    (checkout / "src" / "new.py").touch()  # a module that the commit lacks
    refused = command()
    assert refused.returncode == 2 and "uncommitted" in refused.stderr
    refused = command("--share", "0")
    assert refused.returncode == 2 and refused.stderr.count("\n") == 1 and "--share 0" in refused.stderr
