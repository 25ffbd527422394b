"""DDPG, TD3 and SAC beside Stable-Baselines3's: the same updates from the same weights, batches and noise;
the same memory of the same worlds; and updates at the same moments. Planted bugs are found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
import pytest
import stable_baselines3 as sb3
import torch
from small import build, cell
from stable_baselines3.common.type_aliases import ReplayBufferSamples
from stable_baselines3.common.vec_env import DummyVecEnv
from torch import Tensor, nn

from rlparity import agents, networks, tasks
from rlparity.bounds import Bounds
from rlparity.networks import Network
from rlparity.records import Step
from rlparity.seeding import Streams

REFERENCE: dict[str, Any] = {"ddpg": sb3.DDPG, "td3": sb3.TD3, "sac": sb3.SAC}
INPUTS, COMPONENTS, BATCH = 3, 2, 48
Pairs = list[tuple[Tensor, Tensor]]


class Box(gym.Env):
    """A world of three observations and two action components within +-2, in which nothing happens."""

    observation_space = gym.spaces.Box(-np.inf, np.inf, (INPUTS,))
    action_space = gym.spaces.Box(-2.0, 2.0, (COMPONENTS,))

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        return np.zeros(INPUTS, np.float32), {}


class Twins(NamedTuple):
    """One network of ours and the layers that are its counterpart, stack by stack."""

    ours: Network
    theirs: Callable[[], dict[str, Pairs]]

    def align(self) -> None:
        for name, layers in self.theirs().items():
            for (weight, bias), (w, b) in zip(self.ours.stacks[name], layers, strict=True):
                weight.detach()[0], bias.detach()[0, 0] = w.T, b

    def difference(self) -> float:
        """The largest, relative to the largest parameter of each layer."""
        found = []
        for name, layers in self.theirs().items():
            for (weight, bias), (w, b) in zip(self.ours.stacks[name], layers, strict=True):
                found += [relative(weight[0].T, w), relative(bias[0, 0], b)]
        return max(found)


def relative(ours: Tensor, theirs: Tensor) -> float:
    return float((ours - theirs).detach().abs().max() / theirs.abs().max())


def linears(*modules: nn.Module) -> Pairs:
    """Weights and biases in order."""
    found = [m for module in modules for m in module.modules() if isinstance(m, nn.Linear)]
    return [(layer.weight.detach(), layer.bias.detach()) for layer in found]


def actor_layers(actor: Any) -> dict[str, Pairs]:
    if not hasattr(actor, "latent_pi"):
        return {"actor": linears(actor.mu)}
    (mean_weight, mean_bias), (std_weight, std_bias) = linears(actor.mu, actor.log_std)
    head = (torch.cat([mean_weight, std_weight]), torch.cat([mean_bias, std_bias]))
    return {"actor": [*linears(actor.latent_pi), head]}


def critic_layers(critic: Any) -> dict[str, Pairs]:
    names = ["q"] if len(critic.q_networks) == 1 else ["q1", "q2"]
    return {name: linears(net) for name, net in zip(names, critic.q_networks, strict=True)}


class Pair:
    """An agent of ours and SB3's model with the same options and weights."""

    def __init__(self, algorithm: str, **options: Any):
        self.algorithm, self.options = algorithm, {"batch_size": BATCH, "net_arch": [32, 24], **options}
        keywords = dict(self.options)
        policy = {"net_arch": keywords.pop("net_arch")}
        rate = keywords.setdefault("learning_rate", 1e-3)
        keywords["learning_rate"] = lambda remaining: remaining * rate
        self.model: Any = REFERENCE[algorithm](
            "MlpPolicy", Box(), seed=0, buffer_size=100, policy_kwargs=policy, **keywords
        )
        self.model._setup_learn(240)
        ours = {**self.options, "learning_rate": rate, "learning_rate_schedule": "linear", "buffer_size": 100}
        self.agent: Any = build(algorithm, inputs=INPUTS, budget=240, **ours)
        agent, model = self.agent, self.model
        self.twins = {
            "actor": Twins(agent.actor, lambda: actor_layers(model.actor)),
            "critic": Twins(agent.critic, lambda: critic_layers(model.critic)),
            "critic_target": Twins(agent.critic_target, lambda: critic_layers(model.critic_target)),
        }
        if algorithm != "sac":
            self.twins["actor_target"] = Twins(agent.actor_target, lambda: actor_layers(model.actor_target))
        for twins in self.twins.values():
            twins.align()
        self.before = agent.actor.theta.detach().clone()

    def train(self, bursts: int) -> None:
        """The same bursts of updates in both, on random transitions, one in three of which ended."""
        rng = torch.Generator().manual_seed(0)
        burst = self.options.get("gradient_steps", 1)
        for k in range(bursts):
            steps = [transitions(rng) for _ in range(burst)]
            self.agent.env_steps = 20 * k
            self.model._current_progress_remaining = 1 - 20 * k / 240
            queue = iter(steps)
            self.model.replay_buffer.sample = lambda *_, queue=queue, **__: samples(next(queue))
            torch.manual_seed(k)
            self.model.train(gradient_steps=burst, batch_size=BATCH)
            torch.manual_seed(k)
            for i, step in enumerate(steps):
                self.update(step, i)

    def update(self, step: Step, i: int) -> None:
        """Ours, with the normal numbers that SB3 has just drawn."""
        if self.algorithm == "ddpg":
            self.agent.update(step)
        elif self.algorithm == "td3":
            self.agent.update(step, torch.randn(1, BATCH, COMPONENTS))
        else:
            noise = torch.stack([torch.randn(1, BATCH, COMPONENTS) for _ in range(2)], 1)
            self.agent.update(step, noise, i % self.options.get("target_update_interval", 1) == 0)

    def differences(self) -> dict[str, float]:
        """Of every network, and of the temperature."""
        found = {name: twins.difference() for name, twins in self.twins.items()}
        if self.options.get("ent_coef") == "auto":
            ours = self.agent.temperature.vectors["log_alpha"][0, 0]
            found["log_alpha"] = relative(ours, self.model.log_ent_coef.detach())
        return found


