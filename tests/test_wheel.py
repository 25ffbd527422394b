"""A wheel has every file that commands open, and works from an empty folder outside of a clone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import wheels

from rlparity import project_files
from rlparity.__main__ import main
from rlparity.errors import UserError
from rlparity.shipped_records import restore
from rlparity.suites import hyperparameters, suite

ROOT = Path(__file__).parents[1]
IN_WHEEL = "rlparity/project"
# Runs commands of the package that is imported first; prints what each ended with, and the files of the clone
# that were opened.
DRIVER = """\
import json, os, sys
clone, commands = sys.argv[1], json.loads(sys.argv[2])
opened = []
def note(event, arguments):
    if event == "open" and isinstance(arguments[0], str):
        path = os.path.realpath(arguments[0])
        if path.startswith(clone + os.sep) and not path.startswith(os.path.abspath(sys.prefix)):
            opened.append(path)
sys.addaudithook(note)
import rlparity
from rlparity.__main__ import main
statuses = [main(words) for words in commands]
print(json.dumps({"package": rlparity.__file__, "statuses": statuses, "opened": opened}))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the wheel is unpacked."""
    return wheels.unpack(tmp_path_factory.mktemp("site"))


def run(installed: Path, folder: Path, *commands: list[str]) -> str:
    """What commands of the unpacked wheel print in a folder; fails if a file of the clone was opened."""
    environment = {**os.environ, "PYTHONPATH": str(installed), "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-P", "-c", DRIVER, str(ROOT), json.dumps(commands)]
    done = subprocess.run(words, capture_output=True, text=True, cwd=folder, env=environment)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["package"] == str(installed / "rlparity" / "__init__.py")
    assert found["opened"] == []
    assert found["statuses"] == [0] * len(commands), done.stderr
    return done.stdout + done.stderr


# --- what is in it


def tracked(*paths: str) -> list[str]:
    """Files of the repository below these paths."""
    done = subprocess.run(
        ["git", "ls-files", "--", *paths], capture_output=True, text=True, cwd=ROOT, check=True
    )
    return done.stdout.splitlines()


def test_everything_that_is_read_beside_the_package_is_in_the_wheel() -> None:
    paths = ["Snakefile", "environment.yml", "requirements.lock", "workflow", "profiles", "examples"]
    wanted = tracked(*paths, ":(glob)reports/*/records/**", ":(glob)reports/benchmark/*.csv")
    assert len(wanted) > 1900
    missing = [name for name in wanted if f"{IN_WHEEL}/{name}" not in wheels.files()]
    assert missing == [], "add them to tool.hatch.build.targets.wheel in pyproject.toml"


def test_the_package_is_in_the_wheel() -> None:
    names = tracked("src")
    assert names and [name for name in names if name.removeprefix("src/") not in wheels.files()] == []


def test_nothing_else_is_in_the_wheel() -> None:
    names = wheels.files().keys()
    assert {name.split("/")[0] for name in names} == {"rlparity", "snakemake_logger_plugin_cells"}
    folders = {name.split("/")[2] for name in names if name.startswith(f"{IN_WHEEL}/")}
    assert folders == {
        *("Snakefile", "environment.yml", "requirements.lock"),
        *("examples", "profiles", "reports", "workflow"),
    }
    assert not [name for name in names if "__pycache__" in name or "checkpoint/" in name]


def test_the_wheel_is_not_large() -> None:
    """Unpacked; a third of this is left after compression. PyPI takes 100 MB."""
    assert sum(file.stat().st_size for file in wheels.files().values()) < 60e6


# --- where files are found


def test_the_files_of_the_working_folder_come_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert suite.find("smoke") == ROOT / "workflow" / "suites" / "smoke.yaml"
    assert hyperparameters.place() == str(ROOT / project_files.SETTINGS)
    project_files.copy_starter(suite.find("smoke"), tmp_path)
    assert suite.find("smoke") == Path("workflow", "suites", "smoke.yaml")
    assert hyperparameters.place() == str(project_files.SETTINGS)
    text = project_files.SETTINGS.read_text()
    assert "title: PPO" in text
    project_files.SETTINGS.write_text(text.replace("title: PPO", "title: Another", 1))
    titles = [one.title for one in hyperparameters.library().algorithms.values()]
    monkeypatch.chdir(ROOT)
    others = [one.title for one in hyperparameters.library().algorithms.values()]
    assert next(a for a, b in zip(titles, others, strict=True) if a != b).startswith("Another")


def test_an_unknown_suite_names_the_folders_that_were_searched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = ROOT / project_files.SUITES
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=rf"^{theirs}: unknown suite 'mine'; choose from atari, "):
        suite.find("mine")
    project_files.SUITES.mkdir(parents=True)
    (project_files.SUITES / "mine2.yaml").touch()
    with pytest.raises(UserError, match=rf"^workflow/suites and {theirs}: .*, mine2, .*did you mean 'mine2'"):
        suite.find("mine")


def test_records_of_the_project_come_after_those_of_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(project_files, "REPORTS", ROOT / "reports" / "atari-small" / "..")
    monkeypatch.chdir(tmp_path)
    theirs = restore.shipped(Path("reports"), "atari-small")
    assert theirs[0].report == "atari-small"
    copy = Path("reports", "own", *theirs[0].folder.parts[-5:])
    copy.mkdir(parents=True)
    (copy / "run.json").write_bytes((theirs[0].folder / "run.json").read_bytes())
    found = restore.shipped(Path("reports"))
    assert len(found) == len(theirs) + 1
    monkeypatch.chdir(ROOT)
    assert len(restore.shipped(Path("reports"))) == len(theirs)  # each once


def test_a_starter_leaves_what_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["init", "mine", "--suite", "smoke"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[-1] == "cd mine && rlparity run smoke trains and reports the suite"
    made = [Path(line) for line in printed[:-1]]
    assert all(path.is_file() for path in made) and len({*made}) >= 7
    assert not list(Path("mine").rglob("default"))
    made[0].write_text("mine")
    assert main(["init", "mine", "--suite", "smoke"]) == 0 and made[0].read_text() == "mine"
    Path("full").touch()
    capsys.readouterr()
    assert main(["init", "full"]) == 4
    place = "full/workflow/suites/cartpole.yaml"
    assert capsys.readouterr().err == f"rlparity: {place}: cannot be written (Not a directory)\n"


OWN_ENVIRONMENT = """\
import gymnasium
import numpy as np


