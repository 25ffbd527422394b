"""What an environment must keep to: the same seed and actions give the same steps, and episodes end."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from itertools import chain

import gymnasium as gym
import numpy as np

from rlparity.environments.probing.copies import Copy, Outcome, Refused

STEPS = 200  # of each course that is compared
COURSE_S = 10.0  # a slow environment is stepped for as long as this, and compared as far
END_STEPS = 10_000  # within which an end must be seen where no time limit is known
TIME_LIMIT = 100_000  # steps; a longer one counts as none
CONSTANT = 4  # actions that are held for an end
END_S = 60.0

Make = Callable[[], gym.Env]
Now = Callable[[str], None]


def actions(space: gym.Space, seed: int) -> Iterator[np.ndarray | np.integer]:
    """Every action once, or both bounds and their middle; then uniformly random ones. As arms give them:
    numpy's int64, or float32 within the bounds."""
    rng = np.random.default_rng(seed)
    if isinstance(space, gym.spaces.Discrete):
        yield from (np.int64(action) for action in range(min(int(space.n), STEPS // 4)))
        while True:
            yield np.int64(rng.integers(space.n))
    assert isinstance(space, gym.spaces.Box)
    low, high = space.low.astype(np.float32), space.high.astype(np.float32)
    yield from (low, high, (low + high) / 2)
    while True:
        yield np.clip(low + rng.random(low.shape, dtype=np.float32) * (high - low), low, high)


def course(copy: Copy, seed: int, n_steps: int, chosen: int = 0) -> Iterator[Outcome]:
    """Reset with a seed, then step and reset without one; outcomes as they come."""
    np.random.seed(chosen + 1)  # shared generators must not decide anything
    random.seed(chosen + 1)
    yield copy.reset(seed)
    for _, action in zip(range(n_steps), actions(copy.env.action_space, seed), strict=False):
        found = copy.step(action)
        yield found
        if found.ended or found.cut:
            yield copy.reset()


def timed(outcomes: Iterator[Outcome]) -> list[Outcome]:
    """As many as come within COURSE_S."""
    started, found = time.monotonic(), []
    for outcome in outcomes:
        found.append(outcome)
        if time.monotonic() - started > COURSE_S:
            break
    return found


def check_same(make: Make, now: Now, notes: list[str]) -> int:
    """Refused unless the same seed and actions give the same: in a new copy beside another one, and in one
    that was used before. Returns the number of outcomes that were compared."""
    used = Copy(make, now, notes)
    first = timed(course(used, 0, STEPS))
    fresh, beside = Copy(make, now, notes), Copy(make, now, notes)
    neighbour = course(beside, 1, STEPS * 2)
    both = chain.from_iterable(zip(course(fresh, 0, STEPS, 1), neighbour, strict=False))
    second = [outcome for i, outcome in enumerate(both) if i % 2 == 0 and i // 2 < len(first)][: len(first)]
    if problem := difference(first, second):
        alone = Copy(make, now, notes)
        again = list(_upto(course(alone, 0, STEPS, 2), len(first)))
        if difference(first, again):
            raise Refused(
                f"two copies with the same seed and actions differ in {problem}; draw from self.np_random, "
                "which reset(seed=...) seeds"
            )
        raise Refused(f"a copy differs in {problem} if another one is stepped beside it: they share state")
    if problem := difference(first, list(_upto(course(used, 0, STEPS, 3), len(first)))):
        raise Refused(
            f"a copy that was used before differs from a new one in {problem} after reset(seed=0): reset "
            "leaves state behind"
        )
    for copy in (used, fresh, beside):
        copy.close()
    return len(first)


def _upto(outcomes: Iterator[Outcome], n: int) -> Iterator[Outcome]:
    return (outcome for _, outcome in zip(range(n), outcomes, strict=False))


def difference(first: list[Outcome], second: list[Outcome]) -> str:
    """Where two courses differ first; empty where they do not."""
    step = -1
    for one, other in zip(first, second, strict=False):
        step += 1
        if what := one.same(other):
            return f"the {what} {f'of step {step}' if step else 'of the first reset'}"
    return ""


def check_end(make: Make, now: Now, notes: list[str]) -> None:
    """Refused for an environment without a known time limit in which no end is seen: by random actions, and
    by holding single ones, as a deterministic policy may."""
    copy = Copy(make, now, notes)
    space = copy.env.action_space
    limit = copy.env.spec.max_episode_steps if copy.env.spec is not None else None
    if limit is None or limit > TIME_LIMIT:
        _until_end(copy, actions(space, 2), "random actions", limit)
        for action in _held(space):
            _until_end(copy, iter(lambda: action, None), f"the action {action}", limit)  # noqa: B023
    copy.close()


def _until_end(copy: Copy, chosen: Iterator[object], what: str, limit: int | None) -> None:
    started = time.monotonic()
    copy.reset(2)
    n = 0
    for n, action in enumerate(chosen, 1):
        found = copy.step(action)
        if found.ended or found.cut:
            return
        if n >= END_STEPS or time.monotonic() - started > END_S:
            break
    known = "no time limit" if limit is None else f"a time limit of {limit:,} steps"
    raise Refused(
        f"no end was seen in {n:,} steps of {what}, and it has {known}; evaluation waits for ends: give it "
        "max_episode_steps in the suite"
    )


def _held(space: gym.Space) -> list[object]:
    if isinstance(space, gym.spaces.Discrete):
        return [np.int64(i) for i in np.linspace(0, space.n - 1, min(int(space.n), CONSTANT)).astype(int)]
    assert isinstance(space, gym.spaces.Box)
    return [end.astype(np.float32) for end in (space.low, space.high, (space.low + space.high) / 2)]
