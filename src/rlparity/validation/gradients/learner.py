"""What naive learners share: each is one seed, learns from plain records and works sample by sample."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from rlparity.validation.gradients.experience import Record
from rlparity.validation.gradients.plain_networks import PlainNetwork

Metrics = dict[str, float]


class Draw(NamedTuple):
    """One batch that an agent learned from, as seed s sees it."""

    rows: Sequence[bytes]  # keys of its observations
    numbers: Any  # random numbers or orders that its `update` was given; None if there are none


Drawn = Sequence[Draw]  # those of one step


class Learner(Protocol):
    """A naive version of one agent with one seed."""

    networks: Mapping[str, PlainNetwork]  # by the agent's attributes
    alive: bool  # false once a loss was not finite: it keeps its parameters from then on
    updates: int

    def observe(self, new: Sequence[Record], drawn: Drawn) -> Metrics:
        """Learn from one step of all sub-environments; returns what the agent's metrics should be, or nothing
        where it does not update. `drawn` are the batches that the agent learned from in this step."""


class Broken(Exception):
    """The agent did something that the naive version does not; the message says what."""


def key(obs: Tensor) -> bytes:
    """An observation as a dictionary's key, the same in float32 and float64."""
    found = obs.double() if obs.is_floating_point() else obs
    return found.contiguous().numpy().tobytes()


def mean(terms: Sequence[Tensor]) -> Tensor:
    """The mean of numbers ()."""
    total = torch.zeros((), dtype=torch.float64)
    for term in terms:
        total = total + term
    return total / len(terms)


def log_softmax(logits: Tensor) -> Tensor:
    """log pi(.|s) from logits (A,): z_a - log sum_b exp z_b."""
    return logits - torch.log(torch.exp(logits - logits.max().detach()).sum()) - logits.max().detach()


def entropy(log_pi: Tensor) -> Tensor:
    """-sum_a pi(a) log pi(a), nats."""
    return -(torch.exp(log_pi) * log_pi).sum()


def rate(config: Any, env_steps: int, budget: int) -> float:
    """The learning rate: constant, or falling linearly to zero over the budget."""
    share = max(0.0, 1 - env_steps / budget) if config.learning_rate_schedule == "linear" else 1.0
    value: float = config.learning_rate * share
    return value


def finite(*losses: Tensor) -> bool:
    """Whether all losses () are finite."""
    return all(math.isfinite(loss.item()) for loss in losses)
