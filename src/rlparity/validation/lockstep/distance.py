"""Distance of tensors relative to their largest value so far, so that values near zero are not divided by
themselves."""

from __future__ import annotations

from collections.abc import Mapping, Set

from torch import Tensor

from rlparity.validation.paired_models import difference


class RelativeDistance:
    """max |a - b| / the largest |b| seen so far under the same name; max |a - b| for tensors that start as
    zeros.

    A bias of one element or an action may change its sign: relative to its present size, its distance would
    be large whenever it is near zero.
    """

    def __init__(self, from_zero: Set[str] = frozenset()):
        self._from_zero, self._largest = from_zero, dict[str, float]()

    def __call__(self, a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> dict[str, float]:
        """The distance of each tensor of `a` from that of the same name in `b`; inf if the shapes differ or a
        number is finite on one side only."""
        return {name: self._measure(name, mine, b[name].detach()) for name, mine in a.items()}

    def _measure(self, name: str, a: Tensor, b: Tensor) -> float:
        apart = difference(a.detach(), b, absolute=True)
        if name in self._from_zero or not b.numel():
            return apart
        self._largest[name] = max(self._largest.get(name, 0.0), float(b.abs().max()))
        return apart / self._largest[name] if self._largest[name] else apart
