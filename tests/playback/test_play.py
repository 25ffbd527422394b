"""Watching a trained cell: the game is the agent's own, and the GIF is there."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageSequence
from small import BRIEF, cell
from torch import Tensor

from rlparity import registry
from rlparity.agents import base as agents
from rlparity.agents import random
from rlparity.cell import Cell
from rlparity.environments import base as tasks
from rlparity.environments.base import EnvSpec
from rlparity.environments.normalization import NormalizedEnv
from rlparity.errors import UserError
from rlparity.playback import play, rendering
from rlparity.playback.atari_rendering import AtariRenderer
from rlparity.playback.minatar_rendering import MinAtarRenderer
from rlparity.references import sb3
from rlparity.runs import run_cell
from rlparity.seeding import Streams
from rlparity.training import checkpoint_files, evaluation
from rlparity.training import run as train

pytestmark = pytest.mark.whole


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained block of two seeds of PPO."""
    place = tmp_path_factory.mktemp("cell")
    run_cell.run_cell(cell("ppo", (3, 4), budget=256, evaluation=BRIEF), place)
    return place


def test_a_gif_shows_the_game(folder: Path, tmp_path: Path):
    """One reward and one frame a step, at the game's own speed; frames that look the same are joined."""
    total = play.play(folder, tmp_path / "game.gif")
    with Image.open(tmp_path / "game.gif") as film:
        shown = [(np.asarray(f.convert("RGB")), f.info["duration"]) for f in ImageSequence.Iterator(film)]
    frames, durations = zip(*shown, strict=True)
    assert 5 < len(frames) <= total + 1
    assert sum(durations) == 20 * total + 1000  # CartPole steps 50 times a second; the end stays for one
    assert frames[0].shape == (400, 600, 3)
    assert (frames[0] != frames[-1]).any()


def test_the_return_is_that_of_the_whole_game_however_short_the_film(folder: Path, tmp_path: Path):
    total = play.play(folder, tmp_path / "game.gif", max_steps=3)
    with Image.open(tmp_path / "game.gif") as film:
        assert film.n_frames <= 3
    assert total == play.play(folder, tmp_path / "game.gif") > 5


def test_each_seed_plays_with_its_own_parameters(folder: Path, tmp_path: Path):
    """As the block does, in the sub-environment that the seed starts."""
    agent = _of_block(folder)
    sub_env = tasks.make("CartPole-v1", [[4]])
    total = 0
    while not sub_env.pop_episodes():
        action = agent.act(sub_env.obs.expand(2, 1, 4))[1:]
        sub_env.step(action)
        total += 1
    assert play.play(folder, tmp_path / "game.gif", seed=4) == total


def _of_block(folder: Path) -> Any:
    """The agent of both seeds at once."""
    c = cell("ppo", (3, 4), budget=256)
    spec = EnvSpec(2, 1, (4,), n_actions=2)
    agent = agents.build(c.agent, spec, dict(c.hyperparameters), Streams(c), c.budget)
    agents.load_state_dict(agent, checkpoint_files.load(folder / "checkpoint"))
    return agent


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "run.json").unlink(), "not a finished cell"),
        (lambda folder: (folder / "run.json").write_text("{}"), "not a record of a run"),
        (lambda folder: (folder / "run.json").write_text('{"cell": 3}'), "not a record of a run"),
        (lambda folder: (folder / "checkpoint" / checkpoint_files.FILE).unlink(), "no policy beside these"),
    ],
)
def test_what_cannot_be_played_is_one_line(tmp_path: Path, spoil: Any, message: str):
    run_cell.run_cell(cell("random", budget=30), tmp_path)
    spoil(tmp_path)
    with pytest.raises(UserError, match=message):
        play.play(tmp_path, tmp_path / "game.gif")


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda state: {"theta": state["theta"][:1]}, r"theta is of shape \(1, \d+\), not of 2 seeds"),
        (lambda state: {"theta": state["theta"][:, :7]}, r"theta is of shape \(1, 7\), not \(1, \d+\)"),
        (lambda state: {"other": state["theta"]}, "'theta'"),
    ],
)
def test_parameters_of_another_shape_are_refused(folder: Path, tmp_path: Path, spoil: Any, reason: str):
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    checkpoint_files.save(copy / "checkpoint", spoil(checkpoint_files.load(folder / "checkpoint")))
    with pytest.raises(UserError, match="the policy in checkpoint is of other records; rlparity train"):
        play.play(copy, tmp_path / "game.gif")
    run = json.loads((copy / "run.json").read_text())
    (copy / "run.json").write_text(json.dumps({**run, "policies": {}}))  # of an older version
    with pytest.raises(UserError, match=rf"checkpoint: does not fit the cell \({reason}"):
        play.play(copy, tmp_path / "game.gif")


