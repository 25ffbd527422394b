"""Python candidates: found by name, trained with our step count and records, errors in one line."""

from __future__ import annotations

import random
import re
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from examples.misbehaving import Honest
from small import Protocol, cell, of_seed

from examples.tiny_ppo import TinyPPO
from rlparity.candidates import entry_point
from rlparity.candidates.environments import Misbehaved, bad_actions
from rlparity.candidates.importing import load
from rlparity.candidates.time_limit import TimeLimit
from rlparity.cell import Cell
from rlparity.errors import UserError
from rlparity.seeding import Streams
from rlparity.training import run as training
from rlparity.training.recorder import Recorder

EXAMPLES = Path(__file__).parents[1] / "support" / "examples"


def theirs(seed: int = 4, entry: str = "", **changes: Any) -> Cell:
    where = {"entry": entry, "time_limit_s": 20}
    return cell("ppo", (seed,), implementation="theirs", candidate=where, **{"budget": 301, **changes})


# --- by name


@pytest.mark.parametrize("entry", ["misbehaving:Honest", "examples.misbehaving:Honest", "FILE:Honest"])
def test_a_factory_is_found_in_a_module_or_a_file(entry: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(EXAMPLES)
    factory = load(entry.replace("FILE", str(EXAMPLES / "misbehaving.py")))
    assert factory.__name__ == "Honest"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("entry", "line"),
    [
        ("misbehaving", "expected MODULE:FACTORY, such as their_ppo:make"),
        ("misbehaving:", "expected MODULE:FACTORY"),
        ("absent:make", f"there is no module 'absent' ({sys.executable} looked in "),
        ("misbehaving.absent:make", "there is no module 'misbehaving.absent'"),
        ("absent.py:make", "there is no file 'absent.py' (from "),
        ("misbehaving:Honset", "unknown name 'Honset'; choose from"),
        ("misbehaving:a_number", "a_number is a int; expected a callable"),
        (
            "misbehaving:two_arguments",
            "two_arguments cannot be called with (observation_space, action_space, hyperparameters): "
            "too many positional arguments",
        ),
        (
            "broken_module:make",
            "importing broken_module failed: ZeroDivisionError: division by zero (broken_module.py, line 2)",
        ),
        (
            "needy_module:make",
            "importing needy_module failed: ModuleNotFoundError: No module named 'nowhere_to_be_found'",
        ),
    ],
)
def test_what_is_no_factory_is_one_line(
    entry: str, line: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "broken_module.py").write_text("x = 0\ny = 1 / x\n")
    (tmp_path / "needy_module.py").write_text("import nowhere_to_be_found\n")
    (tmp_path / "misbehaving.py").write_text((EXAMPLES / "misbehaving.py").read_text())
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(UserError) as raised:
        load(entry)
    assert str(raised.value).startswith(f"candidate {entry!r}") and line in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_typing_error_gets_a_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(EXAMPLES)
    with pytest.raises(UserError, match=r"did you mean 'Honest'\?"):
        load("misbehaving:Honset")


# --- rows


@pytest.mark.probes
def test_the_clock_is_that_of_our_own_loop() -> None:
    """Two sub-environments cross 150.5 at step 152, as ours do."""
    rows = entry_point.train(theirs(), Honest)
    ours = training.run(cell("ppo", (4,), budget=301, n_envs=2))
    assert not rows.failed
    keys = ("env_step", "episode", "protocol", "seed")
    found = [[tuple(row[key] for key in keys) for row in each.evaluations] for each in (rows, ours)]
    assert found[0] == found[1] and {row[0] for row in found[0]} == {0, 152, 301}
    assert {row["implementation"] for row in rows.episodes} == {"theirs"}
    assert all(0 < row["env_step"] <= 301 for row in rows.episodes)
    assert rows.training_time_s > 0 and rows.evaluation_time_s > 0


@pytest.mark.probes
def test_the_same_seed_is_the_same_rows_and_another_is_not() -> None:
    first, second, other = (entry_point.train(theirs(seed), Honest) for seed in (4, 4, 5))
    assert first.episodes == second.episodes and first.evaluations == second.evaluations
    assert [row["value"] for row in first.evaluations] != [row["value"] for row in other.evaluations]


@pytest.mark.probes
def test_evaluating_leaves_training_and_random_numbers_as_they_were() -> None:
    state = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # type: ignore[index]
    watched, unwatched = (entry_point.train(theirs(), Honest, evaluate=e) for e in (True, False))
    assert of_seed(watched, 4)[: len(watched.episodes)] == unwatched.episodes and not unwatched.evaluations
    now = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # type: ignore[index]
    assert now == state  # `act` draws from numpy's own generator


