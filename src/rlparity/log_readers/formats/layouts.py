"""Columns and tags of programs that are known to hold means over several episodes."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rlparity.log_readers.series import EVALUATION, Refused

MEANS = {  # the last part of a name, in lower case -> what it is
    "ep_rew_mean": "Stable-Baselines3's mean over the last 100 episodes",
    "eprewmean": "OpenAI baselines' mean over the last 100 episodes",
    "episode_reward_mean": "RLlib's mean over the last 100 episodes",
    "episode_return_mean": "RLlib's mean over the last 100 episodes",
    "averageepret": "Spinning Up's mean over an epoch",
    "ep_reward_mean": "a mean over several episodes",
    "mean_reward": "a mean over several episodes",
    "mean_return": "a mean over several episodes",
    "average_reward": "a mean over several episodes",
    "average_return": "a mean over several episodes",
    "avg_reward": "a mean over several episodes",
    "avg_return": "a mean over several episodes",
    "reward_mean": "a mean over several episodes",
    "return_mean": "a mean over several episodes",
}
ALWAYS = ("ep_rew_mean", "eprewmean", "averageepret")  # of training, whatever it is said to be
WINDOWS = re.compile(r"(smooth|rolling|running|moving|_ema|ema_|window|last_?\d+)", re.IGNORECASE)
EVALUATIONS = re.compile(r"(^|[/_.\s-])(eval|evaluation|test|validation)", re.IGNORECASE)
NEED = "returns of single episodes are needed"


def refuse_means(name: str, source: str, measure: str) -> None:
    """Raise Refused if a tag or column is known to contain no returns of single episodes.

    A mean of an evaluation is one: of the episodes of one policy.
    """
    last = re.split(r"[/.]", name.lower())[-1].replace(" ", "_")
    evaluated = measure == EVALUATION or EVALUATIONS.search(name) is not None
    for end, what in MEANS.items():
        if last.endswith(end) and (end in ALWAYS or not evaluated):
            raise Refused(f"{source}: is {what}; {NEED}")
    if WINDOWS.search(last):
        raise Refused(f"{source}: is a mean over a window, by its name; {NEED}")


def describe(names: Sequence[str]) -> str:
    """What the columns of a file without ours are, if that is known; empty if not."""
    lower = {name.lower(): name for name in names}
    for name, shown in lower.items():
        last = re.split(r"[/.]", name)[-1]
        if EVALUATIONS.search(name) and "mean" in last and ("rew" in last or "ret" in last):
            return (
                f"evaluations can be read: `columns` with episode_return={shown} and that of the steps, and "
                "measure=evaluation"
            )
    for name, shown in lower.items():
        last = re.split(r"[/.]", name)[-1]
        if last in MEANS:
            return f"{shown} is {MEANS[last]}; {NEED}"
    return ""
