"""What training on CUDA promises, by public behaviour; the same tests run on the CPU where there is no GPU.

On the CPU an agent is placed as on CUDA, and computes with PyTorch, as CUDA does, instead of the kernel.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from small import CONTINUOUS, Protocol, build, cell, of_seed, stream
from torch import Tensor
from trainings import advance, fresh

from rlparity import records
from rlparity.agents import base as agents
from rlparity.cell import Cell
from rlparity.provenance import host
from rlparity.runs import pending, run_cell
from rlparity.training import run as train
from rlparity.training.checkpointing import Checkpointer
from rlparity.training.device_placement import Placed

pytestmark = pytest.mark.probes

SEEDS, ENVS, STEPS = 3, 2, 24  # at least five updates: on CUDA the fourth is recorded as a graph
TOLERANCE, MOVED = 1e-4, 5e-3  # of a parameter; without an update nothing moves
OFF_POLICY = {
    "learning_starts": 8,
    "batch_size": 32,
    "buffer_size": 200,
    "net_arch": (64, 64),
    "train_freq": 1,
}
BRIEF = Protocol(points=2, episodes=1, final_episodes=1)
LEARNERS: dict[str, dict[str, Any]] = {
    "a2c": {"n_steps": 4},
    "ppo": {"n_steps": 4, "batch_size": 8, "n_epochs": 4},
    "trpo": {"n_steps": 8, "batch_size": 8, "n_critic_updates": 2, "cg_max_steps": 5},
    "dqn": {**OFF_POLICY, "gradient_steps": 1},
    "qrdqn": {**OFF_POLICY, "gradient_steps": 1, "n_quantiles": 10},
    "ddpg": OFF_POLICY,
    "td3": OFF_POLICY,
    "sac": OFF_POLICY,
}
ON_POLICY = {"n_steps": 25, "batch_size": 25, "n_epochs": 4, "net_arch": [32, 32]}
CELLS = {  # discrete and continuous actions, with and without replay memory, running normalisation
    "a2c": cell("a2c", (3, 4), budget=400, evaluation=BRIEF),
    "ppo": cell("ppo", (3, 4), environment="Pendulum-v1", n_envs=2, normalize=True, budget=440,
                evaluation=BRIEF, hyperparameters=ON_POLICY),
    "dqn": cell("dqn", (3, 4), budget=400, evaluation=BRIEF),
    "td3": cell("td3", (3, 4), budget=220, evaluation=BRIEF),
    "sac": cell("sac", (3, 4), budget=220, evaluation=BRIEF),
}  # fmt: skip


def cases(names: Iterable[str], on_cpu: Iterable[str]) -> pytest.MarkDecorator:
    """Run a test of (name, device) with some names on the CPU, which shows that it works, and all on CUDA."""
    found = [pytest.param(name, "cpu") for name in on_cpu]
    found += [pytest.param(name, "cuda", marks=pytest.mark.cuda) for name in names]
    return pytest.mark.parametrize(("name", "device"), found, indirect=["device"])


@pytest.fixture
def device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where the agents under test compute."""
    monkeypatch.setenv(host.KERNEL, "off")  # has no effect on CUDA
    name: str = request.param
    return name


@pytest.fixture
def on(device: str) -> Callable[[str], Cell]:
    """A cell of CELLS on that device."""
    return lambda name: Cell(**{**vars(CELLS[name]), "device": device})


def placed(algorithm: str, device: str) -> Placed:
    with torch.device(device):
        agent = build(algorithm, SEEDS, ENVS, learning_rate=1e-3, **LEARNERS[algorithm])
    return Placed(agent, device)


def learn(algorithm: str, agent: Any, spoilt: int | None = None) -> dict[str, Tensor]:
    """Parameters (S, P) after STEPS random transitions; rewards of the seed `spoilt` become NaN."""
    rng = torch.Generator().manual_seed(5)
    for number, step in enumerate(stream(SEEDS, ENVS, STEPS, continuous=algorithm in CONTINUOUS)):
        if spoilt is not None and number == STEPS // 2:
            step.reward[spoilt] = torch.nan
        action = agent.act(step.obs, torch.rand(SEEDS, ENVS, agent.uniforms, generator=rng))
        assert action.device.type == "cpu" and action.shape == step.action.shape
        agent.observe(step)
    return {name: value.clone() for name, value in agents.state_dict(agent).items()}


