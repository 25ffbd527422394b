"""A family of pairs that is looked at until decided: by hand-made paths, and by simulation of normal data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.stats

from rlparity.analysis import statistics
from rlparity.analysis.group_sequential import design
from rlparity.analysis.group_sequential.boundaries import Looks
from rlparity.analysis.group_sequential.design import BETTER, EQUIVALENT, UNDECIDED, WORSE, Design, Sample

pytestmark = pytest.mark.paper
FEW = (5, 10, 20)
PAGE = Path(__file__).parents[3] / "docs" / "method" / "statistics-and-verdicts.md"


def test_information_comes_from_both_arms():
    """1 / (1/5 + 1/60) and 1 / (1/40 + 1/60) = 24: the first look has 19 % of all."""
    found = Design(reference=60).fractions
    assert found[0] == pytest.approx(1 / (1 / 5 + 1 / 60) / 24) and found[-1] == 1.0
    assert len(found) == 8 and Design(reference=10**9).fractions[0] == pytest.approx(5 / 40, rel=1e-6)


def test_holm_raises_the_level_once_a_pair_is_answered():
    one, two = Design(60, FEW), [Design(60, FEW)] * 2
    first, alone = one.difference(2), one.difference()
    assert (first > alone).all()
    np.testing.assert_allclose(design.levels(two, 2, 3), [[first, first], [alone, alone]])
    between = (first[0] + alone[0]) / 2  # enough for one pair of one, not of two
    quiet = np.zeros((1, 2, 3))
    z = quiet.copy()
    z[0, 0, 0] = between
    assert (design.run(two, z, quiet).verdict == UNDECIDED).all()
    z[0, 1, 0] = -first[0] - 1  # the other pair is answered, and leaves its level
    found = design.run(two, z, quiet)
    assert found.verdict.tolist() == [[BETTER, WORSE]] and found.look.tolist() == [[0, 0]]


def test_equivalence_is_asked_first_and_leaves_the_level_of_differences_alone():
    one = Design(60, FEW)
    large = np.full((1, 1, 3), 9.0)
    assert design.run([one], large, large).verdict.tolist() == [[EQUIVALENT]]
    two = [one] * 2
    equivalence, difference = np.zeros((1, 2, 3)), np.zeros((1, 2, 3))
    equivalence[0, 0, 0] = 9.0
    difference[0, 1] = (one.difference(2) + one.difference()) / 2
    assert design.run(two, difference, equivalence).verdict.tolist() == [[EQUIVALENT, UNDECIDED]]


def test_a_decided_pair_is_looked_at_no_more_and_no_number_answers_nothing():
    z = np.array([[[np.nan, 9.0, -9.0]]])
    found = design.run([Design(60, FEW)], z, np.full((1, 1, 3), np.nan))
    assert (found.verdict.item(), found.look.item()) == (BETTER, 1)


def test_pairs_of_a_family_have_looks_and_references_of_their_own():
    """Each has the boundaries of its own information; a pair is never decided beyond its looks."""
    designs = [Design(60, FEW), Design(20, (5, 10))]
    found = design.levels(designs, 2, 3)
    np.testing.assert_allclose(found[1, 0], designs[0].difference())
    np.testing.assert_allclose(found[0, 1, :2], designs[1].difference(2))
    assert np.isinf(found[:, 1, 2]).all()
    late = np.zeros((1, 2, 3))
    late[0, 1, 2] = 30.0
    assert (design.run(designs, late, np.zeros((1, 2, 3))).verdict == UNDECIDED).all()


def test_no_spread_answers_nothing():
    same = Sample.of(np.full((1, 5), 500.0))
    for other in (500.0, 400.0):
        z = design.z_scores(same, Sample.of(np.full((1, 20), other)), Sample.of(20.0), 0.2)
        assert np.isnan(z).all()


def test_scores_by_hand():
    """t is Welch's, with the degrees of freedom of the smaller arm; the margin has an error of its own."""
    rng = np.random.default_rng(0)
    x, y, floor = rng.normal(100, 9, 7), rng.normal(108, 12, 20), np.array([0.0, 2.0])
    difference, equivalence = design.z_scores(Sample.of(x), Sample.of(y), Sample.of(floor), 0.2)
    welch = statistics.welch(x, y)
    expected = scipy.stats.t.sf(abs(welch.difference) / welch.se, 6)
    assert scipy.stats.norm.sf(-difference) == pytest.approx(expected) and welch.difference < 0
    nearer = x.mean() - 0.8 * y.mean() - 0.2 * floor.mean()  # x against the value one margin below y
    error = (x.var(ddof=1) / 7 + 0.64 * y.var(ddof=1) / 20 + 0.04 * floor.var(ddof=1) / 2) ** 0.5
    assert scipy.stats.norm.sf(equivalence) == pytest.approx(scipy.stats.t.sf(nearer / error, 6))
    turned = design.z_scores(Sample.of(-x), Sample.of(-y), Sample.of(-1.0), 0.2)
    plain = design.z_scores(Sample.of(x), Sample.of(y), Sample.of(1.0), 0.2)
    assert (turned[0], turned[1]) == (pytest.approx(-plain[0]), pytest.approx(plain[1]))


@pytest.mark.parametrize("shift", [0.0, 1.0, -1.0])
def test_error_of_normal_data_over_all_looks(shift):
    """4,000 families of two pairs: false differences without one, false equivalences at the margin, at most
    5 % plus three standard errors."""
    rng, margin, n = np.random.default_rng(int(10 + shift)), 0.2, [Design(20, FEW)] * 2
    z = []
    for _ in range(2):
        y, floor = rng.normal(100, 15, (4000, 20)), rng.normal(0, 0.5, (4000, 10))
        x = rng.normal(100 * (1 + shift * margin), 15, (4000, 20))
        reference, zero = Sample.of(y), Sample.of(floor)
        z.append([design.z_scores(Sample.of(x[:, :k]), reference, zero, margin) for k in FEW])
    difference, equivalence = (
        np.stack([np.stack([look[k] for look in pair], -1) for pair in z], 1) for k in (0, 1)
    )
    found = design.run(n, difference, equivalence).verdict
    false = np.isin(found, [WORSE, BETTER] if shift == 0 else [EQUIVALENT]).any(-1).mean()
    assert false < 0.05 + 3 * (0.05 * 0.95 / 4000) ** 0.5
    assert (found == (EQUIVALENT if shift == 0 else BETTER if shift > 0 else WORSE)).mean() > 0.8


def test_arms_of_unequal_spread_err_as_the_page_says():
    """Looks with the information of other spreads than were planned for, of both questions."""
    planned = Design(60)
    worst = {}
    for ratio in (0.01, 0.5, 1.0, 2.0, 1e6):  # variance of the judged arm by that of the reference
        for weight, sides, boundaries in (
            (1.0, 2, planned.difference()),
            (0.8, 1, planned.equivalence()),
            (1.2, 1, planned.equivalence()),
        ):
            information = [1 / (ratio / n + weight**2 / 60) for n in planned.seeds]
            looks = Looks(tuple(one / information[-1] for one in information), sides)
            worst[ratio] = max(worst.get(ratio, 0.0), float(looks.crossing(boundaries).sum()))
    assert worst[0.01] < worst[0.5] < 0.05 < worst[1.0] < worst[2.0] < worst[1e6]
    page = " ".join(PAGE.read_text("utf-8").split())
    assert f"{100 * worst[1e6]:.1f} % at most instead of 5 %" in page
    assert f"with equal spreads {100 * worst[1.0]:.1f} % at most for a margin of 20 %" in page
