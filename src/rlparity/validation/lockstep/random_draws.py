"""Stable-Baselines3's random draws while it learns, by kind, and streams of our agents that give them back.

SB3 draws from global generators. Here each draw is taken down as it is made, SB3 getting what it would have
got; a queue for each kind, one set of queues for acting and one for learning.
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

KINDS = ("race", "normal", "noise", "rand", "sample", "permutation", "randint")


class Parted(Exception):
    """The two learners no longer do the same; the text says what one does and the other does not."""


class Draws:
    """What was drawn and not yet given back, in order, for each of `KINDS`."""

    def __init__(self) -> None:
        self._queues: dict[str, deque[Any]] = {kind: deque() for kind in KINDS}

    def put(self, kind: str, drawn: Any) -> None:
        """Take down one draw."""
        self._queues[kind].append(drawn)

    def has(self, kind: str) -> bool:
        """Whether a draw of this kind is left."""
        return bool(self._queues[kind])

    def take(self, kind: str) -> Any:
        """The oldest draw of this kind; Parted if there is none."""
        if not self._queues[kind]:
            raise Parted(f"ours asks for a {kind} that Stable-Baselines3 did not draw")
        return self._queues[kind].popleft()

    def copy(self, other: Draws) -> None:
        """Hold what another holds."""
        self._queues = {kind: queue.copy() for kind, queue in other._queues.items()}

    def clear(self) -> None:
        """Forget what nobody asked for."""
        for queue in self._queues.values():
            queue.clear()


class Tape:
    """Takes down what an SB3 model draws: use `running` around its `learn`."""

    def __init__(self) -> None:
        self.acting, self.learning = Draws(), Draws()
        self._now = self.acting

    @contextmanager
    def running(self, model: Any) -> Iterator[None]:
        """SB3's sources of randomness, each replaced by itself with a note of what it gave."""
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
                (model.action_space, "sample", self._noting("sample", model.action_space.sample)),
                (torch, "multinomial", self._race),
                (torch, "randn_like", torch.zeros_like),  # where sb3-contrib's conjugate gradient starts
                (torch.Tensor, "normal_", self._normal(torch.Tensor.normal_)),
                (np.random, "normal", self._noise(np.random.normal)),
                (np.random, "rand", self._noting("rand", np.random.rand)),
                (np.random, "permutation", self._noting("permutation", np.random.permutation)),
                (np.random, "randint", self._integers(np.random.randint)),
            ):
                stack.enter_context(patch.object(owner, name, replacement))
            yield

    def _noting(self, kind: str, draw: Callable[..., Any]) -> Callable[..., Any]:
        def noting(*arguments: Any) -> Any:
            drawn = draw(*arguments)
            if getattr(drawn, "dtype", None) == np.float32:  # what SB3 scales it with stays exact
                drawn = drawn.astype(np.float64)
            self._now.put(kind, drawn)
            return drawn

        return noting

    def _race(self, p: Tensor, n: int, replacement: bool = False) -> Tensor:
        """One action of each row of p (N, A), as `torch.multinomial` draws it, whose numbers these are: the
        first of A exponential clocks to ring, clock a at the rate p_a."""
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
    """SB3's permutations in place of a generator's. With `any_left` any order comes after the last one: ours
    draws those of all epochs at once, SB3 none for epochs that a large divergence spares it."""

    def __init__(self, draws: Draws, any_left: bool):
        self._draws, self._any_left = draws, any_left

    def permutation(self, n: int) -> np.ndarray:
        """The next one, which must be of n; (n,)."""
        if self._any_left and not self._draws.has("permutation"):
            return np.arange(n)
        order = self._draws.take("permutation")
        if len(order) != n:
            raise Parted(f"ours shuffles {n} transitions, Stable-Baselines3 {len(order)}")
        return np.asarray(order)