@cases(LEARNERS, LEARNERS)
def test_updates_agree_with_the_kernels_on_a_cpu(
    name: str, device: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In float32 without TF32, PyTorch's default for products of matrices; on CUDA by graphs where the agent
    has them: a line says where they could not be recorded."""
    found = learn(name, placed(name, device))
    assert "not recorded" not in capsys.readouterr().err
    monkeypatch.delenv(host.KERNEL)
    plain = build(name, SEEDS, ENVS, learning_rate=1e-3, **LEARNERS[name])
    before = {key: value.clone() for key, value in agents.state_dict(plain).items()}
    for key, expected in learn(name, plain).items():
        assert (expected - before[key]).abs().max() > MOVED, key
        assert (found[key] - expected).abs().max() < TOLERANCE, key


@cases(LEARNERS, LEARNERS)
def test_a_frozen_seed_leaves_its_neighbours_alone(name: str, device: str) -> None:
    whole, agent = learn(name, placed(name, device)), placed(name, device)
    spoilt = learn(name, agent, spoilt=1)
    assert agent.alive.tolist() == [True, False, True]
    for key, value in spoilt.items():
        assert torch.equal(value[[0, 2]], whole[key][[0, 2]]), key
        assert value.isfinite().all() and not torch.equal(value[1], whole[key][1]), key


@cases(CELLS, ["a2c"])
def test_the_same_seeds_twice_give_the_same_bytes(name: str, on: Callable[[str], Cell]) -> None:
    """On one GPU, for networks of vectors. cuBLAS promises the same bits from run to run on the same GPU
    while one stream is active. That PyTorch's other operations add no numbers in an order of chance is only
    measured, here. Of convolutions cuDNN does not promise it, and nothing is claimed."""
    first, second = (train.run(on(name)) for _ in range(2))
    for seed in (3, 4):
        assert of_seed(first, seed) == of_seed(second, seed) != []
    for key, value in first.state.items():
        assert torch.equal(value, second.state[key]), key


def interrupted(c: Cell, folder: Path, at: int) -> None:
    """Train until environment step `at`, and leave a checkpoint."""

    class Killed(Exception):
        pass

    def watch(env_step: int, ended: Iterable[Any]) -> None:
        if env_step >= at:
            raise Killed

    with pytest.raises(Killed):
        train.run(c, watch, checkpointer=Checkpointer(c, folder / "checkpoint"))


@cases(CELLS, ["ppo"])
def test_a_cell_resumes_from_its_checkpoint_and_records(
    name: str, on: Callable[[str], Cell], tmp_path: Path
) -> None:
    """With the rows of a training that was not interrupted; on CUDA as far as the test above holds."""
    c = Cell(**{**vars(on(name)), "checkpoint_every": 40})
    whole = train.run(c)
    interrupted(c, tmp_path, 150)
    run = run_cell.run_cell(c, tmp_path)
    assert (run["status"], run["times_resumed"], run["cell"]["device"]) == ("done", 1, c.device)
    assert (run["hardware"]["gpu"] is not None) >= (c.device == "cuda")
    assert pending.complete(tmp_path) and json.loads((tmp_path / "run.json").read_text()) == run
    for kind in ("episodes", "evaluations"):
        table = pq.read_table(tmp_path / f"{kind}.parquet")
        assert table.schema.equals(records.SCHEMAS[kind])
        assert table.to_pylist() == getattr(whole, kind) != []


@cases(["ppo", "dqn"], ["dqn"])
def test_images_are_learned_from(name: str, device: str) -> None:
    """A few updates of the convolutions, of both seeds; on CUDA by PyTorch's default, which allows TF32."""
    values: dict[str, Any] = {"batch_size": 8, "n_steps": 8, "n_epochs": 1}
    if name == "dqn":
        values = {
            "batch_size": 8,
            "learning_starts": 8,
            "train_freq": 4,
            "gradient_steps": 1,
            "buffer_size": 50,
        }
    pong = {"environment": "ALE/Pong-v5@nature", "n_envs": 1, "hyperparameters": values}
    session = fresh(cell(name, (0, 1), device=device, **pong))
    before = agents.state_dict(session.training.agent)["theta"].clone()
    advance(session, 45)
    theta = agents.state_dict(session.training.agent)["theta"]
    assert theta.isfinite().all() and session.training.agent.alive.all()
    assert ((theta - before).abs().amax(1) > 1e-5).all() and not torch.equal(theta[0], theta[1])
