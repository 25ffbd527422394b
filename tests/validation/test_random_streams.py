"""The contract's looks at random numbers: planted faults are named, other good numbers are not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import small  # noqa: F401  (one thread)
import torch
from torch import Tensor

from rlparity import seeding
from rlparity.agents.policy_gradient.ppo import PPO
from rlparity.buffers.replay import Replay
from rlparity.nn.distributions import gaussian
from rlparity.seeding import Streams, Uniforms
from rlparity.validation.contract.own_agents import check as agent_contract
from rlparity.validation.contract.own_agents.kinds import random_numbers

pytestmark = pytest.mark.probes
INDEPENDENT = "random numbers are neither shared nor repeated"
ALONE = "a seed alone draws what it draws among ten"
Patch = pytest.MonkeyPatch


def checked(name: str, algorithm: str) -> tuple[bool, str]:
    environment = "Pendulum-v1" if algorithm in ("sac", "td3") else "CartPole-v1"
    answer = agent_contract.checks(agent_contract.Trainings(algorithm, environment))[name]()
    assert answer is not None
    return answer


@pytest.mark.parametrize("algorithm", ["ppo", "dqn-prioritized", "td3", "reinforce", "random"])
def test_random_numbers_are_good(algorithm: str) -> None:
    assert checked(INDEPENDENT, algorithm)[0]
    assert checked(ALONE, algorithm)[0]


def numbers(change: Callable[[Tensor], Tensor]) -> Callable[[Patch], None]:
    """What `Uniforms` gives, (S, *shape), changed."""
    given = Uniforms.next
    return lambda patch: patch.setattr(Uniforms, "next", lambda self: change(given(self)))


def fetched_once(patch: Patch) -> None:
    def following(self: Any) -> Tensor:
        self._used = 0 if self._used == seeding.CHUNK and len(self._chunk) else self._used
        return given(self)

    given = Uniforms.next
    patch.setattr(Uniforms, "next", following)


def one_for_all_uses(patch: Patch) -> None:
    sequences = Streams.sequences
    patch.setattr(Streams, "sequences", lambda self, name: sequences(self, "everything"))


def one_for_all_algorithms(patch: Patch) -> None:
    sequences = Streams.sequences

    def of_seed(self: Any, name: str) -> Any:
        self._who = "anyone"
        return sequences(self, name)

    patch.setattr(Streams, "sequences", of_seed)


def one_for_all_evaluations(patch: Patch) -> None:
    generators = Streams.generators
    patch.setattr(
        Streams,
        "generators",
        lambda self, name: generators(self, "evaluation" if name.endswith("|explore") else name),
    )


def by_place(patch: Patch) -> None:
    """A seed's stream depends on its place in the block."""
    patch.setattr(
        Streams,
        "sequences",
        lambda self, name: [np.random.SeedSequence([i, len(name)]) for i in range(len(self.seeds))],
    )


def one_generator(patch: Patch) -> None:
    """Seeds take turns with one generator, so that what one draws depends on how many there are."""
    generators = Streams.generators
    patch.setattr(Streams, "generators", lambda self, name: generators(self, name)[:1] * len(self.seeds))


def shuffling(change: Callable[[np.random.Generator], Any]) -> Callable[[Patch], None]:
    """What orders PPO's minibatches, changed."""

    def plant(patch: Patch) -> None:
        build = PPO.__init__

        def built(self: Any, *arguments: Any) -> None:
            build(self, *arguments)
            self.shuffles = [change(rng) for rng in self.shuffles]

        patch.setattr(PPO, "__init__", built)

    return plant


class Once:
    """A generator that draws one permutation and gives it again."""

    def __init__(self, rng: np.random.Generator):
        self._rng, self._order = rng, np.empty(0)

    def permutation(self, size: int) -> np.ndarray:
        self._order = self._order if len(self._order) == size else self._rng.permutation(size)
        return self._order


class Chosen(Once):
    """Rows with replacement instead of an order."""

    def permutation(self, size: int) -> np.ndarray:
        return self._rng.integers(size, size=size)


def same_noise(patch: Patch) -> None:
    """SAC's actions at s and at s' have the same noise."""
    normal = gaussian.normal

    def given(uniform: Tensor) -> Tensor:
        return normal(uniform[:, :1].expand_as(uniform) if uniform.dim() == 4 else uniform)

    patch.setattr(gaussian, "normal", given)


def flat_noise(patch: Patch) -> None:
    patch.setattr(gaussian, "normal", lambda uniform: (uniform - 0.5) * 12**0.5)


