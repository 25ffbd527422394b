"""Count the floating-point operations of an update, and measure the machine's best rate.

Matrix products dominate off-policy learners with hundreds of units a layer: the ratio of the two rates is the
share of the possible speed. Only products that the algorithm needs are counted; an unused gradient takes time
and counts nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

BEST_OF, SIZE = 5, 1024


def per_update(agent: str, values: dict[str, Any], n_inputs: int, n_actions: int) -> float | None:
    """Operations of one update of one seed, multiplications and additions; None if not counted.

    `values` are all hyper-parameters; `n_inputs`, `n_actions`: numbers in an observation and in an action.
    """
    if agent not in ("ddpg", "td3", "sac"):
        return None
    rows, hidden = 2 * values["batch_size"], list(values["net_arch"])
    actor = _Stack([n_inputs, *hidden, n_actions * (2 if agent == "sac" else 1)])
    critic = _Stack([n_inputs + n_actions, *hidden, 1])
    n_critics = 1 if agent == "ddpg" else 2
    evaluated = n_critics if agent == "sac" else 1  # critics in the actor's loss
    delay = values.get("policy_delay", 1)
    # targets by target actor and critics; then values of the critics and their gradients
    critics = actor.forward + n_critics * (2 * critic.forward + critic.backward)
    # the actor forwards and backwards; the critics forwards, and backwards to the action
    actors = actor.forward + actor.backward + evaluated * 2 * critic.forward
    return float(rows * (critics + actors / delay))


class _Stack:
    """Multiplications of dense layers for one row: the forward pass, and the gradient of all weights."""

    def __init__(self, sizes: Sequence[int]):
        layers = [i * o for i, o in pairwise(sizes)]
        self.forward = sum(layers)
        self.backward = self.forward + sum(layers[1:])  # weights of every layer, inputs of all but the first


def best_rate() -> float:
    """Operations per second of a large float32 product on one thread: the better of oneDNN and MKL, the best
    of BEST_OF. Both calculate in full float32, see `tests/benchmark`.

    The processor decides: a core of AMD's family 25 (Zen 4) does 32 operations a cycle, 118 GFLOP/s at
    3.7 GHz; one of family 26 (Zen 5), or Intel's with two AVX-512 units, 64. The 208 GFLOP/s of rows without
    a `core` were neither threads nor a lower precision, but another "AMD EPYC": the column lacked the family.
    """
    import torch

    torch.set_num_threads(1)
    a, b = torch.randn(2, SIZE, SIZE)
    return float(2 * SIZE**3 / min(_seconds(product, a, b) for product in (_onednn, torch.mm)))


def _onednn(a: Any, b: Any) -> Any:
    import torch

    return torch.ops.mkldnn._linear_pointwise(a, b, None, "none", [], "")


def _seconds(product: Callable[[Any, Any], Any], a: Any, b: Any) -> float:
    seconds = []
    for _ in range(BEST_OF):
        started = time.perf_counter()
        product(a, b)
        seconds.append(time.perf_counter() - started)
    return min(seconds)
