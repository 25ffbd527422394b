"""REINFORCE. Williams 1992, Machine Learning 8; baselines: Greensmith, Bartlett and Baxter 2004, JMLR 5.

After every m whole episodes: grad J ~ 1/m sum_i sum_t (w_t - b) grad log pi(a_t|s_t). Variants:
(a) `weight: trajectory`: w = r(tau), the whole episode's return;
(b) `togo`: w_t = sum_{t'>=t} r_t';
(c) `discounted`: w_t = sum_{t'>=t} gamma^(t'-t) r_t';
(d) as (c), with `baseline: average`: b is a constant, the moving average of w over all episodes so far;
(e) as (c), with `baseline: value`: b = V(s_t), learned by regression on w_t.

Departures from the papers:
- Adam instead of plain gradient ascent;
- an episode cut by a time limit counts as it stands: returns are not bootstrapped.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from rlparity.buffers.trajectories import Trajectories, Trajectory, ready
from rlparity.environments.base import EnvSpec
from rlparity.nn import networks, optimizers
from rlparity.nn.distributions import categorical
from rlparity.objectives import schedules, targets
from rlparity.seeding import Streams
from rlparity.transitions import Step

DEPARTURES = [
    "Adam instead of plain gradient ascent",
    "an episode cut by a time limit is not bootstrapped",
]


@dataclass(frozen=True)
class REINFORCEConfig:
    """No reference exists; the values are our own."""

    learning_rate: float = 5e-3  # alpha
    learning_rate_schedule: Literal["constant", "linear"] = "constant"  # linear: to zero at the end
    n_episodes: int = 5  # m, whole episodes per update
    gamma: float = 0.99  # discount of `weight: discounted`
    weight: Literal["trajectory", "togo", "discounted"] = "trajectory"
    baseline: Literal["none", "average", "value"] = "none"
    baseline_decay: float = 0.9  # per update, of the moving average
    vf_coef: float = 0.5  # weight of V's squared error
    net_arch: tuple[int, ...] = (64, 64)  # hidden units
    activation: Literal["tanh", "relu"] = "tanh"


def weights(reward: Tensor, weight: str, gamma: float) -> Tensor:
    """w_t of one episode, (T,) -> (T,): its return, what follows, or what follows discounted."""
    if weight == "trajectory":
        return reward.sum().expand_as(reward)
    return targets.rewards_to_go(reward, gamma if weight == "discounted" else 1.0)


def policy_loss(log_prob: Tensor, advantage: Tensor, n_episodes: int) -> Tensor:
    """-1/m sum_i sum_t A_t log pi(a_t|s_t), whose gradient descends against the return; (1, B) -> (1,)."""
    assert log_prob.shape == advantage.shape
    return -(log_prob * advantage).sum(1) / n_episodes


class REINFORCE:
    """Acts for whole episodes; each seed learns when it has m of them."""

    def __init__(self, spec: EnvSpec, config: REINFORCEConfig, random: Streams, budget: int):
        assert spec.n_actions is not None
        hidden = [*spec.obs_shape, *config.net_arch]
        stacks = {"actor": networks.mlp([*hidden, spec.n_actions], 0.01)}
        if config.baseline == "value":
            stacks["critic"] = networks.mlp([*hidden, 1], 1.0)
        self.network = networks.Network(stacks, random.torch_generators("network"), config.activation)
        self.alive = optimizers.all_alive(spec.n_seeds)
        self.optimizer = optimizers.Adam(self.network, alive=self.alive)
        self.memory = Trajectories(spec.n_seeds, spec.n_envs)
        self.average: list[float | None] = [None] * spec.n_seeds  # b of variant (d)
        self.config, self.budget, self.env_steps = config, budget, 0
        self.uniforms = 1
        self._metrics = torch.full((3, spec.n_seeds), torch.nan)

    @torch.no_grad()
    def act(self, obs: Tensor, explore: Tensor | None = None) -> Tensor:
        """obs (S, N, *obs), uniform numbers (S, N, 1) -> action (S, N)."""
        logits = self.network("actor", obs)
        return logits.argmax(-1) if explore is None else categorical.sample(logits, explore[..., 0])

    def observe(self, step: Step) -> dict[str, Tensor]:
        """Store one step of N sub-environments; a seed with m finished episodes learns from them, alone."""
        self.env_steps += step.reward.shape[1]
        self.memory.add(step)
        due = ready(self.memory, self.config.n_episodes)
        for s in due:
            self.update(s, self.memory.pop(s))
        names = ("policy_loss", "value_loss", "entropy")
        return dict(zip(names, self._metrics.clone(), strict=True)) if due else {}

    def update(self, s: int, episodes: list[Trajectory]) -> None:
        """One gradient step of seed s on its episodes."""
        c, network = self.config, self.network.row(s)
        obs = torch.cat([episode.obs for episode in episodes])[None]
        action = torch.cat([episode.action for episode in episodes])[None]
        weight = torch.cat([weights(episode.reward, c.weight, c.gamma) for episode in episodes])[None]
        log_prob, entropy = categorical.log_prob_and_entropy(network("actor", obs), action)
        value_loss = torch.zeros(1)
        advantage = weight
        if c.baseline == "value":
            value = network("critic", obs)
            advantage = weight - value.detach()
            value_loss = (weight - value).square().mean(1)
        elif c.baseline == "average":
            advantage = weight - self.constant(s, weight)
        policy = policy_loss(log_prob, advantage, len(episodes))
        loss = policy + c.vf_coef * value_loss
        optimizers.backward_row(self.optimizer, s, network, loss)
        rate = schedules.learning_rate(c, self.env_steps, self.budget)
        self.optimizer.step(rate, torch.arange(len(self.alive)) == s)
        self._metrics[:, s] = torch.stack(
            (policy.detach()[0], value_loss.detach()[0], entropy.detach().mean())
        )

    def constant(self, s: int, weight: Tensor) -> float:
        """b: the moving average of seed s over its episodes before these, which then enter it."""
        mean, before = weight.mean().item(), self.average[s]
        decay = self.config.baseline_decay
        self.average[s] = mean if before is None else decay * before + (1 - decay) * mean
        return 0.0 if before is None else before

    def saved(self) -> dict[str, networks.Network]:
        """The networks that a saved policy consists of."""
        return {"theta": self.network}
