"""Quantities that are read from local variables, ours and Stable-Baselines3's, when an optimiser steps.

SB3's `train` methods do not return what they compute, so this table names their local variables and ours. A
variable that does not exist is left out on that side.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import itemgetter
from typing import Any, NamedTuple

Locals = Mapping[str, Any]


class Reading(NamedTuple):
    """A tensor that both sides compute, under SB3's name."""

    kind: str  # "targets" or "losses"
    name: str
    ours: Callable[[Locals], Any]
    theirs: Callable[[Locals], Any]


class Part(NamedTuple):
    """A learning network: its optimisers on both sides and what is read when they step."""

    network: str  # attribute of our agent
    optimizer: str
    theirs: str  # path from SB3's model
    readings: tuple[Reading, ...]


Where = str | Callable[[Locals], Any]  # a local variable, or a function of all local variables


def _reading(kind: str, name: str, ours: Where, theirs: Where = "") -> Reading:
    found = [where if callable(where) else itemgetter(where) for where in (ours, theirs or name)]
    return Reading(kind, name, *found)


def _on_policy(*targets: Reading) -> Part:
    losses = (
        _reading("losses", "policy_loss", lambda v: v["metrics"]["policy_loss"]),
        _reading("losses", "value_loss", lambda v: v["metrics"]["value_loss"]),
        _reading("losses", "entropy_loss", lambda v: -v["metrics"]["entropy"]),
        _reading(
            "losses", "loss", lambda v: v["passed"]["loss"] if "loss" in v["passed"] else v["loss"], "loss"
        ),
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
            # sorted, because a rollout in a single minibatch has no fixed order
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
        _critic("critic_loss", _Y, _q_values("q", 0)),
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
# pure functions of our agents that receive targets, and the names of their arguments
PASSED = {
    "a2c": ("policy_objective", ("log_prob", "advantage")),
    "ppo": ("clipped_objective", ("ratio", "advantage", "epsilon")),
}
# TRPO's policy has no optimiser: it is read where the conjugate gradient computes the search direction.
SURROGATE = (
    Reading("targets", "advantages", lambda v: v["batch"].advantage, lambda v: v["advantages"]),
    Reading("targets", "log_prob", lambda v: v["log_prob"], lambda v: v["log_prob"]),
    Reading("losses", "policy_objective", lambda v: v["objective"], lambda v: v["policy_objective"]),
)
