"""Candidates that are commands: whatever goes wrong is one line, and does no harm."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from clocks import jump_once_there
from small import cell

from rlparity.candidates import command as candidate_command
from rlparity.candidates import process_group
from rlparity.cell import Cell
from rlparity.environments import metadata
from rlparity.errors import StorageError
from rlparity.log_readers import convert as logs
from rlparity.log_readers.series import Reading, Refused
from rlparity.provenance.candidate_files import bad_command
from rlparity.runs import run_cell
from rlparity.training.recorder import Recorder

LOGS = """
import sys
seed, budget = int(sys.argv[1]), int(sys.argv[2])
def write(returns, name="monitor.csv", environment="CartPole-v1"):
    with open(name, "w") as file:
        file.write('#{"t_start": 1.0, "env_id": "%s"}\\nr,l,t\\n' % environment)
        for i, value in enumerate(returns):
            file.write(f"{value},{value},{i}\\n")
"""
GOOD = LOGS + "write([20 + seed] * (budget // (20 + seed)))\n"


def theirs(tmp_path: Path, code: str, **candidate: Any) -> Cell:
    """A cell of a command that runs this code with a seed and a budget."""
    base = tmp_path / "theirs"
    base.mkdir(exist_ok=True)
    (base / "learn.py").write_text(code)
    brought = {"command": "python learn.py {seed} {budget}", "folder": str(base), **candidate}
    return cell("ppo", (3,), implementation="theirs", budget=400, n_envs=1, candidate=brought)


def run(tmp_path: Path, code: str, **candidate: Any) -> tuple[Recorder, tuple[str, ...]]:
    made = theirs(tmp_path, code, **candidate)
    rows = Recorder(made)
    notes = candidate_command.run(made, tmp_path / "results", rows)
    return rows, notes


def reason(tmp_path: Path, code: str, **candidate: Any) -> str:
    """Why the seed failed: one line."""
    rows, _ = run(tmp_path, code, **candidate)
    assert not rows.episodes and list(rows.failed) == [3]
    assert "\n" not in rows.failed[3] and "rlparity-" not in rows.failed[3]
    return rows.failed[3]


def test_rows_are_what_it_logged_in_its_own_folder(tmp_path: Path) -> None:
    rows, notes = run(tmp_path, GOOD + "import os; print(os.getcwd())\n")
    assert [row["episode_return"] for row in rows.episodes] == [23.0] * 17
    assert rows.episodes[1] == {
        "implementation": "theirs", "algorithm": "ppo", "environment": "CartPole-v1", "seed": 3,
        "env_step": 46, "episode_return": 23.0, "episode_length": 23,
    }  # fmt: skip
    assert any("sums of the lengths of episodes" in note for note in notes)
    where = Path((tmp_path / "results" / "candidate.log").read_text().strip())
    assert not where.is_relative_to(tmp_path) and not where.exists()


@pytest.mark.parametrize(
    ("code", "line"),
    [
        ("raise ValueError('no')", "ended with status 1: ValueError: no; wrote nothing"),
        ("raise SystemExit(7)", "ended with status 7, and printed nothing; wrote nothing"),
        ("import os; os.kill(os.getpid(), 11)", "crashed by signal SIGSEGV, and printed nothing"),
        ("print('\\x00\\x1b[31mgarbage' * 1000)", "wrote nothing"),
        ("open('notes.txt', 'w')", "wrote no returns, only notes.txt"),
        ("open('monitor.csv', 'wb').write(b'\\x00\\xff')", "monitor.csv: is not text"),
        (LOGS + "write([])", "contains no returns"),
        (LOGS + "write([float('nan')])", "monitor.csv: line 3: r is nan"),
        (LOGS + "write([20] * 5)", "monitor.csv: trained 100 of 400 environment steps"),
        (LOGS + "write([20] * 20, environment='CartPole-v0')", "made in CartPole-v0, not in CartPole-v1"),
        (GOOD + "raise RuntimeError('at the end')", "ended with status 1: RuntimeError: at the end"),
    ],
)  # fmt: skip
def test_what_goes_wrong_is_one_line(tmp_path: Path, code: str, line: str) -> None:
    rows, _ = run(tmp_path, code)
    assert list(rows.failed) == [3] and "\n" not in rows.failed[3] and "rlparity-" not in rows.failed[3]
    assert line in rows.failed[3]


def test_returns_that_are_not_numbers_are_refused(tmp_path: Path) -> None:
    code = "open('log.csv', 'w').write('env_step,episode_return\\n100,20.0\\n390,nan\\n')"
    assert "line 3: episode_return is nan" in reason(tmp_path, code)


def test_what_hangs_is_stopped_with_all_it_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    beats = tmp_path / "beats"
    jump_once_there(monkeypatch, beats, 100)
    child = f"import time\nwhile True:\n    open({str(beats)!r}, 'a').write('x'); time.sleep(0.02)"
    code = (
        f"import subprocess, sys, time\nsubprocess.Popen([sys.executable, '-c', {child!r}])\ntime.sleep(600)"
    )
    started = time.monotonic()
    line = reason(tmp_path, code, time_limit_s=60)
    assert line == "was stopped at the time limit of 60 s; wrote nothing"
    assert time.monotonic() - started < 60
    size = os.path.getsize(beats)
    time.sleep(0.3)
    assert os.path.getsize(beats) == size


def test_endless_output_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_group, "LOG_MIB", 1)
    assert "printed more than 1 MiB" in reason(tmp_path, "while True: print('garbage' * 1000)")


def test_a_program_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    line = reason(tmp_path, GOOD, command="pyhton learn.py {seed} {budget}")
    assert line.startswith("could not be started: pyhton: No such file or directory")


def test_it_can_overwrite_no_results_by_relative_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it writes beside its folder, or above, is not beside the results."""
    (tmp_path / "a" / "b").mkdir(parents=True)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "a" / "b"))
    code = GOOD + "\nfor up in ('.', '..', '../..'):\n    open(up + '/run.json', 'w').write('mine')\n"
    results = tmp_path / "results" / "suite" / "here"
    assert run_cell.run_cell(theirs(tmp_path, code), results)["status"] == "done"
    assert json.loads((results / "run.json").read_text())["status"] == "done"
    assert (tmp_path / "a" / "run.json").read_text() == "mine"
    assert [path.parent for path in (tmp_path / "results").rglob("run.json")] == [results]


