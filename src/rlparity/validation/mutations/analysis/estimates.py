"""Bugs of the analysis: estimates, intervals, tests and power."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from rlparity.validation.mutations.analysis.modules import module
from rlparity.validation.mutations.mutation import MutationSet, Patch

bug = MutationSet(source="own", area="analysis")


@bug("Y1", "the inter-quartile mean cuts a quarter from the upper end alone", hides="equal seeds")
def y1(patch: Patch) -> None:
    statistics = module("statistics")

    def iqm(x: Any, axis: int = -1) -> Any:
        ordered = np.moveaxis(np.sort(np.asarray(x, dtype=float), axis=axis), axis, -1)
        return ordered[..., : ordered.shape[-1] - ordered.shape[-1] // 4].mean(-1)

    patch.replace(statistics, "iqm", iqm)
    patch.replace(statistics, "STATISTICS", {**statistics.STATISTICS, "iqm": iqm})


@bug("Y2", "bootstrap intervals that are called 95 % are of 90 %")
def y2(patch: Patch) -> None:
    statistics = module("statistics")

    def around(interval: Any, *arguments: Any, level: float = 0.95, **options: Any) -> Any:
        return interval(*arguments, level=2 * level - 1, **options)

    patch.wrap(statistics, "bootstrap_interval", around)


@bug("Y3", "the interval of a mean has the normal quantile for Student's", hides="many seeds")
def y3(patch: Patch) -> None:
    methods = module("intervals.methods")

    def around(interval: Any, x: Any, level: float = 0.95, **options: Any) -> tuple[Any, Any]:
        low, high = interval(x, level, **options)
        left = np.shape(x)[-1] - 2 * int(np.shape(x)[-1] * options.get("trim", methods.TRIM))
        normal, student = methods.scipy.stats.norm, methods.scipy.stats.t
        factor = normal.ppf((1 + level) / 2) / student.ppf((1 + level) / 2, max(left - 1, 1))
        middle, half = (low + high) / 2, (high - low) / 2
        return middle - factor * half, middle + factor * half

    patch.wrap(methods, "trimmed_t", around)


@bug("Y4", "the interval of a mean takes a one-sided quantile: both of its tails together hold 10 %")
def y4(patch: Patch) -> None:
    methods = module("intervals.methods")

    def around(interval: Any, x: Any, level: float = 0.95, **options: Any) -> Any:
        return interval(x, 2 * level - 1, **options)

    patch.wrap(methods, "trimmed_t", around)


@bug("Y5", "the degrees of freedom are n + m - 2, as if variances were equal", hides="arms of equal spread")
def y5(patch: Patch) -> None:
    statistics = module("statistics")

    def around(welch: Any, x: Any, y: Any, *rest: Any) -> Any:
        return dataclasses.replace(welch(x, y, *rest), df=float(max(len(x) + len(y) - 2, 1)))

    patch.wrap(statistics, "welch", around)


@bug("Y6", "standard deviations divide by n, not by n - 1", hides="many seeds")
def y6(patch: Patch) -> None:
    statistics = module("statistics")
    patch.replace(statistics, "_sd", lambda x: float(x.std()))


@bug("Y7", "standard errors leave out the reference's variance", hides="references without spread")
def y7(patch: Patch) -> None:
    statistics = module("statistics")

    def around(welch: Any, x: Any, y: Any, fixed: Any = (False, False)) -> Any:
        found = welch(x, y, fixed)
        if not found.se > 0:
            return found
        own = float(np.std(x, ddof=1)) / len(x) ** 0.5 if len(x) > 1 else 0.0
        return dataclasses.replace(found, se=own or found.se)

    patch.wrap(statistics, "welch", around)


@bug("Y8", "Holm's factors run from 1 up: the smallest p is not adjusted", hides="families of one")
def y8(patch: Patch) -> None:
    statistics = module("statistics")

    def holm(p: Any) -> Any:
        adjusted = np.array(p, dtype=float)
        members = np.flatnonzero(~np.isnan(adjusted))
        order = members[np.argsort(adjusted[members], kind="stable")]
        scaled = np.arange(1, len(order) + 1) * adjusted[order]
        adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
        return adjusted

    patch.replace(statistics, "holm", holm)


@bug("Y9", "Holm's adjusted p may fall from one rank to the next: the running maximum is missing")
def y9(patch: Patch) -> None:
    statistics = module("statistics")

    def holm(p: Any) -> Any:
        adjusted = np.array(p, dtype=float)
        members = np.flatnonzero(~np.isnan(adjusted))
        order = members[np.argsort(adjusted[members], kind="stable")]
        adjusted[order] = np.minimum(np.arange(len(order), 0, -1) * adjusted[order], 1.0)
        return adjusted

    patch.replace(statistics, "holm", holm)


@bug("Y10", "rows without a p count in Holm's family", hides="families whose members all have one")
def y10(patch: Patch) -> None:
    statistics = module("statistics")

    def around(holm: Any, p: Any) -> Any:
        p = np.array(p, dtype=float)
        return np.where(np.isnan(p), np.nan, holm(np.nan_to_num(p, nan=1.0)))

    patch.wrap(statistics, "holm", around)


@bug("Y11", "p values of a difference are not adjusted for the other rows", hides="families of one")
def y11(patch: Patch) -> None:
    statistics = module("statistics")
    patch.replace(statistics, "holm", lambda p: np.array(p, dtype=float))


@bug("Y12", "the margin of equivalence is on the wrong side: the difference counts as far as it is near")
def y12(patch: Patch) -> None:
    statistics = module("statistics")

    def p_equivalence(self: Any, margin: float) -> float:
        if self.se == 0:
            return float(abs(self.difference) >= margin) if self.exact else float("nan")
        return float(statistics.scipy.stats.t.sf((margin + abs(self.difference)) / self.se, self.df))

    patch.replace(statistics.Welch, "p_equivalence", p_equivalence)


@bug(
    "Y13",
    "equivalence is a difference that is not shown: its p is one minus that of the difference",
    source="Altman and Bland 1995, absence of evidence is not evidence of absence",
)
def y13(patch: Patch) -> None:
    statistics = module("statistics")
    patch.replace(statistics.Welch, "p_equivalence", lambda self, margin: 1 - self.p_difference())


@bug("Y14", "p values of a difference are one-sided")
def y14(patch: Patch) -> None:
    statistics = module("statistics")
    patch.wrap(statistics.Welch, "p_difference", lambda p, self: p(self) / 2)


@bug("Y15", "the 90 % interval beside an equivalence test is of 80 %")
def y15(patch: Patch) -> None:
    statistics = module("statistics")

    def around(interval: Any, self: Any, level: float) -> Any:
        return interval(self, 0.8 if abs(level - 0.9) < 1e-9 else level)

    patch.wrap(statistics.Welch, "interval", around)


@bug("Y22", "the power is that of one of the two one-sided tests: too few seeds are asked for")
def y22(patch: Patch) -> None:
    statistics = module("statistics")
    stats = statistics.scipy.stats

    def power(se: float, df: float, margin: float, alpha: float = 0.05, difference: float = 0.0) -> float:
        t = stats.t.ppf(1 - alpha, df)
        return float(stats.nct.sf(t, df, (margin - abs(difference)) / se))

    patch.replace(statistics, "power_of_equivalence", power)


@bug("Y23", "the power is of a difference with the error of one arm, not of two")
def y23(patch: Patch) -> None:
    statistics = module("statistics")

    def around(
        power: Any,
        n: int,
        margin: float,
        sd_x: float,
        sd_y: float,
        alpha: float = 0.05,
        difference: float = 0.0,
    ) -> Any:
        return power(n, margin, sd_x, 1e-9 * sd_y, alpha, difference)

    patch.wrap(statistics, "tost_power", around)


MUTATIONS = bug.mutations
