"""The contract's looks at checkpoints: whatever is missing from one is named."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import small  # noqa: F401  (one thread)
import torch

from rlparity.agents.continuous_control.td3 import TD3
from rlparity.buffers.prioritized import Priorities
from rlparity.buffers.replay import Replay
from rlparity.environments.cartpole import CartPole
from rlparity.environments.episode_statistics import EpisodeStatistics
from rlparity.environments.normalization import NormalizedEnv
from rlparity.training import checkpoint_files, loop, object_state
from rlparity.training.checkpointing import Checkpointer
from rlparity.training.evaluation import Evaluator
from rlparity.training.recorder import Recorder
from rlparity.validation.checks import Answer
from rlparity.validation.contract.own_agents import check as agent_contract
from rlparity.validation.contract.own_agents.kinds import checkpoints, live_state

pytestmark = pytest.mark.probes
WHOLE = "a checkpoint holds all of a training"
REBORN = "a training that dies again and again ends the same"
Patch = pytest.MonkeyPatch


def trainings(algorithm: str) -> agent_contract.Trainings:
    environment = "Pendulum-v1" if algorithm in ("sac", "td3") else "CartPole-v1"
    return agent_contract.Trainings(algorithm, environment)


def checked(name: str, algorithm: str) -> Answer:
    answer = agent_contract.checks(trainings(algorithm))[name]()
    assert answer is not None
    return answer


@pytest.mark.parametrize("algorithm", ["ppo", "dqn-prioritized", "sac"])
def test_checkpoints_are_whole(algorithm: str) -> None:
    assert checked(WHOLE, algorithm)[0]
    assert checked(REBORN, algorithm)[0]


def leaves(state: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths to all entries of a captured state that are no containers."""
    if isinstance(state, dict | list):
        items = state.items() if isinstance(state, dict) else enumerate(state)
        for key, value in items:
            yield from leaves(value, (*path, key))
    elif isinstance(state, tuple) and state[0] in ("object", "snapshot", "tuple"):
        yield from leaves(state[-1], (*path, len(state) - 1))
    else:
        yield path


