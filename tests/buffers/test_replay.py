"""What agents remember: order, seam and bounds."""

from __future__ import annotations

import pytest
import small  # noqa: F401  (one thread)
import torch
from stable_baselines3.common.buffers import RolloutBuffer
from torch import Tensor

from rlparity.buffers.replay import Replay
from rlparity.buffers.rollout import Rollout
from rlparity.buffers.trajectories import Trajectories
from rlparity.transitions import Step

pytestmark = pytest.mark.paper


def step_of(t: float, n_seeds: int = 2, n_envs: int = 3, last: Tensor | None = None) -> Step:
    """Step t, where every entry says who it is: 100 t + 10 s + n."""
    s, n = torch.arange(n_seeds)[:, None], torch.arange(n_envs)[None]
    tag = (100 * t + 10 * s + n).float()
    stop = torch.zeros_like(tag) if last is None else last
    return Step(tag[..., None], tag.long(), tag, 1 - stop, stop, tag[..., None] + 0.5)


def test_a_rollout_is_full_after_n_steps_and_empty_after_pop():
    memory = Rollout(3)
    assert [memory.add(step_of(t)) for t in range(3)] == [False, False, True]
    assert memory.pop().reward.shape == (2, 3, 3)
    assert [memory.add(step_of(t)) for t in range(3)] == [False, False, True]


def test_a_rollout_goes_on_from_its_snapshot():
    memory, copy = Rollout(3), Rollout(3)
    for t in (0, 1):
        memory.add(step_of(t))
    copy.resume(memory.snapshot())
    assert [memory.add(step_of(2)), copy.add(step_of(2))] == [True, True]
    assert all(torch.equal(a, b) for a, b in zip(memory.pop(), copy.pop(), strict=True))
    copy.resume(memory.snapshot())  # empty
    assert [copy.add(step_of(t)) for t in range(3)] == [False, False, True]


def test_a_flattened_rollout_is_ordered_by_world_and_then_by_time_as_in_stable_baselines3():
    memory = Rollout(4)
    steps = [step_of(t) for t in range(4)]
    for step in steps:
        memory.add(step)
    rollout = memory.pop()
    assert rollout.obs.shape == (2, 3, 4, 1)
    assert rollout.reward[1].flatten().tolist() == [10, 110, 210, 310, 11, 111, 211, 311, 12, 112, 212, 312]
    for s in range(2):
        theirs = RolloutBuffer.swap_and_flatten(torch.stack([step.reward[s] for step in steps]).numpy())
        assert rollout.reward[s].flatten().tolist() == theirs[:, 0].tolist()


def test_replay_keeps_the_last_transitions_across_its_seam():
    """Capacity 7 holds 2 rows of 3 sub-environments; of steps 0, 1, 2 the first is gone."""
    memory = Replay(7, n_seeds=2, n_envs=3)
    assert memory.capacity == 6
    memory.add(step_of(0))
    assert memory.size == 3
    for t in (1, 2):
        memory.add(step_of(t))
    everything = memory.sample((torch.arange(6) + 0.5).expand(2, 6) / 6)
    assert memory.size == 6
    assert everything.reward[0].tolist() == [200, 201, 202, 100, 101, 102]
    assert everything.reward[1].tolist() == [210, 211, 212, 110, 111, 112]


def test_replay_reads_and_writes_by_number_across_its_seam():
    """Capacity 6; transitions 0 to 8 came in, 3 to 8 are there, 6 to 8 at the front."""
    memory, copy = Replay(6, n_seeds=2, n_envs=3), Replay(6, n_seeds=2, n_envs=3)
    for t in range(3):
        memory.add(step_of(t))
    assert (memory.added, memory.size) == (9, 6)
    part = memory.read(5, 8)
    assert part.reward.tolist() == [[102, 200, 201], [112, 210, 211]]
    assert part.obs.shape == (2, 3, 1)
    for first, last in ((3, 5), (5, 8), (8, 9)):
        copy.write(first, memory.read(first, last))
    copy.resume(memory.snapshot())
    everything = (torch.arange(6) + 0.5).expand(2, 6) / 6
    assert copy.sample(everything).reward[0].tolist() == [200, 201, 202, 100, 101, 102]
    copy.add(step_of(3))
    assert copy.sample(everything).reward[0].tolist() == [200, 201, 202, 300, 301, 302]


