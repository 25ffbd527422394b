"""What the pipeline plans, by dry runs on a copy of the repository with made-up results."""

from __future__ import annotations

import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from checkouts import Checkout, copied
from forks import Server

from rlparity.__main__ import main

pytestmark = pytest.mark.whole

ROOT = Path(__file__).parents[2]
SUITE = """\
name: tiny
title: Tiny
environments: [CartPole-v1]
algorithms: [random, ppo, a2c]
implementations: [scratch, sb3]
seeds: [0-1]
budgets: {default: 1024}
evaluation: {points: 2, episodes: 2, final_episodes: 2}
"""
PPO = "src/rlparity/agents/policy_gradient/ppo.py"
EVALUATION = "src/rlparity/training/evaluation.py"
FIGURES = "src/rlparity/reporting/figures/draw.py"
SCRATCH = {("scratch", name, "seeds-0-1") for name in ("random", "ppo", "a2c")}
SB3 = {("sb3", name, f"seeds-{seed}-{seed}") for name in ("ppo", "a2c") for seed in (0, 1)}
PRESENTING = {"collect", "analyse", "draw", "render", "list_suites", "check_seeds"}
FINISH = """
import hashlib, json, pathlib
from rlparity import records
from rlparity.provenance import fingerprint
from rlparity.runs import pending
from rlparity.suites import suite
checked = suite.load(pathlib.Path("tiny.yaml"))
for cell in checked.cells:
    folder = pathlib.Path("results") / cell.folder
    for kind in records.SCHEMAS:
        records.write(folder, kind, [])
    names = ("episodes.parquet", "evaluations.parquet")
    run = {
        "status": "done", "failed_seeds": {},
        "cell": json.loads(cell.to_json()), "fingerprint": cell.fingerprint,
        "hashes": {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names},
        "source_hash": fingerprint.source_hash(cell), "versions": checked.parts(cell)["versions"],
    }
    (folder / "run.json").write_text(json.dumps(run))
pending.update(checked.cells, pathlib.Path("results"))
tables = pathlib.Path("results/tiny/tables")
tables.mkdir()
(tables / "plan.json").write_text(json.dumps(checked.plan()))
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server() as started:
        yield started


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, server: Server) -> Checkout:
    """A checkout in which the suite is trained and reported."""
    path = tmp_path_factory.mktemp("finished") / "checkout"
    copied(path)
    (path / "tiny.yaml").write_text(SUITE)
    checkout = Checkout(path, server)
    made = checkout.run("-c", FINISH)
    assert made.returncode == 0, made.stderr
    summary = checkout.snakemake("--summary").stdout.splitlines()[1:]
    for name in (line.split("\t")[0] for line in summary):
        if name.endswith("/figures"):
            (path / name).mkdir(parents=True)
        elif not (path / name).exists():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).touch()
    touched = checkout.snakemake("--touch", "--cores", "1")
    assert touched.returncode == 0, touched.stderr
    return checkout


@pytest.fixture
def checkout(finished: Checkout, tmp_path: Path) -> Checkout:
    """A copy of it, to be edited."""
    shutil.copytree(finished.path, tmp_path / "checkout")
    return Checkout(tmp_path / "checkout", finished.server)


def test_nothing_to_do_and_comments_change_nothing(checkout: Checkout) -> None:
    assert checkout.plan() == (set(), Counter())
    for name in (PPO, EVALUATION, FIGURES):
        checkout.edit(name, append="\n# a comment\n")
    assert checkout.plan() == (set(), Counter())


def test_a_new_range_of_seeds_trains_the_new_block_only(checkout: Checkout) -> None:
    checkout.edit("tiny.yaml", "[0-1]", "[0-1, 2-3]")
    cells, others = checkout.plan()
    assert {cell for cell in cells if cell[0] == "scratch"} == {(*cell[:2], "seeds-2-3") for cell in SCRATCH}
    assert {seeds for arm, _, seeds in cells if arm == "sb3"} == {"seeds-2-2", "seeds-3-3"}
    assert len(cells) == 3 + 4 and set(others) == PRESENTING


def test_a_new_algorithm_trains_itself_only(checkout: Checkout) -> None:
    checkout.edit("tiny.yaml", "a2c]", "a2c, dqn]")
    cells, others = checkout.plan()
    assert cells == {
        ("scratch", "dqn", "seeds-0-1"),
        ("sb3", "dqn", "seeds-0-0"),
        ("sb3", "dqn", "seeds-1-1"),
    }
    assert set(others) == PRESENTING


def test_an_edited_agent_trains_itself_only(checkout: Checkout) -> None:
    checkout.edit_classes(PPO)
    cells, others = checkout.plan()
    assert cells == {("scratch", "ppo", "seeds-0-1")} and set(others) == PRESENTING


def test_an_edited_plot_or_template_only_renders(checkout: Checkout) -> None:
    checkout.edit("src/rlparity/reporting/templates/report.html", append="<!-- more -->\n")
    assert checkout.plan() == (set(), Counter(render=1, list_suites=1, check_seeds=1))
    checkout.edit(FIGURES, append="\nADDED = 1\n")
    cells, others = checkout.plan()
    assert not cells and others["draw"] == others["render"] == 1 and "collect" not in others


def test_films_are_made_when_a_suite_asks_for_them_and_train_nothing(checkout: Checkout) -> None:
    checkout.edit("tiny.yaml", append="films: true\n")
    cells, others = checkout.plan()
    assert cells == set() and others["film"] == others["render"] == 1
    checkout.edit("tiny.yaml", "films: true\n")
    assert "film" not in checkout.plan()[1]


def test_an_edited_evaluator_trains_every_cell(checkout: Checkout) -> None:
    checkout.edit_classes(EVALUATION)
    assert checkout.plan()[0] == SCRATCH | SB3


def test_an_edited_evaluator_trains_every_cell_without_snakemakes_notes(checkout: Checkout) -> None:
    shutil.rmtree(checkout.path / ".snakemake")
    assert checkout.plan() == (set(), Counter())
    checkout.edit_classes(EVALUATION)
    assert checkout.plan()[0] == SCRATCH | SB3


def test_restored_records_are_not_retrained_and_stale_ones_are_named(checkout: Checkout) -> None:
    results, records = checkout.path / "results" / "tiny", checkout.path / "reports" / "other" / "records"
    shutil.copytree(
        results / "CartPole-v1", records / "CartPole-v1"
    )  # as another suite's report carries them
    shutil.rmtree(results)
    shutil.rmtree(checkout.path / ".snakemake")
    assert checkout.plan()[0] == SCRATCH | SB3
    damaged = records / "CartPole-v1" / "sb3" / "ppo" / "seeds-0-0" / "episodes.parquet"
    damaged.write_bytes(damaged.read_bytes() + b"!")
    checkout.edit("tiny.yaml", append="hyperparameters: {a2c: {gamma: 0.5}}\n")
    restored = checkout.run("-m", "rlparity", "restore", "tiny.yaml")
    assert restored.returncode == 0, restored.stderr
    assert "stale    tiny/CartPole-v1/scratch/a2c/seeds-0-1: hyperparameters.gamma is 0.5" in restored.stdout
    assert "episodes.parquet is not the file whose hash run.json has" in restored.stdout
    assert restored.stdout.splitlines()[-1] == "3 restored, 0 there already, 4 stale, 0 not shipped"
    a2c = {cell for cell in SCRATCH | SB3 if cell[1] == "a2c"}
    assert checkout.plan()[0] == a2c | {("sb3", "ppo", "seeds-0-0")}
    checkout.edit_classes(EVALUATION)
    assert checkout.plan()[0] == SCRATCH | SB3


def test_shipped_references_are_taken_and_one_seed_of_each_is_checked(checkout: Checkout) -> None:
    theirs = checkout.path / "results" / "tiny" / "CartPole-v1" / "sb3"
    shutil.copytree(theirs, checkout.path / "reports" / "other" / "records" / "CartPole-v1" / "sb3")
    shutil.rmtree(theirs)
    checkout.edit("tiny.yaml", append="references: shipped\n")
    cells, others = checkout.plan()
    assert not cells and others["live_check"] == 2
    assert (theirs / "ppo" / "seeds-1-1" / "run.json").is_file()
    trained, again = checkout.plan("--config", "references=train")
    assert trained == SB3 and again["live_check"] == 0  # copies are trained again
    shutil.rmtree(checkout.path / "reports" / "other")
    shutil.rmtree(theirs)
    cells, others = checkout.plan()
    assert cells == SB3 and others["live_check"] == 0


def test_a_failed_seed_is_reported_at_the_end(checkout: Checkout) -> None:
    assert checkout.run("-m", "rlparity", "dev", "check", "tiny").returncode == 0
    run = checkout.path / "results/tiny/CartPole-v1/scratch/ppo/seeds-0-1/run.json"
    run.write_text(run.read_text().replace('"failed_seeds": {}', '"failed_seeds": {"1": "not a number"}'))
    failed = checkout.run("-m", "rlparity", "dev", "check", "tiny")
    assert failed.returncode == 3 and failed.stderr.count("\n") == 1
    assert "tiny/CartPole-v1/scratch/ppo/seeds-0-1: seed 1 failed: not a number" in failed.stderr


def test_narrowing_plans_a_part_and_refuses_what_is_not_there(checkout: Checkout) -> None:
    shutil.rmtree(checkout.path / "results" / "tiny" / "CartPole-v1")
    cells, _ = checkout.plan("--config", "algorithms=[ppo]", "implementations=[scratch]")
    assert cells == {("scratch", "random", "seeds-0-1"), ("scratch", "ppo", "seeds-0-1")}
    refused = checkout.snakemake("--dry-run", "--config", "algorithms=[pppo]")
    assert refused.returncode != 0 and "Traceback" not in refused.stderr
    assert "unknown value 'pppo'; choose from a2c, ppo, random (did you mean 'ppo'?)" in refused.stderr


def test_a_split_plans_the_parts_of_ours_alone(checkout: Checkout) -> None:
    parts = {(*cell[:2], f"seeds-{seed}-{seed}") for cell in SCRATCH for seed in (0, 1)}
    cells, others = checkout.plan("--config", "split=2")
    assert cells == parts and set(others) == PRESENTING
    assert checkout.plan() == (set(), Counter())
    assert (checkout.path / "results" / "tiny" / "split").read_text() == "1"  # a dry run decides nothing
    checkout.edit("tiny.yaml", append="split: 2\n")
    assert checkout.plan()[0] == parts and checkout.plan("--config", "split=1") == (set(), Counter())
    refused = checkout.snakemake("--dry-run", "--config", "split=half")
    assert refused.returncode != 0 and "Traceback" not in refused.stderr
    assert "--config split: expected auto or a whole number from 1, got 'half'" in refused.stderr


def test_auto_divides_what_is_not_trained_yet_where_cores_are_free(checkout: Checkout) -> None:
    checkout.edit("tiny.yaml", "default: 1024", "default: 9000000")
    assert checkout.plan("--cores", "16")[0] == SCRATCH | SB3  # whole blocks are trained here already
    shutil.rmtree(checkout.path / "results" / "tiny")
    shutil.rmtree(checkout.path / "reports" / "tiny", ignore_errors=True)
    parts = {(*cell[:2], f"seeds-{seed}-{seed}") for cell in SCRATCH for seed in (0, 1)}
    assert checkout.plan("--cores", "16")[0] == parts | SB3
    assert checkout.plan("--cores", "7")[0] == SCRATCH | SB3
    note = checkout.path / "results" / "tiny" / "split"
    note.write_text("2")
    assert checkout.plan("--cores", "7")[0] == parts | SB3


def test_numbers_that_snakemake_reads_otherwise_are_no_overrides(checkout: Checkout) -> None:
    checkout.edit("tiny.yaml", append="margin: 2e-1\n")
    assert checkout.plan() == (set(), Counter())
    refused = checkout.snakemake("--dry-run", "--config", "title=other")
    assert "--config: unknown key 'title'; choose from" in refused.stderr and refused.returncode != 0
    sensitivity = (ROOT / "workflow" / "suites" / "sensitivity.yaml").read_text()
    (checkout.path / "tiny.yaml").write_text(sensitivity.replace("margin: 0.2", "margin: 2e-1"))
    assert "margin: 2e-1" in (checkout.path / "tiny.yaml").read_text()
    assert checkout.snakemake("--dry-run").returncode == 0
    refused = checkout.snakemake("--dry-run", "--config", "name=another")
    assert "takes none" in refused.stderr and refused.returncode != 0


def test_one_suite_at_a_time(checkout: Checkout) -> None:
    (checkout.path / "more.yaml").write_text("margin: 0.3\n")
    refused = checkout.snakemake("--dry-run", suites=("more.yaml", "tiny.yaml"))
    assert "--configfile: one suite at a time, not 2" in refused.stderr and refused.returncode != 0


def test_tensorboard_that_is_false_is_false(checkout: Checkout) -> None:
    for word in ("false", "False"):
        assert checkout.plan("--config", f"tensorboard={word}")[0] == set()
    file = checkout.path / "results/tiny/CartPole-v1/scratch/ppo/seeds-0-1/cell.json"
    assert '"tensorboard": false' in file.read_text()
    refused = checkout.snakemake("--dry-run", "--config", "tensorboard=maybe")
    assert "--config tensorboard: expected true or false, got maybe" in refused.stderr


@pytest.mark.skipif(any(Path("/dev").glob("nvidia[0-9]*")), reason="asks for a GPU that is not there")
def test_a_cluster_may_have_the_gpu_that_its_login_node_has_not(checkout: Checkout) -> None:
    pytest.importorskip("snakemake_executor_plugin_slurm")
    away = ("--executor", "slurm", "--jobs", "4")
    checkout.edit("tiny.yaml", append="device: cuda\n")
    refused = checkout.snakemake("--dry-run", "--cores", "2", "--jobs", "4")  # jobs, and no cluster
    assert "PyTorch finds no CUDA device" in refused.stderr and refused.returncode != 0
    assert checkout.plan(*away)[0] == SCRATCH | SB3
    file = checkout.path / "results/tiny/CartPole-v1/scratch/ppo/seeds-0-1/cell.json"
    assert '"device": "cuda"' in file.read_text()
    checkout.edit("tiny.yaml", "device: cuda", "device: auto")
    refused = checkout.snakemake("--dry-run", *away)
    assert "device: auto means this machine's" in refused.stderr and refused.returncode != 0
    assert checkout.plan(*away, "--config", "device=cuda")[0] == SCRATCH | SB3
    assert checkout.plan() == (set(), Counter())
    for command in ("plan", "restore", "report"):
        done = checkout.run("-m", "rlparity", command, "tiny.yaml", "--device", "cuda")
        assert "PyTorch" not in done.stderr and "Traceback" not in done.stderr, done.stderr
    done = checkout.run("-m", "rlparity", "dev", "collect", "tiny.yaml", "--narrow", '{"device": "cuda"}')
    assert "CPU" not in done.stderr.upper() and "CUDA" not in done.stderr.upper(), done.stderr


def test_a_job_on_a_cluster_outlives_its_time_limit(checkout: Checkout) -> None:
    checkout.edit_classes(PPO)
    for hours, minutes, seconds in (("1.5", 93, 5400), ("1e-5", 4, 1)):
        limit = f"time_limit: {hours}\n"
        checkout.edit("tiny.yaml", append=limit)
        printed = checkout.snakemake("--dry-run", "--until", "train").stderr
        assert f"runtime={minutes}," in printed and f"time_limit={seconds}," in printed
        checkout.edit("tiny.yaml", limit)
    assert "time_limit=0," in checkout.snakemake("--dry-run", "--until", "train").stderr


def test_a_template_is_not_run(checkout: Checkout) -> None:
    made = checkout.path / "made"
    evil = f"__use_yte__: true\n__definitions__:\n  - open({str(made)!r}, 'w')\n"
    (checkout.path / "tiny.yaml").write_text(evil + SUITE)
    refused = checkout.run("-m", "rlparity", "run", "tiny.yaml", "--dry-run")
    assert refused.returncode == 4 and refused.stderr.count("\n") == 1 and not made.exists()
    assert "unknown key '__use_yte__'" in refused.stderr


@pytest.mark.parametrize(
    ("words", "cores"),
    [
        ([], True),
        (["-c1"], False),
        (["-j2"], False),
        (["--cores=3"], False),
        (["-pn"], False),
        (["-p"], True),
    ],
)
def test_all_cores_unless_a_number_is_given(
    words: list[str], cores: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Started(BaseException):  # a plain exception would become a line and a status
        pass

    real = subprocess.Popen

    def popen(command: list[str], **options: Any) -> subprocess.Popen[str]:
        if "snakemake" in command:
            raise Started(command)
        return real(command, **options)  # plugins ask for programs when they are imported

    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(subprocess, "Popen", popen)
    with pytest.raises(Started) as started:
        main(["run", "smoke", *words])
    command = started.value.args[0]
    assert ("all" in command) == cores and set(words) <= set(command)


def test_unknown_names_give_one_line_each(checkout: Checkout) -> None:
    checkout.edit("tiny.yaml", "ppo, a2c", "pppo, a2c")
    checkout.edit("tiny.yaml", "points", "pints")
    refused = checkout.snakemake("--dry-run")
    assert refused.returncode != 0 and "Traceback" not in refused.stderr
    lines = refused.stderr.splitlines()
    start = lines.index("rlparity: Bad suite tiny.yaml:")
    assert len(lines[start:]) == 3
    assert "algorithms[1]: unknown value 'pppo'" in refused.stderr
    assert "evaluation: unknown key 'pints'; choose from" in refused.stderr


def test_commands_report_errors_in_one_line(finished: Checkout) -> None:
    for arguments, expected in [
        (["run", "tinny"], "unknown suite 'tinny'"),
        (["train", "ppoo", "CartPole-v1"], "train: unknown algorithm 'ppoo'"),
        (["train", "ppo", "CartPole-v1", "--set", "gamma"], "write KEY=VALUE"),
        (["dev", "check", "tiny2"], "tables/plan.json: missing"),
        (["dev", "cell", "--cell", "{}", "--into", "x"], "not a cell"),
        (["dev", "collect", "nowhere.yaml"], "nowhere.yaml: no such file"),
    ]:
        done = finished.run("-m", "rlparity", *arguments)
        assert done.returncode == 4, arguments
        assert expected in done.stderr and "Traceback" not in done.stderr


def test_candidates_are_trained_seed_by_seed_beside_the_others(checkout: Checkout) -> None:
    (checkout.path / "theirs.py").write_text("")
    theirs = 'candidates:\n  theirs: {against: ppo, entry: "theirs:make"}\n'
    (checkout.path / "tiny.yaml").write_text(SUITE + theirs)
    cells, rest = checkout.plan()
    assert cells == {("theirs", "ppo", "seeds-0-0"), ("theirs", "ppo", "seeds-1-1")}
    assert set(rest) == PRESENTING
    (checkout.path / "tiny.yaml").write_text(SUITE + theirs + "references: shipped\n")
    assert checkout.plan()[0] == cells
    alone = SUITE.replace("name: tiny", "name: alone").replace("[scratch, sb3]", "[sb3]")
    shutil.copytree(checkout.path / "results" / "tiny", checkout.path / "reports" / "other" / "records")
    (checkout.path / "tiny.yaml").write_text(alone + theirs + "references: shipped\n")
    cells_alone, _ = checkout.plan()
    trained = cells_alone - cells
    assert cells <= cells_alone and trained <= SB3, trained
    floor = checkout.path / "results" / "alone" / "CartPole-v1" / "scratch" / "random" / "seeds-0-1"
    assert (floor / "run.json").is_file()
