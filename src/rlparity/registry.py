"""Names to places: agents, references and the rooms that step environments.

Places are strings, imported when used. A fingerprint takes in the entry that its cell uses and not this file,
so that a new agent or environment family leaves every finished record valid.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, NamedTuple


class Entry(NamedTuple):
    """Where an agent lives, and the kinds of action it can choose."""

    module: str
    actions: tuple[str, ...] = ("discrete",)


AGENTS = {
    "random": Entry("rlparity.agents.random", ("discrete", "continuous")),
    "reinforce": Entry("rlparity.agents.reinforce"),
    "actor_critic": Entry("rlparity.agents.actor_critic"),
    "a2c": Entry("rlparity.agents.a2c", ("discrete", "continuous")),
    "ppo": Entry("rlparity.agents.ppo", ("discrete", "continuous")),
    "trpo": Entry("rlparity.agents.trpo", ("discrete", "continuous")),
    "dqn": Entry("rlparity.agents.dqn"),
    "ddpg": Entry("rlparity.agents.ddpg", ("continuous",)),
    "td3": Entry("rlparity.agents.td3", ("continuous",)),
    "sac": Entry("rlparity.agents.sac", ("continuous",)),
}
REFERENCES = {
    "a2c": "stable_baselines3:A2C",
    "ppo": "stable_baselines3:PPO",
    "dqn": "stable_baselines3:DQN",
    "trpo": "sb3_contrib:TRPO",
    "ddpg": "stable_baselines3:DDPG",
    "td3": "stable_baselines3:TD3",
    "sac": "stable_baselines3:SAC",
}
FAMILIES = {"CartPole-v1": "rlparity.tasks.classic"}  # all others: GENERIC
GENERIC = "rlparity.tasks.generic"


def family(environment: str) -> str:
    """The module that steps this environment."""
    return FAMILIES.get(environment, GENERIC)


def reference(name: str) -> Any:
    """The class of a reference."""
    module, attribute = REFERENCES[name].split(":")
    return getattr(import_module(module), attribute)
