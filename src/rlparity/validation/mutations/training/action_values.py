"""More bugs of DQN, its variants and its replay memory."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from rlparity.agents import base as agents
from rlparity.buffers.replay import Replay
from rlparity.nn import q_networks
from rlparity.nn.q_networks import DuelingNetwork
from rlparity.objectives import schedules
from rlparity.validation.mutations import by_graph
from rlparity.validation.mutations.mutation import MutationSet, Patch

dqn, qrdqn = agents.module("dqn"), agents.module("qrdqn")
bug = MutationSet(source="own")


@bug("V6", "the gradient of the dueling network's advantages is not centred", "dqn-dueling CartPole-v1")
def v6(patch: Patch) -> None:
    def pull(self: Any, tape: Any, by_values: Tensor) -> None:
        self.pull("value", tape[0], by_values.sum(-1))
        self.pull("advantage", tape[1], by_values)

    patch.replace(DuelingNetwork, "pull_values", pull)


@bug(
    "V7",
    "the mean that advantages lose is that of the whole minibatch",
    "dqn-dueling CartPole-v1",
    "PacktPublishing/Deep-Reinforcement-Learning-Hands-On#6, #52; keras-rl#220",
    hides="minibatches of one",
)
def v7(patch: Patch) -> None:
    def dueling(value: Tensor, advantage: Tensor) -> Tensor:
        return value[..., None] + advantage - advantage.mean((1, 2), keepdim=True)

    def pull(self: Any, tape: Any, by_values: Tensor) -> None:
        self.pull("value", tape[0], by_values.sum(-1))
        self.pull("advantage", tape[1], by_values - by_values.mean((1, 2), keepdim=True))

    patch.replace(q_networks, "dueling", dueling)
    patch.replace(DuelingNetwork, "pull_values", pull)


@bug(
    "V8",
    "double DQN chooses the action by the state before the step",
    "dqn-double CartPole-v1",
    hides="states that hardly change in a step",
)
def v8(patch: Patch) -> None:
    def targets(self: Any, step: Any) -> Tensor:
        next_q, chooser = self.q_target.values(step.next_obs), self.q.values(step.obs)
        best = chooser.argmax(-1, keepdim=True)
        y: Tensor = step.reward + self.config.gamma * step.discount * next_q.gather(-1, best).squeeze(-1)
        return y

    patch.replace(dqn.DQN, "targets", torch.no_grad()(targets))


@bug("V14", "epsilon falls over the whole budget, not over a fraction of it", "dqn CartPole-v1")
def v14(patch: Patch) -> None:
    def exploration(config: Any, env_steps: int, budget: int) -> float:
        start: float = config.exploration_initial_eps
        done = min(env_steps / budget, 1.0)
        return (
            1.0
            if env_steps < config.learning_starts
            else start + done * (config.exploration_final_eps - start)
        )

    patch.replace(schedules, "exploration", exploration)


@bug(
    "V15",
    "epsilon begins to fall when learning starts, not at the first step",
    "qrdqn CartPole-v1",
    hides="learning_starts 0",
)
def v15(patch: Patch) -> None:
    def around(exploration: Any, config: Any, env_steps: int, budget: int) -> float:
        if env_steps < config.learning_starts:
            return 1.0
        done = min((env_steps - config.learning_starts) / (config.exploration_fraction * budget), 1.0)
        start: float = config.exploration_initial_eps
        return start + done * (config.exploration_final_eps - start)

    patch.wrap(schedules, "exploration", around)


@bug(
    "V16",
    "one number decides whether to explore and with which action: rarely explored ones are all the first",
    "dqn CartPole-v1",
    hides="epsilon 1",
)
def v16(patch: Patch) -> None:
    def around(act: Any, self: Any, obs: Tensor, explore: Tensor | None = None) -> Tensor:
        twice = None if explore is None else explore[..., :1].expand_as(explore)
        action: Tensor = act(self, obs, twice)
        return action

    patch.wrap(dqn.DQN, "act", around)


@bug(
    "V17",
    "errors are clipped before they are squared: large ones have no gradient",
    "dqn CartPole-v1",
    "devsisters/DQN-tensorflow#16; spragunr/deep_q_rl#46; carpedm20/deep-rl-tensorflow#5",
    hides="errors below 1",
)
def v17(patch: Patch) -> None:
    def td_loss(
        q_values: Tensor, action: Tensor, y: Tensor, loss: str, weight: Tensor | float = 1.0
    ) -> tuple[Tensor, Tensor]:
        q = q_values.gather(-1, action.unsqueeze(-1)).squeeze(-1)
        return (weight * 0.5 * (q - y).clamp(-1, 1).square()).mean(1), q

    patch.replace(dqn, "td_loss", td_loss)
    patch.replace(dqn, "td_slope", by_graph.td_slope(td_loss))


@bug(
    "V18",
    "the slope worked out by hand is that of the square, the reported loss Huber's",
    "dqn CartPole-v1",
    hides="errors below 1",
)
def v18(patch: Patch) -> None:
    def slope(q: Tensor, y: Tensor, loss: str, weight: Tensor | float = 1.0) -> Tensor:
        return weight * (q - y) / q.shape[1]

    patch.replace(dqn, "td_slope", slope)


@bug(
    "V19",
    "the interval of the target network counts bursts of updates, not environment steps",
    "qrdqn CartPole-v1",
    hides="one update per step",
)
def v19(patch: Patch) -> None:
    def around(due: Any, config: Any, env_steps: int, n_envs: int) -> bool:
        burst, rest = divmod(env_steps, config.train_freq)
        return rest == 0 and bool(due(config, burst, n_envs))

    patch.wrap(schedules, "copy_due", around)


@bug("V20", "a window of several steps runs on into the next episode", "dqn-nstep CartPole-v1", hides="n 1")
def v20(patch: Patch) -> None:
    patch.replace(Replay, "_goes_on", lambda self, place: torch.ones_like(place, dtype=torch.bool))


@bug(
    "V21",
    "the rewards of a window of several steps are added up without discount",
    "dqn-nstep CartPole-v1",
    hides="n 1",
)
def v21(patch: Patch) -> None:
    def around(windows: Any, self: Any, start: Tensor, n_steps: int, gamma: float) -> Any:
        end, _, discount = windows(self, start, n_steps, gamma)
        return end, windows(self, start, n_steps, 1.0)[1], discount

    patch.wrap(Replay, "_windows", around)


@bug(
    "V22",
    "once the ring is full, only what came in since it last began is drawn",
    "dqn CartPole-v1",
    hides="memories that never fill",
    needs={"buffer_size": 50},
)
def v22(patch: Patch) -> None:
    def around(drawable: Any, self: Any, n_steps: int = 1) -> tuple[int, int]:
        first, last = drawable(self, n_steps)
        if self.added > self.capacity:
            first = min(self.added - (self.added % self.capacity or self.capacity), last - 1)
        return first, last

    patch.wrap(Replay, "drawable", around)


MUTATIONS = bug.mutations
