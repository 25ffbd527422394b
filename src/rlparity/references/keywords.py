"""Stable-Baselines3's constructor arguments for settings as `rlparity dev settings` prints them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from stable_baselines3.common.noise import NormalActionNoise

from rlparity.errors import UserError
from rlparity.references.sb3_models import keywords
from rlparity.suites.hyperparameters import MEANS, OURS

ENVIRONMENT = {"n_envs", "normalize"}  # settings that no constructor takes: of the environments


def reference_keywords(
    settings: Mapping[str, Any], n_actions: int | None = None, images: bool = False
) -> dict[str, Any]:
    """The keyword arguments with which `PPO("MlpPolicy", env, **reference_keywords(settings))` is the
    reference of a block of settings; so for A2C, DQN, QR-DQN, DDPG, TD3, SAC and TRPO.

    `settings` are by Stable-Baselines3's names, from `rlparity dev settings`, `{settings}` or what a factory
    is given: a schedule becomes a function, the network and its start become `policy_kwargs`. `n_envs` and
    `normalize` are left out: the environments need them. `n_actions` is the number of components of an
    action, needed where `noise_std` is not 0. With `images` the policy is Nature's `CnnPolicy`, which has no
    `net_arch` here.

    Raises UserError for a variant that Stable-Baselines3 does not have, such as `double_q`.
    """
    values = {name: value for name, value in settings.items() if name not in ENVIRONMENT | MEANS}
    for name in OURS & values.keys():
        if name in PLAIN and values[name] != PLAIN[name]:
            raise UserError(f"{name}: Stable-Baselines3 has no {name} = {values[name]!r}")
        del values[name]
    noise = values.pop("noise_std", 0.0)
    if images:
        values.pop("net_arch", None)
    found = keywords(values)
    if noise:
        if n_actions is None:
            raise UserError(f"noise_std: {noise:g} needs n_actions, the number of components of an action")
        found["action_noise"] = NormalActionNoise(np.zeros(n_actions), np.full(n_actions, noise))
    return found


PLAIN = {  # values of OURS at which Stable-Baselines3 does the same; the others have no effect then
    "target_network": True,
    "double_q": False,
    "loss": "huber",
    "cnn": "nature",
    "dueling": False,
    "prioritized": False,
    "line_search": True,
    "kl_components": "mean",
}
