"""The contract of our own agents: they keep it, and the look that should see a planted fault names it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import small  # noqa: F401  (one thread)
import torch
from torch import Tensor

from rlparity import networks, seeding, snapshot, targets
from rlparity.bounds import Bounds
from rlparity.memory import Replay, Rollout
from rlparity.records import Step
from rlparity.tasks import books, classic, generic
from rlparity.tasks.normalise import Normalised
from rlparity.validation import contract, contract_agent, contract_arena, contract_normaliser, contract_worlds

pytestmark = pytest.mark.probes

Around = Callable[..., Any]


def look(name: str, algorithm: str = "ppo", environment: str = "CartPole-v1") -> tuple[bool, str]:
    answer = contract_agent.looks(contract_agent.Agent(algorithm, environment))[name]()
    assert answer is not None
    return answer


@pytest.mark.parametrize(
    ("algorithm", "environment", "checks"),
    [
        ("ppo", "CartPole-v1", 20),
        ("sac", "Pendulum-v1", 22),
        ("random", "CartPole-v1", 15),
    ],
)
def test_our_agents_keep_their_contract(algorithm: str, environment: str, checks: int) -> None:
    found = contract.check_agent(algorithm, environment)
    assert [str(check) for check in found if not check.passed] == []
    assert len(found) == checks


def test_monte_carlo_agents_learn_from_whole_games() -> None:
    passed, detail = look("it learns from what it saw", "reinforce")
    assert passed and detail.endswith(" games")


def wrap(patch: pytest.MonkeyPatch, owner: Any, name: str, around: Around) -> None:
    original = getattr(owner, name)
    patch.setattr(owner, name, lambda *a, **k: around(original, *a, **k))


def limits_end(step: Around, *arguments: Any) -> Step:
    now: Step = step(*arguments)
    return now._replace(discount=1 - now.last)


def successor_is_the_reset(step: Around, self: Any, *arguments: Any) -> Step:
    now: Step = step(self, *arguments)
    return now._replace(next_obs=self.obs)


def half_the_rewards(add: Around, self: Any, reward: np.ndarray, last: np.ndarray) -> None:
    add(self, reward / 2, last)


def next_place(ends: Around, self: Any, start: Tensor, end: Tensor) -> tuple[Tensor, Tensor]:
    obs, _ = ends(self, start, end)
    return obs, self._fields.obs.flatten(0, 1)[self._after(end)]


def without_newest(drawable: Around, self: Any, n_steps: int = 1) -> tuple[int, int]:
    first, last = drawable(self, n_steps)
    return first, max(last - self._n_envs, first + 1)


def by_time(pop: Around, self: Any) -> Step:
    rollout: Step = pop(self)
    return rollout._replace(action=rollout.action.transpose(1, 2).reshape(rollout.action.shape))


def always_bootstrap(gae: Around, r: Tensor, v: Tensor, nv: Tensor, discount: Tensor, *rest: Any) -> Any:
    return gae(r, v, nv, torch.ones_like(discount), *rest)


def updating_view(view: Around, self: Any, obs: Tensor) -> Any:
    self.obs_moments.update(obs.double())
    return view(self, obs)


def without_moments(attributes: Around, value: Any) -> dict[str, Any]:
    return {name: part for name, part in attributes(value).items() if name != "_moments"}


def overlapping(environments: Around, self: Any, name: str, n: int) -> list[list[int]]:
    return [[seed + i for i in range(n)] for seed in self.seeds]


def by_the_clock(environments: Around, self: Any, name: str, n: int) -> list[list[int]]:
    draws = np.random.SeedSequence().generate_state(len(self.seeds) * n).reshape(-1, n)
    return [[int(seed) for seed in row] for row in draws]


def gain_of_one(mlp: Around, sizes: Any, gain: float | None = None) -> Any:
    return mlp(sizes, 1.0 if gain == 0.01 else gain)


PLANTED: list[tuple[str, Any, str, Around, str, str]] = [
    # fault's place, what takes it, look, configuration, and what is said
    (
        "steps are Gymnasium's at its time limit",
        classic.CartPole,
        "step",
        limits_end,
        "ppo",
        "discount of step 500",
    ),
    (
        "steps are Gymnasium's at ends and short limits",
        generic.GymTask,
        "step",
        successor_is_the_reset,
        "ppo",
        "next_obs",
    ),
    ("books are RecordEpisodeStatistics'", books.Books, "add", half_the_rewards, "ppo", "booked is"),
    (
        "evaluations are the games that were played",
        books.Books,
        "add",
        half_the_rewards,
        "ppo",
        "deterministic games at step 0: booked is",
    ),
    (
        "replay memory is a list of what was seen",
        Replay,
        "_ends",
        next_place,
        "dqn",
        "next_obs of transition",
    ),
    (
        "replay memory is a list of what was seen",
        Replay,
        "drawable",
        without_newest,
        "dqn",
        "is drawn 0 times, not 8",
    ),
    ("it learns from what it saw", Rollout, "pop", by_time, "ppo", "action is"),
    ("it learns from what it saw", targets, "gae", always_bootstrap, "trpo", "advantage is"),
    (
        "running statistics are those of all that was seen",
        Normalised,
        "view",
        updating_view,
        "a2c",
        "obs of step",
    ),
    (
        "evaluation leaves training as it was",
        Normalised,
        "view",
        updating_view,
        "ppo-normalised",
        "theta differs",
    ),
    ("an interrupted run goes on", snapshot, "_attributes", without_moments, "ppo", "saved at step 89; "),
    ("worlds share no stream", seeding.Streams, "environments", overlapping, "ppo", "repeat another's seed"),
    (
        "the same seed is the same run",
        seeding.Streams,
        "environments",
        by_the_clock,
        "ppo",
        "games of training differ",
    ),
    (
        "parameters start as the reference's",
        networks,
        "mlp",
        gain_of_one,
        "ppo",
        "action_net.weight starts at",
    ),
]


@pytest.mark.parametrize(
    ("name", "owner", "attribute", "around", "algorithm", "line"),
    PLANTED,
    ids=[f"{around.__name__} {name}" for name, _, _, around, _, _ in PLANTED],
)
def test_a_planted_fault_is_named(
    name: str,
    owner: Any,
    attribute: str,
    around: Around,
    algorithm: str,
    line: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    normalised = algorithm.endswith("-normalised")  # Acrobot's settings ask for it
    where = (algorithm.removesuffix("-normalised"), "Acrobot-v1" if normalised else "CartPole-v1")
    assert look(name, *where)[0]
    wrap(monkeypatch, owner, attribute, around)
    passed, detail = look(name, *where)
    assert not passed and line in detail, detail


def test_actions_outside_of_their_bounds_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The arena's are -3 to 1 and 1 to 5: no actor that knows -1 to 1 alone fits both."""
    monkeypatch.setattr(Bounds, "from_unit", lambda self, action: action)
    assert not look("actions are within their bounds", "td3", "Pendulum-v1")[0]


