"""A mutation that concerns updates changes the parameters that the same transitions lead to."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch
from mutated import brief
from small import ACTIONS
from torch import Tensor

from rlparity.agents import base as agents
from rlparity.environments.base import EnvSpec
from rlparity.seeding import Streams
from rlparity.transitions import Step
from rlparity.validation.mutations import a2c_and_trpo, continuous, corpus, dqn, harmless, ppo
from rlparity.validation.mutations.mutation import Mutation, planted

pytestmark = [pytest.mark.probes, pytest.mark.filterwarnings("ignore:std")]  # of one number, which is P31
APART = {  # of the modules below; initial parameters, acting, metrics and resuming are no updates
    *("P26", "P29", "D10 resume", "D10 unit", "C3"),
}
OTHERS = (
    *("P1", "P4", "P5", "P6"),
    *("G15", "O23", "R12", "R13"),
    *("O1", "O3", "O8", "O11", "O12", "O14", "O15", "O16", "O17"),
)
UPDATES = [
    *(
        mutation
        for module in (ppo, a2c_and_trpo, dqn, continuous, harmless)
        for mutation in module.MUTATIONS
        if mutation.id not in APART
    ),
    *map(corpus.find, OTHERS),
]
REFACTORINGS = [mutation for mutation in corpus.CORPUS if mutation.kind == "refactoring"]
ROUNDING = 1e-5  # of parameters of size 1, float32, after some updates
LENGTH = 64  # steps of each sub-environment


def transitions(spec: EnvSpec) -> list[Step]:
    """Random ones; episodes end, or are cut, once in ten steps, and the next starts elsewhere."""
    rng, shape = torch.Generator().manual_seed(0), (spec.n_seeds, spec.n_envs)
    obs = torch.randn(LENGTH + 1, *shape, *spec.obs_shape, generator=rng)
    if spec.n_actions is None:
        action = 4 * torch.rand(LENGTH, *shape, *spec.action_shape, generator=rng) - 2
    else:
        action = torch.randint(spec.n_actions, (LENGTH, *shape), generator=rng)
    reward, chance = 3 * torch.rand(LENGTH, *shape, generator=rng), torch.rand(LENGTH, *shape, generator=rng)
    last, discount = (chance < 0.1).float(), 1 - (chance < 0.05).float()
    final = torch.randn(LENGTH, *shape, *spec.obs_shape, generator=rng)
    next_obs = torch.where(last[..., None] > 0, final, obs[1:])
    return [Step(obs[t], action[t], reward[t], discount[t], last[t], next_obs[t]) for t in range(LENGTH)]


def learned(mutation: Mutation) -> list[Tensor]:
    """The parameters of two seeds after several updates."""
    agent, environment = mutation.pairs[0]
    return _learned(agent, environment, tuple(sorted(mutation.needs.items())))


def _learned(algorithm: str, environment: str, needs: Any) -> list[Tensor]:
    cell = brief(algorithm, environment, dict(needs))
    inputs = {"CartPole-v1": (4,)}.get(environment, (3,))
    spec = EnvSpec(len(cell.seeds), cell.n_envs, inputs, **ACTIONS[environment != "CartPole-v1"])
    agent: Any = agents.build(cell.agent, spec, cell.hyperparameters, Streams(cell), 10 * LENGTH)
    start = [network.theta.detach().clone() for network in agent.saved().values()]
    for step in transitions(spec):
        agent.observe(step)
    found = [network.theta.detach() for network in agent.saved().values()]
    assert not any(map(torch.equal, start, found))
    return found


@cache
def plain(agent: str, environment: str, needs: Any) -> list[Tensor]:
    """Those of the unchanged code."""
    return _learned(agent, environment, needs)


def before(mutation: Mutation) -> list[Tensor]:
    return plain(*mutation.pairs[0], tuple(sorted(mutation.needs.items())))


@pytest.mark.parametrize(
    "mutation",
    [mutation for mutation in UPDATES if "ALE" not in mutation.environments[0]],
    ids=lambda mutation: mutation.id,
)
def test_parameters_become_others(mutation: Mutation) -> None:
    with planted(mutation):
        found = learned(mutation)
    distance = max(
        float((a - b).abs().nan_to_num(1).max()) for a, b in zip(found, before(mutation), strict=True)
    )
    assert distance > (ROUNDING if mutation.kind == "bug" else 0)


@pytest.mark.parametrize("mutation", REFACTORINGS, ids=lambda mutation: mutation.id)
def test_parameters_stay_the_same_but_for_rounding(mutation: Mutation) -> None:
    with planted(mutation):
        found = learned(mutation)
    for ours, plain in zip(found, before(mutation), strict=True):
        torch.testing.assert_close(ours, plain, rtol=0, atol=ROUNDING)
