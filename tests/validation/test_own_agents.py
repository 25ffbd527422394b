"""The contract of our own agents: they pass, and the check responsible for a planted fault names it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import small  # noqa: F401  (one thread)
import torch
from torch import Tensor

from rlparity import seeding
from rlparity.buffers.replay import Replay
from rlparity.buffers.rollout import Rollout
from rlparity.environments import cartpole, episode_statistics, gymnasium_env
from rlparity.environments.normalization import NormalizedEnv
from rlparity.nn import networks
from rlparity.nn.action_scaling import Bounds
from rlparity.objectives import targets
from rlparity.training import object_state
from rlparity.transitions import Step
from rlparity.validation import plain_environments
from rlparity.validation.contract import check as contract
from rlparity.validation.contract.own_agents import check as agent_contract
from rlparity.validation.contract.own_agents import fault_showing_env, normalization
from rlparity.validation.contract.own_agents.traced_training import TracedEnv

pytestmark = pytest.mark.probes

Around = Callable[..., Any]


def checked(name: str, algorithm: str = "ppo", environment: str = "CartPole-v1") -> tuple[bool, str]:
    answer = agent_contract.checks(agent_contract.Trainings(algorithm, environment))[name]()
    assert answer is not None
    return answer


@pytest.mark.parametrize(
    ("algorithm", "environment", "checks"),
    [
        ("ppo", "CartPole-v1", 35),
        ("sac", "Pendulum-v1", 32),
        ("random", "CartPole-v1", 20),
    ],
)
def test_our_agents_keep_their_contract(algorithm: str, environment: str, checks: int) -> None:
    found = contract.check_agent(algorithm, environment)
    assert [str(check) for check in found if not check.passed] == []
    assert len(found) == checks


@pytest.mark.parametrize("algorithm", ["ppo", "dqn-prioritized"])
def test_looks_do_not_depend_on_their_order(algorithm: str) -> None:
    """Each finds what it finds first, last and in between, and leaves the agent as it was."""
    trainings = agent_contract.Trainings(algorithm, "CartPole-v1")
    looks = agent_contract.checks(trainings)
    dear = ("time limit", "interrupted", "checkpoint", "dies", "fate of a neighbour")
    cheap = [name for name in looks if not any(word in name for word in dear)]
    before = object_state.capture(trainings.fault_showing.agent.saved())
    forwards = {name: looks[name]() for name in cheap}
    backwards = {name: looks[name]() for name in reversed(cheap)}
    mixed = {name: looks[name]() for name in np.random.default_rng(0).permutation(cheap)}
    assert forwards == backwards == mixed
    assert all(answer is None or answer[0] for answer in forwards.values())
    after = object_state.capture(trainings.fault_showing.agent.saved())
    assert all(torch.equal(after[name][2]["theta"], state[2]["theta"]) for name, state in before.items())


def test_monte_carlo_agents_learn_from_whole_episodes() -> None:
    passed, detail = checked("updates use the observed transitions", "reinforce")
    assert passed and detail.endswith(" episodes")


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
    # check, the function that a fault replaces, the fault, configuration, and part of the message
    (
        "steps are Gymnasium's at the time limit",
        cartpole.CartPole,
        "step",
        limits_end,
        "ppo",
        "discount of step 500",
    ),
    (
        "steps are Gymnasium's at terminations and short limits",
        gymnasium_env.GymnasiumEnv,
        "step",
        successor_is_the_reset,
        "ppo",
        "next_obs",
    ),
    (
        "episode statistics match RecordEpisodeStatistics",
        episode_statistics.EpisodeStatistics,
        "add",
        half_the_rewards,
        "ppo",
        "recorded is",
    ),
    (
        "evaluations report the episodes that were played",
        episode_statistics.EpisodeStatistics,
        "add",
        half_the_rewards,
        "ppo",
        "deterministic episodes at step 0: recorded is",
    ),
    (
        "replay memory holds the observed transitions",
        Replay,
        "_ends",
        next_place,
        "dqn",
        "next_obs of transition",
    ),
    (
        "replay memory holds the observed transitions",
        Replay,
        "drawable",
        without_newest,
        "dqn",
        "is drawn 0 times, not 8",
    ),
    ("updates use the observed transitions", Rollout, "pop", by_time, "ppo", "action is"),
    ("updates use the observed transitions", targets, "gae", always_bootstrap, "trpo", "advantage is"),
    (
        "running statistics match all observed steps",
        NormalizedEnv,
        "view",
        updating_view,
        "a2c",
        "obs of step",
    ),
    (
        "evaluation does not change training",
        NormalizedEnv,
        "view",
        updating_view,
        "ppo-normalised",
        "theta differs",
    ),
    (
        "an interrupted run resumes identically",
        object_state,
        "_attributes",
        without_moments,
        "ppo",
        "saved at step 89; ",
    ),
    (
        "sub-environments share no random stream",
        seeding.Streams,
        "environments",
        overlapping,
        "ppo",
        "repeat another's seed",
    ),
    (
        "the same seed gives the same run",
        seeding.Streams,
        "environments",
        by_the_clock,
        "ppo",
        "episodes of training differ",
    ),
    (
        "initial parameters match the reference's",
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
    assert checked(name, *where)[0]
    wrap(monkeypatch, owner, attribute, around)
    passed, detail = checked(name, *where)
    assert not passed and line in detail, detail


def test_actions_outside_of_their_bounds_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the fault-showing environment are -3 to 1 and 1 to 5: no actor in -1 to 1 fits both."""
    monkeypatch.setattr(Bounds, "from_unit", lambda self, action: action)
    assert not checked("actions are within their bounds", "td3", "Pendulum-v1")[0]


