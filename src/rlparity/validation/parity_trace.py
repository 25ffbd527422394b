"""What a learner computed, tensor by tensor in the order of computation, and how two such traces compare."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from torch import Tensor

from rlparity.validation.twins import difference

KINDS = ("targets", "losses", "gradients", "parameters", "target networks")  # as an update computes them
INF = float("inf")


class Entry(NamedTuple):
    """One tensor, flat."""

    update: int  # counted from 1
    kind: str  # of KINDS
    name: str
    value: Tensor


class Difference(NamedTuple):
    """How far one tensor of ours is from the reference's."""

    update: int
    kind: str
    name: str
    size: float  # see `measure`
    missing: str = ""  # who has no such tensor, if one has not: "ours" or "reference"

    def __str__(self) -> str:
        if self.missing:
            return (
                f"{self.kind}: only {'the reference' if self.missing == 'ours' else 'ours'} has {self.name}"
            )
        return f"{self.kind}: {self.name} by {self.size:.1e} in update {self.update}"


class Trace:
    """Everything that one learner computed in a row of updates."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.update = 1  # the one under way

    def note(self, kind: str, name: str, value: Tensor) -> None:
        """Keep a copy of a tensor."""
        self.entries.append(Entry(self.update, kind, name, value.detach().flatten().clone()))

    def close(self, parameters: Mapping[str, Tensor]) -> None:
        """End an update, with the parameters it leaves behind."""
        for name, value in parameters.items():
            self.note("target networks" if "_target." in name else "parameters", name, value)
        self.update += 1

    def table(self, last: int) -> dict[tuple[int, str, str, int], Tensor]:
        """The entries of the first `last` updates; those of one name in one update are counted."""
        seen: Counter[tuple[int, str, str]] = Counter()
        found = {}
        for entry in self.entries:
            key = entry[:3]
            if entry.update <= last:
                found[*key, seen[key]] = entry.value
            seen[key] += 1
        return found


def measure(kind: str, ours: Tensor, theirs: Tensor, absolute: bool = False) -> float:
    """max |a - b| / max |b|; absolutely where the tensor started as zeros. The denominator of a loss is at
    least 1: normalised advantages let a policy's loss cancel, and nothing can be relative to rounding."""
    if kind == "losses" and theirs.numel() and float(theirs.abs().max()) < 1:
        absolute = True
    return difference(ours, theirs, absolute)


def compare(ours: Trace, theirs: Trace, from_zero: Iterable[str], last: int) -> Iterator[Difference]:
    """Every tensor of the reference's first `last` updates beside ours, in the order of its computation.

    What one of the two never names cannot be compared (a candidate shows its parameters alone); what it names
    at other times is a difference: an update that only one of them makes.
    """
    mine, reference = ours.table(last), theirs.table(last)
    both = {key[1:3] for key in mine} & {key[1:3] for key in reference}
    zeros = set(from_zero)
    alone = [key for key in mine if key not in reference and key[1:3] in both]
    for key, value in reference.items():
        update, kind, name, _ = key
        if key in mine:
            absolute = name in zeros and kind in KINDS[3:]
            yield Difference(update, kind, name, measure(kind, mine[key], value, absolute))
        elif (kind, name) in both:
            yield Difference(update, kind, name, INF, "ours")
    yield from (Difference(update, kind, name, INF, "reference") for update, kind, name, _ in alone)


def first(differences: Sequence[Difference], tolerance: float) -> Difference | None:
    """The first that is beyond the tolerance."""
    order = sorted(
        differences, key=lambda found: found.update
    )  # stable: computation's order within an update
    return next((found for found in order if not found.size <= tolerance), None)


def largest(differences: Sequence[Difference], kind: str, last: int) -> Difference | None:
    """The largest of one kind within the first `last` updates; None if nothing of the kind was compared."""
    found = [each for each in differences if each.kind == kind and each.update <= last]
    return max(found, key=lambda each: each.size, default=None)
