"""More bugs of the seed axis, random streams, evaluation and checkpoints."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rlparity import seeding
from rlparity.agents import base as agents
from rlparity.buffers.replay import Replay
from rlparity.environments.normalization import NormalizedEnv
from rlparity.nn import optimizers
from rlparity.training import evaluation, loop, object_state
from rlparity.validation.mutations.mutation import MutationSet, Patch

ppo = agents.module("ppo")
bug = MutationSet(source="own")


@bug("O18", "every seed reads the random numbers of the one beside it", "dqn CartPole-v1", hides="one seed")
def o18(patch: Patch) -> None:
    patch.wrap(seeding.Uniforms, "next", lambda following, self: following(self).roll(1, 0))


@bug("O19", "all seeds read the random numbers of the first", "a2c CartPole-v1", hides="one seed")
def o19(patch: Patch) -> None:
    def around(following: Any, self: Any) -> Tensor:
        numbers: Tensor = following(self)
        return numbers[:1].expand_as(numbers)

    patch.wrap(seeding.Uniforms, "next", around)


@bug("O20", "random numbers are used twice, in two steps running", "td3 Pendulum-v1")
def o20(patch: Patch) -> None:
    def around(following: Any, self: Any) -> Tensor:
        following(self)
        numbers: Tensor = self._chunk[(self._used - 1) // 2]
        return numbers

    patch.wrap(seeding.Uniforms, "next", around)


@bug("O21", "all seeds draw the same places of their replay memories", "sac Pendulum-v1", hides="one seed")
def o21(patch: Patch) -> None:
    def around(index: Any, self: Any, uniform: Tensor, *rest: Any) -> Tensor:
        found: Tensor = index(self, uniform[:1].expand_as(uniform), *rest)
        return found

    patch.wrap(Replay, "index", around)


@bug("O22", "all seeds shuffle their minibatches alike", "ppo CartPole-v1", hides="one seed; one minibatch")
def o22(patch: Patch) -> None:
    def around(update: Any, self: Any, batch: Any, shuffles: Tensor) -> Any:
        return update(self, batch, shuffles[:, :1].expand_as(shuffles) if shuffles.numel() else shuffles)

    patch.wrap(ppo.PPO, "update", around)


@bug(
    "O23",
    "once the divergence of one seed is too large, the update stops for all",
    "ppo CartPole-v1",
    hides="one seed; no target_kl, as in both benchmarks",
    needs={"target_kl": 0.0003},
)
def o23(patch: Patch) -> None:
    def around(learn: Any, self: Any, batch: Any, due: Tensor, measured: bool) -> Any:
        due, metrics = learn(self, batch, due, measured)
        return due & due.all(), metrics

    patch.wrap(ppo.PPO, "learn", around)


@bug(
    "O24",
    "a loss that is not finite freezes all seeds, not its own",
    "ppo CartPole-v1",
    hides="one seed; losses that are finite",
)
def o24(patch: Patch) -> None:
    def around(step: Any, self: Any, *arguments: Any, **keywords: Any) -> Any:
        norm = step(self, *arguments, **keywords)
        self.alive &= self.alive.all()
        return norm

    patch.wrap(optimizers.Adam, "step", around)


@bug(
    "O25",
    "a seed's steps of Adam are counted whenever any seed steps",
    "reinforce CartPole-v1",
    hides="seeds that learn at the same time",
)
def o25(patch: Patch) -> None:
    def around(step: Any, self: Any, *arguments: Any, **keywords: Any) -> Any:
        norm = step(self, *arguments, **keywords)
        self._counts.fill_(float(self._counts.max()))
        return norm

    patch.wrap(optimizers.Adam, "step", around)


@bug(
    "O26",
    "the moments of a seed that is not due decay with each step of another",
    "actor-critic CartPole-v1",
    hides="seeds that learn at the same time",
)
def o26(patch: Patch) -> None:
    def around(step: Any, self: Any, rate: float, due: Tensor | None = None, *rest: Any) -> Any:
        norm = step(self, rate, due, *rest)
        if due is not None:
            for moment, decay in zip(self._moments, (0.9, 0.999), strict=True):
                moment[~due] *= decay
        return norm

    patch.wrap(optimizers.Adam, "step", around)


@bug(
    "E8",
    "every evaluation starts from the states of the first",
    "a2c CartPole-v1",
    hides="starts that hardly differ",
)
def e8(patch: Patch) -> None:
    def around(turn: Any, self: Any, policy: Any, view: Any, mode: str, name: str) -> Any:
        return turn(self, policy, view, mode, f"evaluation|{mode}")

    patch.wrap(evaluation.Evaluator, "_round", around)


@bug(
    "E9",
    "of a sub-environment's episodes in an evaluation the last one counts, not the first",
    "ppo CartPole-v1",
    hides="episodes of equal length",
)
def e9(patch: Patch) -> None:
    def play(policy: Any, env: Any, view: Any, explore: Any) -> np.ndarray:
        live = np.ones(env.spec[:2], dtype=bool)
        found = np.zeros((*live.shape, 2))
        while live.any():
            env.step(policy.act(view(env.obs), None if explore is None else explore.next()))
            for s, n, _, total, length in env.pop_episodes():
                found[s, n], live[s, n] = (total, length), False
        return found

    patch.replace(evaluation, "play", play)


@bug(
    "E10",
    "evaluations show the policy raw observations where it learned from normalised ones",
    "a2c Pendulum-v1",
    hides="environments without normalisation",
)
def e10(patch: Patch) -> None:
    patch.replace(loop.Training, "view", lambda self, obs: obs.float())


@bug(
    "E11",
    "the budget counts steps of all sub-environments as one",
    "ppo CartPole-v1",
    hides="one sub-environment",
)
def e11(patch: Patch) -> None:
    def around(run: Any, training: Any, evaluate: Any) -> Iterator[Any]:
        for event in run(training, evaluate):
            yield event
            if isinstance(event, loop.Stepped):
                training.env_step -= training.env.spec.n_envs - 1

    patch.wrap(loop, "loop", around)


def without(patch: Patch, *names: str) -> None:
    """Let checkpoints leave out attributes of these names."""

    def around(attributes: Any, value: Any) -> dict[str, Any]:
        return {name: part for name, part in attributes(value).items() if name not in names}

    patch.wrap(object_state, "_attributes", around)


@bug(
    "O27",
    "checkpoints do not hold the target network",
    "dqn CartPole-v1",
    hides="runs that are not interrupted",
)
def o27(patch: Patch) -> None:
    without(patch, "q_target")


@bug(
    "O28",
    "checkpoints do not say how much of a chunk of random numbers is used",
    "a2c CartPole-v1",
    hides="runs that are not interrupted",
)
def o28(patch: Patch) -> None:
    without(patch, "_used")


@bug(
    "O29",
    "a resumed run normalises with statistics that start anew",
    "a2c Pendulum-v1",
    hides="runs that are not interrupted; environments without normalisation",
)
def o29(patch: Patch) -> None:
    def around(resume: Any, self: Any, state: Any) -> None:
        fresh = [(torch.zeros_like(m), torch.ones_like(v), 1e-4) for m, v, _ in state["moments"]]
        resume(self, {**state, "moments": fresh})

    patch.wrap(NormalizedEnv, "resume", around)


@bug(
    "O30",
    "a resumed replay memory counts as new: what it held is overwritten from its start",
    "dqn CartPole-v1",
    hides="runs that are not interrupted",
)
def o30(patch: Patch) -> None:
    patch.replace(Replay, "resume", lambda self, state: None)


MUTATIONS = bug.mutations