def test_seeds_that_are_one_seed_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    sequences = seeding.Streams.sequences
    monkeypatch.setattr(
        seeding.Streams, "sequences", lambda self, name: [sequences(self, name)[0] for _ in self.seeds]
    )
    assert look("seeds differ") == (False, "theta of seeds 0 and 1 begins the same")
    assert not look("worlds share no stream")[0]


def test_a_seed_that_fails_may_not_take_another_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def together(self: Any, *arguments: Any) -> Any:
        found = step(self, *arguments)
        return found if found.reward.isfinite().all() else found._replace(reward=found.reward * torch.nan)

    from rlparity.validation.contract_watch import Watched

    step = Watched.step
    monkeypatch.setattr(Watched, "step", together)
    passed, detail = look("a failed seed is named and kept apart")
    assert (passed, detail) == (False, "seed 1 was paid NaN; failed are [0, 1]")


def test_sums_are_moments_by_hand() -> None:
    """[0, 2] and [4]: mean 2, variance 8/3, but for a prior that counts as 1e-4 zeros."""
    sums = contract_normaliser.Sums(())
    sums.add(np.array([0.0, 2.0]))
    sums.add(np.array([4.0]))
    assert sums.mean == pytest.approx(2, abs=1e-3)
    assert sums.deviation == pytest.approx((8 / 3) ** 0.5, abs=1e-3)
    assert sums.normal(np.array([2.0, 1e9])).tolist() == pytest.approx([0, 10], abs=1e-3)


def test_the_arena_ends_in_every_way() -> None:
    env = gym.make(contract_arena.CONTINUOUS)
    env.reset(seed=0)
    ways = set()
    for _ in range(3000):
        _, _, ended, cut, _ = env.step(np.zeros(2, np.float32))
        ways.add((ended, cut))
        if ended or cut:
            env.reset()
    assert ways == {(False, False), (True, False), (False, True), (True, True)}


def test_a_short_time_limit_is_the_same_environment() -> None:
    moments = contract_worlds.replay(contract_worlds.cut("Pendulum-v1", 7), 3, [np.zeros(1, np.float32)] * 15)
    assert [moment.cut for moment in moments] == [t % 7 == 6 for t in range(15)]
    plain = contract_worlds.replay("Pendulum-v1", 3, [np.zeros(1, np.float32)] * 7)
    assert [moment.reward for moment in moments[:7]] == [moment.reward for moment in plain]
    assert moments[6].game == (pytest.approx(sum(moment.reward for moment in plain)), 7)
