"""Stable-Baselines3's random draws, recorded by kind, and random streams of our agents that replay them.

SB3 draws from global generators. Every draw is recorded without being changed: one queue for each kind, one
set of queues for acting and one for learning.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor

from rlparity.nn.distributions import gaussian
from rlparity.validation.counterparts import ON_POLICY

KINDS = ("race", "normal", "noise", "rand", "sample", "permutation", "randint")


class Parted(Exception):
    """The two learners have parted; the message describes what only one of them does."""


class Draws:
    """Draws that were not yet replayed, in order, for each of `KINDS`."""

    def __init__(self) -> None:
        self._queues: dict[str, deque[Any]] = {kind: deque() for kind in KINDS}

    def put(self, kind: str, drawn: Any) -> None:
        """Record one draw."""
        self._queues[kind].append(drawn)

    def has(self, kind: str) -> bool:
        """Whether a draw of this kind is left."""
        return bool(self._queues[kind])

    def take(self, kind: str) -> Any:
        """The oldest draw of this kind; Parted if there is none."""
        if not self._queues[kind]:
            raise Parted(f"ours needs a {kind} that Stable-Baselines3 did not draw")
        return self._queues[kind].popleft()

    def copy(self, other: Draws) -> None:
        """Copy the queues of another."""
        self._queues = {kind: queue.copy() for kind, queue in other._queues.items()}

    def clear(self) -> None:
        """Drop all draws."""
        for queue in self._queues.values():
            queue.clear()


class Tape:
    """Records the draws of an SB3 model within the context `running`."""

    def __init__(self) -> None:
        self.acting, self.learning = Draws(), Draws()
        self._now = self.acting

    @contextmanager
    def running(self, model: Any) -> Iterator[None]:
        """Record all sources of SB3's randomness while the context lasts."""
        train = model.train

        def learn(*arguments: Any, **keywords: Any) -> None:
            self._now = self.learning
            try:
                train(*arguments, **keywords)
            finally:
                self._now = self.acting

        with ExitStack() as stack:
            for owner, name, replacement in (
                (model, "train", learn),
                (model.action_space, "sample", self._recording("sample", model.action_space.sample)),
                (torch, "multinomial", self._race),
                (torch, "randn_like", torch.zeros_like),  # start of sb3-contrib's conjugate gradient
                (torch.Tensor, "normal_", self._normal(torch.Tensor.normal_)),
                (np.random, "normal", self._noise(np.random.normal)),
                (np.random, "rand", self._recording("rand", np.random.rand)),
                (np.random, "permutation", self._recording("permutation", np.random.permutation)),
                (np.random, "randint", self._integers(np.random.randint)),
            ):
                stack.enter_context(patch.object(owner, name, replacement))
            yield

    def _recording(self, kind: str, draw: Callable[..., Any]) -> Callable[..., Any]:
        def noting(*arguments: Any) -> Any:
            drawn = draw(*arguments)
            if getattr(drawn, "dtype", None) == np.float32:  # so that SB3's scaling is exact
                drawn = drawn.astype(np.float64)
            self._now.put(kind, drawn)
            return drawn

        return noting

    def _race(self, p: Tensor, n: int, replacement: bool = False) -> Tensor:
        """One action for each row of p (N, A), drawn with the same numbers as `torch.multinomial`: the first
        of A exponential clocks to ring, where clock a has rate p_a."""
        assert n == 1
        clock = torch.empty_like(p).exponential_()
        self._now.put("race", clock)
        return (p / clock).argmax(-1, keepdim=True)

    def _normal(self, draw: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def normal(tensor: Tensor, mean: float = 0.0, std: float = 1.0, **keywords: Any) -> Tensor:
            drawn = draw(tensor, mean, std, **keywords)
            self._now.put("normal", (drawn - mean) / std)
            return drawn

        return normal

    def _noise(self, draw: Callable[..., Any]) -> Callable[..., Any]:
        def noise(mean: Any, std: Any) -> Any:
            drawn = draw(mean, std)
            self._now.put("noise", (drawn - mean) / std)
            return drawn

        return noise

    def _integers(self, draw: Callable[..., Any]) -> Callable[..., Any]:
        def integers(low: int, high: int, size: Any = None) -> Any:
            drawn = draw(low, high=high, size=size)
            self._now.put("randint", (drawn, high))
            return drawn

        return integers


class Shuffles:
    """Replacement of a generator that returns SB3's permutations. With `any_left` the identity follows the
    last one: our agent draws for all epochs at once, SB3 not for epochs after an early stop."""

    def __init__(self, draws: Draws, any_left: bool):
        self._draws, self._any_left = draws, any_left

    def permutation(self, n: int) -> np.ndarray:
        """The next permutation, (n,); Parted if SB3's has another length."""
        if self._any_left and not self._draws.has("permutation"):
            return np.arange(n)
        order = self._draws.take("permutation")
        if len(order) != n:
            raise Parted(f"ours shuffles {n} transitions, Stable-Baselines3 {len(order)}")
        return np.asarray(order)


class Minibatches:
    """SB3's places in the replay memory, as uniform numbers."""

    def __init__(self, draws: Draws):
        self._draws = draws

    def next(self) -> Tensor:
        """Uniform numbers (1, B), float64, from which `Replay.index` computes SB3's places."""
        rows, n_rows = self._draws.take("randint")
        envs, n_envs = self._draws.take("randint")
        return torch.from_numpy((rows * n_envs + envs + 0.5) / (n_rows * n_envs))[None]


class Normals:
    """SB3's normal numbers in place of uniform ones, see `normal_inputs`."""

    def __init__(self, draws: Draws, pair: bool = False):
        self._draws, self._pair = draws, pair

    def next(self) -> Tensor:
        """(1, B, A), or a pair of them (1, 2, B, A)."""
        if not self._pair:
            return self._draws.take("normal")[None]
        return torch.stack([self._draws.take("normal") for _ in range(2)])[None]


def explore(algorithm: str, draws: Draws, model: Any) -> Tensor:
    """SB3's draws for one step of its N environments as the random numbers of our agent's `act`,
    (1, N, uniforms).

    For two actions, SB3's categorical draws two exponential clocks: with probabilities p and times q, action
    1 is chosen if p_0 < q_0 / (q_0 + q_1). The right-hand side is uniform for every policy, and our inverse
    of the cumulative distribution compares the same p_0 with it. Where SB3 draws nothing, our agent receives
    a number whose use would show.
    """
    if algorithm in ON_POLICY:
        if draws.has("normal"):
            return torch.as_tensor(draws.take("normal"))[None]
        clocks = draws.take("race")
        assert clocks.shape[1] == 2, "of more than two clocks, one number does not tell the first"
        return (clocks[:, :1] / clocks.sum(1, keepdim=True))[None]
    if algorithm == "dqn":
        return _epsilon_greedy(draws, int(model.action_space.n))
    random_actions = _samples(draws, model)
    if algorithm == "sac":
        return random_actions[None] if random_actions is not None else draws.take("normal")[None]
    noise = torch.from_numpy(draws.take("noise")) if draws.has("noise") else torch.zeros(1)
    noise = noise.view(-1, *model.action_space.shape).flatten(1).expand(model.n_envs, -1)
    return torch.cat([torch.zeros_like(noise) if random_actions is None else random_actions, noise], 1)[None]


def _epsilon_greedy(draws: Draws, n_actions: int) -> Tensor:
    """Whether to explore, and with which action: (1, 1, 2)."""
    whether = draws.take("rand") if draws.has("rand") else np.nextafter(1.0, 0.0)
    which = (draws.take("sample") + 0.5) / n_actions if draws.has("sample") else 0.0
    return torch.tensor([[[whether, which]]], dtype=torch.float64)


def _samples(draws: Draws, model: Any) -> Tensor | None:
    """Random actions of all environments in [0, 1), (N, A); None if there are none."""
    if not draws.has("sample"):
        return None
    low, high = (
        np.asarray(end, dtype=np.float64) for end in (model.action_space.low, model.action_space.high)
    )
    found = np.stack([draws.take("sample") for _ in range(model.n_envs)])
    return torch.from_numpy((found - low) / (high - low)).flatten(1)


@contextmanager
def normal_inputs() -> Iterator[None]:
    """Let our agents use their random numbers as normal ones, without conversion from uniform ones."""
    with patch.object(gaussian, "normal", lambda number: number):
        yield


def hand_over(agent: Any, draws: Draws) -> None:
    """Replace an agent's random streams of learning by SB3's draws."""
    streams = {
        "shuffles": [Shuffles(draws, any_left=hasattr(agent.config, "n_epochs") and agent.config.target_kl)],
        "minibatches": Minibatches(draws),
        "smoothing": Normals(draws),
        "noise": Normals(draws, pair=True),
    }
    for name, stream in streams.items():
        if hasattr(agent, name):
            setattr(agent, name, stream)