def test_seeds_that_are_one_seed_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    sequences = seeding.Streams.sequences
    monkeypatch.setattr(
        seeding.Streams, "sequences", lambda self, name: [sequences(self, name)[0] for _ in self.seeds]
    )
    assert checked("seeds differ") == (False, "theta of seeds 0 and 1 starts the same")
    assert not checked("sub-environments share no random stream")[0]


def test_a_failed_seed_may_not_change_another(monkeypatch: pytest.MonkeyPatch) -> None:
    def together(self: Any, *arguments: Any) -> Any:
        found = step(self, *arguments)
        return found if found.reward.isfinite().all() else found._replace(reward=found.reward * torch.nan)

    step = TracedEnv.step
    monkeypatch.setattr(TracedEnv, "step", together)
    passed, detail = checked("a failed seed is named and isolated")
    assert (passed, detail) == (False, "rewards of seed 1 were NaN; failed are [0, 1]")


def test_sums_are_moments_by_hand() -> None:
    """[0, 2] and [4]: mean 2, variance 8/3, but for a prior that counts as 1e-4 zeros."""
    sums = normalization.Sums(())
    sums.add(np.array([0.0, 2.0]))
    sums.add(np.array([4.0]))
    assert sums.mean == pytest.approx(2, abs=1e-3)
    assert sums.deviation == pytest.approx((8 / 3) ** 0.5, abs=1e-3)
    assert sums.normal(np.array([2.0, 1e9])).tolist() == pytest.approx([0, 10], abs=1e-3)


def test_the_fault_showing_environment_ends_in_every_way() -> None:
    env = gym.make(fault_showing_env.CONTINUOUS)
    env.reset(seed=0)
    ways = set()
    for _ in range(3000):
        _, _, ended, cut, _ = env.step(np.zeros(2, np.float32))
        ways.add((ended, cut))
        if ended or cut:
            env.reset()
    assert ways == {(False, False), (True, False), (False, True), (True, True)}


def test_a_short_time_limit_is_the_same_environment() -> None:
    steps = plain_environments.replay(
        plain_environments.with_time_limit("Pendulum-v1", 7), 3, [np.zeros(1, np.float32)] * 15
    )
    assert [step.truncated for step in steps] == [t % 7 == 6 for t in range(15)]
    plain = plain_environments.replay("Pendulum-v1", 3, [np.zeros(1, np.float32)] * 7)
    assert [step.reward for step in steps[:7]] == [step.reward for step in plain]
    assert steps[6].episode == (pytest.approx(sum(step.reward for step in plain)), 7)
