"""Initial parameters of an agent's networks, held against the distribution that each layer is said to have.

Actor-critics start as Stable-Baselines3's: orthogonal weights W with W W^T = gain^2 I (Saxe et al. 2014,
arXiv:1312.6120), gain sqrt(2) in hidden layers, 0.01 before a policy and 1 before a value; biases are zero.
All others start as PyTorch's layers do: weights and biases uniform within 1 / sqrt(fan_in) of zero. The
logarithm of a Gaussian policy's deviation starts at `log_std_init`, that of a learned temperature at zero.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import combinations, pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from rlparity.agents import base as agents
from rlparity.environments import metadata
from rlparity.environments.base import EnvSpec
from rlparity.nn.networks import TRUNK, Network
from rlparity.seeding import Streams
from rlparity.suites import hyperparameters
from rlparity.training import object_state
from rlparity.validation.checks import Answer
from rlparity.validation.contract.own_agents.kinds.random_numbers import cell, far_from_uniform, related

SEEDS = (3, 4, 5, 2**40)
OBS, ACTIONS, COMPONENTS = 17, 6, 3  # numbers in an observation, actions, or components of one
ORTHOGONAL = ("reinforce", "actor_critic", "a2c", "ppo", "trpo")
POLICY_GAIN, HIDDEN_GAIN, VALUE_GAIN = 0.01, math.sqrt(2), 1.0
MANY = 20_000  # numbers of a tensor that its distribution is judged by
EXACT = 1e-4  # relative error of a gain, in single precision


class Heads(NamedTuple):
    """Outputs of each stack by network, as an attribute of the agent, and the start of its vectors."""

    outputs: dict[str, int]
    vectors: dict[str, float] = {}  # noqa: RUF012  (never changed)


def expected(agent: str, c: Any, spec: EnvSpec) -> dict[str, Heads]:
    """The networks that an agent with settings `c` learns, by its attributes."""
    n, a = spec.n_actions or 0, math.prod(spec.action_shape)
    policy = n or a
    log_std = {} if n else {"log_std": getattr(c, "log_std_init", 0.0)}
    if agent in ("a2c", "ppo"):
        return {"network": Heads({"actor": policy, "critic": 1}, log_std)}
    if agent == "trpo":
        return {"actor": Heads({"actor": policy}, log_std), "critic": Heads({"critic": 1})}
    if agent == "actor_critic":
        return {"actor": Heads({"actor": n}), "critic": Heads({"critic": 1})}
    if agent == "reinforce":
        return {"network": Heads({"actor": n, **({"critic": 1} if c.baseline == "value" else {})})}
    if agent == "dqn":
        return {"q": Heads({"value": 1, "advantage": n} if c.dueling else {"q": n})}
    if agent == "qrdqn":
        return {"network": Heads({"quantiles": c.n_quantiles * n})}
    if agent == "sac":
        temperature = Heads({}, {"log_alpha": 0.0})
        return {
            "actor": Heads({"actor": 2 * a}),
            "critic": Heads({"q1": 1, "q2": 1}),
            "temperature": temperature,
        }
    critics = {"q": 1} if agent == "ddpg" else {"q1": 1, "q2": 1}
    return {"actor": Heads({"actor": a}), "critic": Heads(critics)} if agent in ("ddpg", "td3") else {}


def distribution(algorithm: str, environment: str, changes: dict[str, Any]) -> Answer | None:
    """Every layer of every network starts with its distribution, each seed with draws of its own, targets as
    copies of what they follow; None if nothing is learned."""
    named = hyperparameters.library().algorithms[algorithm]
    block = hyperparameters.library().lookup(environment, named.agent)
    values = {**block.hyperparameters, **named.options_for(environment), **changes}
    if "buffer_size" in hyperparameters.config(named.agent):
        values["buffer_size"] = 8
    info = metadata.probe(environment)
    shape = (OBS,) if info.image is None else tuple(info.image)
    seeds = SEEDS if info.image is None else SEEDS[:2]  # large weights: fewer draws say as much
    spec = EnvSpec(len(seeds), 2, shape, ACTIONS)
    if info.actions == "continuous":
        low, high = ((end,) * COMPONENTS for end in (-1.0, 2.0))
        spec = EnvSpec(len(seeds), 2, shape, None, (COMPONENTS,), low, high)
    config: Any = agents.settings(named.agent)(**values)
    made: Any = agents.build(named.agent, spec, values, Streams(cell(named, seeds)), 1000)
    if not object_state.find(made, Network):
        return None
    wanted = expected(named.agent, config, spec)
    return _examined(made, named.agent, config, spec, wanted) if wanted else _of_own_kind(made)


def _of_own_kind(made: Any) -> Answer:
    """An agent that `expected` does not know: its seeds have draws of their own."""
    networks = object_state.find(made, Network)
    laid = {f"{i}.{name}": stack for i, n in enumerate(networks) for name, stack in n.lay(n.theta)[0].items()}
    weights = {f"weights of {name}": weight for name, stack in laid.items() for weight, _ in stack}
    problem = _shared({name: x for name, x in weights.items() if len(x[0].unique()) > 1}, within=False)
    return (
        problem is None,
        problem or f"{len(weights)} tensors differ from seed to seed; their start is not known",
    )


def _examined(made: Any, agent: str, config: Any, spec: EnvSpec, wanted: dict[str, Heads]) -> Answer:
    """Look at all networks of a new agent."""
    orthogonal = agent in ORTHOGONAL and getattr(config, "ortho_init", True)
    drawn: dict[str, Tensor] = {}
    for attribute, heads in wanted.items():
        network: Network = getattr(made, attribute)
        stacks, vectors = network.lay(network.theta.detach())
        if (found := {*stacks} - {TRUNK}) != {*heads.outputs} or {*vectors} != {*heads.vectors}:
            return False, f"{attribute} has {sorted(found)} and {sorted(vectors)}"
        for name, start in heads.vectors.items():
            if (vectors[name] - start).abs().max() > 1e-6:
                return False, f"{name} starts at {float(vectors[name].mean()):g}, not at {start:g}"
        for name, layers in stacks.items():
            where = f"{attribute}.{name}"
            inputs = OBS + (COMPONENTS if name.startswith("q") and spec.n_actions is None else 0)
            sizes = [inputs, *config.net_arch, heads.outputs.get(name)]
            widths = [tuple(weight.shape[1:]) for weight, _ in layers]
            if len(spec.obs_shape) == 1 and widths != list(pairwise(sizes)):
                return False, f"{where} has layers {widths}; its sizes are {sizes}"
            for i, (weight, bias) in enumerate(layers):
                last = i == len(layers) - 1 and name != TRUNK
                gain = (POLICY_GAIN if name == "actor" else VALUE_GAIN) if last else HIDDEN_GAIN
                problem = _orthogonal(weight, bias, gain) if orthogonal else _uniform(weight, bias)
                if problem:
                    return False, f"layer {i + 1} of {where} {problem}"
                drawn[f"weights {i + 1} of {where}"] = weight
                if not orthogonal:
                    drawn[f"biases {i + 1} of {where}"] = bias
    problem = _shared(drawn) or _targets(made, wanted)
    return problem is None, problem or f"{len(drawn)} tensors of {spec.n_seeds} seeds"


def _matrix(weight: Tensor) -> Tensor:
    """(outputs, inputs) of one seed, float64; a convolution's are over what one output sees."""
    return (weight.flatten(1) if weight.dim() > 2 else weight.T).double()


