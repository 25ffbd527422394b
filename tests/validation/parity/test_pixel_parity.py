"""Updates on images beside Stable-Baselines3's CnnPolicy, from the same weights on the same batches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from small import cell
from snow import N_ACTIONS, SHAPE, Snow
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.type_aliases import ReplayBufferSamples
from stable_baselines3.common.vec_env import DummyVecEnv
from torch import Tensor

from rlparity.agents import base as agents
from rlparity.agents.policy_gradient import a2c, ppo
from rlparity.buffers.replay import Minibatch
from rlparity.environments.base import EnvSpec
from rlparity.objectives import targets
from rlparity.seeding import Streams
from rlparity.transitions import Step
from rlparity.validation import paired_models
from rlparity.validation.paired_models import PairedModels

pytestmark = pytest.mark.probes


class Movement:
    """The distance of our networks from SB3's, relative to the distance that SB3's moved from the common
    start: the largest of all tensors.

    Single weights may differ more: Adam makes steps of full length from gradients that are only rounding.
    """

    def __init__(self, pair: PairedModels):
        self._pair = pair
        self.begin()

    def begin(self) -> None:
        """Continue from SB3's weights on both sides."""
        self._pair.align()
        self._start = {name: x.detach().clone() for name, x in self._pair.theirs().items()}

    def difference(self) -> float:
        theirs = self._pair.theirs()
        moved = {name: (theirs[name].detach() - x).norm() for name, x in self._start.items()}
        ours = self._pair.ours()
        found = [(ours[name] - theirs[name].detach()).norm() / way for name, way in moved.items() if way > 0]
        assert found
        return float(max(found))


def flat(array: np.ndarray) -> Tensor:
    return torch.from_numpy(RolloutBuffer.swap_and_flatten(array.copy()))[None]


@pytest.mark.parametrize("algorithm", ["ppo", "a2c"])
def test_actor_critics_with_shared_convolutions(algorithm: str):
    """Three updates, each from the same weights. A2C has RMSprop as in TensorFlow.

    A rectifier at its kink amplifies rounding, in about one update of twenty, another one on every processor:
    each of the three has to agree closely in one of three trainings, and roughly in all.
    """
    found = np.array([differences_of_updates(algorithm, seed) for seed in range(3)])
    assert found.shape == (3, 3)
    assert (found.min(0) < 1e-3).all() and (found < 0.05).all(), found


def differences_of_updates(algorithm: str, seed: int) -> list[float]:
    """After each update of a training, how far ours is from SB3's."""
    options: dict[str, Any] = {
        "n_steps": 8,
        "gamma": 0.97,
        "gae_lambda": 0.9,
        "ent_coef": 0.01,
        "vf_coef": 0.25,
    }
    if algorithm == "ppo":
        options |= {"batch_size": 8, "n_epochs": 2, "clip_range": 0.5, "learning_rate": 2.5e-4}
    else:
        options |= {"rms_prop_tf": True, "rms_prop_eps": 1e-5}
    both = paired_models.make(
        algorithm, DummyVecEnv([Snow] * 2), options, torch.float32, budget=48, seed=seed
    )
    model, agent, movement = both.model, both.agent, Movement(both)
    train, differences = model.train, list[float]()

    def alongside() -> None:
        b = model.rollout_buffer
        obs, action = flat(b.observations), flat(b.actions)[..., 0].long()
        value, advantage, returns, log_prob = (
            flat(x)[..., 0] for x in (b.values, b.advantages, b.returns, b.log_probs)
        )
        agent.env_steps = model.num_timesteps
        state = np.random.get_state()
        if algorithm == "ppo":
            orders = np.stack([np.random.permutation(16) for _ in range(2)])
            batch: Any = ppo.Batch(obs, action, log_prob, value, advantage, returns)
            agent.update(batch, torch.from_numpy(orders)[:, None])
        else:
            agent.update(a2c.Batch(obs, action, value, advantage, returns))
        np.random.set_state(state)
        train()
        differences.append(movement.difference())
        movement.begin()

    model.train = alongside
    model.learn(48)
    return differences


@pytest.mark.parametrize(
    ("algorithm", "options"),
    [("dqn", {"batch_size": 8, "gamma": 0.95}), ("qrdqn", {"batch_size": 32, "n_quantiles": 20})],
)
def test_q_learners_with_convolutions(algorithm: str, options: dict[str, Any]):
    """Three updates on bytes, one from the other."""
    shared = {**options, "learning_rate": 1e-3, "buffer_size": 10}
    both = paired_models.make(algorithm, DummyVecEnv([Snow]), shared, torch.float32, budget=240)
    model, agent, size = both.model, both.agent, options["batch_size"]
    model._setup_learn(240)
    movement, rng = Movement(both), torch.Generator().manual_seed(0)
    for _ in range(3):
        obs, next_obs = torch.randint(256, (2, 1, size, *SHAPE), dtype=torch.uint8, generator=rng)
        action = torch.randint(N_ACTIONS, (1, size), generator=rng)
        reward, chance = 3 * torch.rand(2, 1, size, generator=rng)
        ended = (chance < 0.6).float()
        columns = (obs[0], action.T, next_obs[0], ended.T, reward.T)
        model.replay_buffer.sample = lambda *_, data=columns, **__: ReplayBufferSamples(*data)
        model.train(gradient_steps=1, batch_size=size)
        step = Step(obs, action, reward, 1 - ended, ended, next_obs)
        targets = (agent.targets(step),) if algorithm == "dqn" else ()
        agent.update(Minibatch(step), *targets)
        assert movement.difference() < 1e-3


def test_values_of_successors_are_those_of_their_own_images():
    """Two seeds, two sub-environments, four steps; an episode ends inside the rollout, another at its end."""
    agent: Any = agents.build("ppo", EnvSpec(2, 2, SHAPE, N_ACTIONS), {}, Streams(cell("ppo", (0, 1))), 99)
    rng = torch.Generator().manual_seed(3)
    frames = torch.randint(256, (2, 2, 6, *SHAPE), dtype=torch.uint8, generator=rng)
    obs, next_obs, last = frames[:, :, :4].clone(), frames[:, :, 1:5].clone(), torch.zeros(2, 2, 4)
    last[0, 1, 1] = last[1, 0, 3] = 1
    next_obs[0, 1, 1] = frames[0, 1, 5]
    rollout = Step(obs, last.long(), last, 1 - last, last, next_obs)
    with torch.no_grad():
        value = agent.value(obs.flatten(1, 2)).view(2, 2, 4)
        found = targets.next_values(rollout, value, agent.value)
        wanted = agent.value(next_obs.flatten(1, 2)).view(2, 2, 4)
    assert torch.allclose(found, wanted, rtol=1e-4, atol=1e-6)
    assert not torch.allclose(found[0, 1, 1], value[0, 1, 2], rtol=1e-3)
