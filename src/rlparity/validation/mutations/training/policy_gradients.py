"""More bugs of PPO and A2C: what is drawn from a rollout, and gradients that are worked out by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rlparity.agents import base as agents
from rlparity.nn.distributions import categorical, gaussian
from rlparity.objectives import targets
from rlparity.validation.mutations import by_graph
from rlparity.validation.mutations.mutation import MutationSet, Patch

ppo, a2c, trpo = (agents.module(name) for name in ("ppo", "a2c", "trpo"))
bug = MutationSet(source="own")


@bug(
    "G1",
    "the objective is the clipped term alone, without the minimum of the two",
    "ppo CartPole-v1",
    hides="ratios within the clip range",
)
def g1(patch: Patch) -> None:
    def objective(ratio: Tensor, advantage: Tensor, epsilon: float) -> Tensor:
        return (ratio.clamp(1 - epsilon, 1 + epsilon) * advantage).mean(1)

    patch.replace(ppo, "clipped_objective", objective)
    patch.replace(ppo, "clipped_slope", by_graph.clipped_slope(objective))


@bug(
    "G2",
    "a value's clip range lies around its target, not around the value before the update",
    "ppo CartPole-v1",
    hides="values that are not clipped, as in both benchmarks",
    needs={"clip_range_vf": 0.2},
)
def g2(patch: Patch) -> None:
    def around(original: Any, self: Any, batch: Any, *rest: Any) -> Any:
        return original(self, batch._replace(value=batch.returns), *rest)

    patch.wrap(ppo.PPO, "loss", around)
    patch.wrap(ppo.PPO, "slopes", around)


@bug(
    "G3",
    "the gradient worked out by hand leaves out the entropy bonus, which the reported loss has",
    "ppo CartPole-v1",
    hides="ent_coef 0, as in both benchmarks",
    needs={"ent_coef": 0.01},
)
def g3(patch: Patch) -> None:
    def around(slopes: Any, self: Any, *arguments: Any) -> Any:
        by_log_prob, _, by_value = slopes(self, *arguments)
        return by_log_prob, None, by_value

    patch.wrap(ppo.PPO, "slopes", around)


@bug(
    "G4",
    "the entropy's gradient by the logits is -p log p: the entropy itself is missing in it",
    "ppo CartPole-v1",
    hides="ent_coef 0, as in both benchmarks",
    needs={"ent_coef": 0.01},
)
def g4(patch: Patch) -> None:
    def slopes(log_pi: Tensor, action: Tensor, by_log_prob: Tensor, by_entropy: Tensor | None) -> Tensor:
        pi, by = log_pi.exp(), by_log_prob.unsqueeze(-1)
        found = (pi * -by).scatter_add_(-1, action.unsqueeze(-1), by)
        return found if by_entropy is None else found - by_entropy.unsqueeze(-1) * pi * log_pi

    patch.replace(categorical, "slopes", slopes)


def gaussian_slopes(patch: Patch, change: Callable[..., tuple[Tensor, Tensor]]) -> None:
    """Let `change` make a Gaussian's slopes of the right ones, sigma and the gradient by log pi."""

    def around(slopes: Any, mean: Tensor, log_std: Tensor, action: Tensor, by: Tensor, entropy: Any) -> Any:
        return change(*slopes(mean, log_std, action, by, entropy), log_std.exp(), by)

    patch.wrap(gaussian, "slopes", around)


@bug("G5", "the gradient by log sigma is z^2, without the 1 that is taken off", "ppo Pendulum-v1")
def g5(patch: Patch) -> None:
    gaussian_slopes(patch, lambda mean, log_std, sigma, by: (mean, log_std + by.sum(1, keepdim=True)))


@bug(
    "G6",
    "the gradient by a Gaussian's mean is divided by sigma once, not twice",
    "ppo Pendulum-v1",
    hides="deviations of 1, as at the start",
)
def g6(patch: Patch) -> None:
    gaussian_slopes(patch, lambda mean, log_std, sigma, by: (mean * sigma, log_std))