def _orthogonal(weight: Tensor, bias: Tensor, gain: float) -> str | None:
    for one in weight:
        m = _matrix(one)
        small = m @ m.T if m.shape[0] <= m.shape[1] else m.T @ m
        apart = float((small / gain**2 - torch.eye(len(small))).abs().max())
        if apart > EXACT:
            root = float(small.diagonal().mean().sqrt())
            return f"is not orthogonal with gain {gain:.3g}: rows of length {root:.3g}, off by {apart:.2g}"
    n = weight[0].numel()
    z = weight.double().flatten(1).mean(1) / weight.double().square().mean().sqrt() * math.sqrt(n)
    if n >= 64 and z.abs().max() > 6:
        return f"has weights of mean {float(weight.mean()):.2g}, not 0"
    return None if not bias.any() else f"has biases up to {float(bias.abs().max()):.2g}, not 0"


def _uniform(weight: Tensor, bias: Tensor) -> str | None:
    bound = 1 / math.sqrt(_matrix(weight[0]).shape[1])
    for what, values in (("weights", weight), ("biases", bias)):
        share = values.double().flatten().numpy() / bound
        if abs(share).max() > 1 + EXACT:
            return f"has {what} up to {abs(share).max():.3g} times 1 / sqrt(fan_in)"
        if far_from_uniform((share[:MANY] + 1) / 2):
            root = float(np.sqrt(np.mean(share**2)))
            return f"has {what} of size {root:.3g} times 1 / sqrt(fan_in); uniform ones have 0.577"
    return None


def _shared(drawn: dict[str, Tensor], within: bool = True) -> str | None:
    """Describe tensors that repeat another: of another seed, or `within` one of another layer."""
    for name, values in drawn.items():
        for a, b in combinations(range(len(values)), 2):
            if related(values[a], values[b]):
                return f"{name} of seeds {SEEDS[a]} and {SEEDS[b]} are the same draws"
    for (name, one), (other, two) in combinations(drawn.items() if within else (), 2):
        if one.shape == two.shape and related(one[0], two[0]):
            return f"{name} and {other} are the same draws"
    return None


def _targets(made: Any, wanted: dict[str, Heads]) -> str | None:
    for name, online, target in targets(made, wanted):
        if not torch.equal(target.theta, online.theta):
            return f"{name} does not start as a copy of what it follows"
        if target is not online and target.theta.data_ptr() == online.theta.data_ptr():
            return f"{name} shares the memory of what it follows"
    learned = {id(getattr(made, attribute)) for attribute in wanted}
    known = learned | {id(target) for _, _, target in targets(made, wanted)}
    extra = [part for part in object_state.find(made, Network) if id(part) not in known]
    return f"{len(extra)} networks that are neither learned nor targets" if extra else None


def targets(made: Any, wanted: dict[str, Heads]) -> Iterator[tuple[str, Network, Network]]:
    """Name, learning network and target network of all targets."""
    for attribute in wanted:
        names = [f"{attribute}_target"] + (["target"] if attribute == "network" else [])
        for name in names:
            if hasattr(made, name):
                yield name, getattr(made, attribute), getattr(made, name)
