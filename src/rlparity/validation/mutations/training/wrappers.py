"""More bugs of environments, normalisation, Atari preprocessing, and of memories of frames."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rlparity.buffers.frame_replay import FrameReplay
from rlparity.buffers.rollout import Rollout
from rlparity.environments import atari, cartpole, normalization
from rlparity.environments.normalization import Moments, NormalizedEnv
from rlparity.validation.mutations.mutation import MutationSet, Patch

bug = MutationSet(source="own")


def normalised_step(patch: Patch, centred: bool = False, forgets: bool = True) -> None:
    """NormalizedEnv's step with rewards that lose their mean, or returns that go on beyond an end."""

    def step(self: Any, action: Tensor, live: Any = None) -> Any:
        now, before, clip = self._env.step(action, live), self.obs, normalization.CLIP
        self.obs_moments.update(self._env.obs.double())
        self.obs = self.view(self._env.obs)
        raw = now.reward.double()
        self._returns = self._returns * self._gamma + raw
        self.return_moments.update(self._returns)
        raw = raw - self.return_moments.mean * centred
        reward = (raw / self.return_moments.scale()).clamp(-clip, clip).float()
        if forgets:
            self._returns = torch.where(now.last > 0, 0.0, self._returns)
        return now._replace(obs=before, reward=reward, next_obs=self.view(now.next_obs))

    patch.replace(NormalizedEnv, "step", step)


@bug(
    "N7",
    "rewards lose the mean return before they are scaled",
    "a2c Pendulum-v1",
    hides="environments without normalisation",
)
def n7(patch: Patch) -> None:
    normalised_step(patch, centred=True)


@bug(
    "N8",
    "the discounted returns that scale rewards run on beyond an episode's end",
    "a2c Pendulum-v1",
    hides="environments without normalisation",
)
def n8(patch: Patch) -> None:
    normalised_step(patch, forgets=False)


@bug(
    "N9",
    "observations are divided by the variance, not by the deviation",
    "a2c Pendulum-v1",
    hides="environments without normalisation; variances of 1",
)
def n9(patch: Patch) -> None:
    patch.replace(Moments, "scale", lambda self: self.var + normalization.EPSILON)


@bug(
    "N10",
    "the running variance leaves out how far batch means lie apart",
    "a2c Pendulum-v1",
    hides="environments without normalisation",
)
def n10(patch: Patch) -> None:
    def update(self: Any, batch: Tensor) -> None:
        n = batch.shape[1]
        total, own = self.count + n, batch.var(1, correction=0, keepdim=True)
        self.mean = self.mean + (batch.mean(1, keepdim=True) - self.mean) * n / total
        self.var, self.count = (self.var * self.count + own * n) / total, total

    patch.replace(Moments, "update", update)


@bug(
    "N11",
    "normalised observations are clipped at 1, not at 10",
    "a2c Pendulum-v1",
    hides="environments without normalisation",
)
def n11(patch: Patch) -> None:
    patch.replace(normalization, "CLIP", 1.0)


@bug(
    "N12",
    "all seeds share the running statistics of the first",
    "a2c Pendulum-v1",
    hides="environments without normalisation; one seed",
)
def n12(patch: Patch) -> None:
    def around(update: Any, self: Any, batch: Tensor) -> None:
        update(self, batch[:1].expand_as(batch))

    patch.wrap(Moments, "update", around)


@bug("P34", "a rollout's rewards are those of the step before", "ppo Pendulum-v1")
def p34(patch: Patch) -> None:
    def around(pop: Any, self: Any) -> Any:
        rollout = pop(self)
        late = torch.cat([torch.zeros_like(rollout.reward[..., :1]), rollout.reward[..., :-1]], -1)
        return rollout._replace(reward=late)

    patch.wrap(Rollout, "pop", around)


@bug(
    "N13",
    "the step in which the pole falls earns nothing",
    "a2c CartPole-v1",
    "Gymnasium's CartPole has this as an option, sutton_barto_reward",
    hides="recorded returns",
)
def n13(patch: Patch) -> None:
    def around(step: Any, self: Any, *arguments: Any) -> Any:
        now = step(self, *arguments)
        return now._replace(reward=now.reward * now.discount)

    patch.wrap(cartpole.CartPole, "step", around)


