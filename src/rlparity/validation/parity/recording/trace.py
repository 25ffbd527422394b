"""Traces of all tensors that a learner computes, in order, and their comparison."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from rlparity.validation.paired_models import difference

KINDS = ("targets", "losses", "gradients", "parameters", "target networks")  # in the order of computation
INF = float("inf")


class Entry(NamedTuple):
    """One flattened tensor."""

    update: int  # counted from 1
    kind: str  # of KINDS
    name: str
    value: Tensor
    scale: float = 0.0  # the least denominator of a relative difference


class Difference(NamedTuple):
    """The difference of one of our tensors from the reference's."""

    update: int
    kind: str
    name: str
    size: float  # see `measure`
    missing: str = ""  # "ours" or "reference", if that side lacks the tensor

    def __str__(self) -> str:
        if self.missing:
            only = "the reference" if self.missing == "ours" else "ours"
            return f"{self.kind}: {self.name} in update {self.update} of {only} alone"
        return f"{self.kind}: {self.name} by {self.size:.1e} in update {self.update}"


class Trace:
    """All tensors that one learner computed in consecutive updates."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.update = 1  # number of the current update

    def note(self, kind: str, name: str, value: Tensor, scale: float = 0.0) -> None:
        """Record a copy of a tensor."""
        self.entries.append(Entry(self.update, kind, name, value.detach().flatten().clone(), scale))

    def note_gradients(self, gradients: Mapping[str, Tensor]) -> None:
        """Record the parts of one gradient, compared relative to the largest number in all of it."""
        largest = max((float(part.detach().abs().max()) for part in gradients.values()), default=0.0)
        for name, part in gradients.items():
            self.note("gradients", name, part, largest)

    def note_metrics(self, metrics: Mapping[str, Tensor]) -> None:
        """Record the metrics of an update."""
        for name, value in metrics.items():
            self.note("losses", name, value)

    def close(self, parameters: Mapping[str, Tensor]) -> None:
        """Record the parameters after an update and count it."""
        for name, value in parameters.items():
            self.note("target networks" if "_target." in name else "parameters", name, value)
        self.update += 1

    def count_steps(self, end: int, metrics: Mapping[str, Tensor]) -> None:
        """Record the number of updates after a rollout and its metrics. The reference has made the updates
        before number `end`; further ones are dropped, so that the next rollouts stay aligned."""
        made = self.update - 1
        self.entries = [entry for entry in self.entries if entry.update < end]
        self.update = end - 1
        self.note("losses", "updates made so far", torch.tensor(float(made)))
        self.note_metrics(metrics)
        self.update = end

    def table(self, last: int) -> dict[tuple[int, str, str, int], Entry]:
        """The entries of the first `last` updates by (update, kind, name, occurrence in the update)."""
        seen: Counter[tuple[int, str, str]] = Counter()
        found = {}
        for entry in self.entries:
            key = entry[:3]
            if entry.update <= last:
                found[*key, seen[key]] = entry
            seen[key] += 1
        return found


def measure(ours: Tensor, theirs: Entry, start: Tensor | None = None) -> float:
    """max |a - b| / max |b|, see `paired_models.difference`; absolute for parameters that start as zeros.

    A value near zero is not divided by itself: the denominator is at least 1 for a loss, the largest number
    of the whole gradient for a part of it, and the largest initial value for a parameter.
    """
    least = 1.0 if theirs.kind == "losses" else theirs.scale
    if start is not None and theirs.kind in KINDS[3:]:
        least = float(start.abs().max()) or INF
    if not theirs.value.numel() or float(theirs.value.abs().max()) >= least:
        return difference(ours, theirs.value)
    return difference(ours, theirs.value, absolute=True) / (1.0 if least == INF else least)


def compare(ours: Trace, theirs: Trace, start: Mapping[str, Tensor], last: int) -> Iterator[Difference]:
    """Compare every tensor of the reference's first `last` updates with ours, in the order of computation;
    `start` are the parameters before the first update.

    A name that one trace never contains is skipped, because a candidate reports few tensors. A name that it
    contains in other updates only is a difference: an update that only one of the two makes.
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
    """The largest difference of one kind within the first `last` updates; None if none was compared."""
    found = [each for each in differences if each.kind == kind and each.update <= last]
    return max(found, key=lambda each: each.size, default=None)
