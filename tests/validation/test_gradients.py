"""Naive versions of our agents: agents match them, and a fault in an agent's mathematics or memory shows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import small  # noqa: F401  (one thread)
import torch
from torch import Tensor

from rlparity.agents.policy_gradient import actor_critic, reinforce
from rlparity.agents.value_based import dqn
from rlparity.buffers import prioritized, trajectories
from rlparity.nn import optimizers, q_networks
from rlparity.objectives import targets
from rlparity.suites import hyperparameters
from rlparity.validation.gradients import check
from rlparity.validation.gradients.comparison import NAIVE

pytestmark = pytest.mark.probes

Around = Callable[..., Any]
NAMED, OTHER = "updates match a naive version of the algorithm", "other settings"
LONG, SINGLE = "long episodes", "single precision"
ACTS, DRAWN = "actions are drawn", "transitions are drawn"


def answers(algorithm: str) -> dict[str, tuple[bool, str]]:
    found = {name: run() for name, run in check.checks(algorithm, "CartPole-v1", {}).items()}
    return {name: answer for name, answer in found.items() if answer is not None}


@pytest.mark.parametrize("algorithm", ["reinforce-value", "reinforce-baseline", "actor-critic", "dqn-2013"])
def test_agents_match_their_naive_versions(algorithm: str) -> None:
    found = answers(algorithm)
    assert {name: detail for name, (passed, detail) in found.items() if not passed} == {}
    assert len(found) == (3 if algorithm == "dqn-2013" else 5)


def test_every_agent_without_a_reference_has_a_naive_version() -> None:
    library = hyperparameters.library().algorithms
    alone = {named.agent for named in library.values() if named.reference is None} - {"random"}
    assert alone - set(NAIVE) == set()


def no_mean(dueling: Around, value: Tensor, advantage: Tensor) -> Any:
    return value[..., None] + advantage - advantage.amax(-1, keepdim=True)


def slower(to_go: Around, reward: Tensor, gamma: float) -> Any:
    return to_go(reward, gamma * gamma)


def not_detached(loss: Around, log_prob: Tensor, advantage: Tensor, n: int) -> Any:
    return loss(log_prob, advantage, n + 1)


def own_choice(target: Around, r: Tensor, d: Tensor, q: Tensor, chooser: Tensor, gamma: float) -> Any:
    return target(r, d, q, q, gamma)


def all_due(due_seeds: Around, self: Any, due: Tensor | None) -> Any:
    return due_seeds(self, None)


def uncorrected(weights: Around, self: Any, index: Tensor, correction: float) -> Any:
    return torch.ones_like(weights(self, index, correction))


def squared(index: Around, self: Any, uniform: Tensor) -> Any:
    return index(self, uniform.square())


def first_part(add: Around, self: Any, step: Any) -> None:
    add(self, step)
    for episodes in self.finished:
        episodes[:] = [type(e)(*(x[:512] for x in e)) for e in episodes]


PLANTED: list[tuple[Any, str, Around, str, str]] = [
    (q_networks, "dueling", no_mean, "dqn-dueling", NAMED),
    (targets, "rewards_to_go", slower, "reinforce-discounted", NAMED),
    (targets, "rewards_to_go", slower, "actor-critic", SINGLE),
    (reinforce, "policy_loss", not_detached, "reinforce", OTHER),
    (targets, "td_target", own_choice, "dqn-double", NAMED),
    (optimizers.Optimizer, "_due", all_due, "reinforce-togo", NAMED),
    (prioritized.Priorities, "weights", uncorrected, "dqn-prioritized", OTHER),
    (prioritized.Priorities, "index", squared, "dqn-prioritized", DRAWN),
    (trajectories.Trajectories, "add", first_part, "actor-critic", LONG),
    (actor_critic.categorical, "sample", lambda sample, z, u: sample(z, u * u), "actor-critic", ACTS),
    (dqn, "td_slope", lambda slope, *a: slope(*a) * 1.001, "dqn-nstep", SINGLE),
]


@pytest.mark.parametrize(("owner", "name", "around", "algorithm", "where"), PLANTED)
def test_a_fault_is_found(
    owner: Any, name: str, around: Around, algorithm: str, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = getattr(owner, name)
    monkeypatch.setattr(owner, name, lambda *a, **k: around(original, *a, **k))
    (run,) = [run for each, run in check.checks(algorithm, "CartPole-v1", {}).items() if where in each]
    answer = run()
    assert answer is not None and not answer[0]
