"""Stable-Baselines3's PPO and A2C on Atari are resumed from a checkpoint, with new games.

Games are cut after 50 steps of the agent, so that some end in each part of a training.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from resolved import resolve
from small import Protocol, cell
from stable_baselines3 import A2C, PPO
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.vec_env import DummyVecEnv

from rlparity import records, registry
from rlparity.cell import Cell
from rlparity.environments import atari_presets, metadata
from rlparity.errors import Interrupted, UserError
from rlparity.references import sb3
from rlparity.references.sb3_resume import resumable
from rlparity.runs import progress, run_cell, saved_policies
from rlparity.training import checkpoint_files, evaluation

pytestmark = pytest.mark.whole

BUDGET = 240
OPTIONS: dict[str, dict[str, Any]] = {
    "ppo": {"n_steps": 16, "batch_size": 32, "n_epochs": 1, "learning_rate": 1e-3},
    "a2c": {"n_steps": 16, "learning_rate": 1e-3},
}
SHORT = replace(atari_presets.PRESETS["nature"], max_frames=200)


@pytest.fixture(autouse=True)
def _presets_of_this_test() -> Iterator[None]:
    """What is known of an environment is cached, and some tests shorten a preset."""
    metadata.probe.cache_clear()
    yield
    metadata.probe.cache_clear()


def atari_cell(algorithm: str, **changes: Any) -> Cell:
    """Rollouts of 32 steps, the last one of 16; checkpoints at 64, 96, 160, 192 and 240."""
    fields: dict[str, Any] = {
        "environment": "ALE/Pong-v5@nature",
        "implementation": "sb3",
        "n_envs": 2,
        "budget": BUDGET,
        "checkpoint_every": 48,
        "evaluation": Protocol(points=2, episodes=1, final_episodes=2, modes=("sampled",)),
        "hyperparameters": {**OPTIONS[algorithm], "learning_rate_schedule": "linear"},
        **changes,
    }
    return cell(algorithm, fields.pop("seeds", (4,)), **fields)


CELL = atari_cell("ppo")


Undisturbed = Callable[[str], tuple[Path, "Log"]]


class Killed(Exception):
    """In place of a signal that nothing outlives."""


@pytest.fixture(scope="module", autouse=True)
def _short_games() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(atari_presets, "PRESETS", {"nature": SHORT})
        yield


def at_step(patch: pytest.MonkeyPatch, env_step: int, act: Callable[[], object]) -> None:
    """Act once this many environment steps are recorded, in the middle of a rollout or at its end."""
    show = progress.Display.__call__

    def watch(self: progress.Display, reached: int, ended: Any) -> None:
        show(self, reached, ended)
        if reached == env_step:
            act()

    patch.setattr(progress.Display, "__call__", watch)


def kill() -> None:
    raise Killed


def terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def run_until(env_step: int, c: Cell, folder: Path, act: Callable[[], object] = kill) -> None:
    with pytest.MonkeyPatch.context() as patch, pytest.raises((Killed, Interrupted)):
        at_step(patch, env_step, act)
        run_cell.run_cell(c, folder)


class Log:
    """What models begin with, what every update of them goes by, and the seeds of all that is random."""

    def __init__(self, patch: pytest.MonkeyPatch):
        self.began: list[dict[str, Any]] = []
        self.updates: list[dict[str, float]] = []
        self.seeds: list[list[int]] = []
        self.ambient: list[int] = []  # seeds of torch's own generator, which samples actions
        for kind in (PPO, A2C):
            patch.setattr(kind, "learn", self._noted(kind.learn))
            patch.setattr(kind, "train", self._logged(kind.train))
        reset = DummyVecEnv.reset

        def started(venv: DummyVecEnv) -> Any:
            self.seeds.append(list(venv._seeds))
            return reset(venv)

        patch.setattr(DummyVecEnv, "reset", started)

    def _noted(self, learn: Callable[..., Any]) -> Callable[..., Any]:
        def noted(model: Any, *arguments: Any, **keywords: Any) -> Any:
            self.ambient.append(torch.initial_seed())
            self.began.append(flat(model.get_parameters()))
            return learn(model, *arguments, **keywords)

        return noted

    def _logged(self, train: Callable[[Any], None]) -> Callable[[Any], None]:
        def logged(model: Any) -> None:
            train(model)
            optimizer = model.policy.optimizer
            first = optimizer.state[next(iter(model.policy.parameters()))]
            clip = getattr(model, "clip_range", float)(model._current_progress_remaining)
            self.updates.append(
                {
                    "env_step": model.num_timesteps,
                    "n_updates": model._n_updates,
                    "optimizer_steps": float(first["step"]),
                    "learning_rate": optimizer.param_groups[0]["lr"],
                    "clip_range": clip,
                }
            )

        return logged


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """The folder of a cell that nothing interrupted, and the log of its training."""

    @cache
    def make(algorithm: str) -> tuple[Path, Log]:
        folder = tmp_path_factory.mktemp("whole")
        with pytest.MonkeyPatch.context() as patch:
            log = Log(patch)
            run_cell.run_cell(atari_cell(algorithm), folder)
        return folder, log

    return make


def flat(parameters: Any) -> dict[str, torch.Tensor]:
    """Copies of a model's parameters and of the tensors that its optimiser keeps for each."""
    entries = {
        f"{index}.{name}": value
        for index, entry in parameters["policy.optimizer"]["state"].items()
        for name, value in entry.items()
    }
    return {name: torch.as_tensor(x).clone() for name, x in {**parameters["policy"], **entries}.items()}


