"""Policies that reports carry: shipped, restored and played; films as MP4; a window on a screen."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from small import BRIEF, cell

from rlparity.__main__ import main
from rlparity.cell import Cell
from rlparity.errors import UserError
from rlparity.playback import play, policies, shipped_policy, video
from rlparity.provenance import fingerprint
from rlparity.runs import run_cell
from rlparity.shipped_records import restore
from rlparity.training import checkpoint_files

pytestmark = pytest.mark.whole


def marked(*arguments: Any, **changes: Any) -> Cell:
    one = cell(*arguments, evaluation=BRIEF, suite="tiny", **changes)
    return dataclasses.replace(one, fingerprint=fingerprint.of(one))


PPO = marked("ppo", (3, 4), budget=256, n_envs=4)
SB3 = marked("sac", (0,), budget=200, implementation="sb3")


def shelf_of(place: Path, one: Cell) -> Path:
    return place / "reports" / "tiny" / "records" / Path(*one.folder.parts[1:])


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of two cells, and a report with their records."""
    place = tmp_path_factory.mktemp("tiny")
    for one in (PPO, SB3):
        run_cell.run_cell(one, place / "results" / one.folder)
        shelf_of(place, one).mkdir(parents=True)
        for name in ("episodes.parquet", "evaluations.parquet", "run.json"):
            shutil.copy(place / "results" / one.folder / name, shelf_of(place, one))
    plan = {"name": "tiny", "cells": [json.loads(one.to_json()) for one in (PPO, SB3)]}
    (place / "reports" / "tiny" / "plan.json").write_text(json.dumps(plan))
    return place


@pytest.fixture
def place(trained: Path, tmp_path: Path) -> Path:
    """A copy of it, whose policies are shipped."""
    copy = Path(shutil.copytree(trained, tmp_path / "copy"))
    assert policies.ship("tiny", copy / "results", copy / "reports").startswith("2 policies, 0.")
    return copy


def test_a_restored_cell_plays_as_the_trained_one(place: Path, tmp_path: Path) -> None:
    for one in (PPO, SB3):
        shipped = next(
            each for each in restore.shipped(place / "reports") if each.folder == shelf_of(place, one)
        )
        restore.take(shipped, tmp_path / "restored" / one.folder)
        returns = [
            play.play(folder / one.folder, tmp_path / "film.gif", max_steps=2)
            for folder in (place / "results", tmp_path / "restored")
        ]
        assert returns[0] == returns[1] == play.play(shelf_of(place, one), tmp_path / "film.gif", max_steps=2)


def test_a_reference_is_shipped_without_what_only_training_needs(place: Path) -> None:
    names = {
        name.split(".")[1] for name in checkpoint_files.load(shelf_of(place, SB3), "policy.pt") if "." in name
    }
    assert "actor" in names and not names & set(shipped_policy.TARGETS)


def test_another_seed_is_refused_with_the_command_that_trains_it(place: Path, tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"the policy of seed 3 alone; rlparity train ppo CartPole-v1 .*--seeds 4"
    ):
        play.play(shelf_of(place, PPO), tmp_path / "film.gif", seed=4)
    (shelf_of(place, PPO) / "policy.pt").unlink()
    with pytest.raises(
        UserError, match=r"no policy beside these records; rlparity train ppo CartPole-v1 --steps 256"
    ):
        play.play(shelf_of(place, PPO), tmp_path / "film.gif")


def test_the_policy_of_other_records_is_not_played_and_not_kept(place: Path, tmp_path: Path) -> None:
    run = json.loads((shelf_of(place, PPO) / "run.json").read_text())
    run["hashes"]["evaluations.parquet"] = "0" * 64
    (shelf_of(place, PPO) / "run.json").write_text(json.dumps(run))
    with pytest.raises(UserError, match="the policy of other records"):
        play.play(shelf_of(place, PPO), tmp_path / "film.gif")
    assert policies.ship("tiny", place / "results", place / "reports").startswith("1 policies")
    assert not (shelf_of(place, PPO) / "policy.pt").exists()


