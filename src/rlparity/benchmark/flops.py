"""What an update costs in floating-point operations, and what this machine can do in a second.

Off-policy learners with networks of hundreds of units are bound by matrix products: their rate beside the
machine's best tells how much is left to gain. Only products are counted, and only those that the algorithm
needs: a gradient that nobody uses costs time and counts nothing.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

BEST_OF, SIZE = 5, 1024


def per_update(agent: str, values: dict[str, Any], n_inputs: int, n_actions: int) -> float | None:
    """Operations of one update of one seed (a multiplication and an addition are two); None if not counted.

    `values` are all hyper-parameters, `n_inputs` numbers of an observation, `n_actions` of an action.
    """
    if agent not in ("ddpg", "td3", "sac"):
        return None
    rows, hidden = 2 * values["batch_size"], list(values["net_arch"])
    actor = _Stack([n_inputs, *hidden, n_actions * (2 if agent == "sac" else 1)])
    critic = _Stack([n_inputs + n_actions, *hidden, 1])
    n_critics = 1 if agent == "ddpg" else 2
    judging = n_critics if agent == "sac" else 1  # critics that the actor's loss asks
    delay = values.get("policy_delay", 1)
    critics = actor.all + n_critics * (critic.all + critic.all + critic.learn)  # targets, values, gradients
    actors = actor.all + actor.learn + judging * 2 * critic.all  # through the critics to the action and back
    return float(rows * (critics + actors / delay))


class _Stack:
    """Multiplications of dense layers for one row: a pass forwards, and the gradient of all weights."""

    def __init__(self, sizes: Sequence[int]):
        layers = [i * o for i, o in pairwise(sizes)]
        self.all = sum(layers)
        self.learn = self.all + sum(layers[1:])  # weights of every layer, inputs of all but the first


def best_rate() -> float:
    """Operations per second of a large float32 matrix product on one thread, the best of several."""
    import torch

    torch.set_num_threads(1)
    a, b = torch.randn(2, SIZE, SIZE)
    seconds = []
    for _ in range(BEST_OF):
        started = time.perf_counter()
        torch.ops.mkldnn._linear_pointwise(a, b, None, "none", [], "")
        seconds.append(time.perf_counter() - started)
        started = time.perf_counter()
        torch.mm(a, b)
        seconds.append(time.perf_counter() - started)
    return float(2 * SIZE**3 / min(seconds))