def test_sub_environments_start_from_their_streams() -> None:
    starts: list[np.ndarray] = []

    class Looks(Honest):
        def train(self, make_env: Any, seed: int, budget: int) -> None:
            envs = [make_env(i) for i in range(3)]
            starts.extend(env.reset()[0] for env in envs)
            starts.append(envs[0].reset()[0])  # goes on with its stream
            super().train(make_env, seed, budget)

    c = theirs()
    assert not entry_point.train(c, Looks).failed
    env = gym.make("CartPole-v1")
    expected = [env.reset(seed=seed)[0] for seed in Streams(c).environments("training", 3)[0]]
    env.reset(seed=Streams(c).environments("training", 3)[0][0])
    assert np.array_equal(starts, [*expected, env.reset()[0]])


def test_a_factory_gets_the_whole_configuration() -> None:
    given: dict[str, Any] = {}

    def factory(obs: gym.Space, actions: gym.Space, hyperparameters: Any) -> Honest:
        given.update(hyperparameters)
        assert isinstance(obs, gym.spaces.Box) and isinstance(actions, gym.spaces.Discrete)
        return Honest(obs, actions, hyperparameters)

    entry_point.train(theirs(hyperparameters={"gamma": 0.5}), factory)
    assert given["gamma"] == 0.5 and given["gae_lambda"] == 0.8  # CartPole's
    assert given["max_grad_norm"] == 0.5  # the default
    assert given["n_envs"] == 8 and given["normalize"] is False


def test_what_a_watcher_raises_is_not_the_candidates_fault() -> None:
    class Stop(Exception):
        pass

    class Swallows(Honest):
        def train(self, make_env: Any, seed: int, budget: int) -> None:
            with suppress(Exception):
                super().train(make_env, seed, budget)

    def watch(env_step: int, ended: Any) -> None:
        if env_step == 150:
            raise Stop

    rows = Recorder(theirs())
    with pytest.raises(Stop):
        entry_point.train(rows.cell, Swallows, watch, recorder=rows)
    assert not rows.failed and rows.episodes


@pytest.mark.probes
def test_one_that_does_not_come_back_once_its_budget_is_spent_is_ended_and_has_its_rows() -> None:
    class Waits(Honest):
        def train(self, make_env: Any, seed: int, budget: int) -> None:
            try:
                super().train(make_env, seed, 10 * budget)
            except BaseException:
                time.sleep(60)

    started = time.monotonic()
    rows = entry_point.train(replace(theirs(), candidate={"time_limit_s": 1}), Waits)
    assert time.monotonic() - started < 50
    assert not rows.failed and {row["env_step"] for row in rows.evaluations} == {0, 152, 301}


def test_rows_of_a_candidate_that_fails_are_kept(capsys: pytest.CaptureFixture[str]) -> None:
    class Late(Honest):
        steps = 0

        def learn(self, obs: np.ndarray, action: int, reward: float) -> None:
            self.steps += 1
            if self.steps > 200:
                raise RuntimeError("mean is not what it was")

    rows = entry_point.train(theirs(), Late)
    assert list(rows.failed) == [4]
    assert rows.failed[4].startswith(
        "train raised RuntimeError: mean is not what it was (test_entry_point.py, line "
    )
    assert rows.failed[4].endswith("by environment step 201")
    assert rows.episodes and {row["env_step"] for row in rows.evaluations} == {0, 152}
    assert "Traceback" in capsys.readouterr().err  # for the log


def test_one_act_that_hangs_or_raises_is_named() -> None:
    class Slow(Honest):
        def act(self, obs: np.ndarray, deterministic: bool) -> np.ndarray:
            time.sleep(60)
            return super().act(obs, deterministic)

    class Fails(Honest):
        def act(self, obs: np.ndarray, deterministic: bool) -> np.ndarray:
            raise IndexError("no such layer")

    brief = replace(theirs(), candidate={"time_limit_s": 0.3})
    started = time.monotonic()
    assert "nothing happened for 0.3 s" in entry_point.train(brief, Slow).failed[4]
    assert time.monotonic() - started < 50
    assert entry_point.train(theirs(), Fails).failed[4].startswith("act raised IndexError: no such layer")


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("FailsLater", r"step\(\d\) raised ValueError: out of fuel"),
        ("NanObs", r"an observation is not finite: \[nan nan nan\]"),
        ("RewardNan", "the reward is nan"),
    ],
)
def test_a_fault_of_the_environment_is_not_the_candidates(name: str, what: str) -> None:
    """The environment is named, with seed and step; evaluations are left out."""
    made = replace(theirs(), environment=f"odd_environments:{name}-v0")
    reason = entry_point.train(made, Honest, evaluate=False).failed[4]
    where = rf"environment 'odd_environments:{name}-v0', seed 4, environment step [\d,]+: "
    assert re.match(where + what, reason), reason


