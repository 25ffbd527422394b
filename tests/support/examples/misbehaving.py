"""A small candidate that keeps its contract, and others that break it in one point each."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Mapping
from typing import Any

import gymnasium as gym
import numpy as np


class Honest:
    """Linear logits, nudged towards actions that were paid; learns little, quickly."""

    n_envs = 2

    def __init__(
        self, observation_space: gym.Space, action_space: gym.Space, hyperparameters: Mapping[str, Any]
    ):
        assert observation_space.shape is not None
        self.hyperparameters = hyperparameters
        self.shape = (*observation_space.shape, int(action_space.n))  # type: ignore[attr-defined]
        self.weights = np.zeros(self.shape)
        self.episode_returns: list[float] = []

    def act(self, obs: np.ndarray, deterministic: bool) -> np.ndarray:
        logits = obs @ self.weights
        if not deterministic:
            logits = logits + np.random.gumbel(size=logits.shape)
        return logits.argmax(-1)

    def reset(self, env: gym.Env, i: int, seed: int, first: bool) -> np.ndarray:
        obs: np.ndarray = env.reset()[0]
        return obs

    def learn(self, obs: np.ndarray, action: int, reward: float) -> None:
        self.weights[:, action] += 0.001 * reward * obs

    def train(self, make_env: Callable[[int], gym.Env], seed: int, budget: int) -> None:
        rng = np.random.default_rng(seed)
        self.weights = rng.normal(size=self.shape)
        envs = [make_env(i) for i in range(self.n_envs)]
        obs = [self.reset(env, i, seed, True) for i, env in enumerate(envs)]
        returns = [0.0] * len(envs)
        for _ in range(0, budget, len(envs)):
            for i, env in enumerate(envs):
                gumbel = rng.gumbel(size=self.shape[1])
                action = int((obs[i] @ self.weights + gumbel).argmax())
                before = obs[i]
                obs[i], reward, ended, cut, _ = env.step(action)
                self.learn(before, action, float(reward))
                returns[i] += float(reward)
                if ended or cut:
                    self.episode_returns.append(returns[i])
                    obs[i], returns[i] = self.reset(env, i, seed, False), 0.0

    def save(self, path: str) -> None:
        with open(path, "wb") as file:
            np.save(file, self.weights)

    def load(self, path: str) -> None:
        with open(path, "rb") as file:
            self.weights = np.load(file)


class ResetsInMidGame(Honest):
    """Keeps its contract: it begins anew every fifty steps, as learners in epochs do."""

    steps = 0

    def learn(self, obs: np.ndarray, action: int, reward: float) -> None:
        super().learn(obs, action, reward)
        self.steps += 1

    def train(self, make_env: Callable[[int], gym.Env], seed: int, budget: int) -> None:
        rng, env = np.random.default_rng(seed), make_env(0)
        self.weights = rng.normal(size=self.shape)
        for _ in range(budget):
            if self.steps % 50 == 0:
                obs, total = env.reset()[0], 0.0
            before, action = obs, int((obs @ self.weights + rng.gumbel(size=self.shape[1])).argmax())
            obs, reward, ended, cut, _ = env.step(action)
            self.learn(before, action, float(reward))
            total += float(reward)
            if ended or cut:
                self.episode_returns.append(total)
                obs, total = env.reset()[0], 0.0


class Hangs(Honest):
    def learn(self, obs: np.ndarray, action: int, reward: float) -> None:
        time.sleep(60)


class Crashes(Honest):
    def learn(self, obs: np.ndarray, action: int, reward: float) -> None:
        raise FloatingPointError("the loss is not what it was\nand more")


class Exits(Honest):
    def learn(self, obs: np.ndarray, action: int, reward: float) -> None:
        raise SystemExit(3)


class ActsNaN(Honest):
    def act(self, obs: np.ndarray, deterministic: bool) -> np.ndarray:
        return np.full(len(obs), np.nan)


class StepsNaN(Honest):
    def train(self, make_env: Callable[[int], gym.Env], seed: int, budget: int) -> None:
        env = make_env(0)
        env.reset()
        env.step(np.full(1, np.nan, np.float32))


class WrongDtype(Honest):
    def act(self, obs: np.ndarray, deterministic: bool) -> np.ndarray:
        return super().act(obs, deterministic).astype(np.float32)


class WrongShape(Honest):
    def act(self, obs: np.ndarray, deterministic: bool) -> np.ndarray:
        return super().act(obs, deterministic)[:, None]


class OutOfRange(Honest):
    def act(self, obs: np.ndarray, deterministic: bool) -> np.ndarray:
        return super().act(obs, deterministic) + 1


class TrainsTooLittle(Honest):
    def train(self, make_env: Callable[[int], gym.Env], seed: int, budget: int) -> None:
        super().train(make_env, seed, budget // 256 * 250)


class UsesWorkers(Honest):
    def train(self, make_env: Callable[[int], gym.Env], seed: int, budget: int) -> None:
        def work(env: gym.Env, pipe: Any) -> None:
            try:
                env.reset()
                env.step(0)
            except BaseException as error:
                pipe.send(str(error))

        ours, theirs = multiprocessing.Pipe()
        context = multiprocessing.get_context("fork")
        worker = context.Process(target=work, args=(make_env(0), theirs))  # type: ignore[attr-defined]
        worker.start()
        worker.join()
        raise RuntimeError(ours.recv())


class GoesOnAfterTheEnd(Honest):
    def reset(self, env: gym.Env, i: int, seed: int, first: bool) -> np.ndarray:
        return super().reset(env, i, seed, first) if first else np.zeros(self.shape[0], np.float32)


class SharesSeeds(Honest):
    """SB3's and Gymnasium's habit, DLR-RM/stable-baselines3#2268."""

    def reset(self, env: gym.Env, i: int, seed: int, first: bool) -> np.ndarray:
        obs: np.ndarray = env.reset(seed=seed + i if first else None)[0]
        return obs


