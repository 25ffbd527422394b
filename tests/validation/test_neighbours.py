"""The contract's looks at seeds of one block: whatever one does to another is named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import small  # noqa: F401  (one thread)
import torch
from torch import Tensor

from rlparity.agents.policy_gradient import actor_critic, ppo, reinforce, trpo
from rlparity.agents.value_based import dqn
from rlparity.nn import optimizers
from rlparity.nn.networks import Network
from rlparity.nn.optimizers import Optimizer
from rlparity.training import loop, rows
from rlparity.validation.checks import Answer
from rlparity.validation.contract.own_agents import check as agent_contract

pytestmark = pytest.mark.probes
FATES = "no fate of a neighbour changes a seed's course"
FIRST = "a seed outlives the failure of the first"
Patch = pytest.MonkeyPatch
Plant = Callable[[Patch], None]


def checked(name: str, algorithm: str) -> Answer:
    environment = "Pendulum-v1" if algorithm in ("sac", "td3", "ddpg") else "CartPole-v1"
    answer = agent_contract.checks(agent_contract.Trainings(algorithm, environment))[name]()
    assert answer is not None
    return answer


@pytest.mark.parametrize("algorithm", ["ppo", "trpo", "dqn", "reinforce", "td3"])
def test_seeds_do_not_disturb_each_other(algorithm: str) -> None:
    assert checked(FATES, algorithm)[0]
    assert checked(FIRST, algorithm)[0]


def changed(owner: Any, name: str, change: Callable[[Any], Any]) -> Plant:
    """A function whose answer is changed."""

    def plant(patch: Patch) -> None:
        original = getattr(owner, name)
        patch.setattr(owner, name, lambda *a, **k: change(original(*a, **k)))

    return plant


def all_or_none(patch: Patch) -> None:
    """A seed that fails takes the others with it."""
    step = optimizers.Adam.step

    def together(self: Any, *arguments: Any, **keywords: Any) -> Tensor:
        norm: Tensor = step(self, *arguments, **keywords)
        self.alive &= self.alive.all()
        return norm

    patch.setattr(optimizers.Adam, "step", together)


def one_norm(patch: Patch) -> None:
    """Gradients are clipped by the norm of all seeds together."""

    def clip(self: Network, max_norm: float | None) -> Tensor:
        norm = torch.linalg.vector_norm(self.grad, dim=1)
        if max_norm is not None:
            self.grad.mul_((max_norm / (norm.nan_to_num(0, 0).max() + 1e-6)).clamp(max=1.0))
        return norm

    patch.setattr(Network, "clip_grad", clip)


def waiting(owner: Any) -> Plant:
    """Seeds learn when all of them have their episodes."""
    return changed(owner, "ready", lambda due: due if len(due) > 4 else [])


def together_in_search(patch: Patch) -> None:
    """Conjugate gradients end for all seeds as soon as one is done."""
    given = trpo.conjugate_gradient

    def solve(product: Any, b: Tensor, steps: int, due: Tensor, tolerance: float = 1e-10) -> Tensor:
        return given(product, b, 1 if not due.all() else steps, due, tolerance)

    patch.setattr(trpo, "conjugate_gradient", solve)


def stopped(patch: Patch) -> None:
    """No seed is updated any more once one has failed."""
    given = dqn.DQN.observe

    def observe(self: Any, step: Any) -> Any:
        with pytest.MonkeyPatch.context() as inner:
            if not self.alive.all() and len(self.alive) > 1:
                inner.setattr(dqn.schedules, "updates_due", lambda *_: 0)
            return given(self, step)

    patch.setattr(dqn.DQN, "observe", observe)


def undead(patch: Patch) -> None:
    """A frozen seed that got finite gradients again would go on: the mask of the living is forgotten."""
    patch.setattr(
        Optimizer, "_due", lambda self, due: torch.ones_like(self.alive) if due is None else due.clone()
    )


def ends_early(patch: Patch) -> None:
    given = loop.loop

    def until_one_fails(training: Any, evaluate: Any) -> Any:
        for event in given(training, evaluate):
            yield event
            if not training.agent.alive.all():
                return

    patch.setattr(loop, "loop", until_one_fails)


def without_rows(name: str) -> Plant:
    def plant(patch: Patch) -> None:
        given = getattr(rows, name)
        patch.setattr(rows, name, lambda cell, failed, *rest: [] if failed else given(cell, failed, *rest))

    return plant


def mean_of_block(metrics: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: x.nanmean().expand_as(x) if name == "loss" else x for name, x in metrics.items()}


ALARMS: list[tuple[str, str, Plant, str, str]] = [
    (
        "the KL of the worst",
        FATES,
        changed(ppo, "approximate_kl", lambda kl: kl.nan_to_num(0).max().expand_as(kl)),
        "ppo",
        "has another approx_kl than alone",
    ),
    ("all or none", FATES, all_or_none, "ppo", "has failed, while alone it has not"),
    ("one norm", FATES, one_norm, "a2c", "than alone"),
    ("waiting for all", FATES, waiting(reinforce), "reinforce", "has other parameters than alone"),
    ("waiting for all, too", FATES, waiting(actor_critic), "actor-critic", "has other parameters than alone"),
    ("searching together", FATES, together_in_search, "trpo", "has other parameters than alone"),
    ("no more updates", FATES, stopped, "dqn", "than alone"),
    ("undead", FATES, undead, "td3", "goes on learning after it failed"),
    ("metrics", FATES, changed(dqn.DQN, "update", mean_of_block), "dqn", "has another loss than alone"),
    (
        "dead from the start",
        FATES,
        changed(optimizers, "all_alive", lambda alive: torch.zeros_like(alive) if len(alive) == 6 else alive),
        "sac",
        "has failed, while alone it has not",
    ),
    ("ends early", FIRST, ends_early, "ppo", "rows of seed 1 change"),
    ("episodes", FIRST, without_rows("of_episodes"), "reinforce", "rows of seed 1 change"),
    ("evaluations", FIRST, without_rows("of_evaluation"), "dqn", "rows of seed 1 change"),
    ("metrics of a training", FIRST, changed(dqn.DQN, "update", mean_of_block), "dqn", "metrics of seed 1"),
]


@pytest.mark.parametrize(
    ("name", "plant", "algorithm", "line"), [row[1:] for row in ALARMS], ids=[row[0] for row in ALARMS]
)
def test_what_seeds_do_to_each_other_is_named(
    name: str, plant: Plant, algorithm: str, line: str, monkeypatch: Patch
) -> None:
    plant(monkeypatch)
    passed, detail = checked(name, algorithm)
    assert not passed and line in detail, detail


def one_by_one(patch: Patch) -> None:
    """The same updates, in another order of seeds and each with arrays of its own."""
    polyak, ready = optimizers.polyak, reinforce.ready

    def each(target: Network, online: Network, tau: float, due: Tensor | None = None) -> None:
        for k in range(target.n_seeds):
            if due is None or due[k]:
                polyak(target.row(k), online.row(k), tau)

    patch.setattr(optimizers, "polyak", each)
    patch.setattr(reinforce, "ready", lambda *arguments: ready(*arguments)[::-1])


@pytest.mark.parametrize("algorithm", ["td3", "reinforce-baseline"])
def test_seeds_that_take_turns_are_no_fault(algorithm: str, monkeypatch: Patch) -> None:
    one_by_one(monkeypatch)
    assert checked(FATES, algorithm)[0]
    assert checked(FIRST, algorithm)[0]
