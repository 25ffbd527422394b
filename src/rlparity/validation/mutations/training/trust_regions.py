"""More bugs of TRPO and of the natural policy gradient."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from rlparity.agents import base as agents
from rlparity.nn import fisher
from rlparity.validation.mutations.mutation import MutationSet, Patch

ppo, a2c, trpo = (agents.module(name) for name in ("ppo", "a2c", "trpo"))
bug = MutationSet(source="own")


@bug(
    "G15",
    "the line search takes the first step inside the trust region, better or not",
    "trpo Pendulum-v1",
    hides="first trials that are accepted",
    needs={"line_search_max_iter": 10, "target_kl": 10.0},
)
def g15(patch: Patch) -> None:
    def around(search: Any, self: Any, batch: Any, step: Tensor, objective: Tensor) -> Any:
        return search(self, batch, step, torch.full_like(objective, -torch.inf))

    patch.wrap(trpo.TRPO, "search", around)


@bug("G16", "the full step is sqrt(delta / s F s), without the factor 2", "npg Pendulum-v1")
def g16(patch: Patch) -> None:
    def around(search: Any, self: Any, batch: Any, step: Tensor, objective: Tensor) -> Any:
        return search(self, batch, step * 0.5**0.5, objective)

    patch.wrap(trpo.TRPO, "search", around)


@bug("G17", "the Fisher matrix of a Gaussian knows nothing of log sigma", "trpo Pendulum-v1")
def g17(patch: Patch) -> None:
    def around(product: Any, jacobian: Any, v: Tensor) -> Tensor:
        rows: Tensor = product(jacobian, v)
        jacobian.network.lay(rows)[1]["log_std"].zero_()
        return rows

    patch.wrap(fisher, "_gaussian_product", around)


@bug(
    "G18",
    "conjugate gradient weighs its last direction by the inverse of the right factor",
    "trpo CartPole-v1",
)
def g18(patch: Patch) -> None:
    def solve(product: Any, b: Tensor, max_steps: int, due: Tensor, tolerance: float = 1e-10) -> Tensor:
        x, residual, direction = torch.zeros_like(b), b, b
        square = trpo.dot(b, b)
        for _ in range(max_steps):
            going = due[:, None] & (square >= tolerance)
            change = product(direction)
            alpha = square / trpo.dot(direction, change)
            x = torch.where(going, x + alpha * direction, x)
            residual = residual - alpha * change
            before, square = square, trpo.dot(residual, residual)
            direction = residual + before / square * direction
        return x

    patch.replace(trpo, "conjugate_gradient", solve)


MUTATIONS = bug.mutations
