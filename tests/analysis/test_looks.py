"""Pairs that are looked at until decided: verdicts and the table of looks, from made-up scores."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from rlparity.analysis import tables, verdicts
from rlparity.analysis.decisions import looks
from rlparity.analysis.group_sequential import design
from rlparity.analysis.group_sequential.design import Design

pytestmark = pytest.mark.paper
LOOKS = (5, 10, 15)
FLOOR = [20.0, 22.0, 18.0, 20.0, 20.0]


def spread(mean: float, sd: float, n: int) -> np.ndarray:
    """n values whose first 5, 10, 15, ... have that mean, and about that spread; none is there twice."""
    block = np.arange(n) // 5
    return mean + sd * (1 + 1e-3 * block) * np.tile([-1.2, -0.6, 0.0, 0.6, 1.2], n // 5)


def judge(first: int = 0, **arms: Any) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Verdicts and looks of arms, each (ours, reference) with keys `ours` by seed from `first` on."""
    keys = arms.pop("plan", {})
    rows = [*scored("scratch", "random", FLOOR, 0), *scored("scratch", "random", FLOOR, 0, "final")]
    for name, (x, y) in arms.items():
        for endpoint in ("auc", "final"):
            rows += scored("scratch", name, x, first, endpoint) + scored("sb3", name, y, 0, endpoint)
    plan = {
        "margin": 0.2,
        "looks": {"first": first, "seeds": list(LOOKS)},
        "algorithms": {name: {"agent": name, "reference": name} for name in arms}
        | {"random": {"agent": "random", "reference": None}},
        "environments": {"CartPole-v1": {"algorithms": [*arms, "random"]}},
        **keys,
    }
    table = tables.frame("scores", rows)
    made = verdicts.verdicts(table, plan), verdicts.look_table(table, plan)
    return made[0].set_index(["algorithm", "endpoint"]), made[1].set_index(["algorithm", "look"])


def scored(who: str, algorithm: str, values: Any, first: int, endpoint: str = "auc") -> list[dict[str, Any]]:
    keys = {"implementation": who, "algorithm": algorithm, "environment": "CartPole-v1", "metric": "return"}
    return [
        {**keys, "seed": first + i, "endpoint": endpoint, "value": value} for i, value in enumerate(values)
    ]


REFERENCE = spread(120, 10, 60)


def test_a_pair_ends_at_the_look_that_decides_it() -> None:
    found, taken = judge(ppo=(spread(121, 5, 5), REFERENCE), a2c=(spread(40, 5, 5), REFERENCE))
    assert found.verdict.to_dict() == {
        **{("ppo", end): "EQUIVALENT" for end in ("auc", "final")},
        **{("a2c", end): "WORSE" for end in ("auc", "final")},
    }
    assert found.p_holm.isna().all() and set(found.family_size) == {2} and set(found.seeds_needed) == {""}
    assert taken.verdict.to_dict() == {("ppo", 1): "EQUIVALENT", ("a2c", 1): "WORSE"}
    assert taken.information.iloc[0] == pytest.approx((1 / (1 / 5 + 1 / 60)) / (1 / (1 / 15 + 1 / 60)))


