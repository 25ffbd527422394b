"""Names to places: agents, references and the rooms that step environments.

Places are strings, imported when used. A fingerprint takes in the entry that its cell uses and not this file,
so that a new agent or environment family leaves every finished record valid.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, NamedTuple


class Entry(NamedTuple):
    """Where an agent lives, the kinds of action it can choose, and whether it can learn from images."""

    module: str
    actions: tuple[str, ...] = ("discrete",)
    images: bool = False


AGENTS = {
    "random": Entry("rlparity.agents.random", ("discrete", "continuous"), images=True),
    "reinforce": Entry("rlparity.agents.reinforce"),
    "actor_critic": Entry("rlparity.agents.actor_critic"),
    "a2c": Entry("rlparity.agents.a2c", ("discrete", "continuous"), images=True),
    "ppo": Entry("rlparity.agents.ppo", ("discrete", "continuous"), images=True),
    "trpo": Entry("rlparity.agents.trpo", ("discrete", "continuous")),
    "dqn": Entry("rlparity.agents.dqn", images=True),
    "qrdqn": Entry("rlparity.agents.qrdqn", images=True),
    "ddpg": Entry("rlparity.agents.ddpg", ("continuous",)),
    "td3": Entry("rlparity.agents.td3", ("continuous",)),
    "sac": Entry("rlparity.agents.sac", ("continuous",)),
}
REFERENCES = {
    "a2c": "stable_baselines3:A2C",
    "ppo": "stable_baselines3:PPO",
    "dqn": "stable_baselines3:DQN",
    "qrdqn": "sb3_contrib:QRDQN",
    "trpo": "sb3_contrib:TRPO",
    "ddpg": "stable_baselines3:DDPG",
    "td3": "stable_baselines3:TD3",
    "sac": "stable_baselines3:SAC",
}
CANDIDATES = {  # what trains a candidate, by `cell.KINDS`
    "entry": "rlparity.candidate_process",
    "command": "rlparity.candidate_command",
    "logs": "rlparity.candidate_logs",
}
FAMILIES = {"CartPole-v1": "rlparity.tasks.classic"}  # all others: GENERIC
NAMESPACES = {"ALE": "rlparity.tasks.atari"}  # families of ids such as "ALE/Pong-v5@nature"
GENERIC = "rlparity.tasks.generic"
REFERENCE_WORLDS = {"rlparity.tasks.atari": "rlparity.reference_atari"}  # by family; all others: plain ones


def family(environment: str) -> str:
    """The module that steps this environment."""
    namespace = environment.partition("/")[0]
    return FAMILIES.get(environment) or NAMESPACES.get(namespace, GENERIC)


def reference(name: str) -> Any:
    """The class of a reference."""
    module, attribute = REFERENCES[name].split(":")
    return getattr(import_module(module), attribute)


def reference_worlds(environment: str) -> str:
    """The module that makes this environment for a reference."""
    return REFERENCE_WORLDS.get(family(environment), "rlparity.reference_worlds")
