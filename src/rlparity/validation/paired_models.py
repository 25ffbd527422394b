"""An agent of ours and Stable-Baselines3's model with the same options and weights, in float32 or float64.

What both learn can then be compared tensor by tensor, under SB3's names. Single precision hides small faults
behind rounding; in doubles two implementations of one update agree to twelve digits, or they differ.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common import policies
from stable_baselines3.common.buffers import BaseBuffer, RolloutBuffer
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv
from torch import Tensor, nn

from rlparity.agents import base as agents
from rlparity.cell import Cell
from rlparity.environments.base import EnvSpec
from rlparity.nn.networks import TRUNK, Network
from rlparity.nn.optimizers import Optimizer
from rlparity.references import sb3
from rlparity.seeding import Streams
from rlparity.suites import hyperparameters

Laid = tuple[dict[str, list[tuple[Tensor, Tensor]]], dict[str, Tensor]]
Layers = tuple[tuple[str, ...] | str, ...]  # SB3's modules; those in one tuple share a layer of ours


def _actor_critic(*stacks: str) -> dict[str, Layers]:
    places: dict[str, Layers] = {
        TRUNK: ("features_extractor",),
        "actor": ("mlp_extractor.policy_net", "action_net"),
        "critic": ("mlp_extractor.value_net", "value_net"),
    }
    return {name: places[name] for name in stacks}


def _q(net: str, stack: str) -> dict[str, Layers]:
    return {TRUNK: (f"{net}.features_extractor",), stack: (f"{net}.{net.removesuffix('_target')}",)}


def _deterministic(*critics: str) -> dict[str, dict[str, Layers]]:
    found: dict[str, dict[str, Layers]] = {}
    for suffix in ("", "_target"):
        found[f"actor{suffix}"] = {"actor": (f"actor{suffix}.mu",)}
        found[f"critic{suffix}"] = {name: (f"critic{suffix}.qf{i}",) for i, name in enumerate(critics)}
    return found


_SAC_ACTOR: Layers = ("actor.latent_pi", ("actor.mu", "actor.log_std"))
_TD3 = _deterministic("q1", "q2")
COUNTERPARTS: Mapping[str, Mapping[str, Mapping[str, Layers]]] = {  # agent -> its networks -> their stacks
    "a2c": {"network": _actor_critic(TRUNK, "actor", "critic")},
    "ppo": {"network": _actor_critic(TRUNK, "actor", "critic")},
    "trpo": {"actor": _actor_critic("actor"), "critic": _actor_critic("critic")},
    "dqn": {"q": _q("q_net", "q"), "q_target": _q("q_net_target", "q")},
    "qrdqn": {"network": _q("quantile_net", "quantiles"), "target": _q("quantile_net_target", "quantiles")},
    "ddpg": _deterministic("q"),
    "td3": _TD3,
    "sac": {
        "temperature": {},
        "actor": {"actor": _SAC_ACTOR},
        "critic": _TD3["critic"],
        "critic_target": _TD3["critic_target"],
    },
}
VECTORS = {"log_std": "log_std", "log_alpha": "log_ent_coef"}  # ours, and what SB3 calls them


class Leaf(NamedTuple):
    """A tensor of SB3's, and where it lies in one of our networks."""

    name: str  # as in `policy.state_dict()`, or log_ent_coef
    network: str  # attribute of our agent
    stack: str  # or the vector, if there is no layer
    layer: int | None = None
    bias: bool = False
    outputs: slice = slice(None)  # of the layer

    def within(self, laid: Laid) -> Tensor:
        """The part of seed 0's parameters or gradients, laid out by `Network.lay`, in SB3's shape; a view."""
        stacks, vectors = laid
        if self.layer is None:
            return vectors[self.stack][0, 0]
        found = stacks[self.stack][self.layer][self.bias][0]
        if self.bias:
            return found.flatten()[self.outputs]
        return found if found.dim() > 2 else found[:, self.outputs].T


