"""An agent with S seeds beside S naive learners that see the same steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from rlparity.agents import base as agents
from rlparity.cell import Cell
from rlparity.environments.base import EnvSpec
from rlparity.nn.networks import Network
from rlparity.nn.optimizers import Optimizer
from rlparity.seeding import Streams
from rlparity.training import object_state
from rlparity.validation.checks import Answer
from rlparity.validation.gradients import (
    experience,
    monte_carlo,
    natural_gradient,
    on_policy,
    q_learning,
)
from rlparity.validation.gradients.learner import Broken, Draw, Drawn, Learner, Metrics, key
from rlparity.validation.gradients.plain_networks import PlainNetwork, names, parts

SEEDS, BROKEN = (0, 1, 2), 1
NAIVE: Mapping[str, Callable[..., Any]] = {  # agent -> its naive version
    "reinforce": monte_carlo.NaiveREINFORCE,
    "actor_critic": monte_carlo.NaiveActorCritic,
    "a2c": on_policy.NaiveA2C,
    "ppo": on_policy.NaivePPO,
    "trpo": natural_gradient.NaiveTRPO,
    "dqn": q_learning.NaiveDQN,
    "qrdqn": q_learning.NaiveQRDQN,
}
ROUNDING = 2e-8  # of parameters in float64; Adam divides by tiny gradients, which are all rounding
WEIGHTED = 1e-5  # the same where importance weights are float32
SINGLE = 1e-3  # of gradients in float32
OFTEN = 4  # steps, after which parameters are compared without an update
LOSSES = 1e-5  # of metrics, some of which are float32


class Comparison:
    """Both learn from the same steps; parameters and metrics are compared after each.

    In float64 they go their own ways from the first step on. In float32 our agent takes over the naive
    parameters before every step, and the gradients are compared.
    """

    def __init__(
        self,
        agent: str,
        hyperparameters: Mapping[str, Any],
        spec: EnvSpec,
        n_steps: int,
        dtype: torch.dtype = torch.float64,
        quiet: int = 0,
    ):
        self.spec, self._n_steps, self._dtype = spec, n_steps, dtype
        self._quiet = quiet
        budget = n_steps * self.spec.n_envs * 5 // 4  # schedules do not arrive at zero
        cell = Cell("gradients", "made up", "scratch", agent, agent, SEEDS[: self.spec.n_seeds], budget)
        self.agent: Any = built(agent, spec, hyperparameters, Streams(cell), budget, dtype)
        for network in {id(x): x for x in vars(self.agent).values() if isinstance(x, Network)}.values():
            _shake(network)
        seeds = range(self.spec.n_seeds)
        make = NAIVE[agent]
        self.learners: list[Learner] = [make(self.agent, s, self.spec.n_envs, budget) for s in seeds]
        self._drawn: list[tuple[Tensor, Tensor | None]] = []  # batches of one step: observations, numbers
        self._update, self.agent.update = self.agent.update, self._traced

    def _traced(self, batch: Any, *others: Any) -> Any:
        obs = getattr(getattr(batch, "step", batch), "obs", None)
        if obs is not None:
            self._drawn.append((obs.clone(), others[0].clone() if others else None))
        return self._update(batch, *others)

    def run(self) -> Answer:
        """Whether they stay together, and how closely."""
        double = self._dtype == torch.float64
        fails = double and not self._quiet
        broken = (BROKEN, self._n_steps // 2) if fails else None
        worst = 0.0
        for t, step in enumerate(experience.steps(self.spec, self._n_steps, broken, self._quiet)):
            if not double:
                step = experience.as_single(step)
                self._take_over()
            self._drawn.clear()
            with precision(self._dtype):
                metrics = self.agent.observe(step)
            for s, learner in enumerate(self.learners):
                before = learner.updates
                try:
                    due = learner.observe(experience.records(step, s), self._draws(s))
                except Broken as reason:
                    return False, f"step {t + 1}, seed {s}: {reason}"
                apart, where = 0.0, ""
                if learner.updates > before or (double and t % OFTEN == 0):
                    apart, where = self._apart(s, learner)
                worst = max(worst, apart)
                if apart > self._tolerance:
                    return False, f"after {learner.updates} updates of seed {s}, {where} is {apart:.1e} apart"
                if double and learner.alive and (problem := _other_metric(s, metrics, due)):
                    return False, f"after {learner.updates} updates of seed {s}, {problem}"
        alive = [learner.alive for learner in self.learners]
        if self.agent.alive.tolist() != alive or alive.count(False) != int(fails):
            return False, f"alive are {self.agent.alive.tolist()}, expected {alive}"
        made = [learner.updates for learner in self.learners]
        return max(made) > 1, f"{', '.join(map(str, made))} updates of {len(made)} seeds, within {worst:.0e}"

    def _draws(self, s: int) -> Drawn:
        """The batches of this step as seed s sees them; orders of rows lead with the epoch."""
        found = []
        for obs, numbers in self._drawn:
            if numbers is not None:
                numbers = numbers[:, s] if hasattr(self.agent, "shuffles") else numbers[s]
            found.append(Draw([key(row) for row in obs[s]], numbers))
        return found

    @property
    def _tolerance(self) -> float:
        if self._dtype != torch.float64:
            return SINGLE
        return WEIGHTED if getattr(self.agent.config, "prioritized", False) else ROUNDING

    def _take_over(self) -> None:
        for s, learner in enumerate(self.learners):
            for attribute, plain in learner.networks.items():
                network: Network = getattr(self.agent, attribute)
                for mine, its in zip(parts(network, network.theta, s), plain.parameters(), strict=True):
                    mine.copy_(its.detach().view_as(mine))

    def _apart(self, s: int, learner: Learner) -> tuple[float, str]:
        """The largest difference of a tensor of seed s, and its name: of parameters relative to the largest
        number of the tensor, of gradients to that of the whole gradient."""
        worst, where = 0.0, ""
        for attribute, plain in learner.networks.items():
            network: Network = getattr(self.agent, attribute)
            for name, a, b, scale in self._pairs(s, network, plain):
                apart = float((a.double() - b.view_as(a)).abs().max()) / (scale or 1.0)
                apart = apart if apart == apart else float("inf")
                if apart > worst:
                    worst, where = apart, f"{name} ({attribute})"
        return worst, where

    def _pairs(
        self, s: int, network: Network, plain: PlainNetwork
    ) -> list[tuple[str, Tensor, Tensor, float]]:
        if self._dtype == torch.float64:
            ours, theirs = parts(network, network.theta, s), [x.detach() for x in plain.parameters()]
            scales = [float(b.abs().max()) for b in theirs]
            return list(zip(names(network), ours, theirs, scales, strict=True))
        if plain.last is None:
            return []
        ours = parts(network, network.grad, s)
        largest = max(float(b.abs().max()) for b in plain.last)
        called = [f"the gradient of {name}" for name in names(network)]
        return list(zip(called, ours, plain.last, [largest] * len(ours), strict=True))


@contextmanager
def precision(dtype: torch.dtype) -> Iterator[None]:
    """Tensors are made in this precision, also constants within an agent."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def built(
    agent: str,
    spec: EnvSpec,
    hyperparameters: Mapping[str, Any],
    random: Streams,
    budget: int,
    dtype: torch.dtype = torch.float64,
) -> Any:
    """An agent in a precision, all of it: its parts are made in that precision and not converted."""
    with precision(dtype):
        made = agents.build(agent, spec, dict(hyperparameters), random, budget)
    for optimizer in object_state.find(made, Optimizer):
        optimizer._counts = optimizer._counts.float()  # which the kernel reads as such
    return made


def _other_metric(s: int, ours: Mapping[str, Tensor], due: Metrics) -> str | None:
    """Describe a metric of seed s that is not the naive version's; None if there is none."""
    for name, value in due.items():
        if name not in ours:
            return f"{name} is missing"
        mine = float(ours[name][s])
        if value == value and not abs(mine - value) <= LOSSES * max(1.0, abs(value)):
            return f"{name} is {mine:.6g}, expected {value:.6g}"
    return None


def _shake(network: Network) -> None:
    """Make all parameters matter: policies start almost uniform, biases at zero."""
    generator = torch.Generator().manual_seed(network.n_parameters)
    noise = torch.randn(network.theta.shape[0], network.n_parameters, generator=generator)
    network.theta.detach()[:, : network.n_parameters] += 0.3 * noise
