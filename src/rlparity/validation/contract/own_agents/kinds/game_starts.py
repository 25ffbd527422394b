"""How Atari games begin and are cut: presets as published, starts drawn by seed, time limits that do not end.

The emulator itself says how many frames a game had shown before its first observation. With a time limit of a
few frames every game is short, and a hundred starts are seen in seconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
import torch
from ale_py.vector_env import AtariVectorEnv

from rlparity.environments import atari, base
from rlparity.environments.atari_presets import FRAME_SKIP, SIZE, STACK, Preset, parse
from rlparity.validation.checks import Answer
from rlparity.validation.contract.own_agents.atari_games import FIRE, PlainGame
from rlparity.validation.contract.own_agents.kinds import random_numbers

A, B, C = 3, 2**63 + 5, 11  # seeds
GAMES, FEW = 28, 4  # of each emulator, of which as many are asked for again
LENGTH = 2  # steps of a game
CLOCKS = (100, 200)  # environment steps at which it goes on with new games
LEAST = 2.9  # distance of two distributions, times the root of n, that is reached by chance once in 10**7
ENDS = 5  # of n draws none is among the first or last five with a chance below 10**-7
# Mnih et al. 2015, Methods and extended data table 1, with FIRE of OpenAI's baselines and 30 minutes;
# Machado et al. 2018, section 5 and table 7, with frame skip and 30 minutes of Dopamine (Castro et al. 2018).
PUBLISHED = {
    "nature": Preset(
        repeat_action_probability=0.0,
        full_action_space=False,
        noop_max=30,
        use_fire_reset=True,
        terminal_on_life_loss=True,
        clip_reward=True,
        max_frames=108_000,
    ),
    "machado": Preset(
        repeat_action_probability=0.25,
        full_action_space=True,
        noop_max=0,
        use_fire_reset=False,
        terminal_on_life_loss=False,
        clip_reward=True,
        max_frames=108_000,
    ),
}


def as_published(environment: str) -> Answer:
    """The preset is the published one, and reaches the emulator."""
    _, preset = parse(environment)
    name = environment.partition("@")[2]
    if name in PUBLISHED and preset != PUBLISHED[name]:
        return False, f"{preset}, published {PUBLISHED[name]}"
    if (FRAME_SKIP, STACK, SIZE) != (4, 4, 84):
        return False, f"frame skip, stack and size are {FRAME_SKIP}, {STACK}, {SIZE}, published 4, 4, 84"
    given: list[dict[str, Any]] = []
    start = AtariVectorEnv.__init__

    def started(self: Any, *arguments: Any, **options: Any) -> None:
        given.append(options)
        start(self, *arguments, **options)

    with mock.patch.object(AtariVectorEnv, "__init__", started):
        base.make(environment, [[A]]).close()
    due = {
        "repeat_action_probability": preset.repeat_action_probability,
        "full_action_space": preset.full_action_space,
        "noop_max": preset.noop_max,
        "use_fire_reset": preset.use_fire_reset,
        "max_num_frames_per_episode": preset.max_frames,
        "frameskip": FRAME_SKIP,
        "stack_num": STACK,
    }
    wrong = {key: given[0].get(key) for key in due if given[0].get(key) != due[key]}
    return not wrong, f"the emulator is given {wrong or due}"


class Starts(NamedTuple):
    """The frames before each game of each emulator, (emulators, games)."""

    frames: np.ndarray
    problem: str | None


def drawn(environment: str) -> Answer:
    """Games begin after as many frames as the preset says, drawn anew for each game by the seed alone."""
    game, preset = parse(environment)
    short = replace(preset, max_frames=LENGTH * FRAME_SKIP)
    with _frames() as seen:
        with closing(atari.Atari(game, short, [[A], [B]])) as env:
            first = _play(env, GAMES, seen)
        with closing(atari.Atari(game, short, [[B]])) as env:
            alone = _play(env, FEW, seen)
            env.reset([[C]])
            picture = env.obs[0, 0].numpy().copy()
            others = [_play(env, FEW, seen)]
            for clock in CLOCKS:
                env.resume({"env_step": clock})
                others.append(_play(env, FEW, seen, clock))
    for starts in (first, alone, *others):
        if starts.problem:
            return False, starts.problem
    plain = PlainGame(environment, A)
    if picture[:-1].any() or not plain.start(picture[-1]):
        return False, f"the picture of seed {C} after a reset is not that of a start"
    fires = preset.use_fire_reset and FIRE in plain.actions
    problem = _law(first.frames, preset, fires) or _by_seed(first, alone, others, preset)
    n = first.frames.size
    return problem is None, problem or f"{n} starts after {first.frames.min()} to {first.frames.max()} frames"


@contextmanager
def _frames() -> Iterator[list[np.ndarray]]:
    """The frames that every emulator has shown of its game, after each reset and step."""
    seen: list[np.ndarray] = []
    reset, step = AtariVectorEnv.reset, AtariVectorEnv.step

    def resets(self: Any, *arguments: Any, **options: Any) -> Any:
        found = reset(self, *arguments, **options)
        seen.append(found[1]["episode_frame_number"].copy())
        return found

    def steps(self: Any, *arguments: Any) -> Any:
        found = step(self, *arguments)
        seen.append(found[4]["episode_frame_number"].copy())
        return found

    with mock.patch.object(AtariVectorEnv, "reset", resets), mock.patch.object(AtariVectorEnv, "step", steps):
        yield seen


def _play(env: atari.Atari, games: int, seen: list[np.ndarray], clock: int = 0) -> Starts:
    """Play games of `LENGTH` steps that a time limit cuts, from the one that has just begun."""
    frames, problem = [seen[-1]], None
    actions = torch.zeros(env.obs.shape[:2], dtype=torch.long)
    for t in range(games * LENGTH):
        step, ended = env.step(actions), env.pop_episodes()
        cut = t % LENGTH == LENGTH - 1
        steps = clock + t + 1
        if not (step.last == float(cut)).all() or not (step.discount == 1).all():
            problem = (
                f"last is {step.last.tolist()}, discount {step.discount.tolist()} {t % LENGTH + 1} steps on"
            )
        elif not torch.equal(step.next_obs[..., -2, :, :], step.obs[..., -1, :, :]):
            problem = "next_obs at a time limit is not what followed"
        elif [(x.env_step, x.episode_length) for x in ended] != [(steps, LENGTH)] * (len(actions) * cut):
            problem = f"recorded at environment step {steps}: {ended}"
        if problem:
            return Starts(np.stack(frames, 1), f"games of {LENGTH} steps by a time limit: {problem}")
        if cut:
            frames.append(seen[-1])
    return Starts(np.stack(frames, 1), None)


def _law(frames: np.ndarray, preset: Preset, fires: bool) -> str | None:
    """Describe numbers of frames that are not uniform from 0 to `noop_max` - 1; FIRE takes at least one."""
    possible = np.arange(max(preset.noop_max, 1))
    if fires:
        possible = possible.clip(1)
    low, high, n = possible.min(), possible.max(), frames.size
    said = f"{frames.min()} to {frames.max()} frames before {n} starts, {frames.mean():.1f} in the mean"
    if frames.min() < low or frames.max() > high:
        return f"{said}; they should be {low} to {high}"
    if low == high:
        return None
    apart = max(abs((frames <= k).mean() - (possible <= k).mean()) for k in range(high + 1))
    few = frames.min() > low + ENDS or frames.max() < high - ENDS
    if few or apart > LEAST / np.sqrt(n):
        return f"{said}; they should be spread evenly from {low} to {high}"
    one, other = (torch.from_numpy(row) for row in frames[:2])
    if random_numbers.related(one, other) or random_numbers.related(one[1:], one[:-1]):
        return f"{said}; those of two emulators, or of one game and the next, depend on each other"
    return None


def _by_seed(first: Starts, alone: Starts, others: list[Starts], preset: Preset) -> str | None:
    if not np.array_equal(alone.frames[0], first.frames[1, : FEW + 1]):
        return f"seed {B} has other starts alone than beside another seed"
    rows = [*first.frames[:, : FEW + 1], *(starts.frames[0] for starts in others)]
    if preset.noop_max > 1 and len({row.tobytes() for row in rows}) < len(rows):
        return "two seeds, or games that go on at two times, have the same starts"
    return None
