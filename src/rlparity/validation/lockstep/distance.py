"""How far tensors are apart, measured so that one which passes through zero is not far off by that alone."""

from __future__ import annotations

from collections.abc import Mapping, Set

from torch import Tensor

from rlparity.validation.paired_models import difference


class Yardstick:
    """max|a - b| by the largest that b has held under that name so far; of what starts at zero, max|a - b|.

    A bias of one element changes its sign as it learns, and so does an action; by their own size they would
    be far off whenever they are small.
    """

    def __init__(self, from_zero: Set[str] = frozenset()):
        self._from_zero, self._largest = from_zero, dict[str, float]()

    def __call__(self, a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> dict[str, float]:
        """The distance of each tensor of `a` from that of the same name in `b`; inf for other shapes, and for
        numbers that are finite on one side only."""
        return {name: self._measure(name, mine, b[name].detach()) for name, mine in a.items()}

    def _measure(self, name: str, a: Tensor, b: Tensor) -> float:
        apart = difference(a.detach(), b, absolute=True)
        if name in self._from_zero or not b.numel():
            return apart
        self._largest[name] = max(self._largest.get(name, 0.0), float(b.abs().max()))
        return apart / self._largest[name] if self._largest[name] else apart
