"""Step an environment as both arms do: our own environments, and those of the reference."""

from __future__ import annotations

import copy
from importlib import import_module
from typing import Any

import numpy as np
import torch
from gymnasium import spaces

from rlparity import registry
from rlparity.environments import base
from rlparity.environments.base import Env
from rlparity.environments.guard import summary
from rlparity.environments.probing.copies import Refused
from rlparity.environments.probing.rules import Now, actions
from rlparity.transitions import Step

STEPS = 60
FEW_STEPS = 20  # of families of this project, whose steps the tests compare at length
SEEDS = [11, 12]  # of two sub-environments
SCALAR = (registry.GENERIC, registry.CONFIGURED)  # families in which both arms step the same environments


def check_ours(environment: str, now: Now) -> None:
    """Refused unless our own arm gives the same steps twice: for the same seeds in new environments, and in
    ones that are reset."""
    now("our own arm")
    used, fresh = (_call("our own arm", lambda: base.make(environment, [SEEDS])) for _ in range(2))
    first = _course(environment, used, now)
    used.reset([SEEDS])
    for one, again, anew in zip(
        first, _course(environment, used, now), _course(environment, fresh, now), strict=True
    ):
        for field, values in zip(one._fields, zip(one, again, anew, strict=True), strict=True):
            if not all(torch.equal(values[0], other) for other in values[1:]):
                raise Refused(f"our own arm gives another {field} for the same seeds and actions")
    for env in (used, fresh):
        env.close()


def _course(environment: str, env: Env, now: Now) -> list[Step]:
    chosen = [actions(_space(env), seed) for seed in SEEDS]
    found = []
    for n in range(_steps(environment)):
        now(f"step {n + 1} in our own arm")
        step = _call(
            "our own arm", env.step, torch.from_numpy(np.stack([next(each) for each in chosen]))[None]
        )
        found.append(Step(*(value.clone() for value in step)))
    return found


def _steps(environment: str) -> int:
    return STEPS if registry.family(environment) in SCALAR else FEW_STEPS


def _space(env: Env) -> spaces.Space:
    """The actions of our own environments as a space of Gymnasium."""
    spec = env.spec
    if spec.n_actions is not None:
        return spaces.Discrete(spec.n_actions)
    low, high = (np.array(end, dtype=np.float32) for end in (spec.action_low, spec.action_high))
    return spaces.Box(low.reshape(spec.action_shape), high.reshape(spec.action_shape))


def check_both(environment: str, now: Now) -> None:
    """Refused for an exception in one of the arms, and where the two get different steps."""
    family = registry.family(environment)
    now("our own arm")
    ours = _call("our own arm", lambda: base.make(environment, [SEEDS]))
    now("the reference's arm")
    theirs = _call(
        "the reference's arm", lambda: import_module(family.reference).make(environment, len(SEEDS))
    )
    theirs._seeds = list(SEEDS)
    obs = _call("the reference's arm", theirs.reset)
    chosen = [actions(theirs.action_space, seed) for seed in SEEDS]
    exact = family in SCALAR
    if exact and not np.array_equal(ours.obs[0].numpy(), np.asarray(obs, dtype=np.float32)):
        raise Refused("the arms differ in the first observation")
    for n in range(_steps(environment)):
        now(f"step {n + 1} in both arms")
        action = np.stack([next(each) for each in chosen])
        step = _call("our own arm", ours.step, torch.from_numpy(action)[None])
        obs, reward, done, infos = _call("the reference's arm", theirs.step, action)
        if exact:
            ends = np.stack([info.get("terminal_observation", o) for info, o in zip(infos, obs, strict=True)])
            pairs = {
                "observation": (step.next_obs, ends),
                "observation after a reset": (ours.obs, obs),
                "reward": (step.reward, reward),
                "end of an episode": (step.last, done),
            }
            for what, (mine, other) in pairs.items():
                if not np.array_equal(mine[0].numpy(), np.asarray(other, dtype=np.float32)):
                    raise Refused(f"the arms differ in the {what} of step {n + 1}")
    ours.close()
    theirs.close()


def resumes(environment: str, now: Now) -> bool:
    """Whether the state of an environment comes back from its generator and its actions, as checkpoints need.
    Families of this project answer for themselves, in the registry."""
    if registry.family(environment) not in SCALAR:
        return True
    now("resuming it")
    first: Env = base.make(environment, [SEEDS])
    chosen = [actions(_space(first), seed) for seed in SEEDS]

    def step(*envs: Env) -> list[Any]:
        action = torch.from_numpy(np.stack([next(each) for each in chosen]))[None]
        return [env.step(action) for env in envs]

    for _ in range(STEPS):
        step(first)
    first.pop_episodes()
    second: Env = base.make(environment, [[seed + 100 for seed in SEEDS]])
    try:
        second.resume(copy.deepcopy(first.snapshot()))
        if not torch.equal(first.obs, second.obs):
            return False
        for _ in range(STEPS):
            one, other = step(first, second)
            if not all(torch.equal(a, b) for a, b in zip(one, other, strict=True)):
                return False
    except Exception:
        return False
    finally:
        for env in (first, second):
            env.close()
    return True


def _call(arm: str, function: Any, *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except Exception as error:
        raise Refused(f"{arm} cannot use it: {summary(error)}") from error
