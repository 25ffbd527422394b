"""The contract's look at initial parameters: planted faults are named, rewrites are not."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import small  # noqa: F401  (one thread)
import torch
from torch import Tensor, nn

from rlparity import seeding
from rlparity.nn import networks, policies, q_networks
from rlparity.nn.networks import Layer, Network
from rlparity.validation.contract.own_agents import check as agent_contract
from rlparity.validation.contract.own_agents.kinds import initial_weights

pytestmark = pytest.mark.probes
NAME = "initial parameters have their distributions"
Plant = Callable[[pytest.MonkeyPatch], None]


def checked(algorithm: str, environment: str) -> tuple[bool, str]:
    answer = agent_contract.checks(agent_contract.Trainings(algorithm, environment))[NAME]()
    assert answer is not None
    return answer


@pytest.mark.parametrize(
    ("algorithm", "environment"),
    [("ppo", "HalfCheetah-v5"), ("dqn-dueling", "MinAtar/Breakout-v1"), ("td3", "Pendulum-v1")],
)
def test_agents_start_as_they_should(algorithm: str, environment: str) -> None:
    assert checked(algorithm, environment)[0]


def test_every_layer_of_every_network_is_looked_at() -> None:
    """SAC: an actor and two critics of three layers each, weights and biases."""
    assert checked("sac", "Pendulum-v1") == (True, "18 tensors of 4 seeds")
    assert initial_weights.distribution("random", "CartPole-v1", {}) is None


def starting(start: Callable[[Layer, Tensor, Tensor, torch.Generator], None]) -> Plant:
    return lambda patch: patch.setattr(Layer, "start", start)


def uniform(bound: Callable[[Layer], float], bias: float = 1.0) -> Plant:
    def start(self: Layer, weight: Tensor, b: Tensor, generator: torch.Generator) -> None:
        weight.uniform_(-bound(self), bound(self), generator=generator)
        b.uniform_(-bias / math.sqrt(self.fan_in), bias / math.sqrt(self.fan_in), generator=generator)

    return starting(start)


def normal_of_that_size(self: Layer, weight: Tensor, bias: Tensor, generator: torch.Generator) -> None:
    gain, rank = self.gain or 1.0, min(weight.shape)
    weight.normal_(0, gain * math.sqrt(rank / weight.numel()), generator=generator)


def never_negative(self: Layer, weight: Tensor, bias: Tensor, generator: torch.Generator) -> None:
    bound = 1 / math.sqrt(self.fan_in)
    weight.uniform_(-bound, bound, generator=generator).abs_()
    bias.uniform_(-bound, bound, generator=generator)


def rewound(patch: pytest.MonkeyPatch) -> None:
    """Each layer draws from the start of the stream."""
    start = Layer.start
    patch.setattr(
        Layer,
        "start",
        lambda self, w, b, g: start(self, w, b, torch.Generator().manual_seed(g.initial_seed())),
    )


def apart(patch: pytest.MonkeyPatch) -> None:
    """A target network with draws of its own."""
    copy = Network.copy

    def copied(self: Network) -> Network:
        other = copy(self)
        other.theta.detach().mul_(0.9)
        return other

    patch.setattr(Network, "copy", copied)


def same_memory(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Network, "copy", lambda self: self._view(self.theta))


def no_log_std(patch: pytest.MonkeyPatch) -> None:
    build = policies.build
    patch.setattr(policies, "build", lambda spec, start: build(spec, 0.0))


def half_the_stack(patch: pytest.MonkeyPatch) -> None:
    """One hidden layer is left out."""
    mlp = networks.mlp
    patch.setattr(q_networks, "mlp", lambda sizes, gain=None: mlp([sizes[0], *sizes[2:]], gain))


def gain_of(policy: float, value: float, hidden: float = math.sqrt(2)) -> Plant:
    def mlp(sizes: Any, gain: float | None = None) -> Any:
        found = [Layer(i, o, gain and hidden) for i, o in pairwise(sizes)]
        last = {0.01: policy, 1.0: value, None: None}[gain]
        return [*found[:-1], found[-1]._replace(gain=last)]

    return lambda patch: patch.setattr(networks, "mlp", mlp)


ALARMS: list[tuple[str, Plant, str, str, str]] = [
    ("kaiming", uniform(lambda x: math.sqrt(6 / x.fan_in)), "dqn", "CartPole-v1", "2.45 times"),
    ("a tenth less", uniform(lambda x: 0.9 / math.sqrt(x.fan_in)), "sac", "Pendulum-v1", "weights of size"),
    ("fan out", uniform(lambda x: 1 / math.sqrt(x.fan_out)), "td3", "Pendulum-v1", "of actor.actor"),
    (
        "no biases",
        uniform(lambda x: 1 / math.sqrt(x.fan_in), 0.0),
        "ddpg",
        "Pendulum-v1",
        "biases of size 0 times",
    ),
    ("normal", starting(normal_of_that_size), "ppo", "CartPole-v1", "is not orthogonal with gain 1.41"),
    ("one sign", starting(never_negative), "qrdqn", "CartPole-v1", "has weights of size 0.577"),
    ("value head", gain_of(0.01, 0.9), "trpo", "CartPole-v1", "layer 3 of critic.critic is not orthogonal"),
    ("policy head", gain_of(0.02, 1.0), "reinforce", "CartPole-v1", "layer 3 of network.actor"),
    ("hidden", gain_of(0.01, 1.0, 1.0), "actor-critic", "CartPole-v1", "layer 1 of actor.actor"),
    ("one generator", rewound, "sac", "Pendulum-v1", "are the same draws"),
    ("target", apart, "dqn", "CartPole-v1", "q_target does not start as a copy"),
    ("targets", apart, "sac", "Pendulum-v1", "critic_target does not start as a copy"),
    ("memory", same_memory, "td3", "Pendulum-v1", "actor_target shares the memory"),
    ("log std", no_log_std, "trpo", "HalfCheetah-v5", "log_std starts at 0, not at"),
    ("depth", half_the_stack, "dqn", "CartPole-v1", "q.q has layers"),
]


@pytest.mark.parametrize(
    ("plant", "algorithm", "environment", "line"), [row[1:] for row in ALARMS], ids=[row[0] for row in ALARMS]
)
def test_a_planted_start_is_named(
    plant: Plant, algorithm: str, environment: str, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = {"log_std_init": -1.0} if plant is no_log_std else {}
    plant(monkeypatch)
    answer = initial_weights.distribution(algorithm, environment, changes)
    assert answer is not None and not answer[0] and line in answer[1], answer


def test_one_stream_for_all_seeds_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    sequences = seeding.Streams.sequences
    monkeypatch.setattr(
        seeding.Streams, "sequences", lambda self, name: [sequences(self, name)[0] for _ in self.seeds]
    )
    assert checked("a2c", "CartPole-v1") == (
        False,
        "weights 1 of network.actor of seeds 3 and 4 are the same draws",
    )


def other_draws(self: Layer, weight: Tensor, bias: Tensor, generator: torch.Generator) -> None:
    """The same distributions by other draws: biases first, orthogonal by a decomposition of our own."""
    bound = 1 / math.sqrt(self.fan_in)
    if self.gain is None:
        bias.copy_((2 * torch.rand(bias.shape, generator=generator) - 1) * bound)
        weight.copy_((2 * torch.rand(weight.shape, generator=generator) - 1) * bound)
    else:
        u, _, v = torch.linalg.svd(torch.randn(weight.shape, generator=generator), full_matrices=False)
        weight.copy_(self.gain * u @ v)


@pytest.mark.parametrize(
    ("algorithm", "environment"),
    [("ppo", "CartPole-v1"), ("a2c", "MinAtar/Breakout-v1"), ("sac", "Pendulum-v1"), ("dqn", "CartPole-v1")],
)
def test_other_draws_are_no_fault(algorithm: str, environment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Layer, "start", other_draws)
    assert checked(algorithm, environment)[0]


def test_an_unknown_agent_is_looked_at_for_its_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(initial_weights, "expected", lambda *_: {})
    assert initial_weights.distribution("dqn", "CartPole-v1", {}) is not None
    one_stream = seeding.Streams.sequences
    monkeypatch.setattr(
        seeding.Streams, "sequences", lambda self, name: [one_stream(self, name)[0] for _ in self.seeds]
    )
    answer = initial_weights.distribution("dqn", "CartPole-v1", {})
    assert answer is not None and not answer[0]


def test_orthogonal_weights_by_hand() -> None:
    """Two rows of length 2 at right angles; with half a row more they are not."""
    weight, bias = torch.tensor([[[2.0, 0.0], [0.0, 2.0]]]), torch.zeros(1, 2)
    assert initial_weights._orthogonal(weight, bias, 2.0) is None
    assert initial_weights._orthogonal(weight, bias, 1.0) is not None
    weight[0, 0, 1] = 0.5
    assert initial_weights._orthogonal(weight, bias, 2.0) is not None
    assert initial_weights._orthogonal(nn.init.eye_(torch.empty(2, 2))[None], bias + 0.1, 1.0) is not None
