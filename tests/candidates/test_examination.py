"""Evaluation from outside: the same rows over a link, and nothing that is not the protocol's."""

from __future__ import annotations

import socket
import threading
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import pytest
import torch
from small import BRIEF, cell
from torch import Tensor

from rlparity.candidates import examination
from rlparity.candidates.environments import Misbehaved
from rlparity.candidates.examination import Answers, Examiner
from rlparity.cell import Cell
from rlparity.runs import row_checks
from rlparity.training.recorder import Recorder

CELL = cell("ppo", (4,), implementation="theirs", candidate={"entry": "a:b"}, evaluation=BRIEF)
POINTS = ((0, 0), (1, CELL.budget // 2), (2, CELL.budget))


class Leans:
    """Moves against the pole, or whatever `action` is."""

    uniforms = 1

    def __init__(self, action: Any = None):
        self.action = action

    def act(self, obs: Tensor, explore: Tensor | None = None) -> Tensor:
        if isinstance(self.action, Exception | Misbehaved):
            raise self.action
        return (obs[..., 2] > 0).long() if self.action is None else torch.as_tensor(self.action)


def evaluated(policy: Any, points: tuple[tuple[int, int], ...], made: Cell = CELL) -> Recorder:
    """The records of a process that evaluates another; an error of this other one is raised."""
    ours, theirs = socket.socketpair()
    rows = Recorder(made)
    link = Connection(ours.detach())
    thread = threading.Thread(target=examination.serve, args=(made, rows, link))
    thread.start()
    answers = Answers(Connection(theirs.detach()))
    try:
        for point, env_step in points:
            answers(policy, point, env_step)
    finally:
        answers.close()
        thread.join()
    return rows


def test_rows_are_those_of_an_evaluation_in_one_process() -> None:
    here = Recorder(CELL)
    examiner = Examiner(CELL, here)
    for point, env_step in POINTS:
        examiner(Leans(), point, env_step)
    examiner.close()
    there = evaluated(Leans(), POINTS)
    assert there.evaluations == here.evaluations != [] and there.evaluation_time_s > 0
    assert row_checks.bad_evaluations(CELL, there.evaluations) is None


@pytest.mark.parametrize(
    ("action", "points", "line"),
    [
        (None, ((1, 0),), "it asked for evaluation 1 of 2 at environment step 0 of 520"),
        (None, ((0, 0), (0, 1)), "it asked for evaluation 0 of 2 at environment step 1"),
        (None, ((2, 300),), "it asked for evaluation 2 of 2 at environment step 300"),
        (None, ((2, 520), (3, 780)), "it asked for evaluation 3 of 2"),
        ([[7, 7]], POINTS, "act gave action 7; allowed are 0 to 1"),
        ([[0, 1, 0]], POINTS, "act gave int64 of shape (3,) for actions"),
        (Misbehaved("act raised ValueError: no"), POINTS, "act raised ValueError: no"),
    ],
)
def test_what_is_not_the_protocol_is_refused(
    action: Any, points: tuple[tuple[int, int], ...], line: str
) -> None:
    with pytest.raises(Misbehaved) as raised:
        evaluated(Leans(action), points)
    assert str(raised.value).startswith(line)


def test_arrays_arrive_as_they_were_sent() -> None:
    one, other = (Connection(each.detach()) for each in socket.socketpair())
    for array in (np.arange(6, dtype=np.uint8).reshape(1, 2, 3), np.float32([[0.1]]), np.zeros((0, 2))):
        examination._send(one, {"x": 1}, array)
        message, found = examination._receive(other)
        assert message["x"] == 1 and found is not None and found.dtype == array.dtype
        np.testing.assert_array_equal(found, array)


# --- rows that are left


def episode(**changes: Any) -> dict[str, Any]:
    arm = {"implementation": "theirs", "algorithm": "ppo", "environment": "CartPole-v1", "seed": 4}
    return {**arm, "env_step": 100, "episode_return": 20.0, "episode_length": 20, **changes}


def evaluation(**changes: Any) -> dict[str, Any]:
    row = {
        **episode(),
        "episode": 0,
        "protocol": "deterministic",
        "metric": "return",
        "value": 1.0,
        "size": 9,
    }
    return {**row, **changes}


@pytest.mark.parametrize(
    ("episodes", "evaluations", "line"),
    [
        ([episode()], [evaluation()], None),
        ([], [], "it left no returns"),
        ([episode(), episode(seed=5)], [], "episode 2 is of seed 5, not 4"),
        ([episode(implementation="sb3")], [], "episode 1 is of implementation 'sb3', not 'theirs'"),
        ([], [evaluation(environment="CartPole-v0")], "evaluation 1 is of environment 'CartPole-v0'"),
        ([episode(algorithm="a2c")], [], "episode 1 is of algorithm 'a2c'"),
        ([episode(env_step=521)], [], "episode 1 is at environment step 521; 0 to 520 are possible"),
        ([episode(), episode(env_step=99)], [], "episode 2 is at environment step 99; 100 to 520 are"),
        ([episode(episode_return=float("nan"))], [], "episode 1: return nan"),
        ([], [evaluation(protocol="sampled")], "evaluation 1: return 1.0 by sampled"),
    ],
)
def test_rows_of_another_cell_fail_the_seed(episodes: Any, evaluations: Any, line: str | None) -> None:
    rows = Recorder(CELL, episodes=episodes, evaluations=evaluations)
    row_checks.check(rows)
    assert rows.failed == {} if line is None else rows.failed[4].startswith(line)


@pytest.mark.parametrize(
    ("counts", "line"),
    [
        ({0: 2, 260: 2, 520: 3}, None),
        ({0: 2, 264: 2, 520: 3}, None),
        ({0: 2, 520: 3}, None),  # so many sub-environments may be stepped in turn
        ({}, "it was evaluated at none of 520"),
        ({0: 2, 260: 2}, "it was evaluated at 0, 260 of 520"),
        ({0: 2, 260: 1, 520: 3}, "1 episodes were evaluated at environment step 260, not 2"),
        ({0: 2, 260: 2, 520: 2}, "2 episodes were evaluated at environment step 520, not 3"),
    ],
)
def test_evaluations_that_lack_are_named(counts: dict[int, int], line: str | None) -> None:
    rows = [evaluation(env_step=step) for step, count in counts.items() for _ in range(count)]
    problem = row_checks.bad_evaluations(CELL, rows)
    assert problem is None if line is None else (problem or "").startswith(line)


def test_steps_are_counted_against_the_budget() -> None:
    assert row_checks.bad_training(CELL, [episode()] * 26, 520) is None
    assert row_checks.bad_training(CELL, [], 519) == "its process counted 519 of 520 environment steps"
    assert (
        row_checks.bad_training(CELL, [episode()] * 27, 520) == "its episodes have 540 steps, its budget 520"
    )
