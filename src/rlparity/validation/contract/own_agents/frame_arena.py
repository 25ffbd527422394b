"""Memories of frames, compared with the same steps kept whole.

An arena of stacks of bytes: lives are lost, games end or are cut and begin with an empty stack, some last one
step, no-ops repeat a frame, and a resumed run starts new games where no episode ended.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from rlparity.agents import base as agents
from rlparity.buffers import replay
from rlparity.environments.base import EnvSpec
from rlparity.registry import NATURE
from rlparity.suites import hyperparameters
from rlparity.transitions import Step
from rlparity.validation.checks import Answer
from rlparity.validation.contract.own_agents.comparison import close

SPEC = EnvSpec(2, 3, (4, NATURE, NATURE), 3)  # seeds, sub-environments, stacks of frames
STEPS, ROWS, EVERY, RESUMED = 70, 9, 6, 31
LIFE, OVER, CUT, SAME, BLACK = 0.15, 0.12, 0.08, 0.25, 0.1  # chances in a step


def arena(n: int) -> tuple[list[Step], list[np.ndarray]]:
    """n steps, and for each whether the next one (S, N) continues its stack."""
    rng = np.random.default_rng(0)
    shape = (SPEC.n_seeds, SPEC.n_envs)
    obs = np.stack([_start(rng) for _ in range(shape[0] * shape[1])]).reshape(*shape, *SPEC.obs_shape)
    steps, continues = [], []
    for t in range(n):
        following, after = np.empty_like(obs), np.empty_like(obs)
        discount, last = np.ones(shape, np.float32), np.zeros(shape, np.float32)
        on = np.ones(shape, bool)
        for s, k in np.ndindex(*shape):
            frame = obs[s, k, -1] if rng.random() < SAME else _frame(rng)
            following[s, k] = np.concatenate([obs[s, k, 1:], frame[None]])
            life, over, cut = rng.random(3) < (LIFE, OVER, CUT)
            discount[s, k] = not (life or over)
            last[s, k] = life or over or cut
            on[s, k] = not (over or cut or t == RESUMED)
            after[s, k] = following[s, k] if on[s, k] else _start(rng)
        action = torch.from_numpy(rng.integers(SPEC.n_actions or 1, size=shape))
        reward = torch.from_numpy(rng.normal(size=shape).astype(np.float32))
        ends = torch.from_numpy(discount), torch.from_numpy(last)
        steps.append(Step(torch.from_numpy(obs.copy()), action, reward, *ends, torch.from_numpy(following)))
        continues.append(on)
        obs = after
    return steps, continues


def _frame(rng: np.random.Generator) -> np.ndarray:
    black = rng.random() < BLACK
    return (
        np.zeros(SPEC.obs_shape[1:], np.uint8)
        if black
        else rng.integers(256, size=SPEC.obs_shape[1:], dtype=np.uint8)
    )


def _start(rng: np.random.Generator) -> np.ndarray:
    """An empty stack with one frame."""
    first = rng.integers(1, 256, size=SPEC.obs_shape[1:], dtype=np.uint8)
    return np.concatenate([np.zeros((SPEC.obs_shape[0] - 1, *first.shape), np.uint8), first[None]])


def rebuilt(algorithm: str, environment: str) -> Answer | None:
    """Everything that the memory of a named configuration gives back is what was put in, while its ring goes
    round, and after it was written to a checkpoint and read; None if it keeps no frames."""
    named = hyperparameters.library().algorithms[algorithm]
    if "memory_mapped" not in hyperparameters.config(named.agent):
        return None
    options = {**named.options_for(environment), "buffer_size": ROWS * SPEC.n_envs}
    config: Any = agents.settings(named.agent)(**options)
    memory, windows = replay.build(SPEC, config).memory, 0
    steps, continues = arena(STEPS)
    for t, step in enumerate(steps):
        memory.add(_copied(step))
        if t % EVERY and t != RESUMED:
            continue
        for n_steps in sorted({1, config.n_steps, 3}):
            wrong, seen = _compared(memory, steps[: t + 1], continues, n_steps, config.gamma)
            windows += seen
            if wrong:
                return False, f"after {t + 1} steps, in windows of {n_steps}: {wrong}"
    again = replay.build(SPEC, config).memory
    first = memory.added - memory.size
    again.write(first, [x.clone() for x in memory.read(first, memory.added)])
    again.resume(memory.snapshot())
    wrong, _ = _compared(again, steps, continues, config.n_steps, config.gamma)
    if wrong:
        return False, f"after it was written and read: {wrong}"
    return True, f"{windows} windows of {STEPS} steps, {memory.capacity} places"


def _copied(step: Step) -> Step:
    return Step(*(x.clone() for x in step))


def _compared(
    memory: replay.Replay, steps: list[Step], continues: list[np.ndarray], n_steps: int, gamma: float
) -> tuple[str, int]:
    """Describe the first window that is not what was put in, and count windows."""
    n, added = SPEC.n_envs, len(steps) * SPEC.n_envs
    first, last = memory.drawable(n_steps)
    if last != max(added - (n_steps - 1) * n, first):
        return f"the last that may be drawn is {last - 1} of {added}", 0
    if first > max(added - ROWS * n, 0):
        return f"the first that may be drawn is {first} of {added}", 0
    numbers = torch.randperm(last - first, generator=torch.Generator().manual_seed(added)) + first
    index = (numbers % memory.capacity).expand(SPEC.n_seeds, -1)
    if not len(numbers):
        return "", 0
    found = memory.at(index, n_steps, gamma)
    for s in range(SPEC.n_seeds):
        for place, number in enumerate(numbers.tolist()):
            truth = window(steps, continues, s, number, n_steps, gamma)
            for name, value in truth.items():
                ours = getattr(found, name)[s, place]
                same = torch.equal(ours, value) if isinstance(value, Tensor) else close(ours, value)
                if not same:
                    return f"{name} of transition {number}, seed {s}, is not what was put in", 0
    return "", SPEC.n_seeds * len(numbers)


def window(
    steps: list[Step], continues: list[np.ndarray], s: int, number: int, n_steps: int, gamma: float
) -> dict[str, Any]:
    """Transition `number` with up to n - 1 more of its sub-environment, as long as the game goes on."""
    t, k = divmod(number, SPEC.n_envs)
    total, power = 0.0, 1.0
    for later in range(t, t + n_steps):
        if later > t:
            power *= gamma
        total += power * steps[later].reward[s, k].item()
        if steps[later].last[s, k] > 0 or not continues[later][s, k]:
            break
    end = steps[later]
    return {
        "obs": steps[t].obs[s, k],
        "action": steps[t].action[s, k],
        "reward": total,
        "discount": power * end.discount[s, k].item(),
        "last": end.last[s, k].item(),
        "next_obs": end.next_obs[s, k],
    }
