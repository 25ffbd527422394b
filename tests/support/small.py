"""Cells and agents of any named configuration, small enough for a test."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from rlparity import registry
from rlparity.agents import base as agents
from rlparity.cell import Cell, Protocol
from rlparity.environments.base import EnvSpec
from rlparity.nn.networks import Network
from rlparity.seeding import Streams
from rlparity.suites import hyperparameters
from rlparity.training.recorder import Recorder
from rlparity.transitions import Step

torch.set_num_threads(1)

CONFIGURATIONS = tuple(  # `precision` changes nothing without images
    name for name, named in hyperparameters.library().algorithms.items() if "precision" not in named.options
)
CONTINUOUS = tuple(
    name
    for name, named in hyperparameters.library().algorithms.items()
    if "discrete" not in registry.AGENTS[named.agent].actions
)
BRIEF = Protocol(points=2, episodes=2, final_episodes=3)
QUICK: dict[str, dict[str, Any]] = {  # several updates within a few hundred steps
    "ppo": {"n_epochs": 2, "batch_size": 128},
    "dqn": {"learning_starts": 40, "train_freq": 16, "gradient_steps": 2},
    "qrdqn": {"learning_starts": 40, "train_freq": 16, "gradient_steps": 2, "n_quantiles": 10},
    "trpo": {"n_steps": 128, "n_critic_updates": 2, "cg_max_steps": 5},
    **{
        name: {
            "learning_starts": 40,
            "train_freq": 4,
            "batch_size": 32,
            "buffer_size": 400,
            "net_arch": [32, 32],
        }
        for name in ("ddpg", "td3", "sac")
    },
}


def cell(algorithm: str, seeds: tuple[int, ...] = (0,), **changes: Any) -> Cell:
    """A cell of a named configuration with its settings from hyperparameters.yaml, cut short.

    `changes` are fields of the cell; `hyperparameters` among them are added to the configuration's own.
    """
    library = hyperparameters.library()
    named = library.algorithms[algorithm]
    environment = changes.pop("environment", "Pendulum-v1" if algorithm in CONTINUOUS else "CartPole-v1")
    block = library.lookup(environment, named.agent)
    own = {**block.hyperparameters, **named.options_for(environment), **QUICK.get(named.agent, {})}
    fields = {
        "suite": "test",
        "implementation": "scratch",
        "budget": 520,
        "n_envs": block.n_envs,
        "normalize": block.normalize,
        "evaluation": Protocol(**{**vars(BRIEF), "modes": named.modes}),
        **changes,
        "hyperparameters": {**own, **changes.get("hyperparameters", {})},
    }
    return Cell(environment=environment, algorithm=algorithm, agent=named.agent, seeds=seeds, **fields)


def of_seed(rows: Recorder, seed: int) -> list[dict[str, Any]]:
    """All episode and evaluation rows of one seed; equal rows are equal to the last bit."""
    return [row for row in [*rows.episodes, *rows.evaluations] if row["seed"] == seed]


ACTIONS: dict[bool, dict[str, Any]] = {
    False: {"n_actions": 2},
    True: {"n_actions": None, "action_shape": (2,), "action_low": (-2.0,) * 2, "action_high": (2.0,) * 2},
}


def build(
    algorithm: str, n_seeds: int = 1, n_envs: int = 1, inputs: int = 2, budget: int = 1000, **options: Any
) -> Any:
    """An agent of a named configuration with the agent's own defaults, for two actions, or actions of two
    components within +-2 if it knows no others."""
    named = hyperparameters.library().algorithms[algorithm]
    spec = EnvSpec(n_seeds, n_envs, (inputs,), **ACTIONS[algorithm in CONTINUOUS])
    streams = Streams(cell(algorithm, tuple(range(n_seeds))))
    return agents.build(named.agent, spec, {**named.options, **options}, streams, budget)


def set_output(network: Network, name: str, bias: list[float]) -> None:
    """Let one stack answer the same to everything, in all seeds."""
    weight, last = network.stacks[name][-1]
    weight.detach().zero_()
    last.detach().copy_(torch.tensor(bias).expand(last.shape))


def row(*values: float) -> Tensor:
    """One seed's numbers, (1, B)."""
    return torch.tensor([values], dtype=torch.float32)


def stream(n_seeds: int, n_envs: int, length: int, first: int = 0, continuous: bool = False) -> list[Step]:
    """Random transitions of two observations; a environment's episode ends, or is cut, once in ten steps."""
    rng = torch.Generator().manual_seed(first)
    obs = torch.randn(length + 1, n_seeds, n_envs, 2, generator=rng)
    action = torch.randint(2, (length, n_seeds, n_envs), generator=rng)
    if continuous:
        action = 4 * torch.rand(length, n_seeds, n_envs, 2, generator=rng) - 2
    reward, chance = torch.rand(2, length, n_seeds, n_envs, generator=rng)
    last = (chance < 0.1).float()
    discount = 1 - (chance < 0.05).float()
    return [Step(obs[t], action[t], reward[t], discount[t], last[t], obs[t + 1]) for t in range(length)]