def left_by(folder: Path) -> dict[str, Any]:
    """The last policy and the records."""
    weights = {name: value.tolist() for name, value in checkpoint_files.load(folder / "checkpoint").items()}
    return {"weights": weights, **{kind: rows_of(folder, kind) for kind in ("episodes", "evaluations")}}


def rows_of(folder: Path, kind: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = records.pq.read_table(folder / f"{kind}.parquet").to_pylist()
    return rows


@pytest.mark.parametrize("algorithm", ["ppo", "a2c"])
def test_a_killed_reference_goes_on_with_its_clock_schedules_and_rows(
    algorithm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, undisturbed: Undisturbed
):
    """Killed at 150, after the evaluation at 120 and updates at 96 and 128; it goes on from 96."""
    c, (whole, expected) = atari_cell(algorithm), undisturbed(algorithm)
    log = Log(monkeypatch)
    run_until(150, c, tmp_path)
    state = checkpoint_files.read_state(tmp_path / "checkpoint")
    assert state["env_step"] == 96 and log.updates == expected.updates[:4]
    run_cell.run_cell(c, tmp_path)
    assert log.updates[4:] == expected.updates[3:]
    assert [update["env_step"] for update in log.updates[4:]] == [128, 160, 192, 224]
    assert len({update["learning_rate"] for update in log.updates}) == 7
    saved = flat(state["training"][1]["parameters"])
    assert log.began[1].keys() == saved.keys() and len(saved) > 40
    assert all(torch.equal(value, saved[name]) for name, value in log.began[1].items())
    assert log.ambient[0] == expected.ambient[0] != log.ambient[1]
    assert log.seeds[0] == expected.seeds[0] and not set(log.seeds[0]) & set(log.seeds[1])

    points = [(row["env_step"], row["episode"]) for row in rows_of(tmp_path, "evaluations")]
    assert points == [(0, 0), (120, 0), (240, 0), (240, 1)]
    names = [(row["env_step"], row["metric"]) for row in rows_of(tmp_path, "progress")]
    assert len(set(names)) == len(names) and (120, "value_loss") in names
    games, before = (rows_of(folder, "episodes") for folder in (tmp_path, whole))
    earlier = [row for row in games if row["env_step"] <= 96]
    assert earlier == [row for row in before if row["env_step"] <= 96] and len(earlier) == 2
    later = [row for row in games if row["env_step"] > 96]
    assert len(later) == 2 and all(row["env_step"] - 2 * row["episode_length"] == 96 for row in later)

    run = json.loads((tmp_path / "run.json").read_text())
    assert (run["status"], run["times_resumed"], run["resumes_exactly"]) == ("done", 1, False)
    assert run["wall_time_s"] > state["wall_time_s"] and run["started"] == state["started"]
    assert {name: kept["env_step"] for name, kept in run["policies"].items()} == saved_policies.steps(c)
    assert {path.name for path in (tmp_path / "checkpoint").iterdir()} == set(saved_policies.FILES.values())


def test_checkpoints_leave_the_numbers_as_they_are(tmp_path: Path, undisturbed: Undisturbed):
    run_cell.run_cell(replace(CELL, checkpoint_every=0), tmp_path)
    assert left_by(tmp_path) == left_by(undisturbed("ppo")[0])


def child(c: Cell, folder: Path) -> None:
    patch = pytest.MonkeyPatch()
    patch.setattr(atari_presets, "PRESETS", {"nature": SHORT})
    at_step(patch, 70, lambda: os.kill(os.getpid(), signal.SIGKILL))
    run_cell.run_cell(c, folder)


def test_a_cell_outlives_sigkill_and_stops_after_the_rollout_under_way_when_asked_to(tmp_path: Path):
    process = multiprocessing.get_context("spawn").Process(target=child, args=(CELL, tmp_path))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert checkpoint_files.read_state(tmp_path / "checkpoint")["env_step"] == 64
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Interrupted) as caught:
        at_step(patch, 100, terminate)
        run_cell.run_cell(CELL, tmp_path)
    left = "stopped with a checkpoint at environment step 128 of 240; the same command goes on from there"
    assert str(caught.value) == f"{tmp_path}: {left}" and caught.value.status == 128 + signal.SIGTERM
    assert run_cell.run_cell(CELL, tmp_path)["times_resumed"] == 2
    assert [row["env_step"] for row in rows_of(tmp_path, "evaluations")] == [0, 120, 240, 240]


