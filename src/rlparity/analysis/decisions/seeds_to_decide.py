"""How many seeds per arm would decide a row of verdicts that is undecided.

There is a number only where more seeds are what it takes. A row without a reason against a verdict needs
those that show equivalence if there is no difference. A row with fewer than the minimum of seeds may look
like a verdict already: then it needs those that would show it again if difference and spreads are as
observed. The power is 80 %, and no number is below the minimum.
"""

from __future__ import annotations

from rlparity.analysis import statistics

MOST = 1000  # seeds per arm that are looked at


def for_equivalence(margin: float, sds: tuple[float, float], fewest: int, difference: float = 0.0) -> str:
    """Seeds per arm that show equivalence: text, ">1000" above, empty where a spread is not known."""
    if not all(sd >= 0 for sd in sds) or not margin > 0:
        return ""
    return _text(statistics.seeds_needed(margin, *sds, limit=MOST, difference=difference), fewest)


def for_difference(difference: float, sds: tuple[float, float], fewest: int, alpha: float) -> str:
    """Seeds per arm that show a difference at the level `alpha`; text as in `for_equivalence`."""
    if not all(sd >= 0 for sd in sds):
        return ""

    def power(seeds: int) -> float:
        return statistics.power_of_difference(seeds, difference, *sds, alpha)

    return _text(statistics.fewest_seeds(power, limit=MOST), fewest)


def _text(found: int | None, fewest: int) -> str:
    return f">{MOST}" if found is None else str(max(found, fewest))
