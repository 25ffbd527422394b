"""The configurations in which a candidate's updates are compared: the plain one of what it claims to be, and
one for each option that the plain one leaves off.

None is `amplified`, because a candidate's tolerance is fixed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from rlparity.errors import unknown
from rlparity.suites import hyperparameters
from rlparity.validation.parity import cases
from rlparity.validation.parity.cases import A2C, LINEAR_SCHEDULE, PPO, TRPO, Case

UPDATE = "update"  # topic of the plain configuration, which a candidate cannot decline


class Compared(NamedTuple):
    """A configuration, and what it looks at."""

    topic: str
    case: Case


def of(configuration: str, actions: str) -> tuple[Compared, ...]:
    """The configurations of a candidate that implements a named configuration, the plain one first; actions
    are "discrete" or "continuous". UserError if the configuration has no reference."""
    known = {
        name: each
        for name, each in hyperparameters.library().algorithms.items()
        if each.reference is not None
    }
    if configuration not in known:
        raise unknown("configuration", configuration, known, "parity")
    return tuple(_of(known[configuration].agent, configuration, actions == "continuous"))


def _of(agent: str, configuration: str, continuous: bool) -> Iterator[Compared]:
    if agent in ("a2c", "ppo"):
        yield _named(UPDATE, agent, "default, continuous" if continuous else "default")
        yield from _actor_critic(agent, continuous)
    elif agent == "trpo":
        short = "continuous, two steps of conjugate gradient"
        yield _named(UPDATE, agent, short if continuous else "strong damping, gae_lambda")
        options = {**TRPO, "cg_damping": 1.0, "cg_max_steps": 2, **LINEAR_SCHEDULE}
        schedule = Case(agent, "schedule", options, continuous=continuous)
        yield Compared("schedule of the learning rate", schedule)
    elif configuration == "dqn-nstep":
        yield _named(UPDATE, agent, "three-step returns")
    else:
        yield _named(UPDATE, agent, "default")
        yield from (_named(*each) for each in OFF_POLICY if each[1] == agent)


OFF_POLICY = (  # (topic, agent, name of the case)
    ("gradient clipping, schedule of the learning rate", "dqn", "clipped gradients, schedule"),
    ("gamma", "dqn", "one target network for long"),
    ("tau, schedule of the learning rate", "ddpg", "tau 0.05, bursts of updates, schedule"),
    ("tau, schedule of the learning rate", "td3", "tau 0.05, bursts of updates, schedule"),
    ("delay and target noise", "td3", "delay 3, much noise"),
    ("fixed temperature", "sac", "fixed temperature"),
    ("target entropy, schedule of the learning rate", "sac", "target entropy, schedule"),
)


def _named(topic: str, agent: str, name: str) -> Compared:
    (case,) = cases.of(agent, name)
    return Compared(topic, case)


def _actor_critic(agent: str, continuous: bool) -> Iterator[Compared]:
    """Options of A2C and PPO, one at a time."""
    base = PPO if agent == "ppo" else A2C
    options: dict[str, Mapping[str, Any]] = {"entropy bonus": {"ent_coef": 0.05, "vf_coef": 0.8}}
    if agent == "ppo":
        options |= {
            "clipped values": {"clip_range_vf": 0.1},
            "target KL": {"target_kl": 0.003, "learning_rate": 3e-3},
            "linear schedules": {**LINEAR_SCHEDULE, "clip_range_schedule": "linear"},
        }
    else:
        options |= {"schedule of the learning rate": LINEAR_SCHEDULE}
    plain = Case(agent, "", base, continuous=continuous)
    for topic, changed in options.items():
        name = topic + ", continuous" * continuous
        yield Compared(topic, replace(plain, name=name, options={**base, **changed}))