def test_an_undecided_pair_asks_for_the_next_look_until_there_is_none() -> None:
    for n, reason in ((5, "look 1 of 3: not decided yet"), (15, "not decided at the last of 3 looks")):
        found, taken = judge(ppo=(spread(105, 40, n), REFERENCE))
        assert set(found.verdict) == {"INCONCLUSIVE"} and found.reason["ppo", "auc"] == reason
        assert list(taken.seeds_implementation) == list(LOOKS[: n // 5]) and set(taken.verdict) == {""}


def test_seeds_between_two_looks_do_not_count_yet() -> None:
    found, taken = judge(ppo=(np.r_[spread(105, 40, 5), spread(121, 1, 5)[:3]], REFERENCE))
    assert len(taken) == 1 and found.reason["ppo", "auc"] == "look 1 of 3: not decided yet"


def test_boundaries_are_the_designs_and_fall_when_another_pair_is_answered() -> None:
    _, taken = judge(ppo=(spread(105, 40, 15), REFERENCE), a2c=(spread(40, 5, 5), REFERENCE))
    one = Design(60, LOOKS)
    np.testing.assert_allclose(taken.boundary_difference["ppo"], one.difference())  # a2c is WORSE at once
    np.testing.assert_allclose(taken.boundary_equivalence["ppo"], one.equivalence(2))
    np.testing.assert_allclose(taken.boundary_difference["a2c"], one.difference(2)[:1])
    own, _ = judge(ppo=(spread(105, 40, 15), REFERENCE), plan={"family": "row"})
    assert set(own.family_size) == {1}


def test_what_was_decided_early_is_not_taken_back_by_later_seeds() -> None:
    """Later seeds that are there, of an older design, change nothing: the pair had ended."""
    later = np.r_[spread(121, 5, 5), spread(20, 5, 10)]
    found, taken = judge(ppo=(later, REFERENCE))
    assert found.verdict["ppo", "auc"] == "EQUIVALENT" and list(taken.index) == [("ppo", 1)]


def test_a_pair_whose_reference_cannot_decide_is_not_looked_at_and_does_not_count() -> None:
    dull = spread(20.5, 2, 60)
    found, taken = judge(
        ppo=(spread(121, 5, 5), REFERENCE), a2c=(spread(121, 5, 5), dull), dqn=([], [120.0] * 3)
    )
    assert found.verdict["a2c", "auc"] == verdicts.DID_NOT_LEARN and found.family_size["ppo", "auc"] == 1
    assert "a2c" not in taken.index.get_level_values(0)


def test_a_failed_seed_ends_the_looks_undecided() -> None:
    lost = spread(105, 40, 10)
    lost[7] = np.nan
    found, taken = judge(100, ppo=(lost, REFERENCE))
    assert found.reason["ppo", "auc"] == "failed seeds 107 after look 1 of 3: no further look"
    assert len(taken) == 1
    unfinished, _ = judge(100, ppo=(lost, REFERENCE), plan={"interim": True})
    assert unfinished.reason["ppo", "auc"] == "look 1 of 3: not decided yet"


def test_a_verdict_that_rests_on_a_reference_that_lost_a_seed_is_withheld() -> None:
    lost = REFERENCE.copy()
    lost[3] = np.nan
    found, _ = judge(ppo=(spread(121, 5, 5), lost))
    assert (
        found.verdict["ppo", "auc"] == "INCONCLUSIVE" and "but for failed seeds" in found.reason["ppo", "auc"]
    )


def test_lower_is_better_turns_the_verdict_and_the_shown_z() -> None:
    metric = {"name": "return", "unit": "points", "better": -1, "floor": "random"}
    place = {"environments": {"CartPole-v1": {"algorithms": ["ppo", "random"], "metrics": [metric]}}}
    y = spread(10, 1, 60)
    found, taken = judge(ppo=(spread(18, 0.5, 5), y), plan=place)
    assert found.verdict["ppo", "auc"] == "WORSE" and found.difference["ppo", "auc"] == pytest.approx(8)
    assert taken.z_difference["ppo", 1] > 0


def test_a_secondary_endpoint_is_asked_once_at_the_look_that_ended_its_pair() -> None:
    """Later seeds, of an older design, would show a difference; those of that look do not."""
    rows = {"auc": spread(121, 5, 15), "final": np.r_[spread(112, 30, 5), spread(60, 3, 10)]}
    scores = [*scored("scratch", "random", FLOOR, 0), *scored("scratch", "random", FLOOR, 0, "final")]
    for endpoint, x in rows.items():
        scores += scored("scratch", "ppo", x, 0, endpoint) + scored("sb3", "ppo", REFERENCE, 0, endpoint)
    plan = {
        "margin": 0.2,
        "looks": {"first": 0, "seeds": list(LOOKS)},
        "algorithms": {
            "ppo": {"agent": "ppo", "reference": "ppo"},
            "random": {"agent": "random", "reference": None},
        },
        "environments": {"CartPole-v1": {"algorithms": ["ppo", "random"]}},
    }
    found = verdicts.followed(tables.frame("scores", scores), plan)
    primary, secondary = found
    assert (primary.verdict, primary.look, secondary.verdict) == ("EQUIVALENT", 1, "")
    assert looks.verdict(secondary) == ("", "not decided at the look that ended its pair")
    assert np.isfinite(secondary.difference).tolist() == [True, False, False]


def test_what_has_no_spread_is_never_equivalent() -> None:
    """All at the bound: there is nothing to see, however far the floor is and whatever spread that has."""
    full = [500.0] * 60
    found, taken = judge(ppo=([500.0] * 15, full), a2c=([450.0] * 15, full))
    assert found.verdict["ppo", "auc"] == "NO VERDICT" and found.verdict["a2c", "auc"] == "INCONCLUSIVE"
    assert found.reason["ppo", "auc"] == "all at the ceiling, 15 and 60 seeds"
    assert taken.z_difference.isna().all() and taken.z_equivalence.isna().all()


def test_few_seeds_at_a_bound_do_not_look_equivalent() -> None:
    """One margin worse, as 21 % of the seeds fail: without the rule five that all succeed decide."""
    rng, n, wrong, before = np.random.default_rng(3), 300, 0, 0
    y, floor = np.full(60, 500.0), np.array(FLOOR)
    bounds = (0.0, 500.0)
    for _ in range(n):
        x = np.where(rng.random(15) < 96 / 460, 40.0, 500.0)  # the margin is 96, a failure costs 460
        parts = [(x[:k], y) for k in LOOKS]
        own = np.array([looks._asked(*part, floor, 0.2, bounds) for part in parts])
        plain = np.array(
            [design.z_scores(*map(design.Sample.of, (*part, floor)), 0.2) for part in parts], dtype=float
        )
        for z, count in ((own, "wrong"), (plain, "before")):
            verdict = design.run([Design(60, LOOKS)], z[None, None, :, 0], z[None, None, :, 1]).verdict
            wrong += count == "wrong" and verdict.item() == design.EQUIVALENT
            before += count == "before" and verdict.item() == design.EQUIVALENT
    assert wrong == 0 and before / n > 0.2


def test_an_arm_without_a_finished_seed_could_not_be_judged() -> None:
    found, taken = judge(ppo=([np.nan] * 5, REFERENCE))
    assert found.verdict["ppo", "auc"] == "NO VERDICT"
    assert found.reason["ppo", "auc"] == "no finished seed: could not be judged" and taken.empty


def test_a_seed_that_failed_after_the_decision_takes_nothing_back() -> None:
    later = np.r_[spread(121, 5, 5), [np.nan] * 5]
    found, _ = judge(ppo=(later, REFERENCE))
    assert found.verdict["ppo", "auc"] == "EQUIVALENT" and found.failed_seeds["ppo", "auc"] != ""


@pytest.mark.parametrize(("shift", "most"), [(0.0, "difference"), (-1.0, "equivalence")])
def test_verdicts_of_looks_err_as_rarely_as_the_design(shift: float, most: str) -> None:
    """3,000 families of two pairs of normal seeds, one question asked alone: within three standard errors of
    5 %, and near it; with the boundaries of one pair, or of one look, far above."""
    rng, n = np.random.default_rng(int(7 + shift)), 3000
    z = np.empty((n, 2, len(LOOKS), 2))
    for pair in range(2):
        y, floor = rng.normal(100, 15, (n, 60)), rng.normal(20, 0.5, (n, 10))
        x = rng.normal(100 + 16 * shift, 15, (n, LOOKS[-1]))  # the margin is 0.2 (100 - 20)
        samples = design.Sample.of(y), design.Sample.of(floor)
        for k, seeds in enumerate(LOOKS):
            z[:, pair, k] = np.stack(design.z_scores(design.Sample.of(x[:, :seeds]), *samples, 0.2), -1)
    nothing = np.full(z.shape[:3], np.nan)
    asked = (z[..., 0], nothing) if most == "difference" else (nothing, z[..., 1])
    one = Design(60, LOOKS)
    wrong = (design.run([one] * 2, *asked).verdict != design.UNDECIDED).any(-1).mean()
    edge = 3 * (0.05 * 0.95 / n) ** 0.5
    assert 0.03 < wrong < 0.05 + edge
    alone = one.difference() if most == "difference" else one.equivalence()
    without_holm = (np.abs(asked[most == "equivalence"]) >= alone).any((-1, -2)).mean()
    assert without_holm > 0.05 + edge
