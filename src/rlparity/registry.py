"""Names to places: agents, references, environment families, and the parts that only some cells use.

Places are strings, `module:name`, imported when used. A fingerprint takes in the entries that its cell uses
and not this file, so that a new agent or environment family leaves every finished record valid.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any, NamedTuple

from rlparity.arms import OURS, SB3
from rlparity.cell import Cell, is_configured
from rlparity.metrics import RETURN, Metric


class Entry(NamedTuple):
    """Where an agent's class is, the kinds of action it can choose, and whether it can learn from images."""

    place: str
    actions: tuple[str, ...] = ("discrete",)
    images: bool = False

    @property
    def module(self) -> str:
        """The agent's module: its class, its settings and `DEPARTURES`."""
        return self.place.partition(":")[0]

    @property
    def settings(self) -> str:
        """Name of the dataclass with the agent's hyper-parameters: `PPOConfig`."""
        return f"{self.place.partition(':')[2]}Config"


class Family(NamedTuple):
    """Environments that one module steps."""

    module: str  # its function `make` returns an `environments.base.Env`
    metrics: tuple[Metric, ...] = (RETURN,)  # what evaluations measure
    reference: str = "rlparity.references.sb3_environments"  # makes them for Stable-Baselines3
    probe: str = "rlparity.environments.metadata:of_gymnasium"  # what a suite must know of one, without torch
    resumes_exactly: bool = True  # False: their state is not saved, and what was interrupted has new episodes


BOTH = ("discrete", "continuous")
AGENTS = {
    "random": Entry("rlparity.agents.random:Random", BOTH, images=True),
    "reinforce": Entry("rlparity.agents.policy_gradient.reinforce:REINFORCE"),
    "actor_critic": Entry("rlparity.agents.policy_gradient.actor_critic:ActorCritic"),
    "a2c": Entry("rlparity.agents.policy_gradient.a2c:A2C", BOTH, images=True),
    "ppo": Entry("rlparity.agents.policy_gradient.ppo:PPO", BOTH, images=True),
    "trpo": Entry("rlparity.agents.policy_gradient.trpo:TRPO", BOTH),
    "dqn": Entry("rlparity.agents.value_based.dqn:DQN", images=True),
    "qrdqn": Entry("rlparity.agents.value_based.qrdqn:QRDQN", images=True),
    "ddpg": Entry("rlparity.agents.continuous_control.ddpg:DDPG", ("continuous",)),
    "td3": Entry("rlparity.agents.continuous_control.td3:TD3", ("continuous",)),
    "sac": Entry("rlparity.agents.continuous_control.sac:SAC", ("continuous",)),
}
IMPLEMENTATIONS = {  # what trains a cell: `run` and `departures`
    OURS: "rlparity.training.run",
    SB3: "rlparity.references.sb3",
}
REFERENCE = SB3  # the implementation that a reference named by a plain string belongs to
REFERENCES = {  # by agent
    "a2c": "stable_baselines3:A2C",
    "ppo": "stable_baselines3:PPO",
    "dqn": "stable_baselines3:DQN",
    "qrdqn": "sb3_contrib:QRDQN",
    "trpo": "sb3_contrib:TRPO",
    "ddpg": "stable_baselines3:DDPG",
    "td3": "stable_baselines3:TD3",
    "sac": "stable_baselines3:SAC",
}
SMALL_IMAGES = {  # by agent, where observations are small images, see `is_small`
    "a2c": "rlparity.references.sb3_small_images:A2C",
    "ppo": "rlparity.references.sb3_small_images:PPO",
    "dqn": "rlparity.references.sb3_small_images:DQN",
    "qrdqn": "rlparity.references.sb3_small_images:QRDQN",
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
FAMILIES = {"CartPole-v1": Family("rlparity.environments.cartpole")}
NAMESPACES = {  # families of ids such as "ALE/Pong-v5@nature"
    "ALE": Family(
        "rlparity.environments.atari",
        reference="rlparity.references.sb3_atari",
        probe="rlparity.environments.atari_metadata:probe",
        resumes_exactly=False,
    ),
    "MinAtar": Family(
        "rlparity.environments.minatar.vectorized",
        reference="rlparity.references.sb3_minatar",
        probe="rlparity.environments.minatar.metadata:probe",
    ),
}
GENERIC = Family("rlparity.environments.gymnasium_env")  # all others
CONFIGURED = Family(  # ids with keys, such as "CartPole-v1@max_episode_steps=200"
    "rlparity.environments.configured.specification", reference="rlparity.references.sb3_configured"
)
PARTS = {  # loaded by `part`; a cell depends on those that its data ask for, see `provenance.fingerprint`
    "categorical": "rlparity.nn.policies:Categorical",
    "gaussian": "rlparity.nn.policies:Gaussian",
    "convolutions": "rlparity.nn.convolutions:trunk",
    "kernel": "rlparity.nn.kernel.stack:Stack",
    "normalization": "rlparity.environments.normalization:NormalizedEnv",
    "device": "rlparity.training.device_placement:Placed",
    "masked adam": "rlparity.nn.masked_steps:adam",
    "masked rmsprop": "rlparity.nn.masked_steps:rmsprop",
    "masked lerp": "rlparity.nn.masked_steps:lerp",
    "small convolutions": "rlparity.nn.small_convolutions:trunk",
    "frame replay": "rlparity.buffers.frame_replay:FrameReplay",
    "whole images": "rlparity.buffers.whole_images:WholeImages",
    "prioritized": "rlparity.buffers.prioritized:PrioritizedSampler",
    "dueling": "rlparity.nn.q_networks:DuelingNetwork",
    "epsilon-greedy": "rlparity.training.epsilon_greedy:EpsilonGreedy",
    "guard": "rlparity.environments.guard:guarded",  # passes on what it is given: no cell depends on it
}
SMALL = {"convolutions": "small convolutions", "frame replay": "whole images"}  # parts for small images
NATURE = 36  # pixels: the least side of an image that the convolutions of Nature 2015 leave anything of


def family(environment: str) -> Family:
    """The family of an environment by its id."""
    if is_configured(environment):
        return CONFIGURED
    namespace = environment.partition("/")[0]
    return FAMILIES.get(environment) or NAMESPACES.get(namespace, GENERIC)


def metrics(environment: str) -> tuple[Metric, ...]:
    """What evaluations in an environment measure."""
    return family(environment).metrics


def trainer(cell: Cell) -> str:
    """The module whose `run` trains a cell."""
    return CANDIDATES[cell.kind] if cell.candidate else IMPLEMENTATIONS[cell.implementation]


def load(place: str) -> Any:
    """What `module:name` names."""
    module, name = place.split(":")
    return getattr(import_module(module), name)


def is_small(shape: Sequence[int]) -> bool:
    """Whether observations of this shape are images (channels, height, width) that are too small for Nature's
    convolutions; no such image is a stack of frames."""
    return len(shape) == 3 and min(shape[1:]) < NATURE


# Arguments after the name choose by what is seen. They are no part of a fingerprint: what they choose is.


def part(name: str, shape: Sequence[int] = ()) -> Any:
    """One of `PARTS`, for observations of this shape."""
    return load(PARTS[SMALL.get(name, name) if is_small(shape) else name])


def reference(name: str, shape: Sequence[int] = ()) -> Any:
    """The class of a reference, for observations of this shape."""
    return load(SMALL_IMAGES[name] if is_small(shape) else REFERENCES[name])