ALARMS: list[tuple[str, str, Callable[[Patch], None], str, str]] = [
    ("one for all seeds", INDEPENDENT, numbers(lambda x: x[:1].expand_as(x)), "dqn", "seed 1 and seed 2"),
    (
        "one for all sub-environments",
        INDEPENDENT,
        numbers(lambda x: x[:, :1].expand_as(x)),
        "ppo",
        "sub-environment 1 and sub-environment 2",
    ),
    ("mirrored seeds", INDEPENDENT, numbers(lambda x: torch.cat([1 - x[:1], x[:-1]])), "td3", "seed 1 and"),
    (
        "one for whether and which",
        INDEPENDENT,
        numbers(lambda x: x[..., :1].expand_as(x)),
        "dqn",
        "component",
    ),
    ("squared", INDEPENDENT, numbers(lambda x: x * x), "a2c", "are not uniform"),
    ("fetched once", INDEPENDENT, fetched_once, "sac", "draws the same numbers again"),
    ("uses", INDEPENDENT, one_for_all_uses, "td3", "of its numbers are those of"),
    ("algorithms", INDEPENDENT, one_for_all_algorithms, "ppo", "draws as"),
    ("evaluations", INDEPENDENT, one_for_all_evaluations, "ppo", "of its numbers are those of"),
    ("epochs", INDEPENDENT, shuffling(Once), "ppo", "epoch 1 and epoch 2"),
    ("with replacement", INDEPENDENT, shuffling(Chosen), "ppo", "not every row once"),
    ("noise", INDEPENDENT, same_noise, "sac", "axis 1 of noise"),
    ("flat noise", INDEPENDENT, flat_noise, "td3", "are not normal"),
    ("by place", ALONE, by_place, "dqn", "alone are others"),
    ("taking turns", ALONE, one_generator, "ppo", "alone are others"),
    (
        "mean of the block",
        ALONE,
        numbers(lambda x: (x + x.mean(0, keepdim=True) - x.mean(0, keepdim=True)[:1] * 0.9) % 1),
        "sac",
        "alone are others",
    ),
]


@pytest.mark.parametrize(
    ("name", "plant", "algorithm", "line"), [row[1:] for row in ALARMS], ids=[row[0] for row in ALARMS]
)
def test_planted_numbers_are_named(
    name: str, plant: Callable[[Patch], None], algorithm: str, line: str, monkeypatch: Patch
) -> None:
    plant(monkeypatch)
    passed, detail = checked(name, algorithm)
    assert not passed and line in detail, detail


def test_one_seed_for_all_places_in_memory_is_named(monkeypatch: Patch) -> None:
    """The index alone: the numbers that it is drawn with are those of each seed."""
    index = Replay.index
    monkeypatch.setattr(
        Replay, "index", lambda self, u, n_steps=1: index(self, u[:1].expand_as(u).contiguous(), n_steps)
    )
    passed, detail = checked(INDEPENDENT, "dqn")
    assert not passed and detail.startswith("places in memory: seed 1 and seed 2"), detail


def other_streams(patch: Patch) -> None:
    """Other names, another generator, another number of draws at once."""
    sequences = Streams.sequences
    patch.setattr(Streams, "sequences", lambda self, name: sequences(self, f"other {name}"))
    patch.setattr(
        Streams,
        "generators",
        lambda self, name: [np.random.Generator(np.random.Philox(x)) for x in self.sequences(name)],
    )
    patch.setattr(seeding, "CHUNK", 64)


@pytest.mark.parametrize("algorithm", ["ppo", "sac", "qrdqn"])
def test_other_good_numbers_are_no_fault(algorithm: str, monkeypatch: Patch) -> None:
    other_streams(monkeypatch)
    assert checked(INDEPENDENT, algorithm)[0]
    assert checked(ALONE, algorithm)[0]


def seldom(numbers: Sequence[int]) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float64)


def test_correlations_by_hand() -> None:
    assert random_numbers.correlation(seldom([1, 2, 3]), seldom([2, 4, 6])) == pytest.approx(1)
    assert random_numbers.correlation(seldom([1, 2, 3]), seldom([1, -2, 1])) == pytest.approx(0)
    assert not random_numbers.related(seldom([1, 2]), seldom([1, 2]))  # two draws say nothing
    assert random_numbers.related(seldom(range(9)), -seldom(range(9)))


def test_independent_draws_seldom_look_dependent() -> None:
    rng = torch.Generator().manual_seed(1)
    for shape in ((10, 4, 3), (100, 2, 1), (3, 3, 2), (300, 10, 6)):
        draws = torch.rand(shape, generator=rng)
        assert random_numbers.dependent(draws, ("draw", "seed", "row")) is None
        assert random_numbers.misshapen(draws, "uniform") is None
        draws[1] = draws[0]
        assert random_numbers.dependent(draws, ("draw", "seed", "row"))
