"""TRPO and sb3-contrib's on rollouts of real environments: the whole conjugate gradient in float32, and the
noise that sb3-contrib starts it from. (More, and in float64: test_parity.)"""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import gymnasium as gym
import pytest
import torch
from stable_baselines3.common.vec_env import DummyVecEnv

from rlparity.validation import paired_models
from rlparity.validation.double_precision import precision
from rlparity.validation.parity import compare as parity
from rlparity.validation.parity.recording import rollouts
from rlparity.validation.parity.recording.inputs import Recording
from rlparity.validation.parity.recording.trace import Difference, compare

pytestmark = pytest.mark.probes

UPDATES = 5
OPTIONS: dict[str, Any] = {
    "n_steps": 75,
    "batch_size": 64,
    "gamma": 0.95,
    "gae_lambda": 0.9,
    "learning_rate": 3e-3,
    "learning_rate_schedule": "linear",
    "n_critic_updates": 3,
}


def both_learn(environment: str, dtype: torch.dtype, **options: Any) -> tuple[Recording, list[Difference]]:
    """Five updates in two sub-environments, each with 3 epochs of 3 minibatches, the last one short; the
    differences of ours."""
    envs = DummyVecEnv([lambda: gym.make(environment)] * 2)
    both = paired_models.make("trpo", envs, {**OPTIONS, **options}, dtype, budget=150 * UPDATES)
    recording = Recording({name: x.detach().clone() for name, x in both.theirs().items()})
    with precision(dtype):
        rollouts.record(both, recording, UPDATES)
    assert len(recording.inputs) == UPDATES
    moved = [(x.detach() - recording.start[name]).abs().max() for name, x in both.theirs().items()]
    assert min(moved) > 1e-3
    trace = parity.replay(both, recording)
    return recording, list(compare(trace, recording.trace, recording.start, UPDATES))


def largest(differences: list[Difference], *names: str) -> float:
    """Of the tensors of these names, or of all parameters."""
    chosen = (each for each in differences if (each.name in names if names else each.kind == "parameters"))
    return max(each.size for each in chosen)


@pytest.mark.parametrize("environment", ["CartPole-v1", "Pendulum-v1"])
def test_single_precision_agrees_to_four_digits(environment: str):
    _, differences = both_learn(environment, torch.float32)
    assert largest(differences) < 1e-4
    assert largest(differences, "line search success") == 0
    assert largest(differences, "policy objective", "kl divergence") < 1e-3


@pytest.mark.parametrize("options", [{}, {"sub_sampling_factor": 3, "normalize_advantage": False}], ids=str)
@pytest.mark.parametrize("environment", ["CartPole-v1", "Pendulum-v1"])
def test_four_steps_of_conjugate_gradient_agree_to_ten_digits(environment: str, options: dict[str, Any]):
    """With one component of action, no part of sb3-contrib is patched."""
    _, differences = both_learn(environment, torch.float64, cg_max_steps=4, **options)
    assert largest(differences) < 1e-10


def test_line_searches_fail_where_the_references_do():
    """A trust region that is far too wide, and no more than two trials in it: both outcomes occur."""
    options = {"target_kl": 20.0, "line_search_max_iter": 2, "cg_max_steps": 3}
    recording, differences = both_learn("Pendulum-v1", torch.float64, **options)
    assert largest(differences) < 1e-6
    success = "line search success"
    assert largest(differences, success) == 0
    assert {float(entry.value) for entry in recording.trace.entries if entry.name == success} == {0.0, 1.0}


def test_the_noise_that_sb3_contrib_starts_from_is_harmless(monkeypatch: pytest.MonkeyPatch):
    """1e-4 times normal numbers for the first guess: the answer is the same to three digits."""
    monkeypatch.setattr(rollouts, "from_zero", nullcontext)
    _, differences = both_learn("CartPole-v1", torch.float64)
    assert 1e-8 < largest(differences) < 2e-3
