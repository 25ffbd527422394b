"""Bugs of the analysis: what a verdict rests on, and in which order it is decided."""

from __future__ import annotations

from typing import Any

import numpy as np

from rlparity.validation.mutations.analysis.modules import module
from rlparity.validation.mutations.mutation import MutationSet, Patch

bug = MutationSet(source="own", area="analysis")


@bug(
    "Y16",
    "the margin is a fraction of the reference's mean, not of its distance from the floor",
    hides="floors near 0",
)
def y16(patch: Patch) -> None:
    verdicts = module("verdicts")
    calibration = module("calibration")

    def around(tested: Any, x: Any, y: Any, floor: Any, margin: float, *rest: Any) -> Any:
        row, true = (tested(x, y, z, margin, *rest) for z in (np.zeros(2), floor))
        return {**row, "mean_random": true["mean_random"], "reason": true["reason"]}

    patch.wrap(verdicts, "tested", around)
    patch.replace(calibration, "tested", verdicts.tested)


@bug("Y17", "a reference has learned as soon as its mean is above the floor's")
def y17(patch: Patch) -> None:
    verdicts = module("verdicts")

    def around(obstacle: Any, x: Any, y: Any, floor: Any, *rest: Any) -> str:
        found: str = obstacle(x, y, floor, *rest)
        above = bool(np.size(floor)) and bool(len(y)) and np.mean(y) > np.mean(floor)
        return "" if above and found == verdicts.NOTHING_LEARNED else found

    patch.wrap(verdicts, "obstacle", around)


@bug("Y18", "two seeds of an arm are enough for a verdict")
def y18(patch: Patch) -> None:
    verdicts = module("verdicts")
    patch.replace(verdicts, "FEWEST", 2)


@bug("Y19", "a difference is looked for before equivalence: what is within the margin can be WORSE")
def y19(patch: Patch) -> None:
    verdicts = module("verdicts")
    calibration = module("calibration")

    def around(decide: Any, row: Any) -> Any:
        shown = not row["reason"] and row["p_holm"] < verdicts.ALPHA
        return decide({**row, "p_equivalence": 1.0} if shown else row)

    patch.wrap(verdicts, "decide", around)
    patch.replace(calibration, "decide", verdicts.decide)


@bug("Y20", "WORSE and BETTER are exchanged")
def y20(patch: Patch) -> None:
    verdicts = module("verdicts")
    calibration = module("calibration")

    def around(decide: Any, row: Any) -> Any:
        return decide({**row, "difference": -row["difference"]})

    patch.wrap(verdicts, "decide", around)
    patch.replace(calibration, "decide", verdicts.decide)


@bug("Y21", "seeds that failed are left out without a word: EQUIVALENT and BETTER may rest on the others")
def y21(patch: Patch) -> None:
    verdicts = module("verdicts")
    patch.wrap(verdicts, "decide", lambda decide, row: decide({**row, "failed_seeds": ""}))


@bug(
    "Y24",
    "looks on the way are tested as if each were the only one",
    source="Armitage et al. 1969",
    hides="a single look",
)
def y24(patch: Patch) -> None:
    sequential_tests = module("sequential_tests")
    patch.replace(sequential_tests.Case, "tests", property(lambda self: len(self._last)))


MUTATIONS = bug.mutations
