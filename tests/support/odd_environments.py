"""Environments with one fault or oddity each: the same walk, which ends at the goal or three left of 0."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Tuple

LIMIT = 30


class Walk(gym.Env):
    """Go right."""

    observation_space: gym.Space = Box(-3, 3, (3,), np.float32)
    action_space: gym.Space = Discrete(2)

    def __init__(self, goal: int = 5, render_mode: str | None = None):
        self.goal, self.render_mode = goal, render_mode

    def obs(self) -> Any:
        return np.array([self.at / self.goal, self.t / LIMIT, 0], np.float32)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.at, self.t = int(self.np_random.integers(0, 2)), 0
        return self.obs(), {}

    def go(self, action: Any) -> int:
        return 1 if int(action) == 1 else -1

    def step(self, action: Any) -> Any:
        self.at += self.go(action)
        self.t += 1
        return self.obs(), float(self.at >= self.goal) - 0.01, self.at >= self.goal or self.at < -3, False, {}


def changed(**fields: Any) -> type[Walk]:
    """A walk whose step returns other values for `reward`, `ended`, `info` or `obs`."""

    class Changed(Walk):
        def step(self, action: Any) -> Any:
            obs, reward, ended, cut, info = super().step(action)
            found = {"obs": obs, "reward": reward, "ended": ended, "info": info} | fields
            return found["obs"], found["reward"], found["ended"], cut, found["info"]

    return Changed


# Bad: refused before anything is trained.


class OldApi(Walk):
    def reset(self, seed=None, options=None):
        return super().reset(seed=seed)[0]


class FourValues(Walk):
    def step(self, action):
        obs, reward, ended, _, info = super().step(action)
        return obs, reward, ended, info


class WrongShape(Walk):
    def obs(self):
        return super().obs()[:1]


class NanObs(Walk):
    def step(self, action):
        obs, *others = super().step(action)
        return (obs * np.nan if self.t == 7 else obs), *others


class NoSeed(Walk):
    def reset(self):
        return super().reset()


class NoOptions(Walk):
    def reset(self, *, seed=None):
        return super().reset(seed=seed)


class ResetRaises(Walk):
    def reset(self, *, seed=None, options=None):
        raise RuntimeError("the simulator\nis not there")


class FailsLater(Walk):
    def step(self, action):
        if self.t == 9:
            raise ValueError("out of fuel")
        return super().step(action)


class FailsOnOne(Walk):
    def go(self, action):
        return [-1][action]


class PlainInts(Walk):
    def go(self, action):
        assert type(action) is int, "actions are int"
        return 1


class ObsNone(Walk):
    def obs(self):
        return None


class Ragged(Walk):
    def obs(self):
        return [[1.0], [1.0, 2.0], 3.0]


class InfAtReset(Walk):
    def obs(self):
        return np.array([np.inf, 0, 0], np.float32)


class TooLarge(Walk):
    observation_space = Box(-np.inf, np.inf, (3,), np.float64)

    def obs(self):
        return np.array([1e300, 0, 0])


class GlobalNumpy(Walk):
    def obs(self):
        return np.array([np.random.rand(), 0, 0], np.float32)


class GlobalPython(Walk):
    def obs(self):
        return np.array([random.random(), 0, 0], np.float32)


class Unseeded(Walk):
    def __init__(self, render_mode=None):
        super().__init__()
        self.rng = np.random.default_rng()

    def obs(self):
        return np.array([self.rng.random(), 0, 0], np.float32)


class Clock(Walk):
    def step(self, action):
        obs, _, *others = super().step(action)
        return obs, time.perf_counter(), *others


class Shared(Walk):
    steps = 0

    def obs(self):
        Shared.steps = (Shared.steps + 1) * (self.t > 0)
        return np.array([Shared.steps / 1000, 0, 0], np.float32)


class Leftover(Walk):
    episodes = 0

    def reset(self, *, seed=None, options=None):
        self.episodes += 1
        return super().reset(seed=seed)

    def obs(self):
        return np.array([self.episodes / 1000, 0, 0], np.float32)


class Reused(Walk):
    def __init__(self, render_mode=None):
        super().__init__()
        self.array = np.zeros(3, np.float32)

    def obs(self):
        self.array[:] = super().obs()
        return self.array


class Forever(Walk):
    def step(self, action):
        obs, reward, *_ = super().step(action)
        return np.clip(obs, -1, 1), reward, False, False, {}


class StuckWhenStill(Walk):
    """Ends only where actions change."""

    def reset(self, *, seed=None, options=None):
        self.before = None
        return super().reset(seed=seed)

    def step(self, action):
        obs, reward, *_ = super().step(action)
        ended, self.before = self.before not in (None, action), action
        return np.clip(obs, -1, 1), reward, ended, False, {}


class Hangs(Walk):
    def step(self, action):
        while self.t == 3:
            time.sleep(1)
        return super().step(action)


class Crashes(Walk):
    def step(self, action):
        os.kill(os.getpid(), signal.SIGSEGV)


class CrashesBesideItsWorker(Walk):
    def step(self, action):
        worker()
        os.kill(os.getpid(), signal.SIGSEGV)


class Leaves(Walk):
    def step(self, action):
        os._exit(0)


class Exits(Walk):
    def step(self, action):
        sys.exit("good bye")


class CloseRaises(Walk):
    def close(self):
        raise OSError("it was never open")


class MakingRaises(Walk):
    def __init__(self, render_mode=None):
        raise RuntimeError("no licence")


class NeedsArgument(Walk):
    def __init__(self, goal, render_mode=None):
        super().__init__(goal)


class NoEnv:
    observation_space, action_space = Walk.observation_space, Walk.action_space


class NoActionSpace(Walk):
    action_space = None


class EqualBounds(Walk):
    action_space = Box(np.array([-1, 1], np.float32), np.array([1, 1], np.float32))


class HalfBounded(Walk):
    action_space = Box(0, np.inf, (1,), np.float32)


class FreeBox(Walk):
    action_space = Box(-np.inf, np.inf, (1,), np.float32)


class IntBox(Walk):
    action_space = Box(-1, 33, (2,), np.int32)


class MatrixAct(Walk):
    action_space = Box(-1, 1, (2, 2), np.float32)


class NoObs(Walk):
    observation_space = Box(-1, 1, (0,), np.float32)


# Odd, and good: as they are, or with a wrapper that the suite names.


class NumpyBool(Walk):
    def step(self, action):
        obs, reward, ended, cut, info = super().step(action)
        return obs, np.array(reward), np.bool_(ended), int(cut), info


class Lists(Walk):
    observation_space = Box(-np.inf, np.inf, (3,), np.float64)

    def obs(self):
        return super().obs().astype(np.float64).tolist()


class OwnGenerator(Walk):
    """Draws from a generator of its own, seeded by reset: an interrupted training begins anew."""

    def reset(self, *, seed=None, options=None):
        if seed is not None:
            self.rng = np.random.default_rng(seed)
        self.at, self.t = int(self.rng.integers(0, 2)), 0
        return self.obs(), {}


class EndsAtOnce(Walk):
    def step(self, action):
        obs, reward, _, cut, info = super().step(action)
        return obs, reward, True, cut, info


class Talks(Walk):
    def step(self, action):
        print('{"environment": "none"}')
        os.write(1, b"hello\n")
        return super().step(action)


def worker() -> None:
    """A process that outlives the one that has started it, with its open files."""
    if not os.fork():
        time.sleep(30)
        os._exit(0)


class HasWorker(Walk):
    started = False

    def step(self, action):
        if not HasWorker.started:
            HasWorker.started = True
            worker()
        return super().step(action)


class Outside(Walk):
    observation_space = Box(-0.1, 0.1, (3,), np.float32)


class Continuous(Walk):
    action_space = Box(-2, 2, (1,), np.float64)

    def go(self, action):
        assert action.shape == (1,) and abs(action[0]) <= 2
        return 1 if action[0] > 0 else -1


class NoLimit(Walk):
    pass


class DictObs(Walk):
    observation_space = Dict(a=Box(-1, 1, (3,), np.float32), b=Discrete(3))

    def obs(self):
        return {"a": super().obs(), "b": 2}


class Grid(Walk):
    observation_space = Box(0, 1, (5, 5), np.float32)

    def obs(self):
        found = np.zeros((5, 5), np.float32)
        found[0, np.clip(self.at, 0, 4)] = 1
        return found


class MultiDiscreteObs(Walk):
    observation_space = MultiDiscrete([12, 40])

    def obs(self):
        return np.array([np.clip(self.at + 4, 0, 11), self.t])


class StartAct(Walk):
    action_space = Discrete(2, start=-1)

    def go(self, action):
        return {-1: -1, 0: 1}[action]


class MultiAct(Walk):
    action_space = MultiDiscrete([2, 3])

    def go(self, action):
        assert action.shape == (2,) and action[1] < 3
        return 1 if action[0] == 1 else -1


class TupleAct(Walk):
    action_space = Tuple((Discrete(2, start=4), MultiBinary(2), Dict(x=Discrete(2))))

    def go(self, action):
        assert self.action_space.contains(action)
        return 1 if action[0] == 5 else -1


def wrapped(render_mode: str | None = None) -> gym.Env:
    """An entry point that puts its own wrappers on."""
    return gym.wrappers.TransformReward(Walk(), lambda reward: 2 * reward)


KINDS = {name: kind for name, kind in globals().items() if isinstance(kind, type) and issubclass(kind, Walk)}
KINDS |= {
    "RewardArray": changed(reward=np.array([1.0])),
    "RewardNone": changed(reward=None),
    "RewardText": changed(reward="1.0"),
    "RewardNan": changed(reward=float("nan")),
    "RewardHuge": changed(reward=1e28),
    "EndNone": changed(ended=None),
    "EndArray": changed(ended=np.array([True])),
    "InfoNone": changed(info=None),
    "IntReward": changed(reward=np.int64(1)),
    "NoEnv": NoEnv,
    "Wrapped": wrapped,
}
del KINDS["Walk"]
WITHOUT_LIMIT = ("Forever", "NoLimit", "StuckWhenStill")
for _name, _kind in KINDS.items():
    gym.register(f"{_name}-v0", _kind, max_episode_steps=None if _name in WITHOUT_LIMIT else LIMIT)
gym.register("LongLimit-v0", Forever, max_episode_steps=10**9)
gym.register("mine/Space-v1", Walk, max_episode_steps=LIMIT, kwargs={"goal": 3})
