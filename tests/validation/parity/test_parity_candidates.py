"""Update parity of candidates: the same batches and draws for their `update`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import gymnasium as gym
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rlparity import registry
from rlparity.agents import base as agents
from rlparity.candidates import importing
from rlparity.errors import UserError
from rlparity.suites import hyperparameters
from rlparity.validation import paired_models, quick_layers
from rlparity.validation.parity import candidate_cases, candidate_checks, cases, environments
from rlparity.validation.parity import compare as parity
from rlparity.validation.parity.recording.rollouts import COLUMNS

pytestmark = pytest.mark.probes

torch.set_num_threads(1)
TINY_PPO: Any = importing.load("examples/tiny_ppo.py:TinyPPO")
FEW = (1, 10)


class OtherDQN:
    """Deep Q-learning in plain PyTorch, as far as its updates go."""

    def __init__(self, observation_space: gym.Space, action_space: Any, hp: Mapping[str, Any]):
        sizes = [observation_space.shape[0], *hp["net_arch"], int(action_space.n)]  # type: ignore[index]
        self.hp, self.seen = hp, list[dict[str, Any]]()
        self.q, self.target = (self.network(sizes) for _ in range(2))

    def network(self, sizes: list[int]) -> nn.Sequential:
        layers: list[nn.Module] = []
        for i, o in pairwise(sizes):
            layers += [nn.Linear(i, o), nn.ReLU()]
        return nn.Sequential(*layers[:-1])

    def load_reference(self, state: Mapping[str, Tensor]) -> None:
        for net, prefix in ((self.q, "q_net.q_net."), (self.target, "q_net_target.q_net.")):
            own = {name.removeprefix(prefix): x for name, x in state.items() if name.startswith(prefix)}
            net.to(next(iter(own.values())).dtype).load_state_dict(own)
        self.optimizer = torch.optim.Adam(self.q.parameters(), lr=self.hp["learning_rate"])

    def reference_state(self) -> dict[str, Tensor]:
        nets = {"q_net.q_net.": self.q, "q_net_target.q_net.": self.target}
        return {prefix + name: x for prefix, net in nets.items() for name, x in net.state_dict().items()}

    def update(self, batch: Mapping[str, Tensor], draws: Mapping[str, Any]) -> dict[str, Any]:
        self.seen.append(dict(draws))
        if draws["update_target"]:
            self.target.load_state_dict(self.q.state_dict())
        with torch.no_grad():
            best = self.target(batch["next_observations"]).max(1, keepdim=True).values
            y = batch["rewards"] + (1 - batch["dones"]) * batch.get("discounts", self.hp["gamma"]) * best
        loss = F.smooth_l1_loss(self.q(batch["observations"]).gather(1, batch["actions"]), y)
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.q.parameters(), self.hp["max_grad_norm"])
        self.optimizer.step()
        batch["rewards"].zero_()  # a candidate may modify its batch
        return {"loss": loss.item(), "note": "huber"}


def test_the_example_makes_the_updates_of_stable_baselines3():
    for dtype in ("float32", "float64"):
        checks = parity.check_candidate(TINY_PPO, "ppo", dtype=dtype)
        assert [check.passed for check in checks] == [True], checks
        assert "within 108 updates: parameters" in checks[0].detail  # whole calls of `update`


def test_another_algorithm_with_losses_and_target_networks():
    names = ("default", "bursts of updates", "three-step returns")
    for check in parity.check_candidate(OtherDQN, "dqn", names, "float64"):
        assert check.passed, check
        assert "losses" in check.detail and "target networks" in check.detail


def no_normalisation(made: Any) -> None:
    update = made.update

    def spoiled(batch: dict[str, Tensor], draws: Any) -> Any:
        return update({**batch, "advantages": 2 + batch["advantages"] ** 3}, draws)

    made.update = spoiled


def wrong_epsilon(made: Any) -> None:
    load = made.load_reference

    def spoiled(state: Any) -> None:
        load(state)
        made.optimizer = torch.optim.Adam(made.nets.parameters(), eps=1e-8)

    made.load_reference = spoiled


def raises(made: Any) -> None:
    made.update = lambda batch, draws: batch["advantage"]


def leaves_out(made: Any) -> None:
    made.reference_state = dict


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (no_normalisation, "first difference: parameters: mlp_extractor.policy_net.0.weight"),
        (wrong_epsilon, "first difference: parameters: mlp_extractor.policy_net.0.weight"),
        (raises, "KeyError: 'advantage'"),
        (leaves_out, "leaves out action_net.bias, action_net.weight"),
    ],
)
def test_a_faulty_candidate_is_named(spoil: Callable[[Any], None], message: str):
    def factory(*spaces_and_settings: Any) -> Any:
        made = TINY_PPO(*spaces_and_settings)
        spoil(made)
        return made

    (check,) = parity.check_candidate(factory, "ppo", updates=FEW)
    assert not check.passed
    assert message in check.detail, check.detail


def test_losses_that_differ_are_named_before_parameters():
    class Squared(OtherDQN):
        def update(self, batch: Mapping[str, Tensor], draws: Mapping[str, Any]) -> dict[str, Any]:
            found = super().update({**batch, "rewards": 2 * batch["rewards"]}, draws)
            return {**found, "unknown": 3.0}

    (check,) = parity.check_candidate(Squared, "dqn", updates=FEW)
    assert not check.passed and "first difference: losses: loss" in check.detail


def test_a_factory_that_fails_is_a_failed_check():
    def factory(*_: Any) -> Any:
        raise RuntimeError("no such network")

    (check,) = parity.check_candidate(factory, "dqn")
    assert not check.passed and check.detail == "RuntimeError: no such network"


def test_a_candidate_without_updates_is_left_alone():
    class Silent:
        def __init__(self, *_: Any):
            self.update = lambda batch, draws: None

    assert parity.check_candidate(Silent, "ppo") == []
    with pytest.raises(UserError, match="unknown algorithm"):
        parity.check_candidate(Silent, "reinforce")


def test_draws_contain_schedules_and_target_updates():
    made: list[OtherDQN] = []

    def factory(*arguments: Any) -> OtherDQN:
        made.append(OtherDQN(*arguments))
        return made[-1]

    parity.check_candidate(factory, "dqn", ("clipped gradients, schedule",), updates=(20,))
    draws = made[-1].seen
    followed = [k for k, each in enumerate(draws) if each["update_target"]]
    assert followed and followed == list(range(followed[0], 20, followed[1] - followed[0]))
    remaining = [each["progress_remaining"] for each in draws]
    assert remaining == sorted(remaining, reverse=True) and 0 < remaining[-1] < remaining[0] <= 1


# --- which case, and whether an update is offered at all


def test_every_configuration_with_a_reference_has_a_case():
    found = {}
    for name, each in hyperparameters.library().algorithms.items():
        for actions in registry.AGENTS[each.agent].actions if each.reference else ():
            compared = candidate_cases.of(name, actions)
            found[name, actions] = str(compared[0].case)
            assert compared[0].topic == candidate_cases.UPDATE
            for names in ([one.topic for one in compared], [str(one.case) for one in compared]):
                assert len(set(names)) == len(names)
            for made in (one.case for one in compared):
                assert made.algorithm == each.agent and not made.amplified and not made.own
                assert made.continuous == (actions == "continuous")
                assert made.options.get("n_steps") == each.options.get("n_steps", made.options.get("n_steps"))
    assert found["dqn-nstep", "discrete"] == "dqn, three-step returns"
    assert found["ppo-bfloat16", "continuous"] == "ppo, default, continuous"
    with pytest.raises(UserError, match="parity: unknown configuration 'reinforce'; choose from a2c"):
        candidate_cases.of("reinforce", "discrete")


@pytest.mark.parametrize("actions", ["discrete", "continuous"])
def test_options_of_ppo_are_compared_one_by_one(actions: str):
    topics = {one.topic: one.case for one in candidate_cases.of("ppo", actions)}
    assert list(topics) == ["update", "entropy bonus", "clipped values", "target KL", "linear schedules"]
    plain = topics.pop("update").options
    changed = {topic: set(case.options.items()) - set(plain.items()) for topic, case in topics.items()}
    assert {name for name, _ in changed["target KL"]} == {"target_kl", "learning_rate"}
    assert all(changed.values())


class OurTRPO:
    """Our agent as a correct candidate."""

    def __init__(self, observation_space: gym.Space, action_space: gym.Space, hp: Mapping[str, Any]):
        envs = environments.short_episodes(isinstance(action_space, gym.spaces.Box), hp["n_envs"])
        options = {name: value for name, value in hp.items() if name not in ("n_envs", "normalize")}
        self.pair = paired_models.make("trpo", envs, options, torch.float32, cases.BUDGET, seed=1)

    def load_reference(self, state: Mapping[str, Tensor]) -> None:
        for name, mine in self.pair.ours().items():
            mine.copy_(state[name])

    def reference_state(self) -> dict[str, Tensor]:
        return self.pair.ours()

    def update(self, batch: Mapping[str, Tensor], draws: Mapping[str, Any]) -> None:
        columns = {ours: batch[sampled] for sampled, ours in COLUMNS.values()}
        columns |= {"obs": batch["observations"], "action": batch["actions"]}
        made: Any = agents.module("trpo").Batch
        self.pair.agent.env_steps = round((1 - draws["progress_remaining"]) * cases.BUDGET)
        self.pair.agent.update(
            made(**{name: columns[name][None] for name in made._fields}), draws["permutations"][:, None]
        )


@pytest.mark.parametrize(
    ("actions", "case"),
    [
        ("discrete", "trpo, strong damping, gae_lambda (float32)"),
        ("continuous", "trpo, continuous, two steps of conjugate gradient (float32)"),
    ],
)
def test_a_correct_trpo_passes(actions: str, case: str):
    compared = candidate_cases.of("trpo", actions)
    plain, schedule, other = candidate_checks.check(OurTRPO, compared, True, False, updates=(30,))
    assert plain.passed and plain.name == case, plain
    assert schedule.passed and schedule.name == "trpo, schedule (float32)", schedule
    assert not other.looked and other.name == "advantages, gamma, lambda, time limits"


def test_a_named_configuration_is_compared_by_its_agents_case():
    check, other = quick_layers.check_parity(OtherDQN, "CartPole-v1", "dqn-nstep")
    assert check.passed and check.name == "dqn, three-step returns (float32)"
    assert not other.looked and other.name == "replay memory"
    with pytest.raises(UserError, match="'dqn' cannot act in 'Pendulum-v1'"):
        quick_layers.check_parity(OtherDQN, "Pendulum-v1", "dqn")


class OnlyCartPole:
    """A candidate for one environment, without an update."""

    def __init__(self, observation_space: gym.Space, action_space: Any, hp: Mapping[str, Any]):
        if observation_space.shape != (4,):
            raise ValueError("only CartPole")

    def train(self, make_env: Any, seed: int, budget: int) -> None: ...

    def act(self, obs: Any, deterministic: bool) -> Any: ...


class OnlyCartPoleUpdates(OnlyCartPole):
    load_reference = reference_state = update = OnlyCartPole.act


def test_whether_an_update_is_offered_shows_where_a_candidate_learns():
    assert quick_layers.check_parity(OnlyCartPole, "CartPole-v1", "dqn") == []
    check, *_ = quick_layers.check_parity(OnlyCartPoleUpdates, "CartPole-v1", "dqn")
    assert not check.passed and check.detail == "ValueError: only CartPole"


def test_what_is_not_built_shows_its_update_as_a_class_or_not_at_all():
    with pytest.raises(UserError, match=r"the factory raised ValueError: only CartPole \("):
        quick_layers.check_parity(lambda *spaces: OnlyCartPoleUpdates(*spaces), "Acrobot-v1", "dqn")
    check, *_ = quick_layers.check_parity(OnlyCartPoleUpdates, "Acrobot-v1", "dqn")
    assert not check.passed and check.detail == "ValueError: only CartPole"
