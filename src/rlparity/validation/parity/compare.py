"""Update parity: compare targets, losses, gradients and parameters of an implementation's `update` with those
of Stable-Baselines3's `train`, given the same weights, batches and random draws.

A difference is max |a - b| / max |b| of a tensor, absolute where it starts as zeros. The first tensor beyond
its tolerance, in the order of computation, locates a fault: if targets agree and the loss differs, it is the
loss.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial

import torch

from rlparity.candidates.protocol import Factory
from rlparity.validation.checks import Answer, Check, timed
from rlparity.validation.counterparts import ON_POLICY
from rlparity.validation.double_precision import precision
from rlparity.validation.paired_models import PairedModels
from rlparity.validation.parity import candidates
from rlparity.validation.parity import cases as parity_cases
from rlparity.validation.parity.cases import Case
from rlparity.validation.parity.judgement import TOLERANCES, Finding, Tolerance, judge
from rlparity.validation.parity.recording import minibatches, rollouts
from rlparity.validation.parity.recording.inputs import Recording
from rlparity.validation.parity.recording.rounding_floor import ReorderedReference
from rlparity.validation.parity.recording.trace import Trace, compare

UPDATES = (1, 10, 100)


def check(
    algorithm: str, case: str | None = None, dtype: str = "float64", updates: Sequence[int] = UPDATES
) -> list[Check]:
    """Compare our agent with SB3 in all configurations, or the one named `case`; `dtype` is a key of
    TOLERANCES. UserError for an unknown name."""
    return [made for *_, made in findings([algorithm], [dtype], case, updates)]


def findings(
    algorithms: Sequence[str],
    dtypes: Sequence[str] = ("float64",),
    case: str | None = None,
    updates: Sequence[int] = UPDATES,
) -> Iterator[tuple[Case, str, Finding | None, Check]]:
    """Yield for each configuration: the case, its precision, the finding unless the comparison raised, and
    the check."""
    for each in [each for algorithm in algorithms for each in parity_cases.of(algorithm, case)]:
        for dtype in [dtype for dtype in dtypes if dtype in each.dtypes]:
            found: list[Finding] = []
            made = timed("parity", f"{each} ({dtype})", partial(_compare_into, found, each, dtype, updates))
            yield each, dtype, found[0] if found else None, made


def _compare_into(found: list[Finding], case: Case, dtype: str, updates: Sequence[int]) -> Answer:
    found.append(compare_case(case, dtype, updates))
    return found[0].passed, str(found[0])


def compare_case(case: Case, dtype: str, updates: Sequence[int] = UPDATES) -> Finding:
    """Compare our agent with SB3 in one configuration."""
    pair, last = case.pair(getattr(torch, dtype)), max(updates)
    reordered = ReorderedReference(case.pair(pair.dtype), pair) if case.amplified else None
    recording = record(case, pair, last, reordered)
    found = list(compare(replay(pair, recording), recording.trace, recording.start, last))
    floor = compare(reordered.trace, recording.trace, recording.start, last) if reordered else ()
    tolerance = Tolerance(TOLERANCES[dtype], updates, floor)
    return judge((case.algorithm, case.name, dtype), found, tolerance, updates)


def record(
    case: Case, pair: PairedModels, updates: int, reordered: ReorderedReference | None = None
) -> Recording:
    """Record SB3's updates on real rollouts or random minibatches."""
    recording = Recording({name: value.detach().clone() for name, value in pair.theirs().items()})
    with precision(pair.dtype), case.patched(pair):
        if case.algorithm in ON_POLICY:
            rollouts.record(pair, recording, updates, reordered)
        else:
            minibatches.record(pair, recording, updates)
    return recording


def replay(pair: PairedModels, recording: Recording) -> Trace:
    """Let our agent learn from the recorded inputs; returns its trace."""
    trace, module = Trace(), rollouts if pair.algorithm in ON_POLICY else minibatches
    module.replay(pair, recording, trace)
    return trace


def check_candidate(
    factory: Factory,
    algorithm: str,
    cases: Sequence[str] = ("default",),
    dtype: str = "float32",
    updates: Sequence[int] = UPDATES,
) -> list[Check]:
    """Compare a candidate's `update` with SB3's model in the given cases, see `parity.candidates`; no checks
    if it has no such method."""
    found = []
    for case in [case for name in cases for case in parity_cases.of(algorithm, name)]:
        with suppress(Exception):  # a factory that fails does so again in the check
            if not candidates.offered(candidates.build(factory, case)):
                return []
        found.append(check_candidate_case(factory, case, dtype, updates))
    return found


def check_candidate_case(
    factory: Factory,
    case: Case,
    dtype: str = "float32",
    updates: Sequence[int] = UPDATES,
    may_decline: bool = False,
) -> Check:
    """As `check_candidate` in one case, which need not be one of `cases.CASES`. With `may_decline`, a
    candidate that raises NotImplementedError does not offer it, see `checks.timed`."""
    run = partial(_compare_candidate, factory, case, dtype, updates)
    return timed("parity", f"{case} ({dtype})", run, may_decline)


def _compare_candidate(factory: Factory, case: Case, dtype: str, updates: Sequence[int]) -> Answer:
    made, pair = candidates.build(factory, case), case.pair(getattr(torch, dtype))
    recording = record(case, pair, max(updates))
    points = candidates.call_ends(recording, updates)
    with_losses = case.options.get("target_kl") is None
    trace = candidates.replay(made, recording)
    reference = candidates.condensed(recording, with_losses)
    found = list(compare(trace, reference, recording.start, max(points)))
    finding = judge((case.algorithm, case.name, dtype), found, Tolerance(TOLERANCES[dtype], points), points)
    return finding.passed, str(finding)
