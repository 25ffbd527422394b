"""Bugs of REINFORCE and actor-critic, which have no reference, and of the episodes they learn from."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from rlparity.agents import base as agents
from rlparity.buffers.trajectories import Trajectories
from rlparity.objectives import targets
from rlparity.validation.mutations.mutation import MutationSet, Patch

reinforce, actor_critic = agents.module("reinforce"), agents.module("actor_critic")
bug = MutationSet(source="own")


@bug(
    "R7",
    "the policy's loss is a mean over steps, not a sum over the steps of each episode",
    "reinforce-togo CartPole-v1",
    hides="in part Adam, which does not mind scale",
)
def r7(patch: Patch) -> None:
    def loss(log_prob: Tensor, advantage: Tensor, n_episodes: int) -> Tensor:
        return -(log_prob * advantage).mean(1)

    patch.replace(reinforce, "policy_loss", loss)


@bug("R8", "what an action is credited with starts with the next step's reward", "reinforce-togo CartPole-v1")
def r8(patch: Patch) -> None:
    def around(to_go: Any, reward: Tensor, gamma: float) -> Tensor:
        return torch.cat([to_go(reward, gamma)[1:], torch.zeros(1)])

    patch.wrap(targets, "rewards_to_go", around)


@bug(
    "R9",
    "the moving average takes in the episodes that it is the baseline of, before they are judged",
    "reinforce-baseline CartPole-v1",
)
def r9(patch: Patch) -> None:
    def around(constant: Any, self: Any, s: int, weight: Tensor) -> float:
        constant(self, s, weight)
        average: float = self.average[s]
        return average

    patch.wrap(reinforce.REINFORCE, "constant", around)


@bug(
    "R10",
    "rewards to go run on into the episodes that follow in the batch",
    "actor-critic CartPole-v1",
    hides="one episode per update",
)
def r10(patch: Patch) -> None:
    def advantages(episodes: Any, value: Tensor, gamma: float) -> Tensor:
        reward = torch.cat([episode.reward for episode in episodes])
        return targets.rewards_to_go(reward, gamma)[None] - value

    patch.replace(actor_critic, "advantages", advantages)


@bug("R11", "an episode's observations are those after its actions", "reinforce-discounted CartPole-v1")
def r11(patch: Patch) -> None:
    patch.wrap(Trajectories, "add", lambda add, self, step: add(self, step._replace(obs=step.next_obs)))


@bug("R12", "an episode begins with the steps of all episodes before it", "actor-critic CartPole-v1")
def r12(patch: Patch) -> None:
    def around(add: Any, self: Any, step: Any) -> None:
        before = self._time.clone()
        add(self, step)
        self._time = before + 1

    patch.wrap(Trajectories, "add", around)


@bug(
    "R13",
    "half of the episodes that were learned from stay for the next update",
    "actor-critic CartPole-v1",
)
def r13(patch: Patch) -> None:
    def around(pop: Any, self: Any, seed_index: int) -> Any:
        episodes = pop(self, seed_index)
        self.finished[seed_index] = episodes[len(episodes) // 2 + 1 :]
        return episodes

    patch.wrap(Trajectories, "pop", around)


MUTATIONS = bug.mutations
