"""Watching a trained cell: the game is the agent's own, and the GIF is there."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import pytest
import torch
from small import BRIEF, cell
from torch import Tensor

from rlparity import checkpoint, play, runner, tasks, train
from rlparity.agents import random
from rlparity.cell import Cell
from rlparity.errors import UserError
from rlparity.tasks.normalise import Normalised


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained block of two seeds of PPO."""
    place = tmp_path_factory.mktemp("cell")
    runner.run_cell(cell("ppo", (3, 4), budget=256, evaluation=BRIEF), place)
    return place


def test_a_gif_shows_the_game(folder: Path, tmp_path: Path):
    """One reward and one frame a step; the format joins frames that look the same."""
    total = play.play(folder, tmp_path / "game.gif")
    frames = iio.imread(tmp_path / "game.gif")
    assert 5 < len(frames) <= total
    assert frames.shape[1:] == (400, 600, 3)
    assert (frames[0] != frames[-1]).any()


def test_each_seed_plays_with_its_own_parameters(folder: Path, tmp_path: Path):
    state = checkpoint.load(folder / "checkpoint")
    agent = play._policy(cell("ppo", (3, 4), budget=256), state)
    world = tasks.make("CartPole-v1", [[4]])
    total = 0
    while not world.pop_episodes():
        action = agent.act(world.obs.expand(2, 1, 4))[1:]
        world.step(action)
        total += 1
    assert play.play(folder, tmp_path / "game.gif", seed=4) == total


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "run.json").unlink(), "not a finished cell"),
        (lambda folder: (folder / "run.json").write_text("{}"), "not a record of a run"),
        (lambda folder: (folder / "run.json").write_text('{"cell": 3}'), "not a record of a run"),
        (lambda folder: (folder / "checkpoint" / checkpoint.FILE).unlink(), "no checkpoint"),
    ],
)
def test_what_cannot_be_played_is_one_line(tmp_path: Path, spoil: Any, message: str):
    runner.run_cell(cell("random", budget=30), tmp_path)
    spoil(tmp_path)
    with pytest.raises(UserError, match=message):
        play.play(tmp_path, tmp_path / "game.gif")


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda state: {"theta": state["theta"][:1]}, r"theta is of shape \(1, \d+\), not \(2, \d+\)"),
        (lambda state: {"other": state["theta"]}, "'theta'"),
    ],
)
def test_parameters_of_another_shape_are_refused(folder: Path, tmp_path: Path, spoil: Any, reason: str):
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    checkpoint.save(copy / "checkpoint", spoil(checkpoint.load(folder / "checkpoint")))
    with pytest.raises(UserError, match=rf"checkpoint: does not fit the cell \({reason}"):
        play.play(copy, tmp_path / "game.gif")


def test_a_seed_that_was_not_trained_is_refused(folder: Path, tmp_path: Path):
    with pytest.raises(UserError, match="no seed 7; choose from 3, 4"):
        play.play(folder, tmp_path / "game.gif", seed=7)


def test_a_gif_that_cannot_be_written_is_one_line(folder: Path, tmp_path: Path):
    with pytest.raises(UserError, match="cannot be written as a GIF"):
        play.play(folder, tmp_path / "nowhere" / "game.gif")


def test_a_policy_without_a_deterministic_form_is_sampled_anew_at_every_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    runner.run_cell(cell("random", budget=30), tmp_path)
    taken: list[int] = []
    act = random.Agent.act

    def spy(self: random.Agent, obs: Tensor, explore: Tensor | None = None) -> Tensor:
        action = act(self, obs, explore)
        taken.append(action.item())
        return action

    monkeypatch.setattr(random.Agent, "act", spy)
    assert play.play(tmp_path, tmp_path / "game.gif") == len(taken)
    assert set(taken) == {0, 1}


def test_a_normalised_policy_sees_what_it_saw_in_training(monkeypatch: pytest.MonkeyPatch):
    """The checkpoint's statistics give the views that training ended with."""
    kept: list[Normalised] = []

    class Kept(Normalised):
        def __init__(self, *arguments: Any):
            super().__init__(*arguments)
            kept.append(self)

    monkeypatch.setattr(train, "Normalised", Kept)
    c: Cell = cell("a2c", (0, 1), environment="Acrobot-v1", budget=160, evaluation=BRIEF)
    rows = train.run(c, evaluate=False)
    obs = torch.randn(2, 1, 6, generator=torch.Generator().manual_seed(0))
    assert torch.equal(play._view(rows.state, obs), kept[0].view(obs))
    assert torch.equal(play._view({}, obs), obs)
