"""The contract's looks at deterministic actions and at evaluations: planted faults are named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import small  # noqa: F401  (one thread)
import torch
from torch import Tensor

from rlparity.agents.continuous_control.sac import SAC
from rlparity.agents.continuous_control.td3 import TD3
from rlparity.agents.policy_gradient.reinforce import REINFORCE
from rlparity.agents.value_based.dqn import DQN
from rlparity.agents.value_based.qrdqn import QRDQN
from rlparity.nn import networks
from rlparity.nn.policies import Categorical, Gaussian
from rlparity.training import evaluation
from rlparity.training.epsilon_greedy import EpsilonGreedy
from rlparity.validation.checks import Answer
from rlparity.validation.contract.own_agents import check as agent_contract

pytestmark = pytest.mark.probes
MODES = "deterministic actions are the policy's mode"
EVALUATIONS = "evaluations act as their mode says"
SHARES = "evaluations with random actions have their share"
Patch = pytest.MonkeyPatch
Plant = Callable[[Patch], None]


def checked(name: str, algorithm: str, environment: str | None = None) -> Answer | None:
    continuous = algorithm in ("sac", "td3", "ddpg") or algorithm.endswith("!")
    where = environment or ("Pendulum-v1" if continuous else "CartPole-v1")
    return agent_contract.checks(agent_contract.Trainings(algorithm.strip("!"), where))[name]()


@pytest.mark.parametrize("algorithm", ["ppo", "ppo!", "dqn-dueling", "qrdqn", "sac", "ddpg", "actor-critic"])
def test_actions_and_evaluations_are_right(algorithm: str) -> None:
    for name in (MODES, EVALUATIONS, SHARES):
        answer = checked(name, algorithm)
        assert answer is None or answer[0], answer


def test_images_are_looked_at_too() -> None:
    assert checked(MODES, "qrdqn", "ALE/Pong-v5@nature") == (True, "204 observations")
    assert checked(MODES, "random") is None


def put(owner: Any, name: str, value: Any) -> Plant:
    return lambda patch: patch.setattr(owner, name, value)


def deterministically(owner: Any, act: Callable[[Any, Tensor, Any], Tensor]) -> Plant:
    """An agent's deterministic action by another rule; `act` gets the agent, observations, the right rule."""
    given = owner.act

    def acts(self: Any, obs: Tensor, explore: Tensor | None = None) -> Tensor:
        if explore is not None:
            return given(self, obs, explore)
        with torch.no_grad():
            return act(self, obs, lambda *arguments: given(self, *arguments))

    return lambda patch: patch.setattr(owner, "act", acts)


def of_targets(self: Any, obs: Tensor, right: Any) -> Tensor:
    return self.bounds.from_unit(self.policy(self.actor_target, obs).view(*obs.shape[:2], *self.action_shape))


def not_squashed(self: Any, obs: Tensor, right: Any) -> Tensor:
    mean = self.policy(obs)[0].clamp(-1, 1)
    return self.bounds.from_unit(mean.view(*obs.shape[:2], *self.action_shape))


def random_at_first(self: Any, obs: Tensor, right: Any) -> Tensor:
    half = torch.full((*obs.shape[:2], self.uniforms), 0.25)
    return right(obs, half) if self.env_steps < self.config.learning_starts else right(obs)


def by_the_batch(self: Any, obs: Tensor, right: Any) -> Tensor:
    return right(obs - obs.mean(1, keepdim=True))


def of_first_seed(self: Any, obs: Tensor, right: Any) -> Tensor:
    return right(obs[:1].expand_as(obs))


def optimistic(self: Any, obs: Tensor, right: Any) -> Tensor:
    return self.quantiles(self.network, obs).max(2).values.argmax(-1)


def transposed(self: Any, obs: Tensor, right: Any) -> Tensor:
    flat = self.network("quantiles", self.network.features(obs))
    return flat.unflatten(-1, (self.n_actions, self.config.n_quantiles)).mean(-1).argmax(-1)


def half_way(self: Categorical, network: Any, obs: Tensor) -> Tensor:
    return self.sample(network, obs, torch.full((*obs.shape[:2], 1), 0.5))


def within_one(self: Gaussian, network: Any, obs: Tensor) -> Tensor:
    return self.mean(network, obs).clamp(-1, 1).unflatten(-1, self._shape)


def beside_the_mean(self: Gaussian, network: Any, obs: Tensor) -> Tensor:
    shift = 0.05 * network.vectors["log_std"].detach().exp()
    return (self.mean(network, obs) + shift).unflatten(-1, self._shape)


def counting(self: Any, obs: Tensor, right: Any) -> Tensor:
    self.env_steps += 1
    return right(obs)


def drawn_in_evaluations(patch: Patch) -> None:
    play = evaluation.play

    def plays(policy: Any, env: Any, view: Any, explore: Any) -> Any:
        class Always:
            def next(self) -> Tensor:
                return torch.rand(*env.spec[:2], policy.uniforms, generator=torch.Generator().manual_seed(0))

        return play(policy, env, view, explore or Always())

    patch.setattr(evaluation, "play", plays)


def never_drawn(patch: Patch) -> None:
    play = evaluation.play
    patch.setattr(evaluation, "play", lambda policy, env, view, explore: play(policy, env, view, None))


