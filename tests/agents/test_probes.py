"""Agents know the values of six small environments, and agents with a planted bug do not."""

from __future__ import annotations

import pytest
from probes import GAMMA, MONTE_CARLO_CUT, PROBES, applies, has_values, learn, read, readings, tolerance
from small import CONFIGURATIONS, build

from rlparity import registry
from rlparity.suites import hyperparameters
from rlparity.transitions import Step

pytestmark = pytest.mark.probes

TABLE = [(a, p) for a in CONFIGURATIONS for p in PROBES if applies(a, p)]


@pytest.mark.parametrize(("algorithm", "probe"), TABLE)
def test_probe(algorithm: str, probe: str):
    for reading in readings(algorithm, probe):
        assert reading.error <= tolerance(reading), reading


def test_the_table_leaves_out_only_what_has_no_opinion():
    """By what agents are built of: all six probes of a kind of action where they learn values, else two."""
    for algorithm in CONFIGURATIONS:
        agent = hyperparameters.library().algorithms[algorithm].agent
        many = 0 if agent == "random" else 6 if has_values(build(algorithm)) else 2
        for kind in ("discrete", "continuous"):
            own = [p for p in PROBES if PROBES[p].continuous == (kind == "continuous")]
            expected = many if kind in registry.AGENTS[agent].actions else 0
            assert sum(applies(algorithm, p) for p in own) == expected, (algorithm, kind)
    policies = {a for a in CONFIGURATIONS if sum((a, p) in TABLE for p in PROBES) == 2}
    assert policies == {"reinforce", "reinforce-togo", "reinforce-discounted", "reinforce-baseline"}


@pytest.mark.parametrize(("algorithm", "mistaken"), [("td3", 25 / 7), ("ddpg", 25 / 7), ("sac", 25 / 7)])
def test_a_continuous_learner_that_takes_a_cut_for_an_end_fails_by_as_much_as_it_must(
    algorithm: str, mistaken: float
):
    """Squared errors: Q = 1 + 4/5 * 0.9 Q."""
    agent = learn(algorithm, "cut, not ended, continuous", spoil=cut_is_an_end)
    for reading in read(agent, algorithm, "cut, not ended, continuous"):
        assert reading.learned == pytest.approx([mistaken] * 3, abs=0.5)


def cut_is_an_end(step: Step) -> Step:
    return step._replace(discount=1 - step.last)


def nothing_ends(step: Step) -> Step:
    return step._replace(discount=step.discount.new_ones(step.discount.shape))


def blind(step: Step) -> Step:
    return step._replace(obs=step.obs.new_zeros(step.obs.shape))


def gae_fixed_point(lam: float) -> float:
    """V that the lambda-returns of games treated as whole average to.

    k = 1 to 5 steps before the cut: A = sum_{i<k-1} c^i (1 - 0.1 V) + c^(k-1) (1 - V) with
    c = 0.9 lambda; the A add up to 0.
    """
    c = GAMMA * lam
    within = sum(c**i for k in range(1, 6) for i in range(k - 1))
    final = sum(c ** (k - 1) for k in range(1, 6))
    return (within + final) / (within * (1 - GAMMA) + final)


@pytest.mark.parametrize(
    ("algorithm", "mistaken"),
    [
        ("dqn", 7.5),  # Huber: four pulls of 1 - 0.1 Q upwards balance one of at most 1 downwards
        ("dqn-2013", 25 / 7),  # squares: Q = 1 + 4/5 * 0.9 Q
        ("qrdqn", 25 / 7),  # the mean of what such games would return
        ("ppo", gae_fixed_point(0.95)),
        ("a2c", gae_fixed_point(1.0)),
    ],
)
def test_a_learner_that_takes_a_cut_for_an_end_fails_by_as_much_as_it_must(algorithm: str, mistaken: float):
    agent = learn(algorithm, "cut, not ended", spoil=cut_is_an_end)
    for reading in read(agent, algorithm, "cut, not ended"):
        assert reading.learned == pytest.approx([mistaken] * 3, abs=0.5)
        assert reading.error > 20 * tolerance(reading)


def test_a_learner_that_never_sees_an_end_takes_one_reward_for_an_endless_stream():
    agent = learn("dqn", "constant reward", spoil=nothing_ends)
    assert read(agent, "dqn", "constant reward")[0].learned == pytest.approx([10] * 3, abs=0.2)


@pytest.mark.parametrize("algorithm", ["ppo", "dqn"])
def test_a_learner_without_observations_cannot_choose_from_them(algorithm: str):
    agent = learn(algorithm, "choose from observation", spoil=blind)
    found = read(agent, algorithm, "choose from observation")
    assert max(reading.error for reading in found) > 0.5


def test_without_bootstrapping_whole_return_and_one_step_lookahead_agree_on_what_a_cut_game_is_worth():
    assert gae_fixed_point(1.0) == pytest.approx(MONTE_CARLO_CUT)
    assert gae_fixed_point(0.0) == pytest.approx(25 / 7)
