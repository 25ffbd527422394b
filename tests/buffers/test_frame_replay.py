"""Replay memory of images beside a plain one that keeps every stack whole."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import small
import torch
from torch import Tensor

from rlparity.buffers import frame_replay
from rlparity.buffers.frame_replay import FrameReplay
from rlparity.buffers.replay import Replay
from rlparity.environments import metadata
from rlparity.errors import UserError
from rlparity.suites import memory_needs
from rlparity.training import checkpoint_files, object_state
from rlparity.transitions import Step

S, N = 2, 3
GAMMA = 0.5


class Games:
    """Made-up games, S x N of them: lost lives, ends and time limits, each followed by a stack of its own,
    and now and then a new game where no episode ended, as after a resumed run."""

    def __init__(self, seed: int, size: tuple[int, int] = (2, 3), colours: int = 256):
        self.rng, self.size, self.colours = torch.Generator().manual_seed(seed), size, colours
        self.obs = self.frames(4)
        self.t = 0

    def frames(self, n: int) -> Tensor:
        shape = (S, N, n, *self.size)
        return torch.randint(self.colours, shape, dtype=torch.uint8, generator=self.rng)

    def chance(self, p: float) -> Tensor:
        return torch.rand(S, N, generator=self.rng) < p

    def step(self) -> Step:
        next_obs = torch.cat([self.obs[:, :, 1:], self.frames(1)], 2)
        life, end, limit, resumed = (self.chance(p) for p in (0.1, 0.08, 0.05, 0.03))
        action = 100 * self.t + torch.arange(S * N).view(S, N)  # names the transition
        reward = torch.randint(-3, 4, (S, N), generator=self.rng).float()
        step = Step(self.obs, action, reward, (~(life | end)).float(), (life | end | limit).float(), next_obs)
        start = torch.cat([self.frames(3) * (torch.rand(1, generator=self.rng) < 0.5), self.frames(1)], 2)
        self.obs = torch.where((end | limit | resumed)[..., None, None, None], start, next_obs)
        self.t += 1
        return step


def window(steps: list[Step], t: int, s: int, n: int, n_steps: int) -> list[Tensor]:
    """The plain reference: what a window that begins at step t of one sub-environment should be."""
    reward, m = 0.0, 0
    while True:
        now = Step(*(x[s, n] for x in steps[t + m]))
        reward += GAMMA**m * now.reward.item()
        cut = m + 1 < n_steps and not torch.equal(steps[t + m + 1].obs[s, n], now.next_obs)
        if m + 1 == n_steps or now.last or cut:
            break
        m += 1
    first = steps[t]
    discount = GAMMA**m * now.discount
    return [first.obs[s, n], first.action[s, n], torch.tensor(reward), discount, now.last, now.next_obs]


def check(memory: FrameReplay, steps: list[Step], n_steps: int) -> int:
    """Compare every transition that may be drawn; how many."""
    first, last = memory.drawable(n_steps)
    if last == first:
        return 0
    places = (torch.arange(first, last) % memory.capacity).expand(S, -1)
    found = memory.at(places, n_steps, GAMMA)
    for i, number in enumerate(range(first, last)):
        for s in range(S):
            expected = window(steps, number // N, s, number % N, n_steps)
            assert all(torch.equal(x[s, i], y) for x, y in zip(found, expected, strict=True)), (number, s)
    return last - first


@pytest.mark.parametrize("n_steps", [1, 3])
@pytest.mark.parametrize(("size", "colours"), [((2, 3), 256), ((1, 1), 2)])
def test_every_transition_is_what_came_in(n_steps: int, size: tuple[int, int], colours: int):
    """Capacity 24, three rows more, 60 rows: the ring goes round five times. With frames of one pixel in two
    colours a new stack is often the old one by accident."""
    games, memory, steps = Games(0, size, colours), FrameReplay(26, S, N), []
    counts = []
    for _ in range(60):
        steps.append(games.step())
        memory.add(steps[-1])
        counts.append(check(memory, steps, n_steps))
    newest = (n_steps - 1) * N
    assert memory.capacity == 24 + 3 * N and counts[-1] == 24 - newest
    assert counts[:11] == [
        max(N * t - newest, 0) for t in range(1, 12)
    ]  # all, until the first is overwritten


def test_draws_are_the_transitions_with_all_their_frames_alike():
    games, memory, steps = Games(1), FrameReplay(24, S, N), []
    for _ in range(17):
        steps.append(games.step())
        memory.add(steps[-1])
    uniform = (torch.arange(48) + 0.5).expand(S, -1) / 48
    drawn = memory.sample(uniform).action[0] - torch.arange(N).repeat(8, 1).flatten().repeat_interleave(2)
    assert drawn.tolist() == [100 * t for t in range(9, 17) for _ in range(2 * N)]
    assert torch.equal(memory.at(memory.index(uniform)).obs, memory.sample(uniform).obs)
    assert (memory.at(memory.index(uniform, 3)).action[0] // 100).unique().tolist() == list(range(9, 15))


def lines(*steps: tuple[list[int], int, int, list[int]]) -> list[Step]:
    """Steps with frames of one pixel: obs, discount, last, next_obs; rewards 1, 2, 4, ..."""

    def one(values: list[int]) -> Tensor:
        return torch.tensor(values, dtype=torch.uint8).view(1, 1, 4, 1, 1)

    def number(value: float) -> Tensor:
        return torch.tensor([[float(value)]])

    return [
        Step(one(obs), torch.tensor([[t]]), number(2.0**t), number(discount), number(last), one(next_obs))
        for t, (obs, discount, last, next_obs) in enumerate(steps)
    ]


def test_ends_by_hand():
    """Two steps, a lost life, one step, a time limit, a new game."""
    memory = FrameReplay(8, 1, 1)
    for step in lines(
        ([0, 0, 0, 1], 1, 0, [0, 0, 1, 2]),
        ([0, 0, 1, 2], 0, 1, [0, 1, 2, 3]),  # a life
        ([0, 1, 2, 3], 1, 0, [1, 2, 3, 4]),
        ([1, 2, 3, 4], 1, 1, [2, 3, 4, 5]),  # a time limit
        ([0, 0, 0, 6], 1, 0, [0, 0, 6, 7]),
        ([0, 0, 6, 7], 1, 0, [0, 6, 7, 8]),
    ):
        memory.add(step)
    one, three = memory.at(torch.arange(6)[None]), memory.at(torch.arange(4)[None], 3, 0.5)
    stacks = one.obs[0, :, :, 0, 0].tolist(), one.next_obs[0, :, :, 0, 0].tolist()
    assert stacks[0] == [
        [0, 0, 0, 1],
        [0, 0, 1, 2],
        [0, 1, 2, 3],
        [1, 2, 3, 4],
        [0, 0, 0, 6],
        [0, 0, 6, 7],
    ]
    assert stacks[1] == [
        [0, 0, 1, 2],
        [0, 1, 2, 3],
        [1, 2, 3, 4],
        [2, 3, 4, 5],
        [0, 0, 6, 7],
        [0, 6, 7, 8],
    ]
    assert three.reward[0].tolist() == [1 + 2 / 2, 2, 4 + 8 / 2, 8]
    assert three.discount[0].tolist() == [0, 0, 0.5, 1]  # the life ends, the time limit bootstraps
    assert three.next_obs[0, :, -1, 0, 0].tolist() == [3, 3, 5, 5]
    assert three.action[0].tolist() == [0, 1, 2, 3]


def test_frames_are_kept_once_and_starts_are_forgotten_with_their_transitions():
    games, memory = Games(2), FrameReplay(24, S, N)
    for _ in range(200):
        memory.add(games.step())
        oldest = memory.added - memory.size
        assert all(oldest <= number < memory.added for number, _ in memory._starts)
    assert 0 < len(memory._starts) < S * memory.capacity / 3
    assert sum(ring[0, 0].nbytes for ring in memory._fields) == 2 * 3 + 8 + 3 * 4 + 1


@pytest.mark.probes
def test_a_million_transitions_of_atari_fit_into_seven_and_a_half_gib():
    """Measured: resident memory that grows as a ring for a million fills. Games of 250 steps."""
    memory = FrameReplay(1_000_000, 1, 8)
    obs = torch.randint(256, (1, 8, 4, 84, 84), dtype=torch.uint8)
    one = torch.ones(1, 8)
    step = Step(obs, one.long(), one, one, 1 - one, obs)
    memory.add(step._replace(obs=0 * obs, next_obs=0 * obs))
    before, n = resident(), 24_000
    for t in range(n // 8):
        if t % 250 == 0:
            obs = 255 - obs
        next_obs = torch.cat([obs[:, :, 1:], obs[:, :, :1]], 2)
        memory.add(step._replace(obs=obs, next_obs=next_obs))
        obs = next_obs
    each = (resident() - before) / n
    assert each > 7056 and each * 1e6 / 2**30 < 7.5
    rings = sum(ring.nbytes for ring in memory._fields)
    assert rings / 2**30 < 6.6


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


PONG = "ALE/Pong-v5@nature"


def counted(**changes: Any) -> int:
    """Bytes of RAM that the suite counts for a million transitions of a seed."""
    options = {"buffer_size": 1_000_000, **changes.pop("options", {})}
    environment = changes.pop("environment", PONG)
    c = small.cell("dqn", environment=environment, budget=10**7, hyperparameters=options, **changes)
    return memory_needs.memory_bytes(c, metadata.probe(c.environment)) // 10**6


def test_the_suite_counts_what_the_memory_takes():
    """A transition: frame, action, three numbers, age; a start: four frames, at most every 100 steps."""
    memory = FrameReplay(1000, 1, 8)
    obs, one = torch.zeros(1, 8, 4, 84, 84, dtype=torch.uint8), torch.ones(1, 8)
    memory.add(Step(obs, one.long(), one, one, 1 - one, obs))
    rings = sum(ring[0, 0].nbytes for ring in memory._fields)
    (start, *_) = memory._starts.values()
    assert (rings, start.nbytes) == (7056 + 8 + 12 + 1, 4 * 7056)
    assert counted() == rings + start.nbytes // 100
    assert counted(options={"memory_mapped": True}) == counted() - 7056
    assert counted(options={"prioritized": True}) == counted() + 32
    assert counted(environment="CartPole-v1", options={"memory_mapped": True}) == 2 * 16 + 8 + 12
    assert counted(implementation="sb3") == 2 * 4 * 7056 + 8 + 12
    assert counted(implementation="sb3", options={"optimize_memory_usage": True}) == 4 * 7056 + 8 + 12


def test_a_long_game_is_one_game():
    """300 steps, more than a byte counts."""
    memory = FrameReplay(400, 1, 1)
    for step in lines(*[([0, 0, 0, 0], 1, 0, [0, 0, 0, 0])] * 300):
        memory.add(step._replace(reward=torch.ones(1, 1)))
    assert memory.at(memory.index(torch.rand(1, 300), 3), 3).reward.unique().tolist() == [3]
    assert len(memory._starts) == 1


def test_images_that_are_no_stacks_of_bytes_are_refused():
    step = Games(3).step()
    with pytest.raises(ValueError, match=r"torch.float32 of shape \(2, 3, 4, 2, 3\), expected torch.uint8"):
        FrameReplay(24, S, N).add(step._replace(obs=step.obs.float(), next_obs=step.next_obs.float()))
    with pytest.raises(ValueError, match=r"torch.uint8 of shape \(2, 3, 3, 2, 3\), expected"):
        FrameReplay(24, S, N).add(step._replace(obs=step.obs[:, :, :3], next_obs=step.next_obs[:, :, :3]))
    with pytest.raises(ValueError, match="not obs with one new frame"):
        FrameReplay(24, S, N).add(step._replace(next_obs=step.next_obs.flip(2)))


def test_what_came_in_may_be_written_over_by_its_owner():
    games, memory, steps = Games(4), FrameReplay(24, S, N), []
    for _ in range(12):
        step = games.step()
        steps.append(Step(*(x.clone() for x in step)))
        memory.add(step)
        games.obs = games.obs.clone()
        for x in step:
            x.zero_()
        check(memory, steps, 1)


# --- seeds, files, checkpoints


def test_a_seed_alone_is_the_seed_in_a_block():
    games, block, alone = Games(5), FrameReplay(24, S, N), FrameReplay(24, 1, N)
    for _ in range(30):
        step = games.step()
        block.add(step)
        alone.add(Step(*(x[1:] for x in step)))
    uniform = torch.rand(S, 40, generator=torch.Generator().manual_seed(0))
    for n_steps in (1, 3):
        ours = block.at(block.index(uniform, n_steps), n_steps, 0.99)
        theirs = alone.at(alone.index(uniform[1:], n_steps), n_steps, 0.99)
        assert all(torch.equal(x[1:], y) for x, y in zip(ours, theirs, strict=True))


def test_mapped_frames_are_the_same_and_leave_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(frame_replay.tempfile, "tempdir", str(tmp_path))
    games, memory, mapped = Games(6), FrameReplay(24, S, N), FrameReplay(24, S, N, mapped=True)
    for _ in range(30):
        step = games.step()
        memory.add(step)
        mapped.add(step)
    uniform = torch.rand(S, 40, generator=torch.Generator().manual_seed(0))
    assert all(torch.equal(x, y) for x, y in zip(memory.sample(uniform), mapped.sample(uniform), strict=True))
    assert str(tmp_path) in Path("/proc/self/maps").read_text()
    assert list(tmp_path.iterdir()) == []


def full(descriptor: int, start: int, size: int) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(
    ("capacity", "reserve", "message"),
    [
        (10**15, os.posix_fallocate, r"no room for 11,175,870.9 GiB of memory-mapped replay \([0-9.,]+ are"),
        (
            24,
            full,
            r"no room for 0.0 GiB of memory-mapped replay \(No space left on device\); let TMPDIR name",
        ),
    ],
)
def test_a_full_disk_is_one_line_before_anything_is_kept(
    capacity: int, reserve: Callable[..., None], message: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(frame_replay.os, "posix_fallocate", reserve)
    with pytest.raises(UserError, match=message) as error:
        FrameReplay(capacity, S, N, mapped=True).add(Games(7).step())
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("mapped", [False, True])
def test_a_memory_goes_on_from_its_segments(mapped: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Checkpoints at odd times, the newest row with a stack that is about to stop among them: the copy gives
    the same, and takes in the same."""
    games, memory, steps = Games(8), FrameReplay(24, S, N, mapped), []
    segments: list[checkpoint_files.Segment] = []
    monkeypatch.setattr(checkpoint_files, "SEGMENT_BYTES", 300)
    for pause in (1, 2, 5, 1, 1, 9, 3, 14, 1, 6):
        for _ in range(pause):
            steps.append(games.step())
            memory.add(steps[-1])
        done = max((segment.last for segment in segments), default=0)
        segments += checkpoint_files.write_segments(tmp_path, 0, memory, done)
        segments = [segment for segment in segments if segment.last > memory.added - memory.size]
        checkpoint_files.sweep(tmp_path, segments)
        copy = FrameReplay(24, S, N, mapped)
        object_state.restore(copy, object_state.capture(memory))
        checkpoint_files.read_segments(tmp_path, segments, [copy])
        assert copy.size == memory.size and isinstance(copy, Replay)
        for n_steps in (1, 3):
            assert check(copy, steps, n_steps) == check(memory, steps, n_steps)
        memory = copy
    assert len({segment.first for segment in segments}) == len(segments) > 3


def test_a_resumed_memory_takes_a_new_game_for_what_it_is():
    games, memory, steps = Games(9), FrameReplay(24, S, N), []
    for resumed in (False, True):
        if resumed:
            copy = FrameReplay(24, S, N)
            copy.resume(memory.snapshot())
            copy.write(0, memory.read(0, memory.added))
            memory, games.obs = copy, games.frames(4)
        for _ in range(4):
            steps.append(games.step())
            memory.add(steps[-1])
    assert check(memory, steps, 1) == 8 * N and check(memory, steps, 3) == 6 * N
