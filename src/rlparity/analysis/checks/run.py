"""Run all checks of the analysis: no training, no files of a report, less than a minute of one core.

Numbers worked out by hand come first, then relations, then drawn seeds (calibration in small).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

from rlparity.analysis.checks import drawn_seeds, relations
from rlparity.analysis.checks.by_hand import (
    estimators,
    families,
    intervals,
    logged,
    looks,
    published,
    published_errors,
    published_files,
    records_to_tables,
    report_tables,
    tests_of_means,
    verdict_rules,
)
from rlparity.analysis.checks.check import Body, Check, run

BY_HAND = (
    estimators,
    intervals,
    tests_of_means,
    verdict_rules,
    families,
    report_tables,
    records_to_tables,
    logged,
    looks,
    published_errors,
    published,
    published_files,
)
DRAWN = (relations, drawn_seeds)


def bodies(drawn: bool = True) -> list[Body]:
    """All checks, or those without drawn seeds."""
    return [body for module in (*BY_HAND, *(DRAWN if drawn else ())) for body in module.CHECKS]


def check(
    say: Callable[[str], None] | None = None, drawn: bool = True, until_failure: bool = False
) -> list[Check]:
    """Run the checks, or those up to the first that fails; `say` receives a line as each ends."""
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of means of nothing, which is what some checks ask for
        for body in bodies(drawn):
            found.append(run(body))
            if say:
                say(str(found[-1]))
            if until_failure and not found[-1].passed:
                break
    return found
