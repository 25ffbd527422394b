"""Recorded methods of agents, with a recorder for the CPU in place of CUDA's."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from recorded import CpuRecorder
from small import CONFIGURATIONS, CONTINUOUS, build, stream
from torch import Tensor

from rlparity.nn import optimizers
from rlparity.provenance.host import KERNEL
from rlparity.training import device_placement, object_state
from rlparity.training.cuda_graphs import WARM_UP, Graphs

CPU = torch.device("cpu")
SHORT: dict[str, dict[str, Any]] = {
    "ppo": {"n_steps": 4, "batch_size": 4, "n_epochs": 2, "learning_rate_schedule": "linear"},
    "a2c": {"n_steps": 2, "learning_rate_schedule": "linear"},
    **{
        name: {"learning_starts": 4, "train_freq": 1, "buffer_size": 64, "learning_rate_schedule": "linear"}
        for name in CONFIGURATIONS
        if "dqn" in name
    },
    **{
        name: {"learning_starts": 4, "batch_size": 8, "buffer_size": 64, "net_arch": (8,)}
        for name in CONTINUOUS
    },
}
NAMES = [
    name
    for name in CONFIGURATIONS
    if type(build(name)).__name__ in device_placement.RECORDED and name != "dqn-prioritized"
]
STEPS = 40


@pytest.fixture(autouse=True)
def _as_on_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch computes, and seeds are left out by mask."""
    monkeypatch.setenv(KERNEL, "off")
    monkeypatch.setattr(optimizers, "by_mask", lambda theta: True)


def trained(name: str, recorder: CpuRecorder | None) -> tuple[dict[str, Tensor], list[Any], Any]:
    """The parameters at the end, the metrics after each step, and the agent."""
    agent = build(name, n_seeds=2, n_envs=2, **SHORT.get(name, {}))
    if recorder is not None:
        device_placement.record(agent, recorder, CPU)
    metrics = []
    torch.manual_seed(0)
    for step in stream(2, 2, STEPS, continuous=name in CONTINUOUS):
        agent.act(step.obs, torch.rand(2, 2, agent.uniforms))
        found = agent.observe(step)
        metrics.append({key: value.nan_to_num(7.0).tolist() for key, value in found.items()})
    return {name: network.theta.detach() for name, network in agent.saved().items()}, metrics, agent


@pytest.mark.parametrize("name", NAMES)
def test_replays_train_as_python_does(name: str) -> None:
    """The same bytes, whether Python runs each time or its operations are made again: rates fall, every d-th
    update has an actor, and nothing is left from the recording."""
    recorder = CpuRecorder()
    plain, measured, _ = trained(name, None)
    recorded, metrics, agent = trained(name, recorder)
    assert recorder.recorded and isinstance(agent.env_steps, int)
    for key, value in plain.items():
        assert torch.equal(recorded[key], value)
    assert metrics == measured and any(metrics)


def test_priorities_on_the_cpu_are_not_recorded() -> None:
    recorder = CpuRecorder()
    trained("dqn-prioritized", recorder)
    assert not recorder.recorded


class Counting:
    """A method that adds the clock and an argument to a sum, as often as asked for."""

    env_steps = 0

    def __init__(self) -> None:
        self.sum, self.calls = torch.zeros(2), 0

    def add(self, x: Tensor, times: int = 1) -> dict[str, Tensor]:
        self.calls += 1
        for _ in range(times):
            self.sum += x * self.env_steps
        return {"sum": self.sum.clone()}

    def look(self, x: Tensor) -> Tensor:
        return x + 1 if x.sum() > 0 else x


def test_python_runs_until_it_is_recorded_for_each_kind_of_arguments() -> None:
    agent = Counting()
    add = Graphs(agent, agent.add, CpuRecorder())
    expected = torch.zeros(2)
    for step in range(10):
        for times in (1, 2):
            agent.env_steps = step
            x = torch.tensor([step, 1.0])
            expected += times * step * x
            assert torch.equal(add(x, times)["sum"], expected)
    assert agent.calls == 2 * (WARM_UP + 1)
    first = add(torch.ones(2))["sum"]
    kept = first.clone()
    add(torch.ones(2))
    assert torch.equal(first, kept)  # the next replay writes to the same memory


def test_an_argument_on_another_device_is_refused() -> None:
    """It would be copied while the graph is recorded, which CUDA does not allow."""
    agent = Counting()
    add = Graphs(agent, agent.add, CpuRecorder())
    with pytest.raises(ValueError, match="arguments on meta, expected cpu"):
        add(torch.zeros(2, device="meta"))


def test_what_cannot_be_recorded_runs_as_it_is_and_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    agent = Counting()
    look = Graphs(agent, agent.look, CpuRecorder())
    for _ in range(3 * WARM_UP):
        assert torch.equal(look(torch.ones(2)), torch.full((2,), 2.0))
        assert torch.equal(look(torch.zeros(2)), torch.zeros(2))
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("note     updates are not recorded as CUDA graphs") and "looks at a value" in line


@pytest.mark.parametrize("name", ["ppo", "td3"])
def test_a_checkpoint_has_no_graphs(name: str) -> None:
    """So a training goes on with or without them."""
    plain = build(name, n_seeds=2, n_envs=2, **SHORT.get(name, {}))
    recorded = build(name, n_seeds=2, n_envs=2, **SHORT.get(name, {}))
    device_placement.record(recorded, CpuRecorder(), CPU)
    for step in stream(2, 2, STEPS, continuous=name in CONTINUOUS):
        recorded.observe(step)
    object_state.restore(plain, object_state.capture(recorded))
    assert torch.equal(*(next(iter(agent.saved().values())).theta for agent in (plain, recorded)))


@pytest.mark.parametrize("name", ["ppo", "dqn", "sac"])
def test_a_frozen_seed_stays_as_it_was_and_its_neighbour_learns(name: str) -> None:
    """Also in replays: the mask is read there, not recorded."""
    agent = build(name, n_seeds=2, n_envs=2, **SHORT.get(name, {}))
    device_placement.record(agent, CpuRecorder(), CPU)
    (network, *_) = agent.saved().values()
    for i, step in enumerate(stream(2, 2, STEPS, continuous=name in CONTINUOUS)):
        if i == STEPS // 2:
            agent.alive[0] = False
            frozen = network.theta.detach().clone()
        agent.observe(step)
    assert torch.equal(network.theta[0], frozen[0])
    assert not torch.equal(network.theta[1], frozen[1])
