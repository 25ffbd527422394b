"""Naive versions of our agents: agents match them, and a fault in an agent's mathematics or memory shows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import small  # noqa: F401  (one thread)
import torch
from torch import Tensor

from rlparity.agents.policy_gradient import actor_critic, reinforce, trpo
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
EXACT = "all trajectories"
LONG, SINGLE = "long episodes", "single precision"
ACTS, DRAWN = "actions are drawn", "transitions are drawn"


def answers(algorithm: str) -> dict[str, tuple[bool, str]]:
    found = {name: run() for name, run in check.checks(algorithm, "CartPole-v1", {}).items()}
    return {name: answer for name, answer in found.items() if answer is not None}


@pytest.mark.parametrize("algorithm", ["actor-critic", "npg", "dqn-2013"])
def test_agents_match_their_naive_versions(algorithm: str) -> None:
    found = answers(algorithm)
    assert {name: detail for name, (passed, detail) in found.items() if not passed} == {}
    assert len(found) == {"dqn-2013": 3, "npg": 4}.get(algorithm, 6)


@pytest.mark.parametrize("algorithm", ["reinforce-togo", "reinforce-value", "a2c", "ppo", "trpo"])
def test_mean_gradients_are_policy_gradients(algorithm: str) -> None:
    (run,) = [run for name, run in check.checks(algorithm, "CartPole-v1", {}).items() if EXACT in name]
    assert (run() or (False, ""))[0]


@pytest.mark.parametrize("algorithm", ["ppo", "trpo"])
def test_gaussian_policies_match(algorithm: str) -> None:
    (run,) = [run for name, run in check.checks(algorithm, "Pendulum-v1", {}).items() if OTHER in name]
    assert (run() or (False, ""))[0]


def test_every_agent_without_a_reference_has_a_naive_version() -> None:
    library = hyperparameters.library().algorithms
    alone = {named.agent for named in library.values() if named.reference is None} - {"random"}
    assert alone - set(NAIVE) == set()


def no_mean(dueling: Around, value: Tensor, advantage: Tensor) -> Any:
    return value[..., None] + advantage - advantage.amax(-1, keepdim=True)


def slower(to_go: Around, reward: Tensor, gamma: float) -> Any:
    return to_go(reward, gamma * gamma)


def late(gae: Around, reward: Tensor, value: Tensor, *others: Any) -> Any:
    return gae(reward, value, *others) * (1 + 0.1 * reward.sign())


def half_of_last(weights: Around, reward: Tensor, *others: Any) -> Any:
    return weights(torch.cat([reward[:-1], reward[-1:] / 2]), *others)


def shorter(solve: Around, product: Any, b: Tensor, most: int, due: Tensor) -> Any:
    return solve(product, b, most - 1, due)


def one_more(loss: Around, log_prob: Tensor, advantage: Tensor, n: int) -> Any:
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
    (targets, "gae", late, "a2c", EXACT),
    (reinforce, "weights", half_of_last, "reinforce-togo", EXACT),
    (trpo, "conjugate_gradient", shorter, "npg", NAMED),
    (reinforce, "policy_loss", one_more, "reinforce", OTHER),
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