def test_links_to_other_results_are_not_read(tmp_path: Path) -> None:
    other = tmp_path / "monitor.csv"
    other.write_text('#{"env_id": "CartPole-v1"}\nr,l,t\n500,390,1\n')
    line = reason(tmp_path, f"import os; os.symlink({str(other)!r}, 'monitor.csv')")
    assert line == "wrote no returns, only monitor.csv"


def test_no_shell_reads_the_command(tmp_path: Path) -> None:
    code = LOGS + "print(sys.argv[3:]); write([20] * 20)"
    run(tmp_path, code, command="python learn.py {seed} {budget} '$HOME; x' {environment} $(id) {{}}")
    printed = (tmp_path / "results" / "candidate.log").read_text().strip()
    assert printed == str(["$HOME; x", "CartPole-v1", "$(id)", "{}"])


def test_the_program_and_the_first_file_among_its_words_are_found_from_elsewhere(tmp_path: Path) -> None:
    """The interpreter of a virtual environment is a link that is not followed: packages lie beside it."""
    base, work = tmp_path / "theirs", tmp_path / "work"
    made = theirs(tmp_path, GOOD)
    (base / ".venv" / "bin").mkdir(parents=True)
    (base / ".venv" / "bin" / "python").symlink_to(sys.executable)
    (base / "out.csv").write_text("")

    def words(command: str) -> list[str]:
        brought = {**made.candidate, "command": command}
        return candidate_command.arguments(replace(made, candidate=brought), base, work)

    interpreter, program = f"{base}/.venv/bin/python", f"{base}/learn.py"
    assert words(".venv/bin/python learn.py {seed} out.csv") == [interpreter, program, "3", "out.csv"]
    assert words(f"{interpreter} learn.py {{seed}}") == [interpreter, program, "3"]
    assert words("./learn.py {seed} out.csv") == [program, "3", f"{base}/out.csv"]
    assert words(f"python {program} {{seed}} out.csv") == ["python", program, "3", f"{base}/out.csv"]
    assert words(f"python learn.py {{seed}} {'x' * 5000}")[1:] == [program, "3", "x" * 5000]


@pytest.mark.parametrize(
    ("environment", "logged"),
    [("ALE/Pong-v5@nature", "ALE/Pong-v5"), ("lab.environments:CartPole-v1", "CartPole-v1")],
)
def test_programs_log_an_environment_without_preset_and_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environment: str, logged: str
) -> None:
    monkeypatch.setattr(metadata, "probe", lambda _: SimpleNamespace(time_limit=None))
    (tmp_path / "monitor.csv").write_text(f'#{{"env_id": "{logged}"}}\nr,l,t\n500,390,1\n')
    made = replace(theirs(tmp_path, ""), environment=environment)
    fits = candidate_command.expected(made, Reading())
    read = logs.read((tmp_path / "monitor.csv",), Reading(), fits, ("deterministic",), 3)
    assert len(read.episodes) == 1 and not any("does not name" in note for note in read.notes)
    with pytest.raises(Refused, match=f"made in {logged}, not in x:Other-v0@y"):
        logs.read((tmp_path / "monitor.csv",), Reading(), fits._replace(environment="x:Other-v0@y"), (), 3)