def transitions(rng: torch.Generator) -> Step:
    """A minibatch (1, BATCH, ...), actions in [-1, 1]."""
    obs, next_obs = torch.randn(2, 1, BATCH, INPUTS, generator=rng)
    action = 2 * torch.rand(1, BATCH, COMPONENTS, generator=rng) - 1
    reward, chance = 3 * torch.rand(2, 1, BATCH, generator=rng)
    ended = (chance < 1).float()
    return Step(obs, action, reward, 1 - ended, ended, next_obs)


def samples(step: Step) -> ReplayBufferSamples:
    return ReplayBufferSamples(
        step.obs[0], step.action[0], step.next_obs[0], (1 - step.discount).T, step.reward.T
    )


CASES: list[tuple[str, dict[str, Any]]] = [
    ("ddpg", {"tau": 0.05}),
    ("ddpg", {"net_arch": [256, 256], "gamma": 0.9}),
    ("td3", {"tau": 0.05}),
    ("td3", {"policy_delay": 3, "target_policy_noise": 0.6, "target_noise_clip": 0.3}),
    ("td3", {"net_arch": [256, 256], "gradient_steps": 2, "learning_rate": 3e-4}),
    ("sac", {"ent_coef": 0.2, "tau": 0.05}),
    ("sac", {"ent_coef": "auto", "tau": 0.05, "learning_rate": 3e-3}),
    ("sac", {"ent_coef": "auto", "target_entropy": 1.5, "gradient_steps": 2, "target_update_interval": 2}),
    ("sac", {"ent_coef": "auto", "net_arch": [256, 256], "gamma": 0.9}),
]


@pytest.mark.parametrize(("algorithm", "options"), CASES, ids=str)
def test_updates_are_stable_baselines3s(algorithm: str, options: dict[str, Any]):
    """Eight bursts of updates, the learning rate on a falling line."""
    pair = Pair(algorithm, **options)
    assert max(pair.differences().values()) == 0
    pair.train(8)
    found = pair.differences()
    assert max(found.values()) < 1e-4, found
    assert (pair.agent.actor.theta - pair.before).abs().max() > 1e-3


def swapped_tau(patch: pytest.MonkeyPatch, pair: Pair) -> None:
    polyak = networks.polyak
    patch.setattr(networks, "polyak", lambda slow, fast, tau, due: polyak(slow, fast, 1 - tau, due))


def first_of_the_twins(patch: pytest.MonkeyPatch, pair: Pair) -> None:
    patch.setattr(torch, "minimum", lambda first, second: first)


def delay_off_by_one(patch: pytest.MonkeyPatch, pair: Pair) -> None:
    pair.agent.updates = 1


def sign_of_the_target_entropy(patch: pytest.MonkeyPatch, pair: Pair) -> None:
    pair.agent.target_entropy *= -1


def ends_ignored(patch: pytest.MonkeyPatch, pair: Pair) -> None:
    update = pair.agent.update
    pair.agent.update = lambda batch, *draws: update(batch._replace(discount=1 + 0 * batch.reward), *draws)


def one_noise_for_all_samples(patch: pytest.MonkeyPatch, pair: Pair) -> None:
    update = pair.agent.update
    pair.agent.update = lambda batch, normal: update(batch, normal[:, :1].expand_as(normal))


