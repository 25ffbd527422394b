"""Pairs of our agent and Stable-Baselines3's model with the same options and weights, in float32 or float64.

Their parameters can be compared tensor by tensor, under SB3's names. Rounding in float32 hides small faults;
in float64 two implementations of one update agree to twelve digits, or they differ.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from gymnasium import spaces
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor, nn

from rlparity.agents import base as agents
from rlparity.cell import Cell
from rlparity.environments.base import EnvSpec
from rlparity.nn.networks import Network
from rlparity.references import sb3
from rlparity.seeding import Streams
from rlparity.suites import hyperparameters
from rlparity.validation.counterparts import COUNTERPARTS, counterparts
from rlparity.validation.double_precision import double_agent, double_model


class PairedModels:
    """Our agent (S = 1) and SB3's model with the same weights; see `make`."""

    def __init__(self, algorithm: str, agent: Any, model: Any, dtype: torch.dtype):
        self.algorithm, self.agent, self.model, self.dtype = algorithm, agent, model, dtype
        self.spec = spec(model.env)
        self.counterparts = list(counterparts(algorithm, agent, model))
        self.align()
        theirs = self.theirs()
        self.from_zero = {each.name for each in self.counterparts if not theirs[each.name].any()}

    def theirs(self) -> dict[str, nn.Parameter]:
        """SB3's parameters by name."""
        found = dict(self.model.policy.named_parameters())
        learned = getattr(self.model, "log_ent_coef", None)
        return found if learned is None else {**found, "log_ent_coef": learned}

    def ours(self) -> dict[str, Tensor]:
        """Our parameters by SB3's names, in SB3's shapes; views that can be written to."""
        return {
            name: tensor for network in COUNTERPARTS[self.algorithm] for name, tensor in self.lay(network)
        }

    def lay(self, network: str, values: Tensor | None = None) -> Iterator[tuple[str, Tensor]]:
        """(SB3's name, tensor) of all parts of `values` (S, P), such as gradients, of one of our agent's
        networks; default: its parameters."""
        net: Network = getattr(self.agent, network)
        parts = net.lay((net.theta if values is None else values).detach())
        return ((each.name, each.within(parts)) for each in self.counterparts if each.network == network)

    def align(self) -> None:
        """Copy SB3's weights to our agent."""
        theirs = self.theirs()
        for name, mine in self.ours().items():
            mine.copy_(theirs[name].detach())

    def differences(self) -> dict[str, float]:
        """The difference of each of our tensors from SB3's, see `difference`."""
        theirs = self.theirs()
        return {
            name: difference(mine, theirs[name].detach(), name in self.from_zero)
            for name, mine in self.ours().items()
        }


def difference(ours: Tensor, theirs: Tensor, absolute: bool = False) -> float:
    """max |a - b| / max |b|, or max |a - b| if `absolute` or if b is all zero. inf if the shapes differ or a
    number is finite on one side only."""
    if ours.shape != theirs.shape or not torch.equal(ours.isfinite(), theirs.isfinite()):
        return float("inf")
    if not ours.numel():
        return 0.0
    a, b = ours.double().nan_to_num(), theirs.double().nan_to_num()
    largest = float(b.abs().max())
    apart = float((a - b).abs().max())
    return apart if absolute or not largest else apart / largest


def make(
    algorithm: str,
    envs: VecEnv,
    options: Mapping[str, Any],
    dtype: torch.dtype = torch.float64,
    budget: int = 1_000_000,
    seed: int = 0,
    own: Mapping[str, Any] | None = None,
) -> PairedModels:
    """Make a pair that learns in `envs`. `algorithm` is an agent with a reference, `options` are its
    hyper-parameters (those that SB3 has no name for, and all in `own`, are for our agent alone), `budget` is
    in environment steps, on which schedules depend.

    Whatever SB3's model computes in float64 must be inside `double_precision.precision(dtype)`.
    """
    shared = {
        name: value
        for name, value in options.items()
        if name not in hyperparameters.OURS | hyperparameters.MEANS
    }
    for name in ("learning_rate", "clip_range"):  # a schedule needs its initial value
        if f"{name}_schedule" in shared:
            shared.setdefault(name, getattr(agents.settings(algorithm), name))
    cell = Cell("parity", "parity", "sb3", algorithm, algorithm, (seed,), budget, envs.num_envs)
    cell = Cell(**{**vars(cell), "hyperparameters": shared})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # about a short last minibatch
        model: Any = sb3.build(cell, envs, seed)
    model.set_logger(Logger(folder=None, output_formats=[]))
    agent: Any = agents.build(algorithm, spec(envs), {**options, **(own or {})}, Streams(cell), budget)
    if dtype == torch.float64:
        double_agent(agent)
        double_model(model)
    return PairedModels(algorithm, agent, model, dtype)


def spec(envs: VecEnv) -> EnvSpec:
    """The specification of SB3's environments for our agents, with one seed."""
    obs, action = envs.observation_space, envs.action_space
    assert isinstance(obs, spaces.Box)
    if isinstance(action, spaces.Discrete):
        return EnvSpec(1, envs.num_envs, obs.shape, int(action.n))
    assert isinstance(action, spaces.Box)
    low, high = (tuple(map(float, end.ravel())) for end in (action.low, action.high))
    return EnvSpec(1, envs.num_envs, obs.shape, None, action.shape, low, high)
