"""What goes wrong in an environment in training names environment, seed and step, in every arm."""

from __future__ import annotations

import dataclasses
import json
import signal
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import odd_environments as odd
import pyarrow.parquet as pq
import pytest
import small  # noqa: F401  (one thread)

from rlparity.cell import Cell, Protocol
from rlparity.environments import guard
from rlparity.errors import Interrupted, StorageError, UserError
from rlparity.runs.run_cell import run_cell
from rlparity.seeding import Streams
from rlparity.training.checkpointing import Checkpointer

pytestmark = pytest.mark.probes
BAD_STEP = 100  # of a sub-environment in training; evaluations are shorter


class Faulty(odd.Walk):
    """Goes wrong in the step with that number, if `kind` says so."""

    steps = 0

    def __init__(self, kind: str, render_mode: str | None = None):
        super().__init__()
        self.kind = kind

    def step(self, action: Any) -> Any:
        obs, reward, *others = super().step(action)
        self.steps += 1
        if self.steps == BAD_STEP and self.kind == "raises":
            raise ValueError("out\nof fuel")
        bad = self.steps == BAD_STEP
        obs = obs * np.nan if bad and self.kind == "observation" else obs
        return obs, np.inf if bad and self.kind == "reward" else reward, *others


class Odd(odd.Walk):
    """Returns something else than Gymnasium's five values, in the same step."""

    steps = 0

    def __init__(self, kind: str, render_mode: str | None = None):
        super().__init__()
        self.kind = kind

    def step(self, action: Any) -> Any:
        obs, reward, ended, _, info = super().step(action)
        others = (ended, self.t >= odd.LIMIT, info)  # a wrapper of Gymnasium would unpack what it is given
        self.steps += 1
        if self.steps != BAD_STEP:
            return obs, reward, *others
        return {
            "none": (obs, None, *others),
            "four": (obs, reward, *others[:2]),
            "nothing": None,
            "shape": (obs[:2], reward, *others),
            "text": (["a", "b", "c"], reward, *others),
        }[self.kind]


ODD = {
    "none": "step returned reward = None; expected one number",
    "four": "step returned (array([",
    "nothing": "step returned None; expected five values",
    "shape": "step returned an observation of shape (2,); its space says (3,)",
    "text": "step returned an observation that is no array: ['a', 'b', 'c']",
}
for _kind in ODD:
    gym.register(f"Odd-{_kind}-v0", Odd, kwargs={"kind": _kind})
for _kind in ("raises", "observation", "reward"):
    gym.register(f"Faulty-{_kind}-v0", Faulty, max_episode_steps=30, kwargs={"kind": _kind})


def cell(kind: str, implementation: str, **fields: Any) -> Cell:
    made: dict[str, Any] = {
        "seeds": (3, 4) if implementation == "scratch" else (4,),
        "evaluation": Protocol(2, 1, 1),
        "n_envs": 2,
        "agent": "a2c",
        "budget": 1000,
    }
    made |= fields
    return Cell("suite", f"Faulty-{kind}-v0", implementation, made["agent"], **made)


@pytest.mark.parametrize("implementation", ["scratch", "sb3"])
def test_an_exception_ends_the_cell_with_one_line(tmp_path: Path, implementation: str) -> None:
    seed = 3 if implementation == "scratch" else 4
    with pytest.raises(UserError) as ended:
        run_cell(cell("raises", implementation), tmp_path)
    line = f"environment 'Faulty-raises-v0', seed {seed}, environment step 200: step("
    assert str(ended.value).startswith(line) and "raised ValueError: out of fuel" in str(ended.value)
    assert "\n" not in str(ended.value) and not (tmp_path / "run.json").exists()


@pytest.mark.parametrize("implementation", ["scratch", "sb3"])
@pytest.mark.parametrize("kind", ODD)
def test_what_is_no_step_ends_the_cell_with_one_line(tmp_path: Path, implementation: str, kind: str) -> None:
    made = dataclasses.replace(cell("raises", implementation), environment=f"Odd-{kind}-v0")
    with pytest.raises(UserError) as ended:
        run_cell(made, tmp_path)
    line = f"environment 'Odd-{kind}-v0', seed {made.seeds[0]}, environment step 200: {ODD[kind]}"
    assert str(ended.value).startswith(line) and "\n" not in str(ended.value)


@pytest.mark.parametrize("implementation", ["scratch", "sb3"])
@pytest.mark.parametrize(
    ("kind", "words"),
    [("observation", "an observation is not finite: [nan nan nan]"), ("reward", "the reward is inf")],
)
def test_numbers_that_are_not_finite_fail_their_seed(
    tmp_path: Path, implementation: str, kind: str, words: str
) -> None:
    run = run_cell(cell(kind, implementation), tmp_path)
    assert run["status"] == "failed" and set(run["failed_seeds"]) >= {"4"}
    for seed, reason in run["failed_seeds"].items():
        assert reason == f"environment 'Faulty-{kind}-v0', seed {seed}, environment step 200: {words}"
    rows = pq.read_table(tmp_path / "episodes.parquet").to_pylist()
    assert rows and max(row["env_step"] for row in rows) < 200
    assert np.isfinite([row["episode_return"] for row in rows]).all()


