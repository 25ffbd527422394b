"""Lock-step: a real run of Stable-Baselines3 and our agent, compared after every environment step.

SB3 trains; after every step of its environments and the learning that belongs to it, our agent takes the same
step, and the two are compared. Both start with the same weights and compute in float64. Two modes:

- `replay`: our agent receives SB3's transitions and SB3's draws for learning (permutations, places in the
  replay memory, noise of targets and policies). Its memory, advantages, targets, schedules, times of updates
  and updates are its own.
- `own-actions`: it receives only draws, also those for acting, and acts in an environment of its own
  (`rlparity.environments`) with the seeds of SB3's. Observations, actions, rewards and returns of episodes
  are compared as well.

Inputs of learning are compared before its results: first the rollout with its advantages, or the minibatch,
field by field, then every parameter. So the first difference locates the fault.

Some settings amplify rounding until any two programs part. A `nudged` copy of our agent, which starts with
parameters changed by one unit in the last place and learns from the same data, distinguishes them from
faults: when our agent parts from SB3, the copy has nearly parted from our agent.
"""

from __future__ import annotations

import time
from functools import partial
from typing import NamedTuple

from rlparity.validation.checks import Answer, Check, timed
from rlparity.validation.lockstep import cases
from rlparity.validation.lockstep.cases import Case
from rlparity.validation.lockstep.pair import Difference, Pair, Point

MODES = ("replay", "own-actions")
NEAR = 1e-3  # least distance of the nudged copy, relative to the first difference, if rounding is the reason


class Run(NamedTuple):
    """The result of a lock-step run."""

    case: Case
    mode: str  # of MODES
    env_steps: int  # that both learners took
    updates: int  # rollouts or minibatches that both learned from
    episodes: int
    truncated: int  # episodes that the time limit ended
    curve: list[Point]  # of our agent and SB3
    control: list[Point]  # of our agent and its nudged copy, if there is one
    first: Difference | None  # the first above the case's tolerance
    seconds: float

    @property
    def largest(self) -> float:
        """The largest distance of a parameter during the run."""
        return max((point.distance for point in self.curve), default=0.0)

    @property
    def verdict(self) -> str:
        """`together`, `rounding` (they part as our agent parts from its nudged copy) or `part`."""
        if self.first is None:
            return "together"
        before = [point.distance for point in self.control if point.env_step <= self.first.env_step]
        return "rounding" if before and before[-1] >= NEAR * self.first.size else "part"

    def __str__(self) -> str:
        if self.verdict == "together":
            length = (
                f"{self.env_steps:,} environment steps, {self.updates:,} updates, {self.episodes} episodes"
            )
            return f"together for {length} ({self.truncated} cut): parameters within {self.largest:.0e}"
        also = ", as one of them does from itself" if self.verdict == "rounding" else ""
        return f"they part{also}: {self.first}"


def run(
    case: Case, own_actions: bool = False, stop: bool = True, control: bool = False, seed: int = 0
) -> Run:
    """Run a case in lock-step; with `stop`, until the two part; with `control`, also with a nudged copy of
    our agent."""
    started = time.perf_counter()
    pair = Pair(case, own_actions, stop, control, seed)
    pair.run()
    return Run(
        case,
        MODES[own_actions],
        pair.env_step,
        pair.updates,
        pair.episodes,
        pair.truncated,
        pair.curve,
        pair.control,
        pair.first,
        time.perf_counter() - started,
    )


def check(algorithm: str, env_steps: int | None = None, own_actions: bool | None = None) -> list[Check]:
    """Check that our agent and SB3's stay together in the short cases, which take seconds, or for `env_steps`
    of the first long case, unless rounding parts them. `own_actions` chooses the mode; None: both modes."""
    plan = cases.short(algorithm) if env_steps is None else cases.full(algorithm, env_steps)[:1]
    modes = (False, True) if own_actions is None else (own_actions,)

    def together(case: Case, own: bool) -> Answer:
        found = run(case, own, control=env_steps is not None)
        return found.verdict != "part" and found.updates > 0, str(found)

    return [
        timed("lockstep", f"{case}, {MODES[own]}", partial(together, case, own))
        for case in plan
        for own in modes
    ]
