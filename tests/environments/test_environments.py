"""Environments: equal to Gymnasium's, exact at their ends, and normalised as Stable-Baselines3 does it."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
import small  # noqa: F401  (one thread)
import torch
from gymnasium.wrappers import DtypeObservation
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from rlparity.environments import base as tasks
from rlparity.environments.cartpole import TIME_LIMIT, CartPole
from rlparity.environments.episode_statistics import EpisodeStatistics
from rlparity.environments.gymnasium_env import GymnasiumEnv
from rlparity.environments.normalization import Moments, NormalizedEnv
from rlparity.errors import UserError
from rlparity.training import object_state
from rlparity.transitions import Episode

pytestmark = pytest.mark.probes


def scalar_worlds(environment: str, seeds: list[int]) -> list[gym.Env]:
    sub_envs = [gym.make(environment, disable_env_checker=True) for _ in seeds]
    for sub_env, seed in zip(sub_envs, seeds, strict=True):
        sub_env.reset(seed=seed)
    return sub_envs


def test_cartpole_is_gymnasiums_bit_for_bit_over_10_000_steps():
    """2 seeds x 2 sub-environments, half of them pushed at random and half balanced up to the time limit."""
    seeds = [[11, 2**63 + 5], [13, 14]]
    task = tasks.make("CartPole-v1", seeds)
    assert isinstance(task, CartPole)
    flat = [seed for row in seeds for seed in row]
    sub_envs = [gym.make("CartPole-v1", disable_env_checker=True) for _ in flat]
    obs = np.stack([sub_env.reset(seed=seed)[0] for sub_env, seed in zip(sub_envs, flat, strict=True)])
    rng = np.random.default_rng(0)
    totals, lengths, expected, recorded_episodes, cuts, falls = np.zeros(4), np.zeros(4, int), [], [], 0, 0
    for t in range(10_000):
        assert np.array_equal(task.obs.reshape(4, 4).numpy(), obs)
        action = rng.integers(2, size=4)
        action[2:] = obs[2:, 2] + 0.5 * obs[2:, 3] > 0  # balances for hundreds of steps
        step = task.step(torch.from_numpy(action).view(2, 2))
        assert np.array_equal(step.obs.reshape(4, 4).numpy(), obs)
        for i, sub_env in enumerate(sub_envs):
            after, reward, ended, cut, _ = sub_env.step(action[i])
            s, n = divmod(i, 2)
            assert np.array_equal(step.next_obs[s, n].numpy(), after)
            got = step.reward[s, n].item(), step.discount[s, n].item(), step.last[s, n].item()
            assert got == (reward, 0.0 if ended else 1.0, 1.0 if ended or cut else 0.0)
            totals[i], lengths[i] = totals[i] + reward, lengths[i] + 1
            obs[i] = after
            if ended or cut:
                cuts, falls = cuts + (not ended), falls + ended
                expected.append((s, n, 2 * (t + 1), totals[i], lengths[i]))
                totals[i] = lengths[i] = 0
                obs[i], _ = sub_env.reset()
        recorded_episodes += [tuple(episode) for episode in task.pop_episodes()]
    assert recorded_episodes == expected
    assert cuts > 10 and falls > 100


def test_cartpole_at_its_time_limit_bootstraps_from_the_true_successor():
    task = CartPole([[1]])
    for _ in range(TIME_LIMIT):
        obs = task.obs[0, 0]
        step = task.step((obs[2] + 0.5 * obs[3] > 0).long().view(1, 1))
    assert (step.discount.item(), step.last.item()) == (1.0, 1.0)
    assert task.pop_episodes() == [(0, 0, 500, 500.0, 500)]
    assert not torch.equal(step.next_obs, task.obs)
    assert task.obs.abs().max() <= 0.05  # a fresh start, which next_obs is not
    assert (step.next_obs - step.obs).abs().max() < 0.5


@pytest.mark.parametrize("environment", ["Acrobot-v1", "MountainCar-v0"])
def test_other_environments_are_gymnasiums(environment: str):
    seeds = [[3, 4], [5, 6]]
    task = tasks.make(environment, seeds)
    assert isinstance(task, GymnasiumEnv)
    sub_envs = [gym.make(environment, disable_env_checker=True) for _ in range(4)]
    obs = np.stack([w.reset(seed=s)[0] for w, s in zip(sub_envs, [3, 4, 5, 6], strict=True)]).astype(
        np.float32
    )
    rng, ends = np.random.default_rng(1), []
    totals = np.zeros(4)
    for t in range(520):
        assert np.array_equal(task.obs.flatten(0, 1).numpy(), obs)
        action = rng.integers(3, size=4)
        step = task.step(torch.from_numpy(action).view(2, 2))
        for i, sub_env in enumerate(sub_envs):
            after, reward, ended, cut, _ = sub_env.step(action[i])
            s, n = divmod(i, 2)
            assert np.array_equal(step.next_obs[s, n].numpy(), after.astype(np.float32))
            assert step.reward[s, n] == reward and step.discount[s, n] == 1 - ended
            assert step.last[s, n] == (ended or cut)
            totals[i] += reward
            obs[i] = after
            if ended or cut:
                ends.append((s, n, 2 * (t + 1), totals[i]))
                totals[i] = 0
                obs[i], _ = sub_env.reset()
    recorded_episodes = task.pop_episodes()
    assert [episode[:4] for episode in recorded_episodes] == ends and len(ends) >= 4
    assert sum(episode.episode_length for episode in recorded_episodes) <= 4 * 520
    task.close()


def test_worlds_that_are_not_live_stand_still():
    task = GymnasiumEnv("MountainCar-v0", [[1, 2], [3, 4]])
    before = task.obs.clone()
    live = np.array([[True, False], [False, True]])
    for _ in range(5):
        step = task.step(torch.full((2, 2), 2), live)
    moved = (task.obs != before).any(-1)
    assert torch.equal(moved, torch.from_numpy(live))
    assert step.reward.tolist() == [[-1.0, 0.0], [0.0, -1.0]]
    assert step.last.sum() == 0


def test_a_world_that_is_reset_anew_repeats_itself():
    for environment in ("CartPole-v1", "Acrobot-v1"):
        task = tasks.make(environment, [[1, 2]])
        first = task.obs.clone()
        for _ in range(30):
            task.step(torch.ones(1, 2, dtype=torch.long))
        task.reset([[1, 2]])
        assert torch.equal(task.obs, first) and task.pop_episodes() == []


def test_worlds_without_array_observations_are_refused():
    with pytest.raises(UserError, match=r"FrozenLake.*only Box is supported"):
        tasks.make("FrozenLake-v1", [[0]])


def test_books_add_raw_rewards_of_whole_games():
    statistics = EpisodeStatistics(1, 2)
    statistics.add(np.array([[1.0, 10.0]]), np.array([[False, False]]))
    statistics.add(np.array([[2.0, 20.0]]), np.array([[True, False]]))
    statistics.add(np.array([[4.0, 40.0]]), np.array([[True, True]]))
    assert statistics.pop() == [(0, 0, 4, 3.0, 2), (0, 0, 6, 4.0, 1), (0, 1, 6, 70.0, 3)]
    assert statistics.pop() == [] and statistics.env_step == 6


def test_moments_by_hand():
    """Batches [0, 2] and [4]: mean 2, variance 8/3, but for the 1e-4 of a start at mean 0, variance 1."""
    moments = Moments(1)
    moments.update(torch.tensor([[0.0, 2.0]], dtype=torch.float64))
    moments.update(torch.tensor([[4.0]], dtype=torch.float64))
    assert moments.mean.item() == pytest.approx(2, abs=2e-4)
    assert moments.var.item() == pytest.approx(8 / 3, abs=2e-4)
    assert moments.count == pytest.approx(3.0001)


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
def test_normalisation_is_stable_baselines3s_with_one_statistic_per_seed():
    """Two seeds x 3 environments of Acrobot beside two VecNormalize of 3 environments, over ends and resets.

    SB3 gets the same observations as float64, because its means of float32 are themselves off by 1e-5.
    """
    seeds, gamma = [[1, 2, 3], [4, 5, 6]], 0.97
    ours = NormalizedEnv(GymnasiumEnv("Acrobot-v1", seeds), gamma)
    theirs = []
    for row in seeds:
        venv = DummyVecEnv([lambda: DtypeObservation(gym.make("Acrobot-v1"), np.float64)] * 3)
        venv._seeds = list(row)
        theirs.append(VecNormalize(venv, gamma=gamma))
    obs = np.stack([env.reset() for env in theirs])
    rng, ends = np.random.default_rng(2), 0
    for _ in range(600):
        np.testing.assert_allclose(ours.obs.numpy(), obs, rtol=0, atol=1e-6)
        action = rng.integers(3, size=(2, 3))
        step = ours.step(torch.from_numpy(action))
        for s, env in enumerate(theirs):
            obs[s], reward, dones, infos = env.step(action[s])
            np.testing.assert_allclose(step.reward[s].numpy(), reward, rtol=0, atol=1e-6)
            assert step.last[s].tolist() == dones.tolist()
            for n in np.flatnonzero(dones):
                true = infos[n]["terminal_observation"]
                np.testing.assert_allclose(step.next_obs[s, n].numpy(), true, rtol=0, atol=1e-6)
                ends += 1
    assert ends >= 6
    assert not torch.equal(ours.obs_moments.mean[0], ours.obs_moments.mean[1])
    lengths = [episode.episode_length for episode in ours.pop_episodes()]
    assert len(lengths) == ends and max(lengths) == 500


def test_a_view_leaves_the_running_statistics_as_they_are():
    env = NormalizedEnv(CartPole([[1, 2]]), 0.99)
    for _ in range(20):
        env.step(torch.ones(1, 2, dtype=torch.long))
    saved = {name: value.clone() for name, value in env.state_dict().items()}
    far = torch.full((1, 2, 4), 1e6)
    assert env.view(far).unique().tolist() == [10.0]  # clipped
    assert all(torch.equal(saved[name], value) for name, value in env.state_dict().items())
    other = NormalizedEnv(CartPole([[8, 9]]), 0.99)
    other.load_state_dict(saved)
    obs = torch.randn(1, 2, 4, generator=torch.Generator().manual_seed(0))
    assert torch.equal(other.view(obs), env.view(obs))


def test_books_stay_raw_under_normalisation():
    env = NormalizedEnv(CartPole([[1, 2]]), 0.99)
    for _ in range(40):
        step = env.step(torch.ones(1, 2, dtype=torch.long))
    assert all(e.episode_return == e.episode_length for e in env.pop_episodes())
    assert step.reward.max() < 0.9  # what the agent sees is not raw


def travelled(env: tasks.Env, n: int, rng: np.random.Generator) -> list[torch.Tensor | list[Episode]]:
    """All that n steps of random actions show."""
    shown: list[torch.Tensor | list[Episode]] = []
    for _ in range(n):
        if env.spec.n_actions is None:
            low, high = (np.array(end) for end in (env.spec.action_low, env.spec.action_high))
            action = rng.uniform(low, high, size=(*env.spec[:2], len(low))).astype(np.float32)
        else:
            action = rng.integers(env.spec.n_actions, size=env.spec[:2])
        shown += [env.pop_episodes(), env.obs.clone(), *env.step(torch.from_numpy(action))]
    return shown


@pytest.mark.parametrize("normalised", [False, True])
@pytest.mark.parametrize(
    ("environment", "n"), [("CartPole-v1", 900), ("LunarLander-v3", 230), ("Hopper-v5", 70), ("Ant-v5", 70)]
)
def test_a_snapshot_goes_on_bit_for_bit(environment: str, n: int, normalised: bool):
    """Past the starts that CartPole draws in advance; in flight, on the ground and after resets elsewhere."""

    def made() -> tasks.Env:
        env = tasks.make(environment, [[1, 2], [3, 4]])
        return NormalizedEnv(env, 0.99) if normalised else env

    first, second = made(), made()
    travelled(first, n, np.random.default_rng(0))
    first.pop_episodes()
    object_state.restore(second, object_state.capture(first))
    for a, b in zip(
        travelled(first, 200, np.random.default_rng(1)),
        travelled(second, 200, np.random.default_rng(1)),
        strict=True,
    ):
        assert a == b if isinstance(a, list) else torch.equal(a, b)
    first.close()
    second.close()
