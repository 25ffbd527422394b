"""Where the 5 % of a verdict of EQUIVALENT end: what the page on statistics says of it, measured."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.stats

from rlparity.analysis import verdicts

PAGE = Path(__file__).parents[2] / "docs" / "method" / "statistics-and-verdicts.md"
MARGIN = 0.2


def called_equivalent(n: int, m: int, shift: float) -> float:
    """Share of n seeds beside m, truly better by `shift` margins, called EQUIVALENT; many seeds of each."""
    normal, known = 1 / n + 1 / m, 1 / n + (1 + shift * MARGIN) ** 2 / m
    return float(scipy.stats.norm.sf(scipy.stats.norm.isf(0.05) * (normal / known) ** 0.5))


@pytest.mark.parametrize("shift", [1, -1])
def test_the_margins_own_error_is_as_the_formula_says(shift: int) -> None:
    rng, n = np.random.default_rng(0), 40
    found = []
    for _ in range(1500):
        x, y = 1 + shift * MARGIN + 0.2 * rng.standard_normal(n), 1 + 0.2 * rng.standard_normal(n)
        found.append(verdicts.tested(x, y, np.zeros(2), MARGIN)["p_equivalence"] < 0.05)
    share = called_equivalent(n, n, shift)
    assert abs(np.mean(found) - share) < 3.5 * (share / 1500) ** 0.5
    assert (share > 0.05) == (shift > 0)


def test_the_page_has_these_shares() -> None:
    text = " ".join(PAGE.read_text(encoding="utf-8").split())
    better, worse = (
        [f"{100 * called_equivalent(n, m, shift):.1f} %" for n, m in ((20, 20), (20, 60), (20, 10))]
        for shift in (1, -1)
    )
    assert f"{better[0]} with equal numbers of seeds, in {better[1]} with 20 seeds beside 60" in text
    assert f"in {better[2]} with 20 beside 10" in text
    assert "in {}, {} and {}.".format(*worse) in text
    assert f"five of five seeds at 500 in {100 * 0.75**5:.0f} % of all cases" in text


def test_seeds_at_a_bound_may_be_called_equivalent_though_a_quarter_of_all_trainings_fail() -> None:
    """Their true means, 380 and 499.9, are further apart than the margin of 96."""
    x, y = np.full(5, 500.0), np.array([500.0] * 19 + [498.0])
    row = verdicts.tested(x, y, np.full(5, 20.0), MARGIN)
    row |= {"implementation": "ours", "reference": "sb3/ppo", "failed_seeds": "", "p_holm": 1.0}
    apart = 499.9 - (0.75 * 500 + 0.25 * 20)
    assert verdicts.decide(row)[0] == "EQUIVALENT" and apart > MARGIN * 479.9
