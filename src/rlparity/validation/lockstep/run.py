"""Lock-step: a real run of Stable-Baselines3 beside our agent, environment step by environment step.

SB3 trains; after every step of its worlds, with all the learning that belongs to it, our agent takes the same
step, and the two are compared. Both start with the same weights and calculate in float64. Two modes:

- `replay`: our agent is handed SB3's transitions, and SB3's draws for learning (permutations, places in the
  replay memory, noise of targets and policies). Memory, advantages and targets, schedules, the moments of
  updates and the updates are its own.
- `own-actions`: it is handed draws alone, those for acting too, and acts in a task of its own
  (`rlparity.tasks`) whose worlds have the seeds of SB3's. Observations, actions, rewards and returns of
  episodes are compared as well.

What learning starts from is compared before what it leads to: the rollout with its advantages, or the
minibatch, field by field, and then every parameter. So the first difference names the culprit.

Some settings magnify rounding until no two programs stay together. A `nudged` copy of our agent, which starts
one unit in the last place off and is handed the same, tells them from faults: by the time that ours leaves
SB3, the copy has all but left ours.
"""

from __future__ import annotations

import time
from functools import partial
from typing import NamedTuple

from rlparity.validation.checks import Check, timed
from rlparity.validation.lockstep import cases
from rlparity.validation.lockstep.cases import Case
from rlparity.validation.lockstep.pair import Difference, Pair, Point

MODES = ("replay", "own-actions")
NEAR = 1e-3  # of the first difference: how far the nudged copy is by then, if rounding is the reason


class Run(NamedTuple):
    """What a lock-step run found."""

    case: Case
    mode: str  # of MODES
    env_steps: int  # that both learners took
    updates: int  # rollouts or minibatches that both learned from
    episodes: int
    cut: int  # episodes that the time limit ended
    curve: list[Point]  # of ours and SB3
    control: list[Point]  # of ours and its nudged copy, if there is one
    first: Difference | None  # of more than the case's tolerance
    seconds: float

    @property
    def largest(self) -> float:
        """The largest distance of a parameter on the way."""
        return max((point.distance for point in self.curve), default=0.0)

    @property
    def verdict(self) -> str:
        """`together`, `rounding` (they part as one of them does from itself) or `part`."""
        if self.first is None:
            return "together"
        before = [point.distance for point in self.control if point.env_step <= self.first.env_step]
        return "rounding" if before and before[-1] >= NEAR * self.first.size else "part"

    def __str__(self) -> str:
        if self.verdict == "together":
            length = (
                f"{self.env_steps:,} environment steps, {self.updates:,} updates, {self.episodes} episodes"
            )
            return f"together for {length} ({self.cut} cut): parameters within {self.largest:.0e}"
        also = ", as one of them does from itself" if self.verdict == "rounding" else ""
        return f"they part{also}: {self.first}"


def run(
    case: Case, own_actions: bool = False, stop: bool = True, control: bool = False, seed: int = 0
) -> Run:
    """Keep step with SB3 through a case; with `stop`, until the two part; with `control`, beside a nudged
    copy of our agent."""
    started = time.perf_counter()
    pair = Pair(case, own_actions, stop, control, seed)
    pair.run()
    return Run(
        case,
        MODES[own_actions],
        pair.env_step,
        pair.updates,
        pair.episodes,
        pair.cut,
        pair.curve,
        pair.control,
        pair.first,
        time.perf_counter() - started,
    )


def check(algorithm: str, env_steps: int | None = None, own_actions: bool | None = None) -> list[Check]:
    """Whether our agent of that name keeps step with SB3's through the short cases, which take seconds, or
    through `env_steps` of the first long one, if it is not rounding that parts them. `own_actions` chooses
    the mode; None: both, one by one."""
    plan = cases.short(algorithm) if env_steps is None else cases.full(algorithm, env_steps)[:1]
    modes = (False, True) if own_actions is None else (own_actions,)

    def look(case: Case, own: bool) -> tuple[bool, str]:
        found = run(case, own, control=env_steps is not None)
        return found.verdict != "part" and found.updates > 0, str(found)

    return [
        timed("lockstep", f"{case}, {MODES[own]}", partial(look, case, own)) for case in plan for own in modes
    ]
