"""The contract of candidates: a good one passes, and every violation is reported in one line."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
import small  # noqa: F401  (one thread)

from examples import misbehaving
from examples.tiny_ppo import TinyPPO
from rlparity.errors import UserError
from rlparity.training.recorder import Recorder
from rlparity.validation.checks import Check
from rlparity.validation.contract import check as contract
from rlparity.validation.contract.candidates import entry_point
from rlparity.validation.contract.candidates.traced_training import Trace

pytestmark = pytest.mark.probes

TRAINS, STEPS = (
    "trains for the whole budget",
    "steps are Gymnasium's, termination apart from truncation",
)
STREAMS, AGAIN = "sub-environments and seeds share no random stream", "the same seed gives the same run"
EVALUATION, ALONE = "evaluation does not change training", "actions depend on their own observation alone"
STARTS = "episodes start from new states"
ROUND_TRIP = "save and load"
BROKEN = [
    ("Hangs", TRAINS, r"nothing happened for 0\.5 s"),
    (
        "Crashes",
        TRAINS,
        r"train raised FloatingPointError: the loss is not what it was \(misbehaving\.py, line \d+\)",
    ),
    ("Exits", TRAINS, "train raised SystemExit: 3"),
    (
        "StepsNaN",
        TRAINS,
        "sub-environment 0 was given float32 of shape .1,. for actions; expected an integer",
    ),
    ("TrainsTooLittle", TRAINS, "ended training after 1,000 of 1,024 steps"),
    ("UsesWorkers", TRAINS, "in the process that trains, not in workers"),
    ("GoesOnAfterTheEnd", TRAINS, "stepped before a reset, or after its episode had ended"),
    ("ReportsNormalisedReturns", TRAINS, r"reports a return of .* for episode 1; it was"),
    ("ReportsGamesOfItsOwn", TRAINS, r"reports \d+ episodes; \d+ ended"),
    ("Incomplete", TRAINS, r"gave a Incomplete, which has no method act\(obs, deterministic\)"),
    ("OtherArguments", TRAINS, r"train cannot be called with \(make_env, seed, budget\)"),
    ("breaks", TRAINS, "the factory raised KeyError: 'hidden_units'"),
    ("SharesSeeds", STREAMS, "both were reset with seed=1; leave it out"),
    (
        "SharesOneStream",
        STREAMS,
        "sub-environment 0 of seed 0 and sub-environment 0 of seed 0 share a random stream",
    ),
    ("RepeatsItsGames", STARTS, r"have 1 starting states, by reset\(seed=0\)"),
    ("Unseeded", AGAIN, r"actions differ from step \d+ on"),
    ("IgnoresItsSeed", "another seed gives another run", "seeds 0 and 1 choose the same 299 actions"),
    ("LearnsFromEvaluation", EVALUATION, "actions differ from step"),
    ("ActsNaN", EVALUATION, "act gave float64"),
    ("WrongDtype", EVALUATION, r"act gave float32 of shape \(5,\) for actions; expected integers"),
    (
        "WrongShape",
        EVALUATION,
        r"act gave int64 of shape \(5, 1\) for actions; expected integers of shape \(5,\)",
    ),
    ("OutOfRange", EVALUATION, "act gave action 2; allowed are 0 to 1"),
    ("LooksAtTheBatch", ALONE, "actions depend on the other observations"),
    ("NeverSamples", ALONE, "1280 sampled actions are the deterministic ones"),
    ("LoadsNothing", ROUND_TRIP, "other actions for 64 observations after load"),
    ("SavesOnly", ROUND_TRIP, "it has no load"),
]


def failures(checks: list[Check]) -> dict[str, str]:
    return {check.name: check.detail for check in checks if not check.passed}


def test_a_candidate_that_keeps_its_contract_passes_in_seconds() -> None:
    started = time.process_time()
    checks = contract.check(misbehaving.Honest, "CartPole-v1", "ppo")
    assert failures(checks) == {} and len(checks) == 10
    assert {check.layer for check in checks} == {"contract"}
    details = {check.name: check.detail for check in checks}
    assert details[TRAINS].startswith("1,024 steps of 2 sub-environments")
    ends, limits = (int(word) for word in details[STEPS].split() if word.isdigit())
    assert ends > 5 and limits > 5  # both are met, or telling them apart means nothing
    assert details[EVALUATION] == "1,024 steps, evaluations at 0, 342, 684, 1024"
    assert time.process_time() - started < 10


def test_every_check_is_documented() -> None:
    """The guide lists each check by its name."""
    page = (Path(__file__).parents[2] / "docs" / "guide" / "validate.md").read_text(encoding="utf-8")
    cell = contract.brief_cell("CartPole-v1", "ppo", {}, 30)
    checks = entry_point.checks(cell, misbehaving.Honest, Trace(Recorder(cell)))
    assert len(checks) == 9
    assert [name for name in (TRAINS, *checks) if f"\n| {name} |" not in page] == []


def test_so_does_the_example_by_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    entry = str(Path(__file__).parents[2] / "examples" / "tiny_ppo.py:TinyPPO")
    checks = contract.check(entry, "CartPole-v1", "ppo", hyperparameters={"n_envs": 4})
    assert failures(checks) == {}
    assert "24 episodes" not in str(checks[0]) and "of 4 sub-environments" in str(checks[0])
    assert capsys.readouterr() == ("", "")
    assert failures(contract.check(TinyPPO, "Acrobot-v1", "ppo")) == {}  # sixteen sub-environments


@pytest.mark.parametrize(("name", "check", "line"), BROKEN, ids=[name for name, _, _ in BROKEN])
def test_what_breaks_the_contract_is_one_clear_line(name: str, check: str, line: str) -> None:
    limit = 0.5 if name == "Hangs" else 30
    found = failures(contract.check(getattr(misbehaving, name), "CartPole-v1", "ppo", time_limit_s=limit))
    assert check in found, found
    assert re.search(line, found[check]), found[check]
    assert "\n" not in found[check]


def test_a_candidate_may_reset_in_the_middle_of_an_episode() -> None:
    checks = contract.check(misbehaving.ResetsInMidGame, "CartPole-v1", "ppo")
    assert failures(checks) == {}
    details = {check.name: check.detail for check in checks}
    assert "episodes were reset before their end" in details[STARTS]


def test_a_candidate_may_swallow_what_ends_its_training() -> None:
    """One that waits for ever after any exception never meets one; one that stops at whatever it is, also
    those that no `except Exception` catches, has spent its budget all the same."""
    started = time.monotonic()
    for swallows in (misbehaving.SwallowsExceptions, misbehaving.SwallowsEverything):
        assert failures(contract.check(swallows, "CartPole-v1", "ppo", time_limit_s=100)) == {}
    assert time.monotonic() - started < 100, "it was ended by its time limit"


def test_what_does_not_exist_or_fit_is_one_line() -> None:
    for check in (lambda *a: contract.check(misbehaving.Honest, *a), lambda e, a: contract.check_agent(a, e)):
        with pytest.raises(UserError, match=r"unknown algorithm 'pop'.*did you mean 'ppo'"):
            check("CartPole-v1", "pop")
        with pytest.raises(UserError, match="'dqn' cannot act in 'Pendulum-v1', whose"):
            check("Pendulum-v1", "dqn")
        with pytest.raises(UserError, match="unknown environment 'CartPole-v9'"):
            check("CartPole-v9", "ppo")