class PairedModels:
    """Our agent (S = 1) and SB3's model, that starts with the same weights; see `make`."""

    def __init__(self, algorithm: str, agent: Any, model: Any, dtype: torch.dtype):
        self.algorithm, self.agent, self.model, self.dtype = algorithm, agent, model, dtype
        self.spec = spec(model.env)
        self.leaves = list(_leaves(algorithm, agent, model))
        self.align()
        theirs = self.theirs()
        self.from_zero = {leaf.name for leaf in self.leaves if not theirs[leaf.name].any()}

    def theirs(self) -> dict[str, nn.Parameter]:
        """SB3's parameters by name."""
        found = dict(self.model.policy.named_parameters())
        learned = getattr(self.model, "log_ent_coef", None)
        return found if learned is None else {**found, "log_ent_coef": learned}

    def ours(self) -> dict[str, Tensor]:
        """Our parameters by SB3's names, in SB3's shapes: views, so that they can be written to."""
        return {
            name: tensor for network in COUNTERPARTS[self.algorithm] for name, tensor in self.lay(network)
        }

    def lay(self, network: str, rows: Tensor | None = None) -> Iterator[tuple[str, Tensor]]:
        """(SB3's name, tensor) of what lies in rows (S, P), such as gradients, of one of our agent's
        networks; default its parameters."""
        net: Network = getattr(self.agent, network)
        laid = net.lay((net.theta if rows is None else rows).detach())
        return ((leaf.name, leaf.within(laid)) for leaf in self.leaves if leaf.network == network)

    def align(self) -> None:
        """Give our agent SB3's weights."""
        theirs = self.theirs()
        for name, mine in self.ours().items():
            mine.copy_(theirs[name].detach())

    def differences(self) -> dict[str, float]:
        """How far each tensor of ours is from SB3's, see `difference`."""
        theirs = self.theirs()
        return {
            name: difference(mine, theirs[name].detach(), name in self.from_zero)
            for name, mine in self.ours().items()
        }


def difference(ours: Tensor, theirs: Tensor, absolute: bool = False) -> float:
    """max |a - b| / max |b|, or without the denominator; so too where b is all zero. inf for other shapes and
    for numbers that are finite on one side only."""
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
    worlds: VecEnv,
    options: Mapping[str, Any],
    dtype: torch.dtype = torch.float64,
    budget: int = 1_000_000,
    seed: int = 0,
    own: Mapping[str, Any] | None = None,
) -> PairedModels:
    """Twins that learn in `worlds`: `algorithm` is an agent with a reference, `options` its hyper-parameters
    (those that SB3 has no name for are ours alone, and so are all in `own`), `budget` environment steps, on
    which schedules depend.

    Whatever SB3's side calculates in float64 must be inside `precision(dtype)`.
    """
    shared = {
        name: value
        for name, value in options.items()
        if name not in hyperparameters.OURS | hyperparameters.MEANS
    }
    for name in ("learning_rate", "clip_range"):  # what a schedule starts from must be said
        if f"{name}_schedule" in shared:
            shared.setdefault(name, getattr(agents.module(algorithm).Config, name))
    cell = Cell("parity", "parity", "sb3", algorithm, algorithm, (seed,), budget, worlds.num_envs)
    cell = Cell(**{**vars(cell), "hyperparameters": shared})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of a last minibatch that is short
        model: Any = sb3.build(cell, worlds, seed)
    model.set_logger(Logger(folder=None, output_formats=[]))
    agent: Any = agents.build(algorithm, spec(worlds), {**options, **(own or {})}, Streams(cell), budget)
    if dtype == torch.float64:
        _double_agent(agent)
        _double_model(model)
    return PairedModels(algorithm, agent, model, dtype)


@contextmanager
def precision(dtype: torch.dtype) -> Iterator[None]:
    """Let SB3 see observations and batches in this precision, float32 or float64."""
    if dtype == torch.float32:
        yield
        return
    preprocess: Any = policies.preprocess_obs
    to_torch = BaseBuffer.to_torch

    def in_doubles(obs: Any, *arguments: Any, **keywords: Any) -> Any:
        seen = preprocess(obs, *arguments, **keywords)
        return obs.double() if seen.dtype == torch.float32 and obs.is_floating_point() else seen.double()

    def as_doubles(buffer: BaseBuffer, array: np.ndarray, copy: bool = True) -> Tensor:
        found = to_torch(buffer, array, copy)
        return found.double() if found.is_floating_point() else found

    with (
        mock.patch.object(policies, "preprocess_obs", in_doubles),
        mock.patch.object(BaseBuffer, "to_torch", as_doubles),
    ):
        yield