class Corridor(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(2, np.float32), {}

    def step(self, action):
        return np.zeros(2, np.float32), float(action), False, False, {}


gymnasium.register("Corridor-v0", "own_corridor:Corridor", max_episode_steps=20)
"""
OWN_SUITE = """\
name: own
title: Own
environments: ["own_corridor:Corridor-v0"]
algorithms: [random]
implementations: [scratch]
seeds: [0]
budgets: {default: 100}
evaluation: {points: 1, episodes: 1, final_episodes: 1}
"""


def test_environments_of_the_working_folder_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "own_corridor.py").write_text(OWN_ENVIRONMENT)
    (tmp_path / "own.yaml").write_text(OWN_SUITE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path not in ("", str(tmp_path))])
    assert main(["plan", "own.yaml"]) == 0, capsys.readouterr().err
    assert "scratch/random" in capsys.readouterr().out
    assert sys.path[-1] == str(tmp_path)  # a file such as random.py hides no installed module


# --- commands in an empty folder


def test_commands_that_train_nothing(installed: Path, tmp_path: Path) -> None:
    text = run(
        installed,
        tmp_path,
        ["plan", "cartpole"],
        ["plan", "sensitivity"],
        ["init"],
        ["plan", "smoke"],
        ["restore", "atari-small"],
        ["report", "atari-small"],
    )
    assert "137 of them trained or shipped" in text
    report = tmp_path / "reports" / "atari-small"
    assert (report / "index.html").is_file() and (tmp_path / "reports" / "index.html").is_file()
    assert list(report.glob("records/*/sb3/*/*/run.json"))
    assert "published" in (report / "paper.csv").read_text().splitlines()[0]


@pytest.mark.whole
def test_snakemake_plans_a_suite_there(installed: Path, tmp_path: Path) -> None:
    """Also where the folder has a Snakefile of its own, and an environment in a module."""
    (tmp_path / "Snakefile").write_text("raise ValueError\n")
    (tmp_path / "own_corridor.py").write_text(OWN_ENVIRONMENT)
    (tmp_path / "own.yaml").write_text(OWN_SUITE)
    text = run(installed, tmp_path, ["run", "smoke", "--dry-run"], ["run", "own.yaml", "--dry-run"])
    assert text.count("This was a dry-run") >= 2 and "Corridor-v0" in text
