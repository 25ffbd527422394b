"""Actor-critic with Monte Carlo advantages: Sutton and Barto 2018, chapter 13, as CS231n teaches it.

Each iteration samples m trajectories; A_t = sum_{t'>=t} gamma^(t'-t) r_t' - V_phi(s_t);
theta follows sum_i sum_t A_t grad log pi(a_t|s_t), phi descends sum_i sum_t grad ||A_t||^2.

Departures from the algorithm as taught:
- Adam instead of plain gradient steps, and means in place of sums over steps in the critic's loss;
- an episode cut by a time limit counts as it stands: advantages are not bootstrapped.
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
from rlparity.objectives import targets
from rlparity.seeding import Streams
from rlparity.transitions import Step

DEPARTURES = [
    "Adam instead of plain gradient steps",
    "the critic's loss is a mean over steps",
    "an episode cut by a time limit is not bootstrapped",
]


@dataclass(frozen=True)
class ActorCriticConfig:
    """No reference exists; the values are our own."""

    learning_rate: float = 5e-3  # alpha, the actor's
    vf_learning_rate: float = 5e-3  # beta, the critic's
    n_episodes: int = 5  # m, trajectories per iteration
    gamma: float = 0.99  # discount
    net_arch: tuple[int, ...] = (64, 64)  # hidden units
    activation: Literal["tanh", "relu"] = "tanh"


def advantages(episodes: list[Trajectory], value: Tensor, gamma: float) -> Tensor:
    """A_t of whole episodes laid end to end: value (1, B) -> (1, B)."""
    to_go = torch.cat([targets.rewards_to_go(episode.reward, gamma) for episode in episodes])[None]
    assert to_go.shape == value.shape
    return to_go - value


class ActorCritic:
    """Acts for whole episodes; each seed learns when it has m of them."""

    def __init__(self, spec: EnvSpec, config: ActorCriticConfig, random: Streams, budget: int):
        assert spec.n_actions is not None
        hidden = [*spec.obs_shape, *config.net_arch]
        generators = random.torch_generators("network")
        actor, critic = networks.mlp([*hidden, spec.n_actions], 0.01), networks.mlp([*hidden, 1], 1.0)
        self.actor = networks.Network({"actor": actor}, generators, config.activation)
        self.critic = networks.Network({"critic": critic}, generators, config.activation)
        self.alive = optimizers.all_alive(spec.n_seeds)
        self.actor_optimizer = optimizers.Adam(self.actor, alive=self.alive)
        self.critic_optimizer = optimizers.Adam(self.critic, alive=self.alive)
        self.memory = Trajectories(spec.n_seeds, spec.n_envs)
        self.config = config
        self.uniforms = 1
        self._metrics = torch.full((3, spec.n_seeds), torch.nan)

    @torch.no_grad()
    def act(self, obs: Tensor, explore: Tensor | None = None) -> Tensor:
        """obs (S, N, *obs), uniform numbers (S, N, 1) -> action (S, N)."""
        logits = self.actor("actor", obs)
        return logits.argmax(-1) if explore is None else categorical.sample(logits, explore[..., 0])

    def observe(self, step: Step) -> dict[str, Tensor]:
        """Store one step of N sub-environments; a seed with m finished episodes learns from them, alone."""
        self.memory.add(step)
        due = ready(self.memory, self.config.n_episodes)
        for s in due:
            self.update(s, self.memory.pop(s))
        names = ("policy_loss", "value_loss", "entropy")
        return dict(zip(names, self._metrics.clone(), strict=True)) if due else {}

    def update(self, s: int, episodes: list[Trajectory]) -> None:
        """One step of seed s's actor and one of its critic, both on the same episodes."""
        c, actor, critic = self.config, self.actor.row(s), self.critic.row(s)
        obs = torch.cat([episode.obs for episode in episodes])[None]
        action = torch.cat([episode.action for episode in episodes])[None]
        log_prob, entropy = categorical.log_prob_and_entropy(actor("actor", obs), action)
        advantage = advantages(episodes, critic("critic", obs), c.gamma)
        policy_loss = -(log_prob * advantage.detach()).sum(1) / len(episodes)
        value_loss = advantage.square().mean(1)
        optimizers.backward_row(self.actor_optimizer, s, actor, policy_loss)
        optimizers.backward_row(self.critic_optimizer, s, critic, value_loss)
        due = torch.arange(len(self.alive)) == s
        self.actor_optimizer.step(c.learning_rate, due)
        self.critic_optimizer.step(c.vf_learning_rate, due)
        terms = (policy_loss.detach()[0], value_loss.detach()[0], entropy.detach().mean())
        self._metrics[:, s] = torch.stack(terms)

    def saved(self) -> dict[str, networks.Network]:
        """The networks that a saved policy consists of."""
        return {"actor": self.actor, "critic": self.critic}