def test_a_seed_that_was_not_trained_is_refused(folder: Path, tmp_path: Path):
    with pytest.raises(UserError, match="no seed 7; choose from 3, 4"):
        play.play(folder, tmp_path / "game.gif", seed=7)


def test_a_gif_that_cannot_be_written_is_one_line(folder: Path, tmp_path: Path):
    with pytest.raises(UserError, match="cannot be written \\(No such file"):
        play.play(folder, tmp_path / "nowhere" / "game.gif")


def test_a_policy_without_a_deterministic_form_is_sampled_anew_at_every_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    run_cell.run_cell(cell("random", budget=30), tmp_path)
    taken: list[int] = []
    act = random.Random.act

    def spy(self: random.Random, obs: Tensor, explore: Tensor | None = None) -> Tensor:
        action = act(self, obs, explore)
        taken.append(action.item())
        return action

    monkeypatch.setattr(random.Random, "act", spy)
    assert play.play(tmp_path, tmp_path / "game.gif") == len(taken)
    assert set(taken) == {0, 1}


def test_a_normalised_policy_sees_what_it_saw_in_training(monkeypatch: pytest.MonkeyPatch):
    """The checkpoint's statistics give the views that training ended with."""
    kept: list[NormalizedEnv] = []
    load = registry.load

    class Kept(NormalizedEnv):
        def __init__(self, *arguments: Any):
            super().__init__(*arguments)
            kept.append(self)

    monkeypatch.setitem(registry.PARTS, "normalization", "made_up:Kept")
    monkeypatch.setattr(registry, "load", lambda place: Kept if place == "made_up:Kept" else load(place))
    c: Cell = cell("a2c", (0, 1), environment="Acrobot-v1", budget=160, evaluation=BRIEF)
    rows = train.run(c, evaluate=False)
    obs = torch.randn(2, 1, 6, generator=torch.Generator().manual_seed(0))
    assert torch.equal(play._view(rows.state, obs), kept[0].view(obs))
    assert torch.equal(play._view({}, obs), obs)


class Scripted:
    """Acts by a list, whatever it sees, and remembers that."""

    def __init__(self, actions: list[Any]):
        self._actions, self.seen = iter(actions), list[Tensor]()

    def act(self, obs: Tensor, explore: Tensor | None = None) -> Tensor:
        self.seen.append(obs)
        return torch.as_tensor(next(self._actions))


@pytest.mark.parametrize("environment", ["CartPole-v1", "MountainCarContinuous-v0", "ALE/Breakout-v5@nature"])
def test_a_screen_is_the_world_that_agents_are_evaluated_in(environment: str):
    """The same start, the same observations, and the raw return of the whole game."""
    task = tasks.make(environment, [[11]])
    rng = np.random.default_rng(0)
    n = task.spec.n_actions
    actions = [rng.integers(n) if n else np.float32(3 * rng.normal(size=1)) for _ in range(2000)]
    on_screen, evaluated = Scripted(actions), Scripted([np.asarray(a)[None, None] for a in actions])
    screen = rendering.make(environment)
    game = play.watch(on_screen, screen, 11, 50, 4)
    screen.close()
    total, length = evaluation.play(evaluated, task, Tensor.float, None)[0, 0]
    assert game.episode_length == length and game.episode_return == pytest.approx(total)
    assert len(on_screen.seen) == length
    for mine, theirs in zip(on_screen.seen, evaluated.seen, strict=True):
        assert torch.equal(mine.float(), theirs[0, 0])


