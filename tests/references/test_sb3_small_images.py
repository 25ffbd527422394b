"""Stable-Baselines3 on small images: its networks, and cells of both arms."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from small import BRIEF, cell
from torch import nn

from rlparity import registry
from rlparity.cell import Cell
from rlparity.references import sb3, sb3_minatar, sb3_models
from rlparity.seeding import Streams
from rlparity.training import loop
from rlparity.training import run as train

pytestmark = [pytest.mark.probes, pytest.mark.filterwarnings("ignore:You have specified a mini-batch size")]
SMALL: dict[str, dict[str, Any]] = {
    "a2c": {},
    "ppo": {"n_steps": 16, "batch_size": 32, "n_epochs": 1},
    "dqn": {"buffer_size": 60, "learning_starts": 20, "batch_size": 8},
    "qrdqn": {"buffer_size": 60, "learning_starts": 20, "batch_size": 8, "n_quantiles": 5},
}


def small_cell(algorithm: str, seeds: tuple[int, ...] = (4,), **changes: Any) -> Cell:
    options = {**SMALL[algorithm], **changes.pop("hyperparameters", {})}
    fields = {
        "environment": "MinAtar/Breakout-v1",
        "n_envs": 2,
        "budget": 128,
        "evaluation": BRIEF,
        **changes,
    }
    made = cell(algorithm, seeds, **fields)
    return replace(made, hyperparameters={**made.hyperparameters, **options})


@pytest.mark.parametrize("algorithm", SMALL)
def test_models_have_the_small_network_and_nothing_after_it_but_heads(algorithm: str) -> None:
    envs = sb3_minatar.make("MinAtar/SpaceInvaders-v1", 2)
    made = small_cell(algorithm, implementation="sb3", environment="MinAtar/SpaceInvaders-v1")
    model = sb3_models.build(made, envs, 0)
    assert isinstance(model, registry.load(registry.REFERENCES[algorithm]))
    policy: Any = model.policy
    network = {"dqn": "q_net", "qrdqn": "quantile_net"}.get(algorithm)
    layers = (getattr(policy, network) if network else policy).modules()
    found = [layer for layer in layers if isinstance(layer, nn.Conv2d | nn.Linear)]
    heads = {"dqn": [4], "qrdqn": [4 * 5]}.get(algorithm, [4, 1])
    assert [tuple(layer.weight.shape) for layer in found] == [
        *((16, 6, 3, 3), (128, 1024)),
        *((head, 128) for head in heads),
    ]


@pytest.mark.parametrize("algorithm", SMALL)
def test_both_arms_train_and_are_evaluated(algorithm: str) -> None:
    for implementation, run in (("scratch", train.run), ("sb3", sb3.run)):
        rows = run(small_cell(algorithm, implementation=implementation))
        assert not rows.failed and rows.episodes
        assert {row["env_step"] for row in rows.evaluations} == {0, 64, 128}
        assert {row["metric"] for row in rows.progress} >= {"evaluation_time_s"}


def rows_of(rows: Any, seed: int) -> list[Any]:
    kinds = (rows.episodes, rows.evaluations)
    kept = [{name: x for name, x in row.items()} for kind in kinds for row in kind if row["seed"] == seed]
    updates = [
        (row["env_step"], row["metric"], repr(row["value"]))
        for row in rows.progress
        if row["seed"] == seed and row["metric"] != "evaluation_time_s"
    ]
    return [*kept, *updates]


@pytest.mark.parametrize("algorithm", ["ppo", "dqn"])
def test_a_seed_alone_is_the_seed_among_ten(algorithm: str) -> None:
    """Rows of episodes and evaluations, and the metrics of updates, to the last bit."""
    ten = train.run(small_cell(algorithm, tuple(range(10))))
    alone = train.run(small_cell(algorithm, (7,)))
    assert rows_of(alone, 7) == rows_of(ten, 7) and len(rows_of(ten, 7)) > 20
    assert rows_of(ten, 6) != rows_of(ten, 7)
    assert torch.equal(alone.state["theta"][0], ten.state["theta"][7])


@pytest.mark.parametrize("algorithm", ["ppo", "dqn"])
def test_both_arms_start_alike(algorithm: str) -> None:
    """Orthogonal layers of the same gains and no offsets, or uniform ones within the same bounds."""
    made = small_cell(algorithm, implementation="sb3")
    policy: Any = sb3_models.build(made, sb3_minatar.make("MinAtar/Breakout-v1", 2), 0).policy
    modules = (policy.q_net if algorithm == "dqn" else policy).modules()
    found = [layer for layer in modules if isinstance(layer, nn.Conv2d | nn.Linear)]
    theirs = [(layer.weight.detach().flatten(1), layer.bias.detach()) for layer in found]
    cell = small_cell(algorithm)
    agent: Any = loop.build(cell, Streams(cell)).agent
    network = agent.q if algorithm == "dqn" else agent.network
    layers = [
        (weight[0].detach(), bias[0].detach()) for stack in network.stacks.values() for weight, bias in stack
    ]
    ours = [(weight.flatten(1) if weight.ndim == 4 else weight.T, bias) for weight, bias in layers]
    assert [weight.shape for weight, _ in ours] == [weight.shape for weight, _ in theirs]
    for (weight, bias), (weight_there, bias_there) in zip(ours, theirs, strict=True):
        if algorithm == "ppo":  # the singular values are the gain
            values = [torch.linalg.svdvals(one) for one in (weight, weight_there)]
            assert torch.allclose(*values, rtol=1e-3) and bias.norm() == bias_there.norm() == 0
        else:
            bound = weight.shape[1] ** -0.5
            for one in (weight, weight_there):
                assert 0.98 * bound < one.abs().max() <= bound
                assert one.std() == pytest.approx(bound / 3**0.5, rel=0.1)
            assert max(bias.abs().max(), bias_there.abs().max()) <= bound