class DoubleRollouts(RolloutBuffer):
    """SB3's rollout buffer with float64 in place of float32."""

    def reset(self) -> None:
        """Empty it."""
        super().reset()
        for name, array in vars(self).items():
            if isinstance(array, np.ndarray) and array.dtype == np.float32:
                setattr(self, name, array.astype(np.float64))


def _double_model(model: Any) -> None:
    """Turn a model that has not learned yet to float64: its optimisers keep their parameters."""
    model.policy.double()
    if isinstance(getattr(model, "rollout_buffer", None), RolloutBuffer):
        b = model.rollout_buffer
        model.rollout_buffer = DoubleRollouts(
            b.buffer_size, b.observation_space, b.action_space, b.device, b.gae_lambda, b.gamma, b.n_envs
        )
    if getattr(model, "log_ent_coef", None) is not None:
        model.log_ent_coef.data = model.log_ent_coef.data.double()
    elif hasattr(model, "ent_coef_tensor"):
        model.ent_coef_tensor = torch.tensor(float(model.ent_coef), dtype=torch.float64)
    worlds = model.env.unwrapped if model.env is not None else None
    if isinstance(worlds, DummyVecEnv):
        worlds.buf_rews = worlds.buf_rews.astype(np.float64)
        for key, obs in worlds.buf_obs.items():
            worlds.buf_obs[key] = obs.astype(np.float64) if obs.dtype == np.float32 else obs


def _double_agent(agent: Any) -> None:
    """Turn a fresh agent of ours to float64: networks are copied, optimisers keep their kind."""
    copies: dict[int, Network] = {}
    for name, part in vars(agent).items():
        if isinstance(part, Network):  # one network may have two names
            twin = copies.get(id(part)) or part._view(part.theta.detach().double())
            copies[id(part)] = twin
            setattr(agent, name, twin)
    for part in vars(agent).values():
        if isinstance(part, Optimizer):
            part._network = copies[id(part._network)]
            part._moments = [moment.double() for moment in part._moments]


def spec(worlds: VecEnv) -> EnvSpec:
    """What our agents may know of SB3's worlds, which are one seed's."""
    obs, action = worlds.observation_space, worlds.action_space
    assert isinstance(obs, spaces.Box)
    if isinstance(action, spaces.Discrete):
        return EnvSpec(1, worlds.num_envs, obs.shape, int(action.n))
    assert isinstance(action, spaces.Box)
    low, high = (tuple(map(float, end.ravel())) for end in (action.low, action.high))
    return EnvSpec(1, worlds.num_envs, obs.shape, None, action.shape, low, high)


def _leaves(algorithm: str, agent: Any, model: Any) -> Iterator[Leaf]:
    """Every parameter of our networks, those that learn before their targets."""
    modules = {
        name: module
        for name, module in model.policy.named_modules()
        if isinstance(module, nn.Linear | nn.Conv2d)
    }
    for attribute, places in COUNTERPARTS[algorithm].items():
        network: Network = getattr(agent, attribute)
        for vector in network.vectors:
            if vector != "log_alpha" or model.log_ent_coef is not None:
                yield Leaf(VECTORS[vector], attribute, vector)
        for stack in network.stacks:
            shared: list[tuple[str, ...]] = []
            for place in places[stack]:
                inside = [n for n in modules if n == place or n.startswith(f"{place}.")]
                shared += [place] if isinstance(place, tuple) else [(name,) for name in inside]
            assert len(shared) == len(network.stacks[stack]), (stack, shared)
            for layer, names in enumerate(shared):
                start = 0
                for name in names:
                    outputs = slice(start, start + modules[name].weight.shape[0])
                    start = outputs.stop
                    yield Leaf(f"{name}.weight", attribute, stack, layer, False, outputs)
                    yield Leaf(f"{name}.bias", attribute, stack, layer, True, outputs)
