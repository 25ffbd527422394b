"""What goes wrong in an environment in training names environment, seed and step, in every arm."""

from __future__ import annotations

import json
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
from rlparity.errors import UserError
from rlparity.runs.run_cell import run_cell

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
