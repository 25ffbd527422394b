"""Named random streams: independent of each other, of neighbours and of the process."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from small import cell

from rlparity.seeding import CHUNK, Streams, Uniforms

NAMES = ("network", "explore", "minibatches", "training", "evaluation|deterministic|3|0")


def test_every_name_seed_environment_algorithm_and_implementation_has_its_own_stream():
    cells = [
        cell("ppo", (0, 1, 2)),
        cell("a2c", (0, 1, 2)),
        cell("ppo", (0, 1, 2), environment="Acrobot-v1"),
        cell("ppo", (0, 1, 2), implementation="sb3"),
    ]
    states = [state for c in cells for name in NAMES for state in Streams(c).integers(name)]
    assert len(set(states)) == len(cells) * 3 * len(NAMES)


def test_a_stream_depends_on_no_neighbour_and_not_on_the_suite():
    together, alone = Streams(cell("ppo", (4, 5, 6))), Streams(cell("ppo", (5,), suite="other"))
    assert together.integers("explore")[1] == alone.integers("explore")[0]
    assert together.environments("training", 4)[1] == alone.environments("training", 4)[0]


def test_seeds_share_no_sub_environments():
    """With seed + i, seeds 0, 1, 2 of eight sub-environments would have 10 distinct streams instead of 24."""
    streams = Streams(cell("ppo", (0, 1, 2)))
    sub_envs = streams.environments("training", 8) + streams.environments("evaluation|sampled|0|0", 8)
    flat = [seed for row in sub_envs for seed in row]
    assert len(set(flat)) == 48
    assert all(0 <= seed < 2**64 for seed in flat)


def test_more_worlds_leave_the_first_ones_alone():
    streams = Streams(cell("ppo", (3,)))
    assert streams.environments("training", 8)[0][:4] == streams.environments("training", 4)[0]


@pytest.mark.whole
def test_streams_are_the_same_in_another_process():
    code = (
        "import small; from rlparity.seeding import Streams; print(Streams(small.cell('dqn')).integers('x'))"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "77", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.stdout.strip() == str(Streams(cell("dqn")).integers("x"))


def test_torch_and_numpy_generators_start_alike_every_time():
    streams = Streams(cell("ppo", (0, 1)))
    for make in (streams.generators, streams.torch_generators):
        first, again = make("network"), make("network")
        draw = (
            (lambda g: g.random(4).tolist())
            if make == streams.generators
            else (lambda g: torch.rand(4, generator=g).tolist())
        )
        assert [draw(g) for g in first] == [draw(g) for g in again]
        assert draw(first[0]) != draw(first[1])


def test_uniforms_are_each_seeds_own_stream_across_the_seams_of_chunks():
    streams = Streams(cell("ppo", (0, 1)))
    uniforms = Uniforms(streams.generators("explore"), 3, 2)
    drawn = torch.stack([uniforms.next().clone() for _ in range(2 * CHUNK + 5)])
    assert drawn.shape == (2 * CHUNK + 5, 2, 3, 2) and drawn.dtype == torch.float32
    assert drawn.min() >= 0 and drawn.max() < 1
    for k, rng in enumerate(streams.generators("explore")):
        own = rng.random((2 * CHUNK + 5, 3, 2), dtype=np.float32)
        assert np.array_equal(drawn[:, k].numpy(), own)
