"""Bugs of DQN and of replay memory."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from rlparity.agents import base as agents
from rlparity.buffers.replay import Replay
from rlparity.objectives import targets
from rlparity.training import object_state
from rlparity.validation.mutations import by_graph
from rlparity.validation.mutations.mutation import MutationSet, Patch

dqn = agents.module("dqn")
bug = MutationSet()


@bug(
    "D1",
    "the loss broadcasts (B, 1) against (B,): every value is held against every target",
    "dqn CartPole-v1",
    "Spinning Up, exercise 2.2; SLM-Lab#372",
)
def d1(patch: Patch) -> None:
    def td_loss(
        q_values: Tensor, action: Tensor, y: Tensor, loss: str, weight: Tensor | float = 1.0
    ) -> tuple[Tensor, Tensor]:
        q = q_values.gather(-1, action.unsqueeze(-1)).squeeze(-1)
        distance = F.smooth_l1_loss if loss == "huber" else F.mse_loss
        every_q, every_y = torch.broadcast_tensors(q[..., None], y[:, None])
        return distance(every_q, every_y, reduction="none").mean((1, 2)), q

    patch.replace(dqn, "td_loss", td_loss)
    patch.replace(dqn, "td_slope", by_graph.td_slope(td_loss))


@bug(
    "D1 critic",
    "a critic's squared error broadcasts (B, 1) against (B,)",
    "ddpg Pendulum-v1",
    "Spinning Up, exercise 2.2; SLM-Lab#372",
    "HalfCheetah, which is learned in part",
)
def d1_critic(patch: Patch) -> None:
    def squared_error(q: Tensor, y: Tensor) -> Tensor:
        return (q[..., None] - y[:, None]).square().mean((1, 2))

    patch.replace(targets, "squared_error", squared_error)


@bug(
    "D2",
    "the target takes the largest value of the whole minibatch",
    "dqn CartPole-v1",
    "Dopamine, commit 7315342",
    "minibatches of one",
)
def d2(patch: Patch) -> None:
    def around(target: Any, reward: Tensor, discount: Tensor, next_q: Tensor, _: Tensor, gamma: float) -> Any:
        largest = next_q.amax((1, 2), keepdim=True).expand_as(next_q)
        return target(reward, discount, largest, largest, gamma)

    by_graph.without_bursts(patch, dqn.DQN)
    patch.wrap(targets, "td_target", around)


@bug(
    "D4",
    "the target network shares its first layer with the online network",
    "dqn CartPole-v1",
    "SB3 changelogs 0.8.0 and 0.10.0",
)
def d4(patch: Patch) -> None:
    def around(targets_of: Any, self: Any, *arguments: Any) -> Any:
        for shared, own in zip(self.q_target.stacks["q"][0], self.q.stacks["q"][0], strict=True):
            shared.detach().copy_(own.detach())
        return targets_of(self, *arguments)

    by_graph.without_bursts(patch, dqn.DQN)
    patch.wrap(dqn.DQN, "targets", around)


@bug(
    "D5 always",
    "the target network follows after every update",
    "dqn CartPole-v1",
    'codefrydev, page "debugging-rl-code"',
)
def d5_always(patch: Patch) -> None:
    def around(update: Any, self: Any, *arguments: Any) -> Any:
        metrics = update(self, *arguments)
        self.q_target.theta.detach().copy_(self.q.theta.detach())
        return metrics

    by_graph.without_bursts(patch, dqn.DQN)
    patch.wrap(dqn.DQN, "update", around)


@bug(
    "D5 never",
    "the target network never follows",
    "dqn CartPole-v1",
    'codefrydev, page "debugging-rl-code"',
)
def d5_never(patch: Patch) -> None:
    patch.configure("dqn", lambda config: {"target_update_interval": 10**12})


@bug(
    "D7",
    "targets bootstrap beyond a termination",
    "dqn CartPole-v1",
    'codefrydev, page "debugging-rl-code"',
    "environments without terminations",
)
def d7(patch: Patch) -> None:
    def around(target: Any, reward: Tensor, discount: Tensor, *rest: Any) -> Any:
        return target(reward, torch.ones_like(discount), *rest)

    patch.wrap(targets, "td_target", around)


@bug(
    "D8",
    "replay memory stores a time limit as a termination",
    "sac Pendulum-v1",
    "Dopamine, commit c443e88; SB3 changelog 1.1.0",
    "environments without a time limit",
)
def d8(patch: Patch) -> None:
    def around(add: Any, self: Any, step: Any) -> None:
        add(self, step._replace(discount=1 - step.last))

    patch.wrap(Replay, "add", around)


@bug(
    "D10 resume",
    "the clock of epsilon starts anew on resumption",
    "dqn CartPole-v1",
    "SB3#326",
    "runs that are not interrupted",
)
def d10_resume(patch: Patch) -> None:
    def around(restore: Any, thing: Any, state: Any) -> None:
        restore(thing, state)
        thing.training.agent.env_steps = 0

    patch.wrap(object_state, "restore", around)


@bug(
    "D10 unit",
    "epsilon falls with bursts of updates, not with environment steps",
    "dqn CartPole-v1",
    "SB3#326",
)
def d10_unit(patch: Patch) -> None:
    def epsilon(self: Any) -> float:
        c = self.config
        if self.env_steps < c.learning_starts:
            return 1.0
        done = min(self.env_steps // c.train_freq / (c.exploration_fraction * self.budget), 1.0)
        return float(c.exploration_initial_eps + done * (c.exploration_final_eps - c.exploration_initial_eps))

    patch.replace(dqn.DQN, "epsilon", property(epsilon))


@bug(
    "D11",
    "the target network chooses the action that it values: plain DQN under double DQN's name",
    "dqn-double CartPole-v1",
    "constructed",
    "plain DQN",
)
def d11(patch: Patch) -> None:
    def around(target: Any, reward: Tensor, discount: Tensor, next_q: Tensor, _: Tensor, gamma: float) -> Any:
        return target(reward, discount, next_q, next_q, gamma)

    patch.wrap(targets, "td_target", around)


@bug(
    "D14",
    "a return of several steps is credited to the window's last action",
    "dqn-nstep CartPole-v1",
    "Curt-Park/rainbow-is-all-you-need#9",
    "n 1",
)
def d14(patch: Patch) -> None:
    def around(at: Any, self: Any, index: Tensor, *rest: Any) -> Any:
        end, _, _ = self._windows(index + self._seed * self.capacity, *(rest or (1, 1.0)))
        return at(self, index, *rest)._replace(action=self._fields.action.flatten(0, 1)[end])

    patch.wrap(Replay, "at", around)


@bug(
    "D15",
    "the loss is the mean square, not Huber's",
    "dqn CartPole-v1",
    "CleanRL docs/rl-algorithms/dqn.md",
    "small errors",
)
def d15(patch: Patch) -> None:
    patch.configure("dqn", lambda config: {"loss": "mse"})


@bug(
    "D18",
    "what follows a transition is read from the next place in the ring, which may hold a reset",
    "td3 Pendulum-v1",
    "SB3 changelog 1.6.0; RL Zoo#270",
    "environments without a time limit",
)
def d18(patch: Patch) -> None:
    def around(ends: Any, self: Any, start: Tensor, end: Tensor) -> tuple[Tensor, Tensor]:
        obs, next_obs = ends(self, start, end)
        newest = (end - self._seed * self.capacity) == (self.added - 1) % self.capacity
        after = self._fields.obs.flatten(0, 1)[self._after(end)]
        return obs, torch.where(newest[..., None], next_obs, after)

    patch.wrap(Replay, "_ends", around)


MUTATIONS = bug.mutations