def test_fields_of_a_sample_belong_together():
    memory = Replay(60, n_seeds=2, n_envs=3)
    for t in range(30):
        memory.add(step_of(t, last=(torch.arange(6).view(2, 3) == t % 6).float()))
    batch = memory.sample(torch.rand(2, 50, generator=torch.Generator().manual_seed(0)))
    assert torch.equal(batch.obs[..., 0], batch.reward) and torch.equal(batch.action.float(), batch.reward)
    assert torch.equal(batch.next_obs[..., 0], batch.reward + 0.5)
    assert torch.equal(batch.discount, 1 - batch.last) and batch.last.sum() > 0
    assert batch.action.dtype == torch.long
    t, rest = batch.action // 100, batch.action % 100
    assert torch.equal(batch.last == 1, 3 * (rest // 10) + rest % 10 == t % 6)
    assert (rest[0] < 10).all() and (rest[1] >= 10).all()  # no seed sees another's


def test_replay_draws_every_transition_alike_and_none_out_of_bounds():
    memory = Replay(100, n_seeds=1, n_envs=1)
    for t in range(7):  # not full: the rest of the ring must not be drawn
        memory.add(step_of(t, 1, 1))
    drawn = memory.sample((torch.arange(7000) + 0.5).expand(1, -1) / 7000).reward[0] / 100
    assert drawn.long().bincount().tolist() == [1000] * 7
    edges = memory.sample(torch.tensor([[0.0, 1 - 2**-24]]))
    assert edges.reward.tolist() == [[0, 600]]


def test_windows_by_hand():
    """Two sub-environments of one seed, rewards 1, 2, 4, ... and 10, 20, 40, ...; gamma 1/2.

    Number 0 ends at step 1 and is cut at step 3; number 1 never stops. Of six steps the first two are lost.
    """
    memory = Replay(12, 1, 2)
    for t in range(8):
        reward = torch.tensor([[1.0, 10.0]]) * 2**t
        last = torch.tensor([[float(t in (1, 5)), 0.0]])
        discount = torch.tensor([[float(t != 1), 1.0]])
        obs = torch.tensor([[[10.0 * t], [10.0 * t + 1]]])
        memory.add(Step(obs, obs[..., 0].long(), reward, discount, last, obs + 10))
    assert memory.drawable(3) == (4, 12)  # steps 2 to 5
    places = (torch.arange(4, 12) % 12)[None]
    found = memory.at(places, 3, 0.5)
    assert found.reward[0, ::2].tolist() == [4 + 8 / 2 + 16 / 4, 8 + 16 / 2 + 32 / 4, 16 + 32 / 2, 32]
    assert found.reward[0, 1::2].tolist() == [10 * 3 * 2**t for t in range(2, 6)]
    assert found.discount[0].tolist() == [0.25, 0.25, 0.25, 0.25, 0.5, 0.25, 1, 0.25]
    assert found.last[0].tolist() == [0, 0, 1, 0, 1, 0, 1, 0]
    assert found.obs[0, :, 0].tolist() == found.action[0].tolist() == [20, 21, 30, 31, 40, 41, 50, 51]
    assert found.next_obs[0, :, 0].tolist() == [50, 51, 60, 61, 60, 71, 60, 81]
    assert torch.equal(memory.index((torch.arange(8)[None] + 0.5) / 8, 3), places)


def test_a_window_that_ends_a_task_is_worth_its_rewards_alone():
    """Steps 0 and 1 of three, the task ends at 1."""
    memory = Replay(9, 1, 1)
    for t in range(3):
        end = torch.tensor([[float(t == 1)]])
        memory.add(Step(end[..., None], end, torch.full((1, 1), 3.0), 1 - end, end, end[..., None]))
    found = memory.at(torch.tensor([[0, 1]]), 2, 0.9)
    assert found.reward.tolist() == [[pytest.approx(3 + 2.7), 3]] and found.discount.tolist() == [[0, 0]]


def test_draws_of_single_steps_are_places_and_of_windows_begin_with_the_oldest():
    """Capacity 6, two sub-environments, five steps: 4 to 9 are there, at places 4, 5, 0, 1, 2, 3."""
    memory = Replay(6, 1, 2)
    uniform = (torch.arange(6)[None] + 0.5) / 6
    for t in range(5):
        memory.add(step_of(t, 1, 2))
    assert memory.index(uniform).tolist() == [[0, 1, 2, 3, 4, 5]]
    assert memory.index(uniform, 2).tolist() == [[4, 5, 5, 0, 1, 1]]
    with pytest.raises(AssertionError, match="nothing to draw"):
        memory.index(uniform, 4)


def ends(*who: tuple[int, int]) -> Tensor:
    last = torch.zeros(2, 3)
    for s, n in who:
        last[s, n] = 1
    return last


def test_trajectories_keep_the_worlds_of_every_seed_apart():
    memory = Trajectories(n_seeds=2, n_envs=3, length=8)
    memory.add(step_of(0))
    memory.add(step_of(1, last=ends((0, 1), (1, 2))))
    memory.add(step_of(2, last=ends((0, 1))))
    (first, second), (third,) = memory.pop(0), memory.pop(1)
    assert first.reward.tolist() == [1, 101] and second.reward.tolist() == [201]
    assert third.reward.tolist() == [12, 112] and third.obs.shape == (2, 1)
    assert third.action.dtype == torch.long
    assert memory.pop(0) == [] and memory.pop(1) == []


def test_trajectories_grow_with_a_long_game():
    """Length 2 doubles to 4 and 8; sub-environment 1 of seed 1 plays on while the others have ended."""
    memory = Trajectories(n_seeds=2, n_envs=3, length=2)
    others = ends((0, 0), (0, 1), (0, 2), (1, 0), (1, 2))
    for t in range(6):
        memory.add(step_of(t, last=others if t == 0 else None))
    memory.add(step_of(6, last=ends((1, 1), (0, 0))))
    assert memory.pop(1)[-1].reward.tolist() == [11, 111, 211, 311, 411, 511, 611]
    assert memory.pop(0)[-1].reward.tolist() == [100, 200, 300, 400, 500, 600]


def test_a_finished_game_is_not_overwritten_by_the_next():
    memory = Trajectories(n_seeds=1, n_envs=1)
    memory.add(step_of(1, 1, 1, torch.ones(1, 1)))
    (game,) = memory.pop(0)
    memory.add(step_of(2, 1, 1, torch.ones(1, 1)))
    assert game.reward.tolist() == [100]