def played(patch: Patch, change: Any) -> None:
    """Let `change(step, over)` make what an Atari step shows; `over` (S, N): a whole game ended in it."""

    def around(step: Any, self: Any, *arguments: Any) -> Any:
        before = self._earlier
        now = step(self, *arguments)
        return change(now, torch.from_numpy(self._earlier != before).view(now.last.shape))

    patch.wrap(atari.Atari, "step", around)


@bug(
    "AT12",
    "a lost life cuts an episode off but does not terminate it: its value bootstraps",
    "ppo ALE/Breakout-v5@nature",
    hides="games of one life",
)
def at12(patch: Patch) -> None:
    played(patch, lambda now, over: now._replace(discount=torch.where(over, now.discount, 1.0)))


@bug(
    "AT13",
    "recorded returns of games add up clipped rewards",
    "dqn ALE/SpaceInvaders-v5@nature",
    "SB3, the warning of evaluate_policy without a Monitor",
    hides="rewards within -1 and 1",
)
def at13(patch: Patch) -> None:
    def around(add: Any, self: Any, reward: np.ndarray, last: np.ndarray) -> None:
        add(self, np.sign(reward), last)

    patch.wrap(atari.EpisodeStatistics, "add", around)


@bug("AT14", "games start without no-ops, all alike", "dqn ALE/Pong-v5@nature")
def at14(patch: Patch) -> None:
    def around(make: Any, game: str, preset: Any, n: int, **keywords: Any) -> Any:
        return make(game, replace(preset, noop_max=0), n, **keywords)

    patch.wrap(atari, "emulators", around)


@bug(
    "AT15",
    "frames are not pooled: sprites that flicker vanish in every second one",
    "ppo ALE/SpaceInvaders-v5@nature",
    hides="games without flicker",
)
def at15(patch: Patch) -> None:
    patch.wrap(
        atari, "emulators", lambda make, *arguments, **keywords: make(*arguments, maxpool=False, **keywords)
    )


@bug(
    "AT16",
    "rewards reach the learner unclipped",
    "dqn ALE/SpaceInvaders-v5@nature",
    hides="rewards within -1 and 1",
)
def at16(patch: Patch) -> None:
    def around(build: Any, self: Any, game: str, preset: Any, *rest: Any, **keywords: Any) -> None:
        build(self, game, replace(preset, clip_reward=False), *rest, **keywords)

    patch.wrap(atari.Atari, "__init__", around)


@bug(
    "AT17",
    "after a start, a stack's older frames are those of the game before",
    "dqn ALE/Pong-v5@nature",
    hides="the middle of an episode",
)
def at17(patch: Patch) -> None:
    def around(mend: Any, self: Any, frames: Tensor, number: int, seed: int, age: int) -> None:
        mend(self, frames, number, seed, 3)  # as if the stack had none to be mended

    patch.wrap(FrameReplay, "_mend", around)


@bug(
    "AT18",
    "what followed the last step of a game is the first frame of the next",
    "dqn ALE/Pong-v5@nature",
    hides="ends that do not bootstrap",
)
def at18(patch: Patch) -> None:
    def around(mend: Any, self: Any, frames: Tensor, number: int, *rest: Any) -> None:
        after = frames[-1].clone()
        mend(self, frames, number, *rest)
        if number + self._n_envs < self.added:
            frames[-1] = after

    patch.wrap(FrameReplay, "_mend", around)


@bug(
    "AT19",
    "replayed stacks have the newest frame first, those that are acted on have it last",
    "dqn ALE/Pong-v5@nature",
)
def at19(patch: Patch) -> None:
    def around(ends: Any, self: Any, start: Tensor, end: Tensor) -> tuple[Tensor, Tensor]:
        return tuple(stack.flip(2) for stack in ends(self, start, end))

    patch.wrap(FrameReplay, "_ends", around)


MUTATIONS = bug.mutations
