"""Update parity: identical weights, batches and random draws into Stable-Baselines3's own `train` and into an
implementation's `update`; then targets, losses, gradients and parameters side by side.

A difference is max |a - b| / max |b| of a tensor, absolute where it starts as zeros. The first tensor that is
off, in the order of computation, tells where to look: with equal targets and another loss, it is the loss.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial

import torch

from rlparity.candidates.entry_point import Factory
from rlparity.validation.checks import Check, timed
from rlparity.validation.double_precision import precision
from rlparity.validation.paired_models import PairedModels
from rlparity.validation.parity import candidates
from rlparity.validation.parity import cases as parity_cases
from rlparity.validation.parity.cases import Case
from rlparity.validation.parity.judgement import TOLERANCES, Finding, Floor, judge
from rlparity.validation.parity.recording import minibatches, rollouts
from rlparity.validation.parity.recording.inputs import ON_POLICY, Recording
from rlparity.validation.parity.recording.rounding_floor import Beside
from rlparity.validation.parity.recording.trace import Trace, compare

UPDATES = (1, 10, 100)


def check(
    algorithm: str, case: str | None = None, dtype: str = "float64", updates: Sequence[int] = UPDATES
) -> list[Check]:
    """Our agent beside SB3 in all configurations, or the one named `case`; `dtype` is a key of TOLERANCES.
    UserError for an unknown name."""
    return [said for *_, said in findings([algorithm], [dtype], case, updates)]


def findings(
    algorithms: Sequence[str],
    dtypes: Sequence[str] = ("float64",),
    case: str | None = None,
    updates: Sequence[int] = UPDATES,
) -> Iterator[tuple[Case, str, Finding | None, Check]]:
    """Configuration by configuration: the case, its precision, what was found unless that failed, and the
    check that it makes."""
    for each in [each for algorithm in algorithms for each in parity_cases.of(algorithm, case)]:
        for dtype in [dtype for dtype in dtypes if dtype in each.dtypes]:
            kept: list[Finding] = []

            def look(each: Case = each, dtype: str = dtype, kept: list[Finding] = kept) -> tuple[bool, str]:
                kept.append(compare_case(each, dtype, updates))
                return kept[0].passed, str(kept[0])

            said = timed("parity", f"{each} ({dtype})", look)
            yield each, dtype, kept[0] if kept else None, said


def compare_case(case: Case, dtype: str, updates: Sequence[int] = UPDATES) -> Finding:
    """Our agent beside SB3 in one configuration."""
    twins, last = case.twins(getattr(torch, dtype)), max(updates)
    beside = Beside(case.twins(twins.dtype), twins) if case.amplified else None
    recording = record(case, twins, last, beside)
    found = list(compare(replay(twins, recording), recording.trace, recording.start, last))
    itself = compare(beside.trace, recording.trace, recording.start, last) if beside else ()
    allowed = Floor(TOLERANCES[dtype], updates, itself)
    return judge((case.algorithm, case.name, dtype), found, allowed, updates)


def record(case: Case, twins: PairedModels, updates: int, beside: Beside | None = None) -> Recording:
    """SB3's side: real rollouts or random minibatches, and all that it computes of them."""
    recording = Recording({name: value.detach().clone() for name, value in twins.theirs().items()})
    with precision(twins.dtype), case.patched(twins):
        if case.algorithm in ON_POLICY:
            rollouts.record(twins, recording, updates, beside)
        else:
            minibatches.record(twins, recording, updates)
    return recording


def replay(twins: PairedModels, recording: Recording) -> Trace:
    """Our side: the agent, handed what SB3 was."""
    trace, room = Trace(), rollouts if twins.algorithm in ON_POLICY else minibatches
    room.replay(twins, recording, trace)
    return trace


def check_candidate(
    factory: Factory,
    algorithm: str,
    cases: Sequence[str] = ("default",),
    dtype: str = "float32",
    updates: Sequence[int] = UPDATES,
) -> list[Check]:
    """A candidate's own `update` beside the SB3 model that it claims to be, see `parity_candidates`; an empty
    list if it does not offer one."""
    found = []
    for case in [case for name in cases for case in parity_cases.of(algorithm, name)]:
        twins = case.twins(getattr(torch, dtype))
        with suppress(Exception):  # of a factory that fails: it does again, and is told then
            if not candidates.offered(candidates.build(factory, case, twins)):
                return []
        look = partial(_compare_candidate, factory, case, twins, dtype, updates)
        found.append(timed("parity", f"{case} ({dtype})", look))
    return found


def _compare_candidate(
    factory: Factory, case: Case, twins: PairedModels, dtype: str, updates: Sequence[int]
) -> tuple[bool, str]:
    made = candidates.build(factory, case, twins)
    recording = record(case, twins, max(updates))
    points = candidates.ends(recording, updates)
    trace, reference = candidates.replay(made, recording), candidates.condensed(recording)
    found = list(compare(trace, reference, recording.start, max(points)))
    who = (case.algorithm, case.name, dtype)
    finding = judge(who, found, Floor(TOLERANCES[dtype], points), points)
    return finding.passed, str(finding)