def greedy(self: Any, obs: Tensor, explore: Tensor | None = None) -> Tensor:
    return self._policy.act(obs)


def the_other_way(self: Any, obs: Tensor, explore: Tensor | None = None) -> Tensor:
    assert explore is not None
    anything = (explore[..., 1] * self._n_actions).long()
    return torch.where(explore[..., 0] < self._epsilon, self._policy.act(obs), anything)


def not_the_last(self: Any, obs: Tensor, explore: Tensor | None = None) -> Tensor:
    assert explore is not None
    anything = (explore[..., 1] * (self._n_actions - 1)).long()
    return torch.where(explore[..., 0] < self._epsilon, anything, self._policy.act(obs))


def first_parameters(patch: Patch) -> None:
    """Evaluations go on with the parameters of the first one."""
    given = evaluation.Evaluator.__call__

    def evaluates(self: Any, policy: Any, view: Any, point: int) -> Any:
        thetas = {name: network.theta.detach() for name, network in policy.saved().items()}
        if not hasattr(self, "thetas"):
            self.thetas = {name: theta.clone() for name, theta in thetas.items()}
        now = {name: theta.clone() for name, theta in thetas.items()}
        for name, theta in thetas.items():
            theta.copy_(self.thetas[name])
        found = given(self, policy, view, point)
        for name, theta in thetas.items():
            theta.copy_(now[name])
        return found

    patch.setattr(evaluation.Evaluator, "__call__", evaluates)


ALARMS: list[tuple[str, str, Plant, str, str]] = [
    ("half-way", MODES, put(Categorical, "mode", half_way), "ppo", "expected"),
    (
        "least likely",
        MODES,
        deterministically(REINFORCE, lambda self, obs, right: 2 - right(obs)),
        "reinforce",
        "expected",
    ),
    ("within one", MODES, put(Gaussian, "mode", within_one), "a2c!", "expected"),
    ("beside the mean", MODES, put(Gaussian, "mode", beside_the_mean), "trpo!", "expected"),
    ("the target's", MODES, deterministically(TD3, of_targets), "td3", "expected"),
    (
        "the target's values",
        MODES,
        deterministically(DQN, lambda self, obs, right: self.q_target.values(obs).argmax(-1)),
        "dqn",
        "expected",
    ),
    ("not squashed", MODES, deterministically(SAC, not_squashed), "sac", "expected"),
    ("random at first", MODES, deterministically(SAC, random_at_first), "sac", "after 0 steps"),
    ("by the batch", MODES, deterministically(DQN, by_the_batch), "dqn", "expected"),
    ("of the first seed", MODES, deterministically(QRDQN, of_first_seed), "qrdqn", "expected"),
    ("optimistic", MODES, deterministically(QRDQN, optimistic), "qrdqn", "expected"),
    ("transposed", MODES, deterministically(QRDQN, transposed), "qrdqn", "expected"),
    ("counting", MODES, deterministically(DQN, counting), "dqn", "changes the agent"),
    ("drawn", EVALUATIONS, drawn_in_evaluations, "ppo", "0 of 2 rounds are deterministic"),
    ("never drawn", EVALUATIONS, never_drawn, "reinforce", "2 of 2 rounds are deterministic"),
    ("the first ones", EVALUATIONS, first_parameters, "dqn", "after training, a deterministic action"),
    ("greedy", SHARES, put(EpsilonGreedy, "act", greedy), "dqn", "shares of actions"),
    ("the other way", SHARES, put(EpsilonGreedy, "act", the_other_way), "qrdqn", "shares of actions"),
    ("not the last", SHARES, put(EpsilonGreedy, "act", not_the_last), "ppo", "shares of actions"),
    ("other epsilon", SHARES, put(evaluation, "EPSILON", "epsilon-0."), "dqn", "are not greedy"),
]


@pytest.mark.parametrize(
    ("name", "plant", "algorithm", "line"), [row[1:] for row in ALARMS], ids=[row[0] for row in ALARMS]
)
def test_other_actions_are_named(
    name: str, plant: Plant, algorithm: str, line: str, monkeypatch: Patch
) -> None:
    plant(monkeypatch)
    answer = checked(name, algorithm)
    assert answer is not None and not answer[0] and line in answer[1], answer


HARMLESS: list[tuple[Plant, str]] = [
    (
        put(Categorical, "mode", lambda self, network, obs: network("actor", obs).log_softmax(-1).max(-1)[1]),
        "ppo",
    ),
    (
        deterministically(
            QRDQN, lambda self, obs, right: self.quantiles(self.network, obs).sum(2).max(-1).indices
        ),
        "qrdqn",
    ),
    (put(networks, "tanh", torch.tanh), "sac"),
]


@pytest.mark.parametrize(("plant", "algorithm"), HARMLESS, ids=["log softmax", "sum", "tanh"])
def test_other_ways_to_the_same_action_are_no_fault(plant: Plant, algorithm: str, monkeypatch: Patch) -> None:
    plant(monkeypatch)
    for name in (MODES, EVALUATIONS, SHARES):
        answer = checked(name, algorithm)
        assert answer is None or answer[0], answer
