"""Count the floating-point operations of an update, and measure the machine's best rate.

Matrix products dominate off-policy learners with hundreds of units a layer: the ratio of the two rates is the
share of the possible speed. Only products that the algorithm needs are counted; an unused gradient takes time
and counts nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rlparity.nn.networks import Network

BEST_OF, SIZE = 5, 1024
TURNS, PASSES = 10, 5  # of a network's share: as many times in turn, each the best of so many passes


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
    return float(
        2 * SIZE**3 / min(_seconds(partial(product, a, b), BEST_OF) for product in (_onednn, torch.mm))
    )


def _onednn(a: Any, b: Any) -> Any:
    import torch

    return torch.ops.mkldnn._linear_pointwise(a, b, None, "none", [], "")


def _seconds(call: Callable[[], Any], times: int) -> float:
    """Of the fastest call."""
    seconds = []
    for _ in range(times):
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def share_of_best(network: Network, name: str, sizes: Sequence[int], rows: int) -> float:
    """Best rate of a stack's passes forwards and backwards without a graph, in units of `best_rate`.

    Both are measured TURNS times in turn, and the best of each counts. `sizes`: the widths of the stack's
    layers; `rows`: of the minibatch of each seed.
    """
    import torch

    shape = network.n_seeds, rows
    x, by_output = torch.randn(*shape, sizes[0]), torch.randn(*shape, sizes[-1])

    def both() -> None:
        network.pull(name, network.run(name, x)[1], by_output)

    stack, rates, passes = _Stack(sizes), list[float](), list[float]()
    needed = 2 * network.n_seeds * rows * (stack.forward + stack.backward)
    for _ in range(TURNS):
        rates.append(best_rate())
        passes.append(needed / _seconds(both, PASSES))
    return max(passes) / max(rates)