@pytest.mark.parametrize(
    ("algorithm", "plant", "seen_in"),
    [
        ("ddpg", swapped_tau, "actor_target"),
        ("ddpg", ends_ignored, "critic"),
        ("td3", first_of_the_twins, "critic"),
        ("td3", delay_off_by_one, "actor"),
        ("td3", one_noise_for_all_samples, "critic"),
        ("sac", first_of_the_twins, "actor"),
        ("sac", swapped_tau, "critic_target"),
        ("sac", sign_of_the_target_entropy, "log_alpha"),
    ],
)
def test_planted_bugs_are_found(
    algorithm: str, plant: Callable[..., None], seen_in: str, monkeypatch: pytest.MonkeyPatch
):
    options = {"ent_coef": "auto"} if algorithm == "sac" else {}
    pair = Pair(algorithm, learning_rate=1e-2, tau=0.05, **options)
    plant(monkeypatch, pair)
    pair.train(8)
    assert pair.differences()[seen_in] > 1e-3, pair.differences()


def remembered(spoil: Callable[[Any], Any] = lambda agent: agent) -> tuple[list[Tensor], list[np.ndarray]]:
    """Fields of both memories after 210 random steps of Pendulum, whose episodes are cut after 200."""
    options: dict[str, Any] = {"buffer_size": 300, "learning_starts": 999}
    model: Any = sb3.SAC("MlpPolicy", gym.make("Pendulum-v1"), policy_kwargs={"net_arch": [8]}, **options)
    model.env._seeds = [5]
    chosen: list[np.ndarray] = []
    step = model.env.step
    model.env.step = lambda actions: chosen.append(actions) or step(actions)
    model.learn(210)
    task = tasks.make("Pendulum-v1", [[5]])
    agent: Any = spoil(agents.build("sac", task.spec, options, Streams(cell("sac")), budget=210))
    for action in chosen:
        agent.observe(task.step(torch.from_numpy(action)[None]))
    ours = agent.memory.read(0, 210)
    b = model.replay_buffer
    fields = (b.observations, b.actions, b.rewards, 1 - b.dones * (1 - b.timeouts), b.next_observations)
    mine = [ours.obs, ours.action, ours.reward, ours.discount, ours.next_obs]
    return [x[0] for x in mine], [field[:210].reshape(210, -1).squeeze() for field in fields]


def agree(fields: tuple[list[Tensor], list[np.ndarray]]) -> list[bool]:
    return [
        bool(np.allclose(a.squeeze().numpy(), b, rtol=0, atol=1e-5)) for a, b in zip(*fields, strict=True)
    ]


def test_memories_hold_the_same():
    """Actions in [-1, 1], true successors, and a time limit is no end."""
    ours, theirs = remembered()
    assert agree((ours, theirs)) == [True] * 5
    assert float(ours[1].abs().max()) <= 1 and ours[3].min() == 1


def time_limit_as_end(agent: Any) -> Any:
    observe = agent.observe
    agent.observe = lambda step: observe(step._replace(discount=1 - step.last))
    return agent


def actions_not_rescaled(agent: Any) -> Any:
    assert isinstance(agent.bounds, Bounds)
    agent.bounds.to_unit = lambda action: action
    return agent


def test_planted_bugs_of_memory_are_found():
    assert agree(remembered(time_limit_as_end)) == [True, True, True, False, True]
    assert agree(remembered(actions_not_rescaled)) == [True, False, True, True, True]


@pytest.mark.parametrize("algorithm", REFERENCE)
@pytest.mark.parametrize(
    ("n_envs", "options"),
    [
        (1, {"learning_starts": 10, "train_freq": 1, "gradient_steps": 1}),
        (1, {"learning_starts": 12, "train_freq": 4, "gradient_steps": 3}),
        (2, {"learning_starts": 12, "train_freq": 3, "gradient_steps": 2}),
        (2, {"learning_starts": 10, "train_freq": 4, "gradient_steps": -1}),
        (1, {"learning_starts": 0, "train_freq": 2, "gradient_steps": 0}),
    ],
)
def test_updates_come_at_the_same_moments(algorithm: str, n_envs: int, options: dict[str, int]):
    """Environment steps at every update within 24, whole rounds of collection for all cases."""
    worlds = DummyVecEnv([lambda: gym.make("Pendulum-v1")] * n_envs)
    model: Any = REFERENCE[algorithm](
        "MlpPolicy", worlds, buffer_size=50, policy_kwargs={"net_arch": [8]}, **options
    )
    theirs: list[int] = []
    model.train = lambda gradient_steps, batch_size: theirs.extend([model.num_timesteps] * gradient_steps)
    model.learn(24)

    task = tasks.make("Pendulum-v1", [list(range(n_envs))])
    settings = {"batch_size": 8, "buffer_size": 50, "net_arch": [8], **options}
    agent: Any = agents.build(algorithm, task.spec, settings, Streams(cell(algorithm)), budget=24)
    ours: list[int] = []
    agent.update = lambda *_: ours.append(agent.env_steps) or {}
    while agent.env_steps < 24:
        agent.observe(task.step(torch.zeros(1, n_envs, 1)))
    assert ours == theirs
    assert bool(ours) == (options["gradient_steps"] != 0)