def test_the_picture_of_an_atari_game_is_what_the_policy_sees_in_colour():
    """Turned grey and made smaller it is the newest frame, but for roundings of the pooled colours."""
    import cv2

    screen = rendering.make("ALE/Pong-v5@nature")
    obs = screen.reset(5)
    for t in range(200):
        picture = screen.picture()
        assert picture.shape == (210, 160, 3)
        grey = cv2.resize(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), (84, 84), interpolation=cv2.INTER_AREA)
        assert np.abs(grey.astype(int) - obs[-1].numpy()).max() <= 32
        obs, _, _ = screen.step(torch.tensor(t % 6))
    screen.close()


@pytest.mark.parametrize("implementation", ["scratch", "sb3"])
def test_an_atari_cell_plays_its_own_game(
    implementation: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Long replay memories are not made to play; here ten frames are shown, and the game cut short."""
    c = cell("dqn", (0,), environment="ALE/Pong-v5@nature", implementation=implementation, n_envs=1)
    c = replace(c, hyperparameters={**c.hyperparameters, "buffer_size": 10**9})
    trainer = sb3 if implementation == "sb3" else train
    short = replace(c, budget=8, hyperparameters={**c.hyperparameters, "buffer_size": 100})
    rows = trainer.run(short, evaluate=False)
    checkpoint_files.save(tmp_path / "checkpoint", rows.state)
    (tmp_path / "run.json").write_text(json.dumps({"cell": json.loads(c.to_json())}))
    step = AtariRenderer.step
    steps = iter(range(20))

    def cut(self: AtariRenderer, action: Tensor) -> tuple[Tensor, float, bool]:
        obs, reward, over = step(self, action)
        return obs, reward, over or next(steps) == 15

    monkeypatch.setattr(AtariRenderer, "step", cut)
    play.play(tmp_path, tmp_path / "game.gif", max_steps=10)
    with Image.open(tmp_path / "game.gif") as film:
        assert film.size == (160, 210) and film.n_frames <= 10 and film.info["duration"] == 70


def test_mujoco_is_drawn_where_there_is_opengl_again_and_again():
    """Screens come and go in one process, and none of them is black once an earlier one is forgotten."""
    try:
        rendering.choose_opengl()
    except UserError as error:
        pytest.skip(str(error))
    closed: list[rendering.Renderer] = []
    for environment in ("InvertedPendulum-v5", "Hopper-v5", "InvertedPendulum-v5"):
        screen = rendering.make(environment)
        screen.reset(0)
        assert screen.picture().std() > 10
        closed.clear()
        assert screen.picture().std() > 10
        screen.close()
        closed.append(screen)


def test_no_opengl_is_one_line(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    monkeypatch.setattr(rendering, "_working_opengl", lambda: None)
    with pytest.raises(
        UserError, match="MuJoCo cannot be drawn here: no OpenGL by egl, osmesa, glfw; on Deb"
    ):
        rendering.make("Hopper-v5")


def test_a_world_without_a_picture_is_one_line(monkeypatch: pytest.MonkeyPatch):
    screen = rendering.make("CartPole-v1")
    monkeypatch.setattr("gymnasium.envs.classic_control.CartPoleEnv.render", lambda self: None)
    screen.reset(0)
    with pytest.raises(UserError, match="CartPole-v1: cannot be drawn here"):
        screen.picture()


def test_a_game_of_minatar_is_drawn_as_the_policy_sees_it():
    """The paddle of Breakout is the first channel, bricks are the last: squares of one colour each."""
    screen = rendering.make("MinAtar/Breakout-v1")
    assert isinstance(screen, MinAtarRenderer)
    obs, task = screen.reset(7), tasks.make("MinAtar/Breakout-v1", [[7]])
    assert torch.equal(obs, task.obs[0, 0].float()) and screen.picture().shape == (320, 320, 3)
    squares = screen.picture()[16::32, 16::32]
    assert np.array_equal(squares.any(-1), obs.any(0).numpy())
    assert len({tuple(colour) for colour in squares[obs[3].bool().numpy()].tolist()}) == 1
    for _ in range(40):
        step = task.step(torch.tensor([[1]]))
        seen, reward, over = screen.step(torch.tensor(1))
        assert torch.equal(seen, step.next_obs[0, 0].float()) and reward == float(step.reward)
        if over:
            break
    assert over and bool(step.last)
    screen.close()
