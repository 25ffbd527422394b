"""The file that `rlparity new candidate NAME` writes: a candidate that acts at random, to be filled in."""

from __future__ import annotations

import keyword
import re
from pathlib import Path

from rlparity.errors import UserError, not_written

TEXT = '''\
"""{title}: an implementation for `rlparity validate {file}:{maker}`.

It acts at random as it stands. `train` and `act` are all that is needed; what else may be there, such as
`save`, `load` and `update`, is described in docs/guide/validate.md.
"""

import numpy as np


class {maker}:
    def __init__(self, observation_space, action_space, hyperparameters):
        """`hyperparameters` are those of the reference, by Stable-Baselines3's names, with `n_envs`."""
        self.action_space, self.hyperparameters = action_space, dict(hyperparameters)

    def train(self, make_env, seed, budget):
        """Learn from `budget` environment steps. All randomness must follow from `seed`."""
        rng, self.acting = (np.random.default_rng([seed, use]) for use in range(2))
        env = make_env(0)  # make_env(1), ... are further ones side by side
        obs, _ = env.reset()  # without a seed: it has one
        while True:  # `step` raises an exception once the budget is spent
            obs, reward, terminated, truncated, _ = env.step(self.sample(rng))
            # TODO: learn here
            if terminated or truncated:
                obs, _ = env.reset()

    def act(self, obs, deterministic):
        """Actions for observations (E, *obs): integers (E,), or floats (E, *action). It must not learn."""
        # TODO: the policy's action; with `deterministic` the most likely one
        space = self.action_space
        middle = 0 if hasattr(space, "n") else (space.low + space.high) / 2
        actions = [middle if deterministic else self.sample(self.acting) for _ in obs]
        return np.asarray(actions, dtype=space.dtype)

    def sample(self, rng):
        space = self.action_space
        return int(rng.integers(space.n)) if hasattr(space, "n") else rng.uniform(space.low, space.high)
'''


def write(name: str, folder: Path) -> tuple[Path, str]:
    """Write `<name>.py` into a folder; returns the file and the name of its factory. Raises UserError."""
    module = name.removesuffix(".py")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", module) or keyword.iskeyword(module):
        raise UserError(
            f"new candidate: {name!r} is no name of a module; write letters, digits and _, my_ppo"
        )
    file, maker = folder / f"{module}.py", "".join(word.capitalize() for word in module.split("_"))
    if file.exists():
        raise UserError(f"new candidate: {file} is there already; choose another name")
    title = module.replace("_", " ")
    try:
        file.write_text(TEXT.format(title=title, file=file.name, maker=maker), encoding="utf-8")
    except OSError as error:
        raise not_written(error, f"new candidate: {file}: cannot be written ({error.strerror})") from None
    return file, maker
