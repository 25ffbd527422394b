"""Stable-Baselines3's arguments for a block of settings: the same models as the references."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import pytest
import torch
from small import CONTINUOUS, cell
from stable_baselines3.common.vec_env import DummyVecEnv

from rlparity import registry
from rlparity.candidates import settings
from rlparity.errors import UserError
from rlparity.references.keywords import PLAIN, reference_keywords
from rlparity.references.sb3_models import build
from rlparity.suites import hyperparameters

NAMES = tuple(registry.REFERENCES)
ATTRIBUTES = (  # of SB3's models, beside their networks
    "gamma", "n_steps", "batch_size", "n_epochs", "gae_lambda", "ent_coef", "vf_coef", "max_grad_norm",
    "normalize_advantage", "target_kl", "clip_range_vf", "buffer_size", "learning_starts", "tau",
    "train_freq", "gradient_steps", "target_update_interval", "exploration_fraction",
    "exploration_initial_eps",
    "exploration_final_eps", "policy_delay", "target_policy_noise", "target_noise_clip", "target_entropy",
    "cg_max_steps", "cg_damping", "n_critic_updates", "line_search_max_iter", "sub_sampling_factor",
    "n_quantiles",
)  # fmt: skip


def spaces(environment: str) -> DummyVecEnv:
    return DummyVecEnv([lambda: gym.make(environment)])


def seen(model: Any) -> dict[str, Any]:
    """What a model computes with, to compare."""
    left = {name: getattr(model, name)(0.5) for name in ("lr_schedule", "clip_range") if hasattr(model, name)}
    noise = getattr(model, "action_noise", None)
    return {
        **{name: getattr(model, name) for name in ATTRIBUTES if hasattr(model, name)},
        **left,
        "noise": None if noise is None or not noise._sigma.any() else noise._sigma.tolist(),
        "policy": str(model.policy),
        "optimizer": str(getattr(model.policy, "optimizer", None) or model.policy.actor.optimizer),
    }


@pytest.mark.parametrize("name", NAMES)
def test_the_model_is_the_references(name: str) -> None:
    """Of the settings of hyperparameters.yaml with all defaults written out, as a program is given them."""
    made = cell(name)
    env = spaces(made.environment)
    reference = build(made, env, seed=3)
    given = settings.given(made)
    n_actions = env.action_space.shape[0] if name in CONTINUOUS else None
    own = registry.reference(name)("MlpPolicy", env, seed=3, **reference_keywords(given, n_actions))
    assert seen(own) == seen(reference)
    ours, theirs = own.policy.state_dict(), reference.policy.state_dict()
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_variants_that_the_reference_does_not_have_are_refused() -> None:
    with pytest.raises(UserError, match="double_q: Stable-Baselines3 has no double_q = True"):
        reference_keywords({"double_q": True})
    with pytest.raises(UserError, match=r"noise_std: 0\.1 needs n_actions"):
        reference_keywords({"noise_std": 0.1})
    assert reference_keywords({"noise_std": 0.0, "precision": "bfloat16"}) == {"policy_kwargs": {}}


def test_images_have_natures_network() -> None:
    assert reference_keywords({"net_arch": [64], "n_envs": 8}, images=True) == {"policy_kwargs": {}}


def test_what_stable_baselines3_does_is_the_default_of_our_agents() -> None:
    for name in NAMES:
        fields = hyperparameters.config(name)
        assert all(fields[key].default == value for key, value in PLAIN.items() if key in fields)
    assert hyperparameters.OURS - PLAIN.keys() == {"priority_exponent", "priority_correction"}
