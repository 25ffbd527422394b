"""Checkpoints: what they hold, what is refused, and what they cost."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from small import CONFIGURATIONS, cell
from trainings import advance, fresh, same

from rlparity import registry
from rlparity.buffers.replay import Replay
from rlparity.suites import hyperparameters
from rlparity.training import checkpoint_files, object_state
from rlparity.training.checkpointing import Checkpointer
from rlparity.transitions import Step

pytestmark = pytest.mark.probes


def through_a_file(state: Any) -> Any:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=True)


ENVIRONMENTS = {"discrete": "CartPole-v1", "continuous": "Pendulum-v1"}
ALL = [
    (name, ENVIRONMENTS[kind])
    for name in CONFIGURATIONS
    for kind in registry.AGENTS[hyperparameters.library().algorithms[name].agent].actions
]


@pytest.mark.parametrize(("algorithm", "environment"), ALL)
def test_every_configuration_goes_on_from_the_middle_of_a_rollout(algorithm: str, environment: str):
    """The copy is filled from plain data, and then sees, does and learns the same to the last bit."""
    c = cell(algorithm, (3, 4), environment=environment)
    session, copy = fresh(c), fresh(c)
    advance(session, 75)
    state = through_a_file(object_state.capture(session))
    object_state.restore(copy, state)
    for memory, other in zip(
        object_state.find(session, Replay), object_state.find(copy, Replay), strict=True
    ):
        first = memory.added - memory.size
        other.write(first, memory.read(first, memory.added))
    for part in ("agent", "env", "explore", "metrics"):
        found = object_state.capture(copy)[2]["training"][2][part]
        assert same(found, state[2]["training"][2][part])
    assert same(advance(copy, 60), advance(session, 60))
    assert copy.recorder.episodes == session.recorder.episodes


# --- segments of replay memory


def steps(first: int, last: int) -> Iterator[Step]:
    """Steps of 2 seeds x 2 sub-environments, where every entry says who it is."""
    for t in range(first, last):
        tag = torch.tensor([[10 * t, 10 * t + 1], [10 * t + 5, 10 * t + 6]])
        yield Step(tag[..., None].float(), tag, tag / 2, tag / 3, tag / 4, tag[..., None] + 0.5)


def test_a_segment_is_written_once_and_removed_once_the_ring_has_passed_it(tmp_path: Path):
    memory, segments = Replay(12, 2, 2), []  # six steps
    for last in (3, 5, 9, 10):
        for step in steps(memory.added // 2, last):
            memory.add(step)
        done = max((segment.last for segment in segments), default=0)
        segments += checkpoint_files.write_segments(tmp_path, 0, memory, done)
        kept = [segment for segment in segments if segment.last > memory.added - memory.size]
        checkpoint_files.sweep(tmp_path, kept)
        assert {path.name for path in tmp_path.iterdir()} == {segment.name for segment in kept}
        copy = Replay(12, 2, 2)
        copy.resume(memory.snapshot())
        checkpoint_files.read_segments(tmp_path, kept, [copy])
        draws = (torch.arange(memory.size) + 0.5).expand(2, -1) / memory.size
        assert same(copy.sample(draws), memory.sample(draws)) and copy.size == memory.size
        assert memory._fields is not None and copy._fields is not None
        if memory.size == 12:
            assert same(copy._fields, memory._fields)
    assert [(segment.first, segment.last) for segment in segments] == [(0, 6), (6, 10), (10, 18), (18, 20)]
    assert [segment.first for segment in kept] == [6, 10, 18]  # 8 to 19 are in the ring


def test_a_long_interval_falls_into_several_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    memory = Replay(40, 2, 2)
    for step in steps(0, 10):
        memory.add(step)
    row = sum(x.nbytes for x in memory.read(0, 1))
    monkeypatch.setattr(checkpoint_files, "SEGMENT_BYTES", 8 * row)
    segments = list(checkpoint_files.write_segments(tmp_path, 1, memory, 3))
    assert [(s.memory, s.first, s.last) for s in segments] == [(1, 3, 11), (1, 11, 19), (1, 19, 20)]


def test_transitions_that_are_lost_are_noticed(tmp_path: Path):
    memory = Replay(40, 2, 2)
    segments = []
    for last in (3, 6, 9):
        for step in steps(memory.added // 2, last):
            memory.add(step)
        segments += checkpoint_files.write_segments(tmp_path, 0, memory, segments[-1].last if segments else 0)
    for some in (segments[:2], segments[1:], [segments[0], segments[2]], []):
        copy = Replay(40, 2, 2)
        copy.resume(memory.snapshot())
        with pytest.raises(ValueError, match="missing"):
            checkpoint_files.read_segments(tmp_path, some, [copy])
    wrong = Replay(40, 3, 2)
    wrong.resume(memory.snapshot())
    with pytest.raises(ValueError, match=r"transitions of shape \(2, 6, 1\), expected \(3, 6, 1\)"):
        checkpoint_files.read_segments(tmp_path, segments, [wrong])


# --- games that cannot be saved


@pytest.mark.parametrize("options", [{"n_steps": 3}, {"prioritized": True, "memory_mapped": True}])
def test_a_memory_of_frames_goes_on_with_the_same_draws_and_a_new_game(
    options: dict[str, Any], tmp_path: Path
):
    """Two checkpoints, the ring once round between them; the copy draws, and learns from, the same."""
    options = {"buffer_size": 20, "learning_starts": 10, "train_freq": 8, "batch_size": 4, **options}
    c = cell("dqn", (3, 4), environment="ALE/Pong-v5@nature", n_envs=2, hyperparameters=options)
    session, copy = fresh(c), fresh(c)
    kept = Checkpointer(c, tmp_path)
    for n in (9, 13):
        advance(session, n)
        kept.save(session)
    Checkpointer(c, tmp_path).restore(copy)
    ours, theirs = (each.training.agent.minibatches.next() for each in (session, copy))
    assert torch.equal(ours, theirs)
    assert copy.training.agent.replay.memory.added == 44 and copy.training.agent.replay.memory.drawable() == (
        24,
        44,
    )
    updates = []
    for agent in (copy.training.agent, session.training.agent):
        batch = agent.replay.draw(ours, 0.5)
        updates.append(agent.update(batch, agent.targets(batch.step)))
    assert same(*updates)
    assert same(*(each.training.agent.replay.memory.sample(ours) for each in (copy, session)))
    advance(copy, 3)
    numbers = {number for number, _ in copy.training.agent.replay.memory._starts}
    assert numbers == {44, 45}  # both sub-environments, where the new games began
    memory = copy.training.agent.replay.memory
    assert memory.at(torch.tensor([[42 % 26], [43 % 26]]), 3, 0.5).discount.tolist() == [[1], [1]]


@pytest.mark.parametrize(("environment", "cut"), [("ALE/Pong-v5@nature", True), ("CartPole-v1", False)])
def test_a_rollout_whose_games_cannot_go_on_is_cut(
    environment: str, cut: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """Otherwise the new games' values would stand for what followed in the old ones."""
    options = {"n_steps": 4, "batch_size": 8, "n_epochs": 1}
    c = cell("ppo", (3, 4), environment=environment, n_envs=2, hyperparameters=options)
    session, copy = fresh(c), fresh(c)
    Checkpointer(c, tmp_path / "none").restore(copy)
    advance(session, 6)
    Checkpointer(c, tmp_path).save(session)
    Checkpointer(c, tmp_path).restore(copy)
    before, after = (Step(*each.training.agent.memory.snapshot()["steps"]) for each in (session, copy))
    assert after.last.tolist() == ([[[0, 0]] * 2, [[1, 1]] * 2] if cut else before.last.tolist())
    assert same(before._replace(last=0), after._replace(last=0)) and after.discount.all()
    assert ("goes on with new episodes from environment step 12" in capsys.readouterr().err) == cut
    advance(copy, 4)
