"""What can be read of a learner where its optimiser steps: local variables, ours and Stable-Baselines3's.

SB3's `train` methods return nothing of what they compute, so that names of their variables, and of ours,
stand in this table; a variable that is not there (any more) is left out on that side.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import itemgetter
from typing import Any, NamedTuple

Locals = Mapping[str, Any]


class Reading(NamedTuple):
    """A tensor that both have, under SB3's name for it."""

    kind: str  # "targets" or "losses"
    name: str
    ours: Callable[[Locals], Any]
    theirs: Callable[[Locals], Any]


class Part(NamedTuple):
    """A network that learns: whose optimiser, here and there, and what can be read when it steps."""

    network: str  # attribute of our agent
    optimizer: str
    theirs: str  # path from SB3's model
    readings: tuple[Reading, ...]


Where = str | Callable[[Locals], Any]  # a local variable, or what is made of them


def _reading(kind: str, name: str, ours: Where, theirs: Where = "") -> Reading:
    found = [where if callable(where) else itemgetter(where) for where in (ours, theirs or name)]
    return Reading(kind, name, *found)


def _on_policy(*targets: Reading) -> Part:
    losses = (
        _reading("losses", "policy_loss", lambda v: v["metrics"]["policy_loss"]),
        _reading("losses", "value_loss", lambda v: v["metrics"]["value_loss"]),
        _reading("losses", "entropy_loss", lambda v: -v["metrics"]["entropy"]),
        _reading("losses", "loss", "loss"),
    )
    return Part("network", "optimizer", "policy.optimizer", (*targets, *losses))


def _q_values(ours: str, i: int) -> Reading:
    return _reading("targets", f"current_q_values[{i}]", ours, lambda v: v["current_q_values"][i])


_Y = _reading("targets", "target_q_values", "y")
_CRITICS = (_Y, _q_values("q1", 0), _q_values("q2", 1))


def _actor(loss: str) -> Part:
    return Part("actor", "actor_optimizer", "actor.optimizer", (_reading("losses", "actor_loss", loss),))


def _critic(loss: str, *targets: Reading) -> Part:
    readings = (*targets, _reading("losses", "critic_loss", loss))
    return Part("critic", "critic_optimizer", "critic.optimizer", readings)


PARTS: Mapping[str, tuple[Part, ...]] = {
    "a2c": (
        _on_policy(
            _reading("targets", "advantages", lambda v: v["passed"]["advantage"]),
            _reading("targets", "log_prob", lambda v: v["passed"]["log_prob"]),
        ),
    ),
    "ppo": (
        _on_policy(
            # sorted: a rollout in one piece has no order
            _reading(
                "targets",
                "advantages",
                lambda v: v["passed"]["advantage"].sort().values,
                lambda v: v["advantages"].sort().values,
            ),
            _reading(
                "targets",
                "ratio",
                lambda v: v["passed"]["ratio"].sort().values,
                lambda v: v["ratio"].sort().values,
            ),
        ),
    ),
    "trpo": (Part("critic", "optimizer", "policy.optimizer", (_reading("losses", "value_loss", "loss"),)),),
    "dqn": (
        Part(
            "q",
            "optimizer",
            "policy.optimizer",
            (_Y, _reading("targets", "current_q_values", "q"), _reading("losses", "loss", "loss")),
        ),
    ),
    "qrdqn": (
        Part(
            "network",
            "optimizer",
            "policy.optimizer",
            (
                _reading("targets", "target_quantiles", "y"),
                _reading("targets", "current_quantiles", "theta"),
                _reading("losses", "loss", "loss"),
            ),
        ),
    ),
    "ddpg": (
        _critic(
            "critic_loss",
            _Y,
            _q_values("q", 0),
        ),
        _actor("actor_loss"),
    ),
    "td3": (_critic("critic_loss", *_CRITICS), _actor("loss")),
    "sac": (
        Part(
            "temperature",
            "temperature_optimizer",
            "ent_coef_optimizer",
            (_reading("targets", "log_prob", "log_prob"), _reading("losses", "ent_coef_loss", "loss")),
        ),
        _critic("loss", *_CRITICS),
        _actor("actor_loss"),
    ),
}
# pure functions of our agents through which targets pass, and what they are called with
PASSED = {
    "a2c": ("policy_objective", ("log_prob", "advantage")),
    "ppo": ("clipped_objective", ("ratio", "advantage", "epsilon")),
}
# TRPO's policy has no optimiser: its step is read where the conjugate gradient is asked for a direction.
SURROGATE = (
    Reading("targets", "advantages", lambda v: v["batch"].advantage, lambda v: v["advantages"]),
    Reading("targets", "log_prob", lambda v: v["log_prob"], lambda v: v["log_prob"]),
    Reading("losses", "policy_objective", lambda v: v["objective"], lambda v: v["policy_objective"]),
)