def test_an_entry_of_a_cell_is_run() -> None:
    rows = entry_point.run(theirs(entry=f"{EXAMPLES / 'misbehaving.py'}:Honest"))
    assert not rows.failed and rows.episodes
    with pytest.raises(UserError, match="there is no module"):
        entry_point.run(theirs(entry="nowhere:make"))


def test_a_time_limit_is_renewed() -> None:
    with TimeLimit(0.4) as limit:
        for _ in range(8):
            time.sleep(0.1)
            limit.renew()
    with pytest.raises(Misbehaved, match=r"nothing happened for 0\.1 s"), TimeLimit(0.1):
        time.sleep(10)
    time.sleep(0.15)  # nothing is left that could ring


@pytest.mark.parametrize(
    ("actions", "line"),
    [
        (np.array([[0.5, -1.0]], np.float32), None),
        (np.array([[0.5, -1.5]], np.float64), "-1.5, outside of the bounds"),
        (np.array([[np.nan, 0.0]]), "not finite, such as nan"),
        (np.array([0.5, 0.0]), r"of shape \(2,\) for actions; expected floats of shape \(1, 2\)"),
        ([[0.5, 0.0]], "a list for actions"),
        (torch.zeros(1, 2), "a Tensor for actions"),
        (np.array([["a", "b"]]), "<U1 of shape"),
    ],
)
def test_actions_are_of_the_space(actions: Any, line: str | None) -> None:
    found = bad_actions(actions, gym.spaces.Box(-1.0, 1.0, (2,)), (1,), bounded=True)
    assert found is None if line is None else re.search(line, found or "")


def test_continuous_actions_are_clipped_in_evaluations_alone() -> None:
    class Wild(Honest):
        def __init__(self, *_: Any):
            pass

        def act(self, obs: np.ndarray, deterministic: bool) -> np.ndarray:
            return np.full((len(obs), 1), 7.0)

        def train(self, make_env: Any, seed: int, budget: int) -> None:
            env = make_env(0)
            env.reset()
            env.step(np.array([7.0]) if seed else np.array([2.0]))

    c = cell(
        "ppo",
        (1,),
        environment="Pendulum-v1",
        implementation="theirs",
        budget=1,
        evaluation=Protocol(1, 1, 1),
    )
    assert "given 7, outside of the bounds of actions; clip it" in entry_point.train(c, Wild).failed[1]
    rows = entry_point.train(replace(c, seeds=(0,)), Wild)
    assert not rows.failed and len(rows.evaluations) == 2


@pytest.mark.probes
def test_atari_games_are_recorded_raw_and_whole() -> None:
    """Under `nature` a learner's episode ends with each of five lives, and rewards are signs."""
    seen: list[tuple[float, bool]] = []

    class Plays(Honest):
        def __init__(self, *_: Any):
            pass

        def act(self, obs: np.ndarray, deterministic: bool) -> np.ndarray:
            assert obs.shape[1:] == (4, 84, 84) and obs.dtype == np.uint8
            return np.full(len(obs), 1)

        def train(self, make_env: Any, seed: int, budget: int) -> None:
            env, rng = make_env(0), np.random.default_rng(seed)
            env.reset()
            for _ in range(budget):
                obs, reward, ended, cut, _ = env.step(int(rng.integers(4)))
                assert obs.shape == (4, 84, 84) and obs.dtype == np.uint8
                seen.append((float(reward), ended or cut))
                if ended or cut:
                    env.reset()

    c = cell("ppo", (0,), environment="ALE/Breakout-v5@nature", implementation="theirs", budget=700)
    rows = entry_point.train(c, Plays, evaluate=False)
    assert not rows.failed and rows.episodes
    lives = sum(stopped for _, stopped in seen)
    assert lives >= 5 * len(rows.episodes) and {reward for reward, _ in seen} <= {0.0, 1.0}
    first = rows.episodes[0]
    signs = [reward for reward, _ in seen[: first["env_step"]]]
    assert first["episode_length"] == first["env_step"] and first["episode_return"] >= sum(signs)


@pytest.mark.probes
def test_the_example_learns() -> None:
    brisk = {"learning_rate": 0.003, "learning_rate_schedule": "constant", "n_epochs": 10, "batch_size": 64}
    c = cell("ppo", (0,), implementation="theirs", budget=4096, hyperparameters=brisk)
    rows = entry_point.train(c, TinyPPO, evaluate=False)
    returns = [row["episode_return"] for row in rows.episodes]
    assert not rows.failed and np.mean(returns[:20]) < 35 and np.mean(returns[-20:]) > 60
