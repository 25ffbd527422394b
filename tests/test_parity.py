"""Update parity: our agents are Stable-Baselines3's, and what is not is named."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from rlparity import agents, networks, targets
from rlparity.errors import UserError
from rlparity.validation import parity, parity_cases
from rlparity.validation.parity_cases import ALGORITHMS, CASES, PPO, Case
from rlparity.validation.parity_judgement import TOLERANCES, Floor, judge
from rlparity.validation.parity_trace import KINDS, Difference, Trace, compare, largest

torch.set_num_threads(1)
FEW = (1, 10)
LOSSES = {"policy_loss", "value_loss", "entropy_loss", "loss", "updates made so far"}
ROLLOUT = {f"rollout's {name}" for name in ("values", "log_probs", "advantages", "returns")}
CRITICS = {"target_q_values", "current_q_values[0]", "current_q_values[1]"}
SEEN = {  # what is compared besides gradients and parameters
    "a2c": {"advantages", "log_prob", *LOSSES, *ROLLOUT} - {"rollout's log_probs"},
    "ppo": {"advantages", "ratio", *LOSSES, *ROLLOUT},
    "trpo": {"advantages", "log_prob", "policy_objective", "value_loss", *ROLLOUT}
    | {f"line search: {name}" for name in ("policy_objective", "kl_divergence", "line_search_success")},
    "dqn": {"target_q_values", "current_q_values", "loss"},
    "qrdqn": {"target_quantiles", "current_quantiles", "loss"},
    "ddpg": {"target_q_values", "current_q_values[0]", "critic_loss", "actor_loss"},
    "td3": {*CRITICS, "critic_loss", "actor_loss"},
    "sac": {*CRITICS, "log_prob", "ent_coef_loss", "critic_loss", "actor_loss"},
}


def case_of(algorithm: str, name: str = "default") -> Case:
    (found,) = parity_cases.of(algorithm, name)
    return found


def found_in(case: Case, dtype: str = "float64", updates: int = 10) -> list[Difference]:
    """Every tensor of our agent beside SB3's."""
    twins = case.twins(getattr(torch, dtype))
    recording = parity.record(case, twins, updates)
    return list(compare(parity.replay(case, twins, recording), recording.trace, recording.start, updates))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_hundred_updates_in_doubles_are_the_references(algorithm: str):
    case = case_of(algorithm)
    finding = parity.compare_case(case, "float64")
    assert finding.passed, str(finding)
    sizes = {row.updates: row for row in finding.rows if row.quantity == "parameters"}
    assert set(sizes) == {1, 10, 100}
    assert sizes[1].max_relative_difference < 1e-12 and sizes[1].tolerance <= 1e-10
    if not case.amplified:
        assert {row.tolerance for row in finding.rows} == {1e-12}


@pytest.mark.parametrize("case", [case for case in CASES if case.name != "default"], ids=str)
def test_every_configuration_agrees(case: Case):
    finding = parity.compare_case(case, case.dtypes[0], FEW)
    assert finding.passed, str(finding)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_single_precision_agrees_to_four_digits(algorithm: str):
    finding = parity.compare_case(case_of(algorithm), "float32", FEW)
    assert finding.passed, str(finding)
    assert max(row.max_relative_difference for row in finding.rows) > 1e-9  # it is single precision


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_targets_and_losses_are_compared_not_only_parameters(algorithm: str):
    found = found_in(case_of(algorithm), updates=3)
    assert {each.name for each in found if each.kind in ("targets", "losses")} == SEEN[algorithm]
    gradients = {each.name for each in found if each.kind == "gradients"}
    learned = {each.name for each in found if each.kind == "parameters"}
    assert learned <= gradients | {"log_std"} or algorithm == "trpo"


def quarter_band(patch: pytest.MonkeyPatch) -> None:
    """P17: the larger of the two terms."""
    patch.setattr(
        agents.module("ppo"),
        "clipped_objective",
        lambda r, a, e: torch.max(r * a, r.clamp(1 - e, 1 + e) * a).mean(1),
    )
