"""Parameters of our agents and the parameters of Stable-Baselines3's models that correspond to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from torch import Tensor, nn

from rlparity.nn.networks import TRUNK, Network

Parts = tuple[dict[str, list[tuple[Tensor, Tensor]]], dict[str, Tensor]]
Layers = tuple[tuple[str, ...] | str, ...]  # SB3's modules; those in one tuple share a layer of ours


def _actor_critic(*stacks: str) -> dict[str, Layers]:
    places: dict[str, Layers] = {
        TRUNK: ("features_extractor",),
        "actor": ("mlp_extractor.policy_net", "action_net"),
        "critic": ("mlp_extractor.value_net", "value_net"),
    }
    return {name: places[name] for name in stacks}


def _q(net: str, stack: str) -> dict[str, Layers]:
    found: dict[str, Layers] = {TRUNK: (f"{net}.features_extractor",)}
    found[stack] = (f"{net}.{net.removesuffix('_target')}",)
    return {**found, **{name: (f"{net}.{name}",) for name in ("value", "advantage")}}  # if dueling


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
ON_POLICY = ("a2c", "ppo", "trpo")  # agents that learn from rollouts, not from a replay memory
VECTORS = {"log_std": "log_std", "log_alpha": "log_ent_coef"}  # our names and SB3's


class Counterpart(NamedTuple):
    """A tensor of SB3's and its place in one of our networks."""

    name: str  # as in `policy.state_dict()`, or log_ent_coef
    network: str  # attribute of our agent
    stack: str  # or of the vector, if `layer` is None
    layer: int | None = None
    bias: bool = False
    outputs: slice = slice(None)  # of the layer

    def within(self, parts: Parts) -> Tensor:
        """This tensor as a view, in SB3's shape, of seed 0's parameters or gradients from `Network.lay`."""
        stacks, vectors = parts
        if self.layer is None:
            return vectors[self.stack][0, 0]
        found = stacks[self.stack][self.layer][self.bias][0]
        if self.bias:
            return found.flatten()[self.outputs]
        return found if found.dim() > 2 else found[:, self.outputs].T


def counterparts(algorithm: str, agent: Any, model: Any) -> Iterator[Counterpart]:
    """Yield every parameter of our networks; networks that learn come before their targets."""
    modules = {
        name: module
        for name, module in model.policy.named_modules()
        if isinstance(module, nn.Linear | nn.Conv2d)
    }
    for attribute, places in COUNTERPARTS[algorithm].items():
        network: Network = getattr(agent, attribute)
        for vector in network.vectors:
            if vector != "log_alpha" or model.log_ent_coef is not None:
                yield Counterpart(VECTORS[vector], attribute, vector)
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
                    yield Counterpart(f"{name}.weight", attribute, stack, layer, False, outputs)
                    yield Counterpart(f"{name}.bias", attribute, stack, layer, True, outputs)
