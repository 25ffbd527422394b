"""What a learner computed, tensor by tensor in the order of computation, and how two such traces compare."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from rlparity.validation.paired_models import difference

KINDS = ("targets", "losses", "gradients", "parameters", "target networks")  # as an update computes them
INF = float("inf")


class Entry(NamedTuple):
    """One tensor, flat."""

    update: int  # counted from 1
    kind: str  # of KINDS
    name: str
    value: Tensor
    scale: float = 0.0  # the least denominator of a relative difference


class Difference(NamedTuple):
    """How far one tensor of ours is from the reference's."""

    update: int
    kind: str
    name: str
    size: float  # see `measure`
    missing: str = ""  # who has no such tensor, if one has not: "ours" or "reference"

    def __str__(self) -> str:
        if self.missing:
            only = "the reference" if self.missing == "ours" else "ours"
            return f"{self.kind}: {self.name} in update {self.update} of {only} alone"
        return f"{self.kind}: {self.name} by {self.size:.1e} in update {self.update}"


class Trace:
    """Everything that one learner computed in a row of updates."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.update = 1  # the one under way

    def note(self, kind: str, name: str, value: Tensor, scale: float = 0.0) -> None:
        """Keep a copy of a tensor."""
        self.entries.append(Entry(self.update, kind, name, value.detach().flatten().clone(), scale))

    def note_gradients(self, gradients: Mapping[str, Tensor]) -> None:
        """Keep the parts of one gradient, which are measured against the largest number in all of it."""
        largest = max((float(part.detach().abs().max()) for part in gradients.values()), default=0.0)
        for name, part in gradients.items():
            self.note("gradients", name, part, largest)

    def note_metrics(self, metrics: Mapping[str, Tensor]) -> None:
        """Keep what an update says of itself."""
        for name, value in metrics.items():
            self.note("losses", name, value)

    def close(self, parameters: Mapping[str, Tensor]) -> None:
        """End an update, with the parameters it leaves behind."""
        for name, value in parameters.items():
            self.note("target networks" if "_target." in name else "parameters", name, value)
        self.update += 1

    def count_steps(self, end: int, metrics: Mapping[str, Tensor]) -> None:
        """Note how many updates a rollout brought, of which the reference made those before number `end`, and
        what was said of all of them; what there is beyond is dropped, so that the next rollout's are compared
        with their own."""
        made = self.update - 1
        self.entries = [entry for entry in self.entries if entry.update < end]
        self.update = end - 1
        self.note("losses", "updates made so far", torch.tensor(float(made)))
        self.note_metrics(metrics)
        self.update = end

    def table(self, last: int) -> dict[tuple[int, str, str, int], Entry]:
        """The entries of the first `last` updates; those of one name in one update are counted."""
        seen: Counter[tuple[int, str, str]] = Counter()
        found = {}
        for entry in self.entries:
            key = entry[:3]
            if entry.update <= last:
                found[*key, seen[key]] = entry
            seen[key] += 1
        return found


def measure(ours: Tensor, theirs: Entry, start: Tensor | None = None) -> float:
    """max |a - b| / max |b|, see `twins.difference`; absolutely for parameters that start as zeros.

    What passes through zero is not measured against its own rounding: the denominator is at least 1 for a
    loss, the largest number of the whole gradient for a part of it, and for a parameter what it was at the
    start.
    """
    least = 1.0 if theirs.kind == "losses" else theirs.scale
    if start is not None and theirs.kind in KINDS[3:]:
        least = float(start.abs().max()) or INF
    if not theirs.value.numel() or float(theirs.value.abs().max()) >= least:
        return difference(ours, theirs.value)
    return difference(ours, theirs.value, absolute=True) / (1.0 if least == INF else least)


def compare(ours: Trace, theirs: Trace, start: Mapping[str, Tensor], last: int) -> Iterator[Difference]:
    """Every tensor of the reference's first `last` updates beside ours, in the order of its computation;
    `start` are the parameters before the first.

    What one of the two never names cannot be compared (a candidate shows its parameters alone); what it names
    at other times is a difference: an update that only one of them makes.
    """
    mine, reference = ours.table(last), theirs.table(last)
    both = {key[1:3] for key in mine} & {key[1:3] for key in reference}
    for key, entry in reference.items():
        update, kind, name, _ = key
        if key in mine:
            yield Difference(update, kind, name, measure(mine[key].value, entry, start.get(name)))
        elif (kind, name) in both:
            yield Difference(update, kind, name, INF, "ours")
    for key in mine:
        if key not in reference and key[1:3] in both:
            yield Difference(*key[:3], INF, "reference")


def largest(differences: Sequence[Difference], kind: str, last: int) -> Difference | None:
    """The largest of one kind within the first `last` updates; None if nothing of the kind was compared."""
    found = [each for each in differences if each.kind == kind and each.update <= last]
    return max(found, key=lambda each: each.size, default=None)
