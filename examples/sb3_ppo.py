"""Stable-Baselines3's PPO as a candidate with all that can be compared, to copy for a library of yours:

rlparity validate examples/sb3_ppo.py:SB3PPO --against sb3/ppo --suite cartpole --seeds 0-4
"""

from functools import partial

import gymnasium as gym
import numpy as np
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.type_aliases import RolloutBufferSamples
from stable_baselines3.common.utils import set_random_seed
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor, VecNormalize

from rlparity.references.keywords import reference_keywords


class Spaces(gym.Env):
    """An environment that is never stepped: a model is built before there is one to train in."""

    def __init__(self, observation_space, action_space):
        self.observation_space, self.action_space = observation_space, action_space


class Rollouts(RolloutBuffer):
    """SB3's rollout buffer; a batch and the orders of its epochs may be given instead."""

    given = None

    def get(self, batch_size=None):
        if self.given is None:
            yield from super().get(batch_size)
            return
        batch, orders = self.given
        for index in torch.as_tensor(next(orders)).split(batch_size):
            yield RolloutBufferSamples(*(batch[name][index] for name in RolloutBufferSamples._fields))


class Returns(BaseCallback):
    """Lists the returns of episodes as they end."""

    def __init__(self):
        super().__init__()
        self.found = []

    def _on_step(self):
        self.found += [float(info["episode"]["r"]) for info in self.locals["infos"] if "episode" in info]
        return True


class SB3PPO:
    def __init__(self, observation_space, action_space, hyperparameters):
        self.hp, self.spaces = hyperparameters, (observation_space, action_space)
        self.build([partial(Spaces, *self.spaces)] * hyperparameters["n_envs"])
        # Optional: what was set of what was given, for the report
        self.answer = {"set": list(hyperparameters), "departures": []}

    def build(self, makers):
        self.envs, self.returns = VecMonitor(DummyVecEnv(makers)), Returns()
        if self.hp["normalize"]:
            self.envs = VecNormalize(self.envs, gamma=self.hp["gamma"])
        images = len(self.spaces[0].shape) == 3
        self.model = PPO(
            "CnnPolicy" if images else "MlpPolicy",
            self.envs,
            device="cpu",
            rollout_buffer_class=Rollouts,
            **reference_keywords(self.hp, images=images),
        )
        self.model.set_logger(Logger(folder=None, output_formats=[]))

    def train(self, make_env, seed, budget):
        set_random_seed(seed)  # PPO(seed=...) would reset sub-environment i with seed + i
        self.build([partial(make_env, i) for i in range(self.hp["n_envs"])])
        self.model.learn(budget, self.returns)

    def act(self, obs, deterministic):
        seen = self.envs.normalize_obs(obs) if self.hp["normalize"] else obs
        return self.model.predict(seen, deterministic=deterministic)[0]

    # Optional: returns as SB3 counts them, and checkpoints

    @property
    def episode_returns(self):
        return self.returns.found

    def save(self, path):
        moments = self.envs.obs_rms if self.hp["normalize"] else None
        normalizer = moments and {
            name: torch.as_tensor(value, dtype=torch.float64) for name, value in vars(moments).items()
        }
        torch.save({"policy": self.model.policy.state_dict(), "normalizer": normalizer}, path)

    def load(self, path):
        saved = torch.load(path, weights_only=True)
        self.model.policy.load_state_dict(saved["policy"])
        for name, value in (saved["normalizer"] or {}).items():
            setattr(self.envs.obs_rms, name, value.numpy() if value.ndim else value.item())

    # Optional: parity, see rlparity.validation.parity.candidates for the names

    def prepare(self, rollout):
        """Advantages and targets (T, N) from rewards, values, ends and time limits."""
        found = {name: np.asarray(value, dtype=np.float32) for name, value in rollout.items()}
        (steps, n_envs), ended = found["rewards"].shape, found["terminated"] + found["truncated"]
        gamma = self.hp["gamma"]
        buffer = RolloutBuffer(
            steps, *self.spaces, gamma=gamma, gae_lambda=self.hp["gae_lambda"], n_envs=n_envs
        )
        # as `collect_rollouts` does: a time limit ends the episode, not the task
        buffer.rewards = found["rewards"] + gamma * found["truncated"] * found["final_values"]
        buffer.values = found["values"]
        buffer.episode_starts[1:] = ended[:-1]
        buffer.compute_returns_and_advantage(torch.as_tensor(found["last_values"]), ended[-1])
        return {"advantages": torch.as_tensor(buffer.advantages), "returns": torch.as_tensor(buffer.returns)}

    def update(self, batch, draws):
        self.model._current_progress_remaining = draws["progress_remaining"]
        self.model.rollout_buffer.given = batch, iter(draws["permutations"])
        self.model.train()
        self.model.rollout_buffer.given = None
        logged = self.model.logger.name_to_value
        names = {
            "policy_loss": "policy_gradient_loss",
            "value_loss": "value_loss",
            "entropy_loss": "entropy_loss",
        }
        return {name: logged[f"train/{theirs}"] for name, theirs in names.items()}

    def load_reference(self, state):
        policy = self.model.policy
        policy.to(next(iter(state.values())).dtype).load_state_dict(state)
        policy.optimizer = policy.optimizer_class(
            policy.parameters(), lr=self.hp["learning_rate"], **policy.optimizer_kwargs
        )

    def reference_state(self):
        return self.model.policy.state_dict()
