"""Random numbers where they are used: actions, minibatches, noise, orders of epochs, evaluations, resets.

Ten seeds are trained together, and one of them alone. What each draws must depend neither on what the others
draw, nor on other uses, nor on what was drawn before, and be the same alone and among ten.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any
from unittest import mock

import torch
from torch import Tensor

from rlparity.buffers.replay import Replay
from rlparity.cell import Cell, Protocol
from rlparity.seeding import CHUNK, Streams, Uniforms
from rlparity.training import loop
from rlparity.validation.checks import Answer
from rlparity.validation.contract.own_agents import traced_training
from rlparity.validation.contract.own_agents.kinds import random_numbers as numbers
from rlparity.validation.contract.own_agents.traced_training import Log

SEEDS = (0, 1, 2, 10, 11, 12, 100, 21, 2**32, 2**40 + 1)  # names that a careless join confuses
ALONE = 4  # which of them is trained alone
MORE = 2 * CHUNK + 20  # further draws of every stream, beyond two fetches
AXES = ("draw", "seed", "sub-environment", "component")


@dataclass
class Drawn:
    """What a training of S seeds drew."""

    log: Log
    places: list[Tensor] = field(default_factory=list)  # shares of the memory, (S, B), by `Replay.index`
    after: dict[str, Tensor] = field(default_factory=dict)  # further numbers of each stream, (MORE, S, ...)

    @property
    def explore(self) -> Tensor:
        """Of actions in training, (T, S, N, U)."""
        return torch.stack([choice.explore for choice in self.log.choices if choice.explore is not None])

    def second(self) -> list[Tensor]:
        """What updates received besides their batch: permutations, or normal numbers."""
        with_noise = hasattr(self.log.agent, "temperature") or hasattr(self.log.agent, "smoothing")
        found = [u.arguments[1] for u in self.log.updates if len(u.arguments) > 1]
        tensors = [x for x in found if isinstance(x, Tensor) and x.numel()]
        return [x for x in tensors if with_noise or not x.is_floating_point()]

    def evaluations(self) -> Iterator[Tensor]:
        """Of actions in each round of evaluations, (T, S, E, U)."""
        for segment in self.log.environments[1].segments:
            choices = [step.choice for step in segment.steps if step.choice is not None]
            explored = [choice.explore for choice in choices if choice.explore is not None]
            if explored:
                yield torch.stack(explored)

    def of(self, s: int) -> dict[str, list[Tensor]]:
        """All draws of seed number s, by use; evaluations last as long as the longest episode."""
        segments = [segment for env in self.log.environments for segment in env.segments]
        axis = 0 if self.second() and self.second()[0].is_floating_point() else 1  # orders: (K, S, B)
        found = {
            "initial parameters": [theta[s] for theta in self.log.initial.values()],
            "seeds of environments": [torch.tensor(list(repr(x.seeds[s]).encode())) for x in segments],
            "exploration": list(self.explore[:, s]),
            "places in memory": [x[s] for x in self.places],
            "draws of updates": [x.select(axis, s) for x in self.second()],
        }
        found |= {f"evaluation {i}": list(x[:, s]) for i, x in enumerate(self.evaluations(), 1)}
        return found | {name: list(x[:, s]) for name, x in self.after.items()}


def train(cell: Cell, seeds: tuple[int, ...]) -> Drawn:
    """A short training of these seeds, with evaluations that draw, too."""
    modes = tuple(dict.fromkeys((*cell.evaluation.modes, "sampled")))
    brief = replace(
        cell, seeds=seeds, evaluation=Protocol(points=2, episodes=2, final_episodes=2, modes=modes)
    )
    drawn, trainings = Drawn(Log.empty()), list[loop.Training]()
    build, index = loop.build, Replay.index

    def built(*arguments: Any) -> loop.Training:
        trainings.append(build(*arguments))
        return trainings[0]

    def indexed(self: Replay, uniform: Tensor, n_steps: int = 1) -> Tensor:
        found = index(self, uniform, n_steps)
        first, last = self.drawable(n_steps)
        drawn.places.append(((found - first) % self.capacity).double() / (last - first))
        return found

    with mock.patch.object(loop, "build", built), mock.patch.object(Replay, "index", indexed):
        drawn.log = traced_training.run(brief, in_detail=True)
    streams = {"exploration": trainings[0].explore}
    for name, value in vars(drawn.log.agent).items():
        streams |= {name: value} if isinstance(value, Uniforms) else {}
    for name, stream in streams.items():
        drawn.after[name] = torch.stack([stream.next().clone() for _ in range(MORE)])
    return drawn


def independent(drawn: Drawn) -> Answer:
    """No draws repeat or depend on others: of another seed, sub-environment, use or time."""
    looked = list(_looks(drawn))
    problem = next((f"{name}: {found}" for name, found in looked if found), None)
    return problem is None, problem or f"{len(looked)} looks at draws of {len(drawn.log.cell.seeds)} seeds"


def _looks(drawn: Drawn) -> Iterator[tuple[str, str | None]]:
    if drawn.log.agent.uniforms:
        yield "exploration", numbers.dependent(drawn.explore, AXES)
        yield "exploration", numbers.misshapen(drawn.explore, "uniform")
    for i, x in enumerate(drawn.evaluations(), 1):
        yield f"exploration of evaluation {i}", numbers.dependent(x, AXES)
    for name, x in drawn.after.items():
        axes = ("draw", "seed", *(f"axis {k} of draw" for k in range(1, x.dim() - 1)))
        yield name, numbers.dependent(x, axes)
        yield name, numbers.misshapen(x, "uniform")
        for s in range(x.shape[1]):
            again = numbers.repeats(x[:, s].flatten(1)[:, 0])
            yield name, f"seed {drawn.log.cell.seeds[s]} draws the same numbers again" if again else None
    yield from _updates(drawn)
    yield from _uses(drawn)
    yield "streams", _named(drawn.log.cell)


def _updates(drawn: Drawn) -> Iterator[tuple[str, str | None]]:
    """What updates draw: orders, noise, places in memory."""
    arguments = drawn.second()
    if arguments and not arguments[0].is_floating_point():
        orders = torch.cat(arguments)  # (epochs, S, B)
        whole = (orders.sort(-1).values == torch.arange(orders.shape[-1])).all()
        yield "orders of minibatches", None if whole else "not every row once"
        yield "orders of minibatches", numbers.dependent(orders, ("epoch", "seed", "row"))
    elif arguments:
        noise = torch.stack(arguments)
        names = ("update", "seed", *(f"axis {k} of noise" for k in range(1, noise.dim() - 1)))
        yield "noise of updates", numbers.dependent(noise, names)
        yield "noise of updates", numbers.misshapen(noise, "normal")
    if drawn.places:
        size = min(x.shape[1] for x in drawn.places)
        pieces = torch.cat([x.unflatten(1, (-1, size)) for x in drawn.places], 1)  # (S, updates, B)
        yield "places in memory", numbers.dependent(pieces, ("seed", "update", "row"))


def _uses(drawn: Drawn) -> Iterator[tuple[str, str | None]]:
    """Numbers of one use or seed that another has, too."""
    streams: dict[str, Tensor] = {}
    for s, seed in enumerate(drawn.log.cell.seeds[:3]):
        streams |= {f"{name} of seed {seed}": x[:, s] for name, x in drawn.after.items()}
        streams |= {f"exploration of seed {seed}, from its start": drawn.explore[:, s]}
        for i, x in enumerate(drawn.evaluations(), 1):
            streams[f"exploration of evaluation {i} of seed {seed}"] = x[:, s]
    for (one, a), (other, b) in combinations(streams.items(), 2):
        if a.numel() >= numbers.FEW and b.numel() >= numbers.FEW:
            share = numbers.overlap(a, b)
            many = share > numbers.SHARED + 2 / min(a.numel(), b.numel())
            yield one, f"{share:.0%} of its numbers are those of {other}, or the other way" if many else None


def _named(cell: Cell) -> str | None:
    """Streams of other seeds, names, algorithms and environments begin differently."""
    seen: dict[bytes, str] = {}
    cells = [replace(cell, seeds=SEEDS), replace(cell, algorithm="other", seeds=SEEDS)]
    for one in [*cells, replace(cell, environment="Other-v0", seeds=SEEDS)]:
        streams = Streams(one)
        for name in ("network", "explore", "minibatches", "noise", "training", "evaluation|sampled|1|0"):
            for seed, rng in zip(SEEDS, streams.generators(name), strict=True):
                what = f"{name} of seed {seed} of {one.algorithm} in {one.environment}"
                if (other := seen.setdefault(rng.bytes(16), what)) != what:
                    return f"{what} draws as {other}"
    return None


def alone(among: Drawn, single: Drawn) -> Answer:
    """A seed that is trained alone draws bit for bit what it draws among others."""
    (seed,) = single.log.cell.seeds
    ours, theirs = among.of(among.log.cell.seeds.index(seed)), single.of(0)
    for name, draws in ours.items():
        for i, (a, b) in enumerate(zip(draws, theirs[name], strict=False)):
            if not torch.equal(a, b):
                others = f"others than among {len(SEEDS)}, from draw {i + 1} on"
                return False, f"{name} of seed {seed} alone are {others}"
        if not name.startswith("evaluation") and len(draws) != len(theirs[name]):
            return False, f"{name} of seed {seed}: {len(theirs[name])} alone, {len(draws)} among {len(SEEDS)}"
    return True, f"{sum(map(len, ours.values()))} draws of {len(ours)} kinds"