def test_a_policy_that_is_lacking_is_trained_again(place: Path) -> None:
    """The rows decide whether it is the policy of the record."""
    for one in (PPO, SB3):
        (shelf_of(place, one) / "policy.pt").unlink()
    assert main(["dev", "policies", "tiny", "--reports", str(place / "reports"), "--algorithms", "ppo"]) == 0
    file, again = shelf_of(place, PPO) / "policy.pt", tuple(PPO.seeds)
    state = shipped_policy.load(file.parent, json.loads((file.parent / "run.json").read_text()))
    own = checkpoint_files.load(place / "results" / PPO.folder / "checkpoint")
    assert all((state[name] == own[name][:1]).all() for name in own) and again == (3, 4)
    assert not (shelf_of(place, SB3) / "policy.pt").exists()


def test_a_policy_that_is_too_large_is_left_out(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = Path(shutil.copytree(trained, tmp_path / "copy"))
    where = copy / "results", copy / "reports"
    policies.ship("tiny", *where)
    sizes = [(shelf_of(copy, one) / "policy.pt").stat().st_size for one in (PPO, SB3)]
    for one in (PPO, SB3):
        (shelf_of(copy, one) / "policy.pt").unlink()
    monkeypatch.setattr(shipped_policy, "LARGEST", min(sizes))
    assert sizes[0] != sizes[1] and policies.ship("tiny", *where).startswith("1 policies")


def test_an_mp4_shows_the_game(trained: Path, tmp_path: Path) -> None:
    film = tmp_path / "game.MP4"
    words = ["play", str(trained / "results" / PPO.folder), "--film", str(film)]
    assert main(words) == 0
    reader = cv2.VideoCapture(str(film))
    frames = []
    while (read := reader.read())[0]:
        frames.append(read[1])
    total = play.play(trained / "results" / PPO.folder, tmp_path / "game.gif")
    assert len(frames) == total + 1 and reader.get(cv2.CAP_PROP_FPS) == pytest.approx(50)
    assert frames[0].shape == (400, 600, 3) and np.abs(frames[0].astype(int) - frames[-1]).max() > 50


def test_frames_of_odd_size_and_their_colours() -> None:
    red = np.zeros((61, 81, 3), np.uint8)
    red[..., 0] = 255
    content = video.mp4([red] * 3, 10.0)
    assert content[4:8] == b"ftyp"


def test_an_ending_that_is_not_known_is_refused_before_anything_is_played(
    trained: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"film\.avi: films are written as \.gif or \.mp4; end the name so"):
        play.play(trained / "results" / PPO.folder, tmp_path / "film.avi")


@pytest.fixture
def screen(tmp_path: Path) -> Any:
    """A display without a monitor, and the file of its pixels."""
    if shutil.which("Xvfb") is None:
        pytest.skip("there is no Xvfb: apt-get install xvfb")
    read, write = os.pipe()
    words = ["Xvfb", "-displayfd", str(write), "-screen", "0", "800x600x24", "-fbdir", str(tmp_path)]
    with subprocess.Popen(
        [*words, "-nolisten", "tcp"], pass_fds=[write], stderr=subprocess.DEVNULL
    ) as server:
        os.close(write)
        with os.fdopen(read) as number:
            display = number.readline().strip()
        yield f":{display}", tmp_path / "Xvfb_screen0"
        server.terminate()


def colours(file: Path) -> int:
    """The number of colours on the screen, from its pixels in the format of xwd."""
    content = file.read_bytes()
    start = struct.unpack(">I", content[:4])[0] + 12 * struct.unpack(">I", content[76:80])[0]
    return len(np.unique(np.frombuffer(content, np.uint32, offset=start, count=(len(content) - start) // 4)))


def test_a_window_shows_the_episode(trained: Path, screen: Any) -> None:
    display, pixels = screen
    assert colours(pixels) == 1
    variables = {**os.environ, "DISPLAY": display, "SDL_VIDEODRIVER": "x11"}
    words = [sys.executable, "-m", "rlparity", "play", str(trained / "results" / PPO.folder)]
    shown = 1
    with subprocess.Popen(words, env=variables, stdout=subprocess.PIPE, text=True) as process:
        while process.poll() is None:
            shown = max(shown, colours(pixels))
            time.sleep(0.01)
        assert process.stdout is not None and process.stdout.read().splitlines()[-1].startswith("return ")
    assert process.returncode == 0 and shown > 3  # background, cart, pole, axle
