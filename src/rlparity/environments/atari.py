"""Atari 2600 games from pixels, on ale_py's own vector environment (the ALE, Bellemare et al. 2013).

Frames are turned grey by the console's palette, the last two of every four max-pooled, resized to 84x84 by
area and stacked by four, in C++. A start is [0, 0, 0, frame]; a lost life leaves the stack as it is.

What differs from Stable-Baselines3's AtariWrapper, besides rounding: two frames are pooled after they are
turned grey, not before; FIRE at the start is one frame before the no-ops, not eight with an action after
them; after a lost life the game goes on with the agent's next action, without no-op, FIRE or an empty stack;
the cap counts frames since the first observation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import ale_py
import gymnasium as gym
import numpy as np
import torch
from ale_py.vector_env import AtariVectorEnv
from torch import Tensor

from rlparity.environments.atari_presets import FRAME_SKIP, SIZE, STACK, Preset, parse
from rlparity.environments.base import EnvSpec, Role
from rlparity.environments.episode_statistics import EpisodeStatistics
from rlparity.transitions import Episode, Step

gym.register_envs(ale_py)


def make(environment: str, seeds: Sequence[Sequence[int]], role: Role = "training") -> Atari:
    """S x N games, such as "ALE/Pong-v5@nature"."""
    game, preset = parse(environment)
    return Atari(game, preset, seeds)


def emulator_seed(seed: int) -> int:
    """A stream's seed as ale_py takes it, 1 to 2**31 - 1: the remainder by 2**31 - 1, plus one."""
    return seed % (2**31 - 1) + 1


def emulators(game: str, preset: Preset, n: int, **keywords: Any) -> AtariVectorEnv:
    """n games with raw rewards, which a lost life does not end; `keywords` may ask for another picture."""
    options = {
        "max_num_frames_per_episode": preset.max_frames,
        "repeat_action_probability": preset.repeat_action_probability,
        "full_action_space": preset.full_action_space,
        "autoreset_mode": gym.vector.AutoresetMode.SAME_STEP,
        "img_height": SIZE,
        "img_width": SIZE,
        "stack_num": STACK,
        "frameskip": FRAME_SKIP,
        "noop_max": preset.noop_max,
        "use_fire_reset": preset.use_fire_reset,
        "episodic_life": False,  # would start a new game at every lost life
        "life_loss_info": True,
        "reward_clipping": False,  # would leave no raw reward
    }
    return AtariVectorEnv(gym.spec(game).kwargs["game"], n, **{**options, **keywords})


class Atari:
    """S x N games as one vector environment; see `rlparity.environments.base.Env`.

    Observations are bytes (S, N, 4, 84, 84). A step shows the learner what the preset says: clipped rewards,
    lost lives as ends. Recorded episodes have neither: an episode is a whole game, its return the raw score.

    In the observation with which a game stops, the newest frame is pooled without the emulator's last one,
    which ale_py does not read. A life lost in the very step of the cap counts as an end under every preset:
    ale_py does not tell it from the end of the game.
    """

    def __init__(self, game: str, preset: Preset, seeds: Sequence[Sequence[int]], num_threads: int = 1):
        """`game` is Gymnasium's id, "ALE/Pong-v5". Numbers are the same for any `num_threads`."""
        self._shape, self._preset = (len(seeds), len(seeds[0])), preset
        self._env = emulators(game, preset, self._shape[0] * self._shape[1], num_threads=num_threads)
        n_actions = int(self._env.single_action_space.n)  # type: ignore[attr-defined]
        self.spec = EnvSpec(*self._shape, (STACK, SIZE, SIZE), n_actions=n_actions)
        self.reset(seeds)

    def reset(self, seeds: Sequence[Sequence[int]]) -> None:
        """Start all games anew."""
        self._statistics, self._seeds = (
            EpisodeStatistics(*self._shape),
            [seed for row in seeds for seed in row],
        )
        self._start(self._seeds)

    def _start(self, seeds: Sequence[int]) -> None:
        obs, info = self._env.reset(seed=np.array([emulator_seed(seed) for seed in seeds]))
        self._earlier = _earlier(info)
        self.obs = self._view(obs)

    def _view(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(array).view(*self._shape, *array.shape[1:])

    def step(self, action: Tensor, live: np.ndarray | None = None) -> Step:
        """Act in all games: action (S, N) integers. None stands still: the emulators step together."""
        after, raw, terminated, truncated, info = self._env.step(action.reshape(-1).numpy())
        earlier = _earlier(info)
        over = earlier != self._earlier  # a new game began; otherwise `terminated` is a lost life
        self._earlier = earlier
        last = over | (terminated & self._preset.terminal_on_life_loss)
        ended = last & ~(over & truncated)
        self._statistics.add(raw.astype(np.float64).reshape(self._shape), over.reshape(self._shape))
        before, self.obs = self.obs, self._view(after)
        next_obs = self.obs
        if over.any():
            after = np.where(over[:, None, None, None], info["final_obs"], after)
            next_obs = self._view(after)
        reward = np.sign(raw) if self._preset.clip_reward else raw
        floats = torch.from_numpy(np.stack((reward, ~ended, last)).astype(np.float32)).view(3, *self._shape)
        return Step(before, action, floats[0], floats[1], floats[2], next_obs)

    def pop_episodes(self) -> list[Episode]:
        """The whole games that ended since the last call: raw scores, lengths in steps of the agent."""
        return self._statistics.pop()

    def snapshot(self) -> dict[str, Any]:
        """The clock; games under way are not kept."""
        return {"env_step": self._statistics.env_step}

    def resume(self, state: Mapping[str, Any]) -> None:
        """Count on from a `snapshot`, with new games, seeded by the clock; those under way leave no row."""
        self._statistics = EpisodeStatistics(*self._shape)
        self._statistics.env_step = state["env_step"]
        draws = [np.random.SeedSequence([seed, state["env_step"]]) for seed in self._seeds]
        self._start([int(draw.generate_state(1, np.uint64)[0]) for draw in draws])

    def close(self) -> None:
        """Close the emulators."""
        self._env.close()


def _earlier(info: Mapping[str, np.ndarray]) -> np.ndarray:
    """Frames that each emulator had shown before its game began, which change with every new game only."""
    return info["frame_number"] - info["episode_frame_number"]