def test_modules_beside_the_program_are_found(tmp_path: Path) -> None:
    (tmp_path / "theirs" / "pkg").mkdir(parents=True)
    (tmp_path / "theirs" / "pkg" / "train.py").write_text(GOOD)
    rows, _ = run(tmp_path, "", command="python -m pkg.train {seed} {budget}")
    assert not rows.failed and len(rows.episodes) == 17


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "is empty"),
        ("python 'learn.py {seed}", "is not a command (No closing quotation)"),
        ("python learn.py {seeds}", "unknown placeholder 'seeds'; choose from"),
        ("python learn.py", "has no {seed}: every seed would be the same run"),
        ("python learn.py {seed", "write {{ and }} for literal braces"),
        ("python learn.py {seed}", None),
        ("python learn.py --json '{{\"seed\": {wide_seed}}}'", None),
    ],
)
def test_a_command_is_checked_before_anything_runs(text: str, line: str | None) -> None:
    problem = bad_command(text)
    assert problem is None if line is None else line in (problem or "")


def test_run_json_says_what_was_assumed_and_of_which_files(tmp_path: Path) -> None:
    made = run_cell.run_cell(theirs(tmp_path, GOOD), tmp_path / "cell")
    assert made["status"] == "done" and list(made["files"]) == ["learn.py"]
    assert (
        any("are sums of" in note for note in made["notes"])
        and "no lock" in made["notes"][-1]
        and made["departures"] == []
    )
    assert made["cell"]["candidate"]["command"] == "python learn.py {seed} {budget}"


def test_versions_are_those_of_its_own_interpreter(tmp_path: Path) -> None:
    """Another environment, in which rlparity is not: a package there has another version."""
    base = tmp_path / "theirs"
    package = base / "site" / "torch-1.0.dist-info"
    package.mkdir(parents=True)
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: torch\nVersion: 1.0\n")
    interpreter = base / "bin" / "python3"
    interpreter.parent.mkdir()
    lines = f'#!/bin/sh\nPYTHONPATH={base / "site"} exec {sys._base_executable} -S "$@"\n'  # type: ignore[attr-defined]
    interpreter.write_text(lines)
    (base / "train").write_text(f"#!{interpreter}\n")
    for file in (interpreter, base / "train"):
        file.chmod(0o755)
    for command in ("bin/python3 learn.py {seed} {budget}", "./train {seed}"):
        found = candidate_command.versions(theirs(tmp_path, GOOD, command=command))
        assert found["torch"] == "1.0" and "python" in found and "rlparity" not in found
    made = run_cell.run_cell(
        theirs(tmp_path, GOOD, command="bin/python3 learn.py {seed} {budget}"), tmp_path / "c"
    )
    assert made["versions"]["torch"] == "1.0" and made["status"] == "done"


@pytest.mark.parametrize("command", ["true {seed}", "/nowhere/python x.py {seed}"])
def test_versions_of_no_interpreter_are_not_known(tmp_path: Path, command: str) -> None:
    assert candidate_command.versions(theirs(tmp_path, GOOD, command=command)) == {}


@pytest.mark.parametrize("keep", [True, False])
def test_raw_logs_are_kept_on_demand(tmp_path: Path, keep: bool) -> None:
    for _ in range(2):
        rows, _ = run(tmp_path, GOOD + "open('model.bin', 'w').write('x')", keep_logs=keep)
        assert not rows.failed
    kept = tmp_path / "results" / "raw"
    assert {path.name for path in kept.glob("*")} == ({"monitor.csv", "model.bin"} if keep else set())


def test_raw_logs_without_room_are_an_error_of_storage(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "raw").write_text("in the way")
    with pytest.raises(StorageError, match="raw logs cannot be kept"):
        run(tmp_path, GOOD, keep_logs=True)


def test_a_program_without_a_lock_is_noted(tmp_path: Path) -> None:
    made = theirs(tmp_path, GOOD)
    (Path(made.candidate["folder"]) / "requirements.txt").write_text("torch==2.0\n")
    locked = replace(made, candidate={**made.candidate, "files": ["requirements.txt"]})
    run = run_cell.run_cell(locked, tmp_path / "b")
    assert not any("no lock" in note for note in run["notes"]) and set(run["files"]) == {
        "learn.py",
        "requirements.txt",
    }


def test_a_failed_command_leaves_a_record_with_the_reason(tmp_path: Path) -> None:
    made = run_cell.run_cell(theirs(tmp_path, "raise ValueError('no')"), tmp_path / "cell")
    assert made["status"] == "failed"
    assert made["failed_seeds"] == {"3": "ended with status 1: ValueError: no; wrote nothing"}


def test_a_program_without_a_known_file_is_noted(tmp_path: Path) -> None:
    """Found on the PATH: an edit of it would not make its record stale."""
    base = {"folder": str(tmp_path)}
    one = replace(theirs(tmp_path, ""), candidate={**base, "command": "false {seed}"})
    assert "no file of its code is known" in run_cell.run_cell(one, tmp_path / "r")["notes"][-2]
    finished = replace(one, candidate={**base, "logs": "nowhere"})
    assert run_cell.run_cell(finished, tmp_path / "l")["notes"] == []