class Minibatches:
    """SB3's places in the replay memory as uniform numbers."""

    def __init__(self, draws: Draws):
        self._draws = draws

    def next(self) -> Tensor:
        """(1, B) float64 that `Replay.index` turns into SB3's places, if it counts as many transitions."""
        rows, n_rows = self._draws.take("randint")
        worlds, n_worlds = self._draws.take("randint")
        return torch.from_numpy((rows * n_worlds + worlds + 0.5) / (n_rows * n_worlds))[None]


class Normals:
    """SB3's normal numbers, where ours would turn uniform ones into normal ones: see `given`."""

    def __init__(self, draws: Draws, pair: bool = False):
        self._draws, self._pair = draws, pair

    def next(self) -> Tensor:
        """(1, B, A), or a pair of them (1, 2, B, A)."""
        if not self._pair:
            return self._draws.take("normal")[None]
        return torch.stack([self._draws.take("normal") for _ in range(2)])[None]


def explore(algorithm: str, draws: Draws, model: Any) -> Tensor:
    """SB3's draws for one step of its N worlds as what our agent's `act` takes, (1, N, uniforms).

    Between two actions SB3's categorical lets two exponential clocks race: with probabilities p and times q,
    action 1 wins if p_0 < q_0 / (q_0 + q_1). That is a uniform number, whatever the policy, and our inverse
    of the cumulative distribution compares the same p_0 with it. Where SB3 draws nothing, ours is handed a
    number that shows if it is used.
    """
    if algorithm in ("a2c", "ppo", "trpo"):
        if draws.has("normal"):
            return torch.as_tensor(draws.take("normal"))[None]
        clocks = draws.take("race")
        assert clocks.shape[1] == 2, "of more than two clocks no one number tells which rings first"
        return (clocks[:, :1] / clocks.sum(1, keepdim=True))[None]
    if algorithm == "dqn":
        return _epsilon_greedy(draws, int(model.action_space.n))
    anything = _samples(draws, model)
    if algorithm == "sac":
        return anything[None] if anything is not None else draws.take("normal")[None]
    noise = torch.from_numpy(draws.take("noise")) if draws.has("noise") else torch.zeros(1)
    noise = noise.view(-1, *model.action_space.shape).flatten(1).expand(model.n_envs, -1)
    return torch.cat([torch.zeros_like(noise) if anything is None else anything, noise], 1)[None]


def _epsilon_greedy(draws: Draws, n_actions: int) -> Tensor:
    """Whether to explore, and with which action: (1, 1, 2)."""
    whether = draws.take("rand") if draws.has("rand") else np.nextafter(1.0, 0.0)
    which = (draws.take("sample") + 0.5) / n_actions if draws.has("sample") else 0.0
    return torch.tensor([[[whether, which]]], dtype=torch.float64)


def _samples(draws: Draws, model: Any) -> Tensor | None:
    """Random actions of all worlds in [0, 1), (N, A), or None if there are none."""
    if not draws.has("sample"):
        return None
    low, high = (
        np.asarray(end, dtype=np.float64) for end in (model.action_space.low, model.action_space.high)
    )
    found = np.stack([draws.take("sample") for _ in range(model.n_envs)])
    return torch.from_numpy((found - low) / (high - low)).flatten(1)


@contextmanager
def given() -> Iterator[None]:
    """Our agents take the normal numbers that they are handed for what they are."""
    with patch.object(gaussian, "normal", lambda number: number):
        yield


def hand_over(agent: Any, draws: Draws) -> None:
    """Let an agent's streams of learning give back SB3's draws."""
    streams = {
        "shuffles": [Shuffles(draws, any_left=hasattr(agent.config, "n_epochs") and agent.config.target_kl)],
        "minibatches": Minibatches(draws),
        "smoothing": Normals(draws),
        "noise": Normals(draws, pair=True),
    }
    for name, stream in streams.items():
        if hasattr(agent, name):
            setattr(agent, name, stream)
