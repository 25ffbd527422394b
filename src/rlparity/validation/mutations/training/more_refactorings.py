"""More equivalent rewrites, of policy gradients and of optimisers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from rlparity.agents import base as agents
from rlparity.buffers.rollout import Rollout
from rlparity.environments.normalization import Moments
from rlparity.nn import networks, optimizers
from rlparity.nn.distributions import kl_divergence
from rlparity.nn.networks import Network
from rlparity.objectives import targets
from rlparity.transitions import Step
from rlparity.validation.mutations import by_graph
from rlparity.validation.mutations.mutation import MutationSet, Patch

ppo, dqn, qrdqn, td3, sac, trpo, reinforce = (
    agents.module(name) for name in ("ppo", "dqn", "qrdqn", "td3", "sac", "trpo", "reinforce")
)
refactoring = MutationSet("refactoring", source="own")


@refactoring(
    "F11", "the clipped objective is written case by case, by the advantage's sign", "ppo CartPole-v1"
)
def f11(patch: Patch) -> None:
    def objective(ratio: Tensor, advantage: Tensor, epsilon: float) -> Tensor:
        up, down = ratio.clamp(max=1 + epsilon), ratio.clamp(min=1 - epsilon)
        return torch.where(advantage > 0, up * advantage, down * advantage).mean(1)

    def slope(ratio: Tensor, advantage: Tensor, epsilon: float) -> Tensor:
        bound = ((advantage > 0) & (ratio > 1 + epsilon)) | ((advantage <= 0) & (ratio < 1 - epsilon))
        return torch.where(bound, 0.0, advantage) / ratio.shape[1]

    patch.replace(ppo, "clipped_objective", objective)
    patch.replace(ppo, "clipped_slope", slope)


@refactoring("F12", "advantages are normalised by moments that are summed by hand", "ppo Pendulum-v1")
def f12(patch: Patch) -> None:
    def normalised(advantage: Tensor) -> Tensor:
        n = advantage.shape[1]
        if n == 1:
            return advantage
        centred = advantage - advantage.sum(1, keepdim=True) / n
        spread = ((centred * centred).sum(1, keepdim=True) / (n - 1)).sqrt()
        return centred / (spread + 1e-8)

    patch.replace(ppo, "normalised", normalised)


@refactoring("F13", "a rollout is kept in arrays that are filled step by step", "a2c CartPole-v1")
def f13(patch: Patch) -> None:
    def pop(self: Any) -> Step:
        steps, self._steps = self._steps, []
        fields = []
        for name in Step._fields:
            first = getattr(steps[0], name)
            filled = first.new_empty(*first.shape[:2], len(steps), *first.shape[2:])
            for t, step in enumerate(steps):
                filled[:, :, t] = getattr(step, name)
            fields.append(filled)
        return Step(*fields)

    patch.replace(Rollout, "pop", pop)


@refactoring("F22", "running moments are sums of values and squares about a shift", "a2c Pendulum-v1")
def f22(patch: Patch) -> None:
    def update(self: Any, batch: Tensor) -> None:
        n, shift = batch.shape[1], self.mean
        total = self.count + n
        first = (batch - shift).sum(1, keepdim=True)
        second = (batch - shift).square().sum(1, keepdim=True)
        self.mean = shift + first / total
        self.var = (self.var * self.count + second) / total - (first / total).square()
        self.count = total

    patch.replace(Moments, "update", update)


@refactoring("F23", "RMSprop steps seed by seed, written out", "a2c CartPole-v1")
def f23(patch: Patch) -> None:
    def rmsprop(theta: Any, grad: Any, squares: Any, *_: Any, **options: Any) -> None:
        for parameter, g, square in zip(theta, grad, squares, strict=True):
            square.copy_(options["alpha"] * square + (1 - options["alpha"]) * g * g)
            parameter.sub_(options["lr"] * g / (square.sqrt() + options["eps"]))

    patch.replace(optimizers, "rmsprop", rmsprop)


@refactoring(
    "F24", "Adam's mean and square are kept with their bias and corrected by factors", "ppo CartPole-v1"
)
def f24(patch: Patch) -> None:
    def adam(theta: Any, grad: Any, means: Any, squares: Any, _: Any, counts: Any, **options: Any) -> None:
        b1, b2 = options["beta1"], options["beta2"]
        for parameter, g, mean, square, count in zip(theta, grad, means, squares, counts, strict=True):
            count += 1
            mean.copy_(b1 * mean + (1 - b1) * g)
            square.copy_(b2 * square + (1 - b2) * g * g)
            first, second = mean / (1 - b1 ** float(count)), square / (1 - b2 ** float(count))
            parameter.sub_(options["lr"] * first / (second.sqrt() + options["eps"]))

    by_graph.adam(patch, adam)


@refactoring("F25", "the surrogate is one plus what the logarithm of the ratio adds", "trpo Pendulum-v1")
def f25(patch: Patch) -> None:
    def surrogate(log_prob: Tensor, old_log_prob: Tensor, advantage: Tensor) -> Tensor:
        gain = torch.expm1(log_prob - old_log_prob)
        return advantage.mean(1) + (gain * advantage).mean(1)

    patch.replace(trpo, "surrogate", surrogate)


@refactoring("F26", "the divergence of Gaussians is written with variances", "npg Pendulum-v1")
def f26(patch: Patch) -> None:
    def divergence(mean: Tensor, log_std: Tensor, other_mean: Tensor, other_log_std: Tensor) -> Tensor:
        own, other = (2 * log_std).exp(), (2 * other_log_std).exp()
        ratio = (own + (mean - other_mean).square()) / other
        return ((other.log() - own.log() + ratio - 1) / 2).sum(-1)

    patch.replace(kl_divergence, "gaussian", divergence)


@refactoring(
    "F27", "rewards to go are a product with a triangle of powers", "reinforce-discounted CartPole-v1"
)
def f27(patch: Patch) -> None:
    def to_go(reward: Tensor, gamma: float) -> Tensor:
        age = torch.arange(len(reward))[None] - torch.arange(len(reward))[:, None]
        powers = torch.where(age >= 0, gamma ** age.clamp(min=0).double(), 0.0)
        return (powers @ reward.double()).to(reward.dtype)

    patch.replace(targets, "rewards_to_go", to_go)


@refactoring("F28", "hidden layers are run by PyTorch's own tanh and addmm, seed by seed", "ppo CartPole-v1")
def f28(patch: Patch) -> None:
    def dense(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        rows = [torch.addmm(b[0], h, w) for h, w, b in zip(x, weight, bias, strict=True)]
        return torch.stack(rows)

    patch.replace(networks, "dense", dense)
    patch.replace(networks, "ACTIVATIONS", {**networks.ACTIVATIONS, "tanh": torch.tanh})
    patch.replace(Network, "_kernel_stacks", lambda self: {})


MUTATIONS = refactoring.mutations