class SharesOneStream(Honest):
    def train(self, make_env: Callable[[int], gym.Env], seed: int, budget: int) -> None:
        super().train(lambda i: make_env(0), seed, budget)


class RepeatsItsGames(Honest):
    def reset(self, env: gym.Env, i: int, seed: int, first: bool) -> np.ndarray:
        obs: np.ndarray = env.reset(seed=1000 * seed + i)[0]
        return obs


class Unseeded(Honest):
    def train(self, make_env: Callable[[int], gym.Env], seed: int, budget: int) -> None:
        super().train(make_env, int(np.random.SeedSequence().generate_state(1)[0]), budget)


class IgnoresItsSeed(Honest):
    def train(self, make_env: Callable[[int], gym.Env], seed: int, budget: int) -> None:
        super().train(make_env, 7, budget)

    def learn(self, obs: np.ndarray, action: int, reward: float) -> None:
        self.weights[:] = 0


class LearnsFromEvaluation(Honest):
    def act(self, obs: np.ndarray, deterministic: bool) -> np.ndarray:
        self.weights[0, 0] += 0.05
        return super().act(obs, deterministic)


class LooksAtTheBatch(Honest):
    """As batch normalisation in training mode does."""

    def act(self, obs: np.ndarray, deterministic: bool) -> np.ndarray:
        return super().act(obs - obs.mean(0), deterministic)


class NeverSamples(Honest):
    def act(self, obs: np.ndarray, deterministic: bool) -> np.ndarray:
        return super().act(obs, True)


class LoadsNothing(Honest):
    def load(self, path: str) -> None:
        self.weights = np.ones(self.shape)


class SavesOnly(Honest):
    load = None  # type: ignore[assignment]


class ReportsNormalisedReturns(Honest):
    """DLR-RM/stable-baselines3#2101."""

    def train(self, make_env: Callable[[int], gym.Env], seed: int, budget: int) -> None:
        try:
            super().train(make_env, seed, budget)
        finally:
            self.episode_returns = [value / 10 for value in self.episode_returns]


class ReportsGamesOfItsOwn(Honest):
    def train(self, make_env: Callable[[int], gym.Env], seed: int, budget: int) -> None:
        super().train(make_env, seed, budget)
        self.episode_returns.append(500.0)


class SwallowsExceptions(Honest):
    """Harmless: what ends a training is no Exception."""

    def train(self, make_env: Callable[[int], gym.Env], seed: int, budget: int) -> None:
        try:
            super().train(make_env, seed, 10 * budget)
        except Exception:
            while True:
                time.sleep(1)


class SwallowsEverything(Honest):
    """Harmless: the budget is spent all the same."""

    def train(self, make_env: Callable[[int], gym.Env], seed: int, budget: int) -> None:
        try:
            super().train(make_env, seed, 10 * budget)
        except BaseException:
            return


class Incomplete:
    def __init__(self, *_: Any):
        pass

    def train(self, make_env: Callable[[int], gym.Env], seed: int, budget: int) -> None:
        pass


class OtherArguments(Honest):
    def train(self, env: gym.Env) -> None:  # type: ignore[override]
        pass


def breaks(*_: Any) -> Honest:
    raise KeyError("hidden_units")


def two_arguments(observation_space: gym.Space, action_space: gym.Space) -> None:
    pass


a_number = 3