class Late(odd.Walk):
    """One reward that is not finite, in the training of one seed alone."""

    bad_seed = -1

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        if seed is not None:
            self.bad, self.steps = seed == Late.bad_seed, 0
        return super().reset(seed=seed, options=options)

    def step(self, action: Any) -> Any:
        obs, reward, *others = super().step(action)
        self.steps += 1
        return obs, np.nan if self.bad and self.steps == BAD_STEP else reward, *others


gym.register("Faulty-late-v0", Late, max_episode_steps=30)


@pytest.fixture
def late(monkeypatch: pytest.MonkeyPatch) -> Cell:
    """Two seeds, of which the second has a fault at environment step 200."""
    made = cell("late", "scratch", agent="random", evaluation=Protocol(2, 1, 1, ("sampled",)))
    made = dataclasses.replace(made, checkpoint_every=100)
    monkeypatch.setattr(Late, "bad_seed", Streams(made).environments("training", 2)[1][0])
    return made


def test_a_signal_after_a_fault_interrupts_and_the_fault_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, late: Cell
) -> None:
    save = Checkpointer.save

    def signalled(self: Checkpointer, session: Any) -> None:
        save(self, session)
        if session.env_step >= 500 and not self.times_resumed:
            self.signal = signal.SIGTERM

    monkeypatch.setattr(Checkpointer, "save", signalled)
    with pytest.raises(Interrupted):
        run_cell(late, tmp_path)
    assert not (tmp_path / "run.json").exists()
    run = run_cell(late, tmp_path)
    assert run["times_resumed"] == 1 and set(run["failed_seeds"]) == {"4"}
    assert run["failed_seeds"]["4"].endswith("seed 4, environment step 200: the reward is nan")
    rows = pq.read_table(tmp_path / "evaluations.parquet").to_pylist()
    assert max(row["env_step"] for row in rows if row["seed"] == 3) == 1000


@pytest.mark.parametrize("error", [UserError, StorageError, MemoryError, OSError])
def test_what_no_number_causes_is_raised_after_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, late: Cell, error: type[Exception]
) -> None:
    with pytest.raises(error, match="no more"):
        run_with(tmp_path, monkeypatch, late, error("no more"))
    assert not (tmp_path / "run.json").exists()


def test_an_exception_after_a_fault_fails_the_seeds_that_it_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, late: Cell
) -> None:
    run = run_with(tmp_path, monkeypatch, late, ValueError("nan in the policy"))
    assert run["failed_seeds"]["3"].startswith("the cell's training ended after environment step ")
    assert run["failed_seeds"]["3"].endswith(": ValueError: nan in the policy")
    assert "environment step 200: the reward is nan" in run["failed_seeds"]["4"]


def run_with(folder: Path, monkeypatch: pytest.MonkeyPatch, made: Cell, error: Exception) -> dict[str, Any]:
    """Train; the error is raised at environment step 500."""

    def save(self: Checkpointer, session: Any) -> None:
        if session.env_step >= 500:
            raise error

    monkeypatch.setattr(Checkpointer, "save", save)
    return run_cell(made, folder)


def test_an_agent_that_learns_nothing_fails_too(tmp_path: Path) -> None:
    made = cell("reward", "scratch", agent="random", evaluation=Protocol(2, 1, 1, ("sampled",)))
    assert set(run_cell(made, tmp_path)["failed_seeds"]) == {"3", "4"}


def test_an_evaluation_is_named(tmp_path: Path) -> None:
    """The environments of evaluations take more steps than those of training."""
    run = run_cell(cell("reward", "scratch", evaluation=Protocol(2, 1, 40), budget=150), tmp_path)
    start = "environment 'Faulty-reward-v0', seed 3, evaluation at environment step 150, step "
    assert run["failed_seeds"]["3"].startswith(start)
    assert run["failed_seeds"]["3"].endswith(" since its reset: the reward is inf")


def test_the_guard_changes_nothing_and_goes_away() -> None:
    plain = gym.make("odd_environments:Talks-v0")
    with guard.watching("odd_environments:Talks-v0") as faults:
        watched = gym.make("odd_environments:Talks-v0")
        assert isinstance(watched, guard.Guard)
    assert not isinstance(gym.make("odd_environments:Talks-v0"), guard.Guard)
    assert watched.spec is not None and watched.spec.max_episode_steps == odd.LIMIT
    assert np.array_equal(watched.reset(seed=1)[0], plain.reset(seed=1)[0])
    assert watched.np_random.bit_generator.state == plain.np_random.bit_generator.state
    for action in (0, 1, 1):
        one, other = watched.step(action), plain.step(action)
        assert np.array_equal(one[0], other[0]) and one[1:] == other[1:]
    assert faults == []


@pytest.mark.parametrize(
    ("obs", "finite"),
    [
        (np.array([1e30, 2], np.float32), True),  # whose square is beyond float32
        (np.array([1, np.nan]), False),
        (np.array([[1, np.inf]]), False),
        (np.array([255], np.uint8), True),
        ([1.0, float("nan")], False),
        ([1.0, 2.0], True),
    ],
)
def test_what_is_finite(obs: Any, finite: bool) -> None:
    assert guard.is_finite(obs) is finite


def test_reasons_are_plain_json(tmp_path: Path) -> None:
    run_cell(cell("reward", "scratch"), tmp_path)
    assert "Faulty-reward-v0" in json.loads((tmp_path / "run.json").read_text())["failed_seeds"]["3"]
