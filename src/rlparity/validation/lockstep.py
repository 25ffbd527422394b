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
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from rlparity import records
from rlparity.validation import lockstep_cases as cases
from rlparity.validation.checks import Check, timed
from rlparity.validation.lockstep_cases import Case
from rlparity.validation.lockstep_pair import Difference, Pair, Point

MODES = ("replay", "own-actions")
POINTS = 200  # of a curve in the table


class Run(NamedTuple):
    """What a lock-step run found."""

    case: Case
    mode: str  # of MODES
    env_steps: int  # that both learners took
    episodes: int
    cut: int  # episodes that the time limit ended
    curve: list[Point]
    first: Difference | None  # of more than the case's tolerance

    @property
    def largest(self) -> float:
        """The largest relative difference of a parameter on the way."""
        return max((point.distance for point in self.curve), default=0.0)

    def __str__(self) -> str:
        updates = self.curve[-1].updates if self.curve else 0
        length = f"{self.env_steps:,} environment steps, {updates:,} updates, {self.episodes} episodes"
        if self.first is not None:
            return f"they part: {self.first}"
        return f"together for {length} ({self.cut} cut): parameters within {self.largest:.0e}"


def run(case: Case, own_actions: bool = False, stop: bool = True, seed: int = 0) -> Run:
    """Keep step with SB3 through a case; with `stop`, until the two part."""
    pair = Pair(case, own_actions, stop, seed)
    pair.run()
    mode = MODES[own_actions]
    return Run(case, mode, pair.env_step, pair.episodes, pair.cut, pair.curve, pair.first)


def check(algorithm: str, env_steps: int | None = None, own_actions: bool | None = None) -> list[Check]:
    """Whether our agent of that name keeps step with SB3's: the short case (some seconds), or `env_steps` with
    the settings that both train with. `own_actions` chooses the mode; None: first one, then the other."""
    case = cases.short(algorithm) if env_steps is None else cases.full(algorithm, env_steps)
    modes = (False, True) if own_actions is None else (own_actions,)

    def look(own: bool) -> tuple[bool, str]:
        found = run(case, own)
        return found.first is None and bool(found.curve), str(found)

    return [timed("lockstep", f"{case}, {MODES[own]}", lambda own=own: look(own)) for own in modes]  # type: ignore[misc]
