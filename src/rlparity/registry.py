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
    "reinforce": Entry("rlparity.agents.policy_gradient.reinforce"),
    "actor_critic": Entry("rlparity.agents.policy_gradient.actor_critic"),
    "a2c": Entry("rlparity.agents.policy_gradient.a2c", ("discrete", "continuous"), images=True),
    "ppo": Entry("rlparity.agents.policy_gradient.ppo", ("discrete", "continuous"), images=True),
    "trpo": Entry("rlparity.agents.policy_gradient.trpo", ("discrete", "continuous")),
    "dqn": Entry("rlparity.agents.value_based.dqn", images=True),
    "qrdqn": Entry("rlparity.agents.value_based.qrdqn", images=True),
    "ddpg": Entry("rlparity.agents.continuous_control.ddpg", ("continuous",)),
    "td3": Entry("rlparity.agents.continuous_control.td3", ("continuous",)),
    "sac": Entry("rlparity.agents.continuous_control.sac", ("continuous",)),
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
    "entry": "rlparity.candidates.isolated",
    "command": "rlparity.candidates.command",
    "logs": "rlparity.candidates.finished_logs",
}
LAYERS = {  # of validation, besides statistics
    "contract": "rlparity.validation.contract.check",
    "parity": "rlparity.validation.parity.compare",
    "lockstep": "rlparity.validation.lockstep.run",
}
FAMILIES = {"CartPole-v1": "rlparity.environments.cartpole"}  # all others: GENERIC
NAMESPACES = {"ALE": "rlparity.environments.atari"}  # families of ids such as "ALE/Pong-v5@nature"
GENERIC = "rlparity.environments.gymnasium_env"
REFERENCE_WORLDS = {
    "rlparity.environments.atari": "rlparity.references.sb3_atari"
}  # by family; all others: plain ones


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
    return REFERENCE_WORLDS.get(family(environment), "rlparity.references.sb3_environments")