def at(state: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        state = state[key]
    return state


def without(state: Any, start: Any, path: tuple[Any, ...]) -> Any:
    """The state with one entry as it is before training."""
    if not path:
        return start
    key, rest = path[0], path[1:]
    items = dict(state) if isinstance(state, dict) else list(state)
    items[key] = without(state[key], start[key], rest)
    return tuple(items) if isinstance(state, tuple) else items


@pytest.mark.parametrize(("algorithm", "least"), [("ppo", 30), ("dqn-prioritized", 35)])
def test_each_entry_of_a_state_is_missed(algorithm: str, least: int) -> None:
    """Each is taken out in turn, where it is no longer what it is at the start: the comparison alarms."""
    cell = trainings(algorithm).fault_showing_cell
    live, found = checkpoints.fresh(cell), 0
    events = loop.loop(live.training, None)
    while live.training.env_step < 24 * cell.n_envs:
        live.recorder.take(next(events))
    state, start = object_state.capture(live), object_state.capture(checkpoints.fresh(cell))
    memories = object_state.find(live, Replay)
    for path in leaves(start):
        try:
            now, before = at(state, path), at(start, path)
        except (KeyError, IndexError, TypeError):
            continue  # nothing of the kind: what was a list is now a table
        if repr(now) == repr(before) or path[-1] in ("elapsed_s", "evaluation_time_s"):
            continue
        other = checkpoints.fresh(cell)
        try:
            object_state.restore(other, without(state, start, path))
        except object_state.Mismatch:
            continue  # a state that does not fit is refused
        for mine, its in zip(memories, object_state.find(other, Replay), strict=True):
            its.write(
                mine.added - mine.size, [x.clone() for x in mine.read(mine.added - mine.size, mine.added)]
            )
        assert live_state.difference(live, other) is not None, path
        found += 1
    assert found >= least, found


def forgets(owner: Any, *names: str) -> Callable[[Patch], None]:
    """A class that leaves attributes out of its state."""

    def plant(patch: Patch) -> None:
        kept = object_state._attributes

        def attributes(value: Any) -> dict[str, Any]:
            return {k: v for k, v in kept(value).items() if not (type(value) is owner and k in names)}

        patch.setattr(object_state, "_attributes", attributes)

    return plant


def stale(owner: Any, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[[Patch], None]:
    """A class whose snapshot has something wrong in it."""
    snapshot = owner.snapshot
    return lambda patch: patch.setattr(owner, "snapshot", lambda self: change(snapshot(self)))


def unshared(patch: Patch) -> None:
    """What several objects hold together becomes each one's own."""
    restore = object_state.restore

    def restored(thing: Any, state: Any) -> None:
        restore(thing, state)
        thing.training.agent.alive = thing.training.agent.alive.clone()

    patch.setattr(object_state, "restore", restored)


def short_memory(patch: Patch) -> None:
    """The newest row of sub-environments is written as zeros."""
    read = Replay.read

    def cut(self: Replay, first: int, last: int) -> Any:
        found = read(self, first, last)
        return type(found)(*(torch.cat([x[:, :-3], torch.zeros_like(x[:, -3:])], 1) for x in found))

    save = Checkpointer.save

    def saved(self: Checkpointer, session: Any) -> None:
        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(Replay, "read", cut)
            save(self, session)

    patch.setattr(Checkpointer, "save", saved)


def counting_evaluations(patch: Patch) -> None:
    """Evaluations are seeded by how many this process has made."""
    call, made = Evaluator.__call__, Evaluator.__init__

    def start(self: Any, *arguments: Any) -> None:
        made(self, *arguments)
        self.count = 0

    def evaluate(self: Any, policy: Any, view: Any, point: int) -> Any:
        self.count += 1
        return call(self, policy, view, self.count - 1)

    patch.setattr(Evaluator, "__init__", start)
    patch.setattr(Evaluator, "__call__", evaluate)


ALARMS: list[tuple[str, str, Callable[[Patch], None], str, str]] = [
    ("updates so far", WHOLE, forgets(TD3, "updates"), "td3", "agent.updates differs"),
    ("metrics", WHOLE, forgets(TD3, "actor_loss"), "td3", "actor_loss differs"),
    ("the next evaluation", WHOLE, forgets(loop.Training, "point"), "td3", "training.point differs"),
    ("numbers fetched", REBORN, forgets(loop.Uniforms, "_used"), "ppo", "near step"),
    ("numbers fetched, whole", WHOLE, forgets(loop.Uniforms, "_used"), "ppo", "_used differs"),
    (
        "the end of a cart's starts",
        WHOLE,
        stale(CartPole, lambda state: {**state, "next_start": np.zeros_like(state["next_start"])}),
        "a2c",
        "CartPole-v1, restored at step",
    ),
    (
        "a cart's time",
        WHOLE,
        stale(CartPole, lambda state: {**state, "elapsed": 0 * state["elapsed"]}),
        "ppo",
        "_elapsed differs",
    ),
    (
        "lengths",
        REBORN,
        stale(EpisodeStatistics, lambda state: {**state, "lengths": 0 * state["lengths"]}),
        "reinforce",
        "episodes near step",
    ),
    (
        "discounted returns",
        WHOLE,
        stale(NormalizedEnv, lambda state: {**state, "returns": torch.zeros_like(state["returns"])}),
        "ppo",
        "env._returns differs",
    ),
    (
        "the largest priority",
        WHOLE,
        stale(Priorities, lambda state: {**state, "largest": np.ones_like(state["largest"])}),
        "dqn-prioritized",
        "_largest differs",
    ),
    (
        "rows of metrics",
        REBORN,
        stale(Recorder, lambda state: {**state, "progress": []}),
        "dqn",
        "rows of progress",
    ),
    ("the newest transitions", WHOLE, short_memory, "dqn", "of its transitions differs"),
    ("what is shared", WHOLE, unshared, "sac", "no longer shared"),
    ("the count of evaluations", REBORN, counting_evaluations, "ppo", "rows of evaluations"),
]


@pytest.mark.parametrize(
    ("name", "plant", "algorithm", "line"), [row[1:] for row in ALARMS], ids=[row[0] for row in ALARMS]
)
def test_what_a_checkpoint_lacks_is_named(
    name: str, plant: Callable[[Patch], None], algorithm: str, line: str, monkeypatch: Patch
) -> None:
    plant(monkeypatch)
    passed, detail = checked(name, algorithm)
    assert not passed and line in detail, detail


def test_other_files_are_no_fault(monkeypatch: Patch) -> None:
    """Small segments, and generators' states in another order of keys."""
    monkeypatch.setattr(checkpoint_files, "SEGMENT_BYTES", 500)
    snapshot = CartPole.snapshot
    monkeypatch.setattr(CartPole, "snapshot", lambda self: dict(reversed(snapshot(self).items())))
    assert checked(WHOLE, "dqn")[0]
    assert checked(REBORN, "dqn")[0]


def test_differences_by_hand() -> None:
    same = {"a": [torch.tensor([1.0, float("nan")])], "b": np.random.default_rng(1)}
    again = {"a": [torch.tensor([1.0, float("nan")])], "b": np.random.default_rng(1)}
    assert live_state.difference(same, again) is None
    again["b"].random()
    assert live_state.difference(same, again) == "dict['b'] differs"
    assert live_state.difference([1, 2], [1]) == "length of list differs"
    assert live_state.difference([torch.zeros(2)], [torch.zeros(2).double()]) == "list[0] differs"
    assert live_state.difference([None], [0]) == "list[0] is NoneType in one and int in the other"
