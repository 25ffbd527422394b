"""An agent on another device: the same agent where that device is the CPU, and no tensor left behind.

There may be no GPU where this runs. PyTorch's `meta` device has shapes but no numbers, so that an operation
which mixes another device with the CPU is found all the same.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from recorded import CpuRecorder
from small import CONFIGURATIONS, CONTINUOUS, build, cell, of_seed, stream

from rlparity.agents import base as agents
from rlparity.training import run as train
from rlparity.training.device_placement import Placed, record

pytestmark = pytest.mark.probes

LEARNERS = [name for name in CONFIGURATIONS if name != "random"]
MONTE_CARLO = [name for name in LEARNERS if name.startswith("reinforce") or name == "actor-critic"]
HOSTED = ["dqn-prioritized"]  # its priorities stay in the machine's own memory
SEARCHING = ["trpo", "npg"]  # look at values in their conjugate gradients and line search
SHORT: dict[str, dict[str, Any]] = {
    "ppo": {"n_steps": 4, "batch_size": 8, "n_epochs": 1},
    "trpo": {"n_steps": 4, "batch_size": 8, "n_critic_updates": 1, "cg_max_steps": 2},
    "npg": {"n_steps": 4, "batch_size": 8, "n_critic_updates": 1, "cg_max_steps": 2},
    **{
        name: {"learning_starts": 4, "train_freq": 1, "buffer_size": 64} for name in LEARNERS if "dqn" in name
    },
    **{
        name: {"learning_starts": 4, "batch_size": 8, "buffer_size": 64, "net_arch": (8,)}
        for name in CONTINUOUS
    },
}


@pytest.mark.parametrize("algorithm", ["ppo", "dqn", "sac"])
def test_a_placed_agent_is_the_agent(algorithm: str, monkeypatch: pytest.MonkeyPatch):
    plain = train.run(cell(algorithm, (0, 1)))
    build = agents.build
    monkeypatch.setattr(agents, "build", lambda *arguments: Placed(build(*arguments), "cpu"))
    placed = train.run(cell(algorithm, (0, 1)))
    for seed in (0, 1):
        assert of_seed(plain, seed) == of_seed(placed, seed)
    for name, value in plain.state.items():
        assert torch.equal(placed.state[name], value)


def test_seeds_that_froze_are_seen_after_learning():
    agent = build("dqn", n_seeds=2, n_envs=2)
    placed = Placed(agent, "cpu")
    (step,) = stream(2, 2, 1)
    agent.alive[0] = False
    assert placed.alive.tolist() == [True, True]
    placed.observe(step)
    assert placed.alive.tolist() == [False, True]


@pytest.mark.parametrize("algorithm", [name for name in LEARNERS if name not in MONTE_CARLO + HOSTED])
def test_no_update_mixes_devices_or_waits(algorithm: str, monkeypatch: pytest.MonkeyPatch):
    """Act, remember and learn on a device that computes nothing, and where no value can be looked at: a GPU
    would have to be waited for."""
    monkeypatch.setattr(torch.Tensor, "cpu", lambda self: self)
    steps = stream(2, 2, 12, continuous=algorithm in CONTINUOUS)
    with monkeypatch.context() as patch, torch.device("meta"):
        patch.setattr(torch.Tensor, "__bool__", lambda self: True)  # bounds of actions are checked once
        agent = build(algorithm, n_seeds=2, n_envs=2, **SHORT.get(algorithm, {}))
    if algorithm in SEARCHING:
        monkeypatch.setattr(torch.Tensor, "__bool__", lambda self: True)
    placed, metrics = Placed(agent, "meta"), {}
    record(agent, CpuRecorder(), torch.device("meta"))  # which refuses arguments of the CPU
    for step in steps:
        action = placed.act(step.obs, torch.rand(2, 2, agent.uniforms))
        metrics = placed.observe(step) or metrics
    assert action.device.type == "meta"
    assert metrics and {value.device.type for value in metrics.values()} == {"meta"}