def test_the_last_evaluation_can_be_left_and_taken_up(tmp_path: Path, undisturbed: Undisturbed):
    """The budget is spent in the middle of a rollout, and nothing is learned any more."""
    play, rounds = evaluation.play, []

    def playing(*arguments: Any) -> Any:
        rounds.append(arguments)
        if len(rounds) == 3:
            terminate()
        return play(*arguments)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Interrupted, match="step 240 of 240;"):
        patch.setattr(evaluation, "play", playing)
        run_cell.run_cell(CELL, tmp_path)
    run_cell.run_cell(CELL, tmp_path)
    assert left_by(tmp_path) == left_by(undisturbed("ppo")[0])


def test_a_full_disk_costs_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint_files, "write_state", refuse)
    run_until(100, CELL, tmp_path)
    line = "cannot be written (No space left on device); training goes on with no checkpoint"
    assert capsys.readouterr().err.count(f"rlparity: {tmp_path / 'checkpoint'}: {line}\n") == 1


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a cell that ended at environment step 70."""
    folder = tmp_path_factory.mktemp("interrupted")
    run_until(70, CELL, folder)
    return folder


def test_what_cannot_be_gone_on_from_is_refused_or_removed(
    interrupted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    folder = tmp_path / "cell"
    shutil.copytree(interrupted, folder)
    state = folder / "checkpoint" / checkpoint_files.STATE
    with pytest.raises(UserError, match=r"the checkpoint of another cell, .* sb3 ppo, seeds 4; delete"):
        run_cell.run_cell(atari_cell("ppo", seeds=(5,)), folder)
    whole = state.read_bytes()
    middle = len(whole) // 2
    state.write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :])
    with pytest.raises(UserError, match=r"state\.pt: not a readable checkpoint \(.*\); delete"):
        run_cell.run_cell(CELL, folder)
    state.write_bytes(whole)
    capsys.readouterr()
    run_until(2, replace(CELL, hyperparameters={**CELL.hyperparameters, "gamma": 0.5}), folder)
    line = "checkpoint at environment step 64 is of other sources or settings; training starts from the"
    assert capsys.readouterr().err.startswith(f"rlparity: {state.parent}: {line} beginning\n")
    assert not state.exists()


def test_only_on_policy_references_on_atari_have_checkpoints():
    found = resolve(
        environments=["CartPole-v1", "ALE/Pong-v5@nature"], algorithms=["ppo", "a2c", "dqn"], seeds=[0]
    ).cells
    for c in (c for c in found if c.implementation == "sb3"):
        atari_on_policy = c.environment.startswith("ALE/") and c.agent in ("ppo", "a2c")
        assert resumable(c) == bool(c.checkpoint_every) == atari_on_policy
    assert not registry.family("ALE/Pong-v5@nature").resumes_exactly and issubclass(
        registry.reference("a2c"), OnPolicyAlgorithm
    )
    assert {c.checkpoint_every for c in found if c.agent == "ppo" and "ALE" in c.environment} == {4096 // 20}
    with pytest.raises(AssertionError, match="new episodes"):
        sb3.run(cell("ppo", implementation="sb3"), checkpointer=object())  # type: ignore[arg-type]
