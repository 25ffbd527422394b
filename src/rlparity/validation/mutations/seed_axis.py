"""Bugs to which this code is prone: those of its seed axis, random streams, checkpoints and recorder."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rlparity import seeding
from rlparity.agents import base as agents
from rlparity.buffers.replay import Replay
from rlparity.buffers.rollout import Rollout
from rlparity.environments import cartpole, gymnasium_env
from rlparity.nn.distributions import gaussian
from rlparity.objectives import targets
from rlparity.training import evaluation, object_state
from rlparity.validation.mutations import by_graph
from rlparity.validation.mutations.mutation import MutationSet, Patch

ppo = agents.module("ppo")
bug = MutationSet(source="own")


@bug(
    "O1",
    "a rollout's actions are ordered by time, all else by sub-environment",
    "ppo CartPole-v1",
    hides="one sub-environment",
)
def o1(patch: Patch) -> None:
    def around(pop: Any, self: Any) -> Any:
        rollout = pop(self)
        action = rollout.action.transpose(1, 2).reshape(rollout.action.shape)
        return rollout._replace(action=action)

    patch.wrap(Rollout, "pop", around)


@bug(
    "O2",
    "environments reuse the memory of their observations, so that a step's observation is the next one's",
    "sac Pendulum-v1",
)
def o2(patch: Patch) -> None:
    def around(set_obs: Any, self: Any, obs: np.ndarray) -> None:
        before = getattr(self, "obs", None)
        set_obs(self, obs)
        if before is not None:
            self.obs = before.copy_(self.obs)

    patch.wrap(gymnasium_env.GymnasiumEnv, "_set_obs", around)


@bug(
    "O3",
    "gradients are clipped by the norm over all seeds",
    "ppo CartPole-v1",
    hides="one seed at a time",
)
def o3(patch: Patch) -> None:
    def clip_grad(self: Any, max_norm: float | None) -> Tensor:
        norm = torch.linalg.vector_norm(self.grad).expand(len(self.grad))
        if max_norm is not None:
            self.grad.mul_((max_norm / (norm + 1e-6)).clamp(max=1.0)[:, None])
        return norm

    by_graph.clip_grad(patch, clip_grad)


def rename_streams(patch: Patch, label: Any) -> None:
    """Let `label(cell, seed, name)` name every random stream."""

    def named(self: Any, name: str) -> list[np.random.SeedSequence]:
        labels = (label(self._who, seed, name).encode() for seed in self.seeds)
        return [np.random.SeedSequence(int.from_bytes(hashlib.sha256(each).digest()[:16])) for each in labels]

    patch.replace(seeding.Streams, "sequences", named)


@bug("O4", "all random streams of a seed are the same stream", "dqn CartPole-v1")
def o4(patch: Patch) -> None:
    rename_streams(patch, lambda cell, seed, name: f"{cell}|{seed}")


@bug("O5", "all seeds are the same seed", "ppo CartPole-v1")
def o5(patch: Patch) -> None:
    rename_streams(patch, lambda cell, seed, name: f"{cell}|{name}")


@bug(
    "O6",
    "the deterministic evaluation explores",
    "ppo CartPole-v1",
    hides="policies that are nearly deterministic",
)
def o6(patch: Patch) -> None:
    def around(play: Any, policy: Any, env: Any, view: Any, explore: Any) -> Any:
        if explore is None:
            seeds = range(env.spec.n_seeds)
            generators = [np.random.default_rng(seed) for seed in seeds]
            explore = seeding.Uniforms(generators, env.spec.n_envs, policy.uniforms)
        return play(policy, env, view, explore)

    patch.wrap(evaluation, "play", around)


@bug(
    "O7",
    "an evaluation counts the episodes that end first, however many each sub-environment plays",
    "a2c CartPole-v1",
)
def o7(patch: Patch) -> None:
    def play(policy: Any, env: Any, view: Any, explore: Any) -> np.ndarray:
        n_seeds, n_envs = env.spec[:2]
        episodes: list[list[tuple[float, int]]] = [[] for _ in range(n_seeds)]
        while min(map(len, episodes)) < n_envs:
            env.step(policy.act(view(env.obs), None if explore is None else explore.next()))
            for s, _, _, total, length in env.pop_episodes():
                episodes[s].append((total, length))
        return np.array([found[:n_envs] for found in episodes], dtype=float)

    patch.replace(evaluation, "play", play)


@bug("O8", "Adam does not correct the bias of its moments", "ppo CartPole-v1")
def o8(patch: Patch) -> None:
    def adam(theta: Any, grad: Any, means: Any, squares: Any, *_: Any, **options: Any) -> None:
        b1, b2 = options["beta1"], options["beta2"]
        for parameter, g, mean, square in zip(theta, grad, means, squares, strict=True):
            mean.lerp_(g, 1 - b1)
            square.mul_(b2).addcmul_(g, g, value=1 - b2)
            parameter.addcdiv_(mean, square.sqrt().add_(options["eps"]), value=-options["lr"])

    by_graph.adam(patch, adam)


@bug(
    "O9", "actions are drawn with the variance for the deviation", "sac Pendulum-v1", hides="deviations of 1"
)
def o9(patch: Patch) -> None:
    def around(sample: Any, mean: Tensor, log_std: Tensor, uniform: Tensor) -> Any:
        return sample(mean, 2 * log_std, uniform)

    patch.wrap(gaussian, "sample", around)


@bug("O10", "CartPole's positions follow from the new velocities (semi-implicit Euler)", "a2c CartPole-v1")
def o10(patch: Patch) -> None:
    def around(accelerate: Any, state: np.ndarray, action: np.ndarray) -> np.ndarray:
        new: np.ndarray = accelerate(state, action)
        new[0], new[2] = state[0] + cartpole.SECONDS * new[1], state[2] + cartpole.SECONDS * new[3]
        return new

    patch.wrap(cartpole, "accelerate", around)


@bug(
    "O11",
    "rewards are clipped to [-1, 1] in replay memory",
    "ddpg Pendulum-v1",
    hides="rewards within -1 and 1",
)
def o11(patch: Patch) -> None:
    def around(add: Any, self: Any, step: Any) -> None:
        add(self, step._replace(reward=step.reward.clamp(-1, 1)))

    patch.wrap(Replay, "add", around)


@bug(
    "O12", "the newest transition in replay memory is never drawn", "dqn CartPole-v1", hides="large memories"
)
def o12(patch: Patch) -> None:
    def around(drawable: Any, self: Any, n_steps: int = 1) -> tuple[int, int]:
        first, last = drawable(self, n_steps)
        return first, max(last - self._n_envs, first + 1)

    patch.wrap(Replay, "drawable", around)


@bug(
    "O13",
    "checkpoints do not hold the moments of the optimiser",
    "ppo CartPole-v1",
    hides="runs that are not interrupted",
)
def o13(patch: Patch) -> None:
    def around(attributes: Any, value: Any) -> dict[str, Any]:
        return {name: part for name, part in attributes(value).items() if name != "_moments"}

    patch.wrap(object_state, "_attributes", around)


@bug("O14", "advantages are calculated in half precision", "ppo Pendulum-v1")
def o14(patch: Patch) -> None:
    def around(gae: Any, *arguments: Any) -> Tensor:
        halves = [x.bfloat16() if isinstance(x, Tensor) else x for x in arguments]
        advantage: Tensor = gae(*halves)
        return advantage.to(arguments[0].dtype)

    patch.wrap(targets, "gae", around)


@bug(
    "O15",
    "a return of n steps bootstraps with gamma, not with its n-th power",
    "dqn-nstep CartPole-v1",
    hides="n 1",
)
def o15(patch: Patch) -> None:
    def around(windows: Any, self: Any, start: Tensor, n_steps: int, gamma: float) -> Any:
        end, reward, discount = windows(self, start, n_steps, gamma)
        return end, reward, (discount > 0).to(discount.dtype)

    patch.wrap(Replay, "_windows", around)


@bug(
    "O16",
    "schedules count a step of all sub-environments as one environment step",
    "ppo CartPole-v1",
    hides="one sub-environment",
)
def o16(patch: Patch) -> None:
    def around(observe: Any, self: Any, step: Any) -> Any:
        self.env_steps -= step.reward.shape[1] - 1
        return observe(self, step)

    patch.wrap(ppo.PPO, "observe", around)


@bug("O17", "the critic learns the next state's value", "ppo Pendulum-v1")
def o17(patch: Patch) -> None:
    def around(prepare: Any, self: Any, rollout: Any) -> Any:
        batch = prepare(self, rollout)
        with torch.no_grad():
            value = self.value(rollout.next_obs.flatten(1, 2))
        return batch._replace(returns=batch.advantage + value)

    patch.wrap(ppo.PPO, "prepare", around)


MUTATIONS = bug.mutations