@bug(
    "G7", "minibatches are drawn with replacement: an epoch misses a third of the rollout", "ppo Pendulum-v1"
)
def g7(patch: Patch) -> None:
    def around(update: Any, self: Any, batch: Any, shuffles: Tensor) -> Any:
        if shuffles.numel():
            rng = np.random.default_rng(int(shuffles[0, 0, 0]))
            shuffles = torch.from_numpy(rng.integers(shuffles.shape[2], size=shuffles.shape))
        return update(self, batch, shuffles)

    patch.wrap(ppo.PPO, "update", around)


@bug(
    "G8",
    "the last minibatch of an epoch is left out where it is smaller than the others",
    "ppo CartPole-v1",
    hides="rollouts of a whole number of minibatches",
    needs={"batch_size": 100},
)
def g8(patch: Patch) -> None:
    def around(learn: Any, self: Any, batch: Any, due: Tensor, measured: bool) -> Any:
        if batch.advantage.shape[1] < self.config.batch_size:
            return due, {}
        return learn(self, batch, due, True)

    patch.wrap(ppo.PPO, "learn", around)


@bug("G9", "the targets of values are made from advantages that are already normalised", "ppo Pendulum-v1")
def g9(patch: Patch) -> None:
    def around(prepare: Any, self: Any, rollout: Any) -> Any:
        batch = prepare(self, rollout)
        advantage = ppo.normalised(batch.advantage)
        return batch._replace(advantage=advantage, returns=advantage + batch.value)

    patch.wrap(ppo.PPO, "prepare", around)


@bug(
    "G10",
    "the targets of values are returns with lambda 1, the advantages have the lambda that is set",
    "ppo CartPole-v1",
    hides="gae_lambda 1",
)
def g10(patch: Patch) -> None:
    def around(prepare: Any, self: Any, rollout: Any) -> Any:
        batch, c = prepare(self, rollout), self.config
        with torch.no_grad():
            value = batch.value.view(rollout.reward.shape)
            following = targets.next_values(rollout, value, self.value)
            rest = rollout.discount, rollout.last, c.gamma, 1.0
            whole = targets.gae(rollout.reward, value, following, *rest)
        return batch._replace(returns=(whole + value).flatten(1))

    patch.wrap(ppo.PPO, "prepare", around)


@bug("G11", "the clip range does not fall", "ppo CartPole-v1", hides="short runs")
def g11(patch: Patch) -> None:
    patch.configure("ppo", lambda config: {"clip_range_schedule": "constant"})


@bug(
    "G12",
    "the entropy is a mean over the actions, not a sum",
    "a2c CartPole-v1",
    hides="ent_coef 0, as in both benchmarks",
    needs={"ent_coef": 0.01},
)
def g12(patch: Patch) -> None:
    def around(original: Any, logits: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        log_prob, entropy = original(logits, action)
        return log_prob, entropy / logits.shape[-1]

    patch.wrap(categorical, "log_prob_and_entropy", around)


@bug("G13", "the advantage keeps its gradient: the policy's loss moves the critic, too", "a2c CartPole-v1")
def g13(patch: Patch) -> None:
    def around(loss: Any, self: Any, batch: Any) -> Any:
        value = self.value(batch.obs)
        return loss(self, batch._replace(advantage=batch.returns - value))

    patch.wrap(a2c.A2C, "loss", around)


@bug(
    "G19",
    "what learns is the action as the environment clips it, not as it was drawn",
    "ppo Pendulum-v1",
    hides="actions within their bounds",
)
def g19(patch: Patch) -> None:
    def around(observe: Any, self: Any, step: Any) -> Any:
        return observe(self, step._replace(action=step.action.clamp(-2, 2)))  # Pendulum's bounds

    patch.wrap(ppo.PPO, "observe", around)


MUTATIONS = bug.mutations
