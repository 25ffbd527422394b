"""Boundaries against published tables, and error by integration against simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats

from rlparity.analysis.group_sequential.boundaries import SPENDING, Looks

pytestmark = pytest.mark.paper


def equal(looks: int, sides: int = 2) -> Looks:
    return Looks(tuple((look + 1) / looks for look in range(looks)), sides)


@pytest.mark.parametrize(
    ("looks", "pocock", "obrien_fleming"),
    [(2, 2.178, 1.977), (3, 2.289, 2.004), (4, 2.361, 2.024), (5, 2.413, 2.040), (10, 2.555, 2.087)],
)
def test_constants_of_jennison_and_turnbull(looks, pocock, obrien_fleming):
    """Tables 2.1 and 2.3 of Jennison and Turnbull 2000: two-sided, alpha 0.05, equally spaced looks."""
    of = equal(looks)
    assert of.shaped(lambda t: 1.0, 0.05) == pytest.approx(pocock, abs=6e-4)
    assert of.shaped(lambda t: t**-0.5, 0.05)[-1] == pytest.approx(obrien_fleming, abs=6e-4)


def test_boundaries_of_lan_and_demets():
    """Five equally spaced looks, two-sided, alpha 0.05, as DeMets and Lan 1994 and `ldbounds` give them."""
    found = equal(5).spending("obrien-fleming", 0.05)
    assert found == pytest.approx([4.8769, 3.3569, 2.6803, 2.2898, 2.0310], abs=2e-4)
    found = equal(5).spending("pocock", 0.05)
    assert found == pytest.approx([2.4380, 2.4268, 2.4101, 2.3966, 2.3859], abs=2e-4)


def test_one_look_is_the_ordinary_test():
    assert Looks((1.0,), 2).spending("linear", 0.05) == pytest.approx([scipy.stats.norm.isf(0.025)])
    assert Looks((1.0,), 1).spending("pocock", 0.05) == pytest.approx([scipy.stats.norm.isf(0.05)])


@pytest.mark.parametrize("spending", SPENDING)
@pytest.mark.parametrize("sides", [1, 2])
def test_the_error_is_what_is_spent_and_all_of_it(spending, sides):
    looks = Looks((0.19, 0.36, 0.6, 1.0), sides)
    crossing = looks.crossing(looks.spending(spending, 0.05)).cumsum()
    spent = [SPENDING[spending](t, 0.05, sides) for t in looks.fractions]
    assert crossing == pytest.approx(spent, abs=1e-8) and crossing[-1] == pytest.approx(0.05)


def test_the_error_of_simulated_paths_is_nominal():
    """100,000 random walks at unequal times: the standard error of the share is 0.07 %."""
    looks = Looks((0.2, 0.35, 0.7, 1.0), 2)
    steps = np.sqrt(np.diff([0.0, *looks.fractions]))
    walks = (np.random.default_rng(0).standard_normal((100_000, 4)) * steps).cumsum(-1)
    z = walks / np.sqrt(looks.fractions)
    for drift in (0.0, 2.0):
        shifted = z + drift * np.sqrt(looks.fractions)
        crossed = np.abs(shifted) >= looks.spending("linear", 0.05)
        first = np.array([(crossed[:, k] & ~crossed[:, :k].any(-1)).mean() for k in range(4)])
        expected = looks.crossing(looks.spending("linear", 0.05), drift)
        assert first == pytest.approx(expected, abs=0.006 if drift else 0.002)


def test_a_look_with_nothing_to_spend_has_no_boundary():
    found = Looks((0.01, 1.0), 2).spending("obrien-fleming", 0.05)
    assert math.isinf(found[0]) and found[1] == pytest.approx(1.96, abs=1e-3)
