"""Bugs of A2C, of returns and of TRPO. Those of REINFORCE are planted in A2C, which has a reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from rlparity.agents import base as agents
from rlparity.nn import optimizers
from rlparity.objectives import targets
from rlparity.validation.mutations.mutation import MutationSet, Patch

a2c, trpo = agents.module("a2c"), agents.module("trpo")
bug = MutationSet()


@bug(
    "A1",
    "RMSprop has its epsilon inside the root",
    "a2c CartPole-v1",
    "SB3#110; pytorch#23796; optax#532",
    "a tiny epsilon",
)
def a1(patch: Patch) -> None:
    def rmsprop(
        theta: Sequence[Tensor], grad: Sequence[Tensor], squares: Sequence[Tensor], *_: Any, **options: Any
    ) -> None:
        for parameter, g, square in zip(theta, grad, squares, strict=True):
            square.mul_(options["alpha"]).addcmul_(g, g, value=1 - options["alpha"])
            parameter.addcdiv_(g, square.add(options["eps"]).sqrt_(), value=-options["lr"])

    patch.replace(optimizers, "rmsprop", rmsprop)


@bug(
    "R1",
    "every step is credited with the return from the rollout's start",
    "a2c CartPole-v1",
    "huggingface/deep-rl-class#70",
    "episodes of one step",
)
def r1(patch: Patch) -> None:
    def around(gae: Any, reward: Tensor, value: Tensor, *rest: Any) -> Tensor:
        advantage: Tensor = gae(reward, value, *rest)
        return (advantage + value)[..., :1] - value

    patch.wrap(targets, "gae", around)


@bug(
    "R3",
    "the mean over each sub-environment's own rollout is the baseline",
    "a2c CartPole-v1",
    "alessiodm/drl-zh#5",
)
def r3(patch: Patch) -> None:
    def around(prepare: Any, self: Any, rollout: Any) -> Any:
        batch = prepare(self, rollout)
        advantage = batch.advantage.view(rollout.reward.shape)
        return batch._replace(advantage=(advantage - advantage.mean(-1, keepdim=True)).flatten(1))

    patch.wrap(a2c.A2C, "prepare", around)


@bug(
    "R5 once",
    "rewards are discounted once, however late they come",
    "a2c CartPole-v1",
    'codefrydev, page "debugging-rl-code"',
    "gamma 1",
)
def r5_once(patch: Patch) -> None:
    def around(
        gae: Any, r: Tensor, v: Tensor, nv: Tensor, discount: Tensor, last: Tensor, gamma: float, lam: float
    ) -> Any:
        return gae(r, v, nv, gamma * discount, last, 1.0, lam)

    patch.wrap(targets, "gae", around)


@bug(
    "R5 missing",
    "nothing is discounted",
    "a2c CartPole-v1",
    'codefrydev, page "debugging-rl-code"',
    "gamma 1",
)
def r5_missing(patch: Patch) -> None:
    patch.wrap(targets, "gae", lambda gae, *tensors: gae(*tensors[:5], 1.0, tensors[6]))


@bug(
    "T1",
    "where the line search fails, the last trial stays",
    "trpo Pendulum-v1",
    "Tianshou#1287",
    "searches that succeed",
    {"line_search_max_iter": 1, "target_kl": 10.0},
)
def t1(patch: Patch) -> None:
    def around(search: Any, self: Any, batch: Any, step: Tensor, objective: Tensor) -> Any:
        c, theta = self.config, self.actor.theta.detach()
        trial = theta + c.line_search_shrinking_factor ** (c.line_search_max_iter - 1) * step
        metrics = search(self, batch, step, objective)
        if c.line_search:
            failed = metrics["line_search_success"] == 0
            theta.copy_(torch.where(failed[:, None], trial, theta))
        return metrics

    patch.wrap(trpo.TRPO, "search", around)


@bug("T3", "the Fisher matrix is not damped", "trpo Pendulum-v1", "constructed")
def t3(patch: Patch) -> None:
    patch.configure("trpo", lambda config: {"cg_damping": 0.0})


@bug(
    "T4",
    "the whole step is taken, without a line search",
    "trpo Pendulum-v1",
    "rll/rllab#14",
    "first trials that are accepted",
    {"line_search_max_iter": 10, "target_kl": 10.0},
)
def t4(patch: Patch) -> None:
    def around(search: Any, self: Any, batch: Any, step: Tensor, objective: Tensor) -> Any:
        given = self.config
        self.config = replace(given, line_search=False)
        metrics = search(self, batch, step, objective)
        self.config = given
        return {**metrics, "line_search_success": torch.ones_like(objective)}

    patch.wrap(trpo.TRPO, "search", around)


@bug(
    "T5",
    "the conjugate gradient is good for two iterations only",
    "trpo Pendulum-v1",
    "nosyndicate/pytorchrl#2",
)
def t5(patch: Patch) -> None:
    def around(solve: Any, product: Any, b: Tensor, max_steps: int, *rest: Any) -> Any:
        return solve(product, b, min(max_steps, 2), *rest)

    patch.wrap(trpo, "conjugate_gradient", around)


@bug(
    "T6",
    "the critic's optimiser moves the actor, too",
    "trpo Pendulum-v1",
    "Tianshou changelog, on NPG and TRPO",
)
def t6(patch: Patch) -> None:
    def around(fit: Any, self: Any, *arguments: Any) -> Any:
        optimizers.Adam(self.actor, eps=1e-5).step(self.config.learning_rate, self.alive)
        return fit(self, *arguments)

    patch.wrap(trpo.TRPO, "fit", around)


MUTATIONS = bug.mutations
