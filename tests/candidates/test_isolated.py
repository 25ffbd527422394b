"""Python candidates in their own process: the same rows, and an error ends only the seed."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from clocks import jump_once_there
from examples.misbehaving import Honest
from small import cell

from rlparity.candidates import entry_point as candidate
from rlparity.candidates import isolated as candidate_process
from rlparity.candidates import process_group
from rlparity.cell import Cell
from rlparity.provenance import fingerprint
from rlparity.runs import pending
from rlparity.training.recorder import Recorder
from rlparity.validation import statistics

pytestmark = pytest.mark.whole

EXAMPLES = Path(__file__).parents[1] / "support" / "examples"
BROKEN = """
import os, signal, time

def make(observation_space, action_space, hyperparameters):
    return Learner()

class Learner:
    def act(self, obs, deterministic):
        return obs.argmax(-1) % 2

    def train(self, make_env, seed, budget):
        open("run.json", "w").write("mine")
        {what}
"""


def theirs(entry: str, folder: Path, **candidate: Any) -> Cell:
    brought = {"entry": entry, "folder": str(folder), **candidate}
    return cell("ppo", (4,), implementation="theirs", n_envs=2, candidate=brought)


def broken(tmp_path: Path, what: str, **changes: Any) -> str:
    """Why the seed of a candidate failed that does this in training."""
    (tmp_path / "broken.py").write_text(BROKEN.format(what=what))
    made = theirs("broken:make", tmp_path, **changes)
    rows = Recorder(made)
    candidate_process.run(made, tmp_path / "results", rows)
    assert not rows.episodes and list(rows.failed) == [4] and "\n" not in rows.failed[4]
    assert {path.name for path in (tmp_path / "results").iterdir()} == {"candidate.log", "settings.json"}
    return rows.failed[4]


def test_its_rows_are_those_of_the_same_process(tmp_path: Path) -> None:
    made = theirs("misbehaving.py:Honest", EXAMPLES)
    alone, isolated = Recorder(made), Recorder(made)
    candidate.run(_found(made), recorder=alone)
    candidate_process.run(made, tmp_path, isolated)
    assert isolated.episodes == alone.episodes != [] and isolated.evaluations == alone.evaluations != []
    assert isolated.failed == alone.failed == {} and isolated.training_time_s > 0


TAMPERS = """
from examples.misbehaving import Honest

class Tampers(Honest):
    def train(self, make_env, seed, budget):
        import rlparity.training.evaluation as evaluation, rlparity.environments.cartpole as cartpole
        evaluation.play = None  # by which our evaluator plays
        cartpole.CartPole = None
        super().train(make_env, seed, budget)
"""


def test_what_it_does_to_its_own_process_changes_no_evaluation(tmp_path: Path) -> None:
    (tmp_path / "tampers.py").write_text(
        f"import sys; sys.path.insert(0, {str(EXAMPLES.parent)!r})\n{TAMPERS}"
    )
    made = theirs("tampers:Tampers", tmp_path)
    honest, tampered = Recorder(made), Recorder(made)
    candidate.train(made, Honest, recorder=honest)
    candidate_process.run(made, tmp_path / "results", tampered)
    assert tampered.failed == {} and tampered.evaluations == honest.evaluations != []


def _found(made: Cell) -> Cell:
    """The same with its file where this process finds it."""
    entry = candidate_process.absolute(made.candidate["entry"], EXAMPLES)
    return Cell(**{**vars(made), "candidate": {**made.candidate, "entry": entry}})


@pytest.mark.parametrize(
    ("what", "line"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", "its process crashed by signal SIGSEGV"),
        ("os._exit(0)", "its process ended without a result"),
        ("raise ValueError('no luck')", "train raised ValueError: no luck (broken.py, line 13)"),
    ],
)
def test_a_crash_is_one_line(tmp_path: Path, what: str, line: str) -> None:
    assert line in broken(tmp_path, what)


def test_what_cannot_be_interrupted_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At ten times the limit that its own process would keep."""
    sign = tmp_path / "deaf"
    jump_once_there(monkeypatch, sign, 650)
    monkeypatch.setattr(process_group, "GRACE_S", 0.5)
    deaf = (
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM, signal.SIGTERM]); "
        f"open({str(sign)!r}, 'w'); time.sleep(600)"
    )
    assert "its process was stopped at the time limit of 600 s" in broken(tmp_path, deaf, time_limit_s=60)
    assert sign.exists()


def test_a_module_that_is_gone_is_one_line(tmp_path: Path) -> None:
    made = theirs("nowhere:make", tmp_path)
    rows = Recorder(made)
    candidate_process.run(made, tmp_path / "results", rows)
    assert "there is no module 'nowhere'" in rows.failed[4]


def test_a_program_ends_with_a_trainer_that_is_killed(tmp_path: Path) -> None:
    code = (
        "import pathlib, sys\n"
        "from rlparity.candidates import process_group\n"
        "place = pathlib.Path(sys.argv[1])\n"
        "program = 'import os, pathlib, time; pathlib.Path(\"pid\").write_text(str(os.getpid()));'\n"
        "program += 'time.sleep(60)'\n"
        "words = [sys.executable, '-c', program]\n"
        "process_group.run(words, place, place / 'log', 60, process_group.environment(place), None)\n"
    )
    trainer = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)])
    until = time.monotonic() + 60
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        assert time.monotonic() < until and trainer.poll() is None
        time.sleep(0.05)
    program = Path("/proc", (tmp_path / "pid").read_text())
    assert program.exists()
    trainer.kill()
    trainer.wait()
    while program.exists() and "Z" not in (program / "stat").read_text().rpartition(")")[2]:
        assert time.monotonic() < until, "it lives on"
        time.sleep(0.05)


def test_a_failed_seed_is_retrained_by_another_call(tmp_path: Path) -> None:
    """Perhaps the machine was busy, or a package was missing."""
    folder, results = tmp_path / "theirs", tmp_path / "results"
    folder.mkdir()
    (folder / "learn.py").write_text(
        "import pathlib\n"
        "assert pathlib.Path(__file__).with_name('installed').exists()\n"
        "from tiny_ppo import TinyPPO as make\n"
    )
    (folder / "tiny_ppo.py").write_bytes(Path("examples/tiny_ppo.py").read_bytes())
    brought = {"entry": "learn.py:make", "folder": str(folder)}
    one = cell("ppo", implementation="theirs", candidate=brought, seeds=(0,))
    one = dataclasses.replace(one, fingerprint=fingerprint.of(one))
    lines = list[str]()
    assert statistics.train([one], results, 1, lines.append) == [] and "AssertionError" in lines[-1]
    assert pending.up_to_date(one, results / one.folder)  # the suite has its result
    longer = dataclasses.replace(one, candidate={**brought, "time_limit_s": 900})
    assert not pending.up_to_date(longer, results / one.folder)
    (folder / "installed").touch()
    assert statistics.train([one], results, 1, lines.append) == [] and ": done (" in lines[-1]
    before = len(lines)
    assert statistics.train([one], results, 1, lines.append) == [] and len(lines) == before
