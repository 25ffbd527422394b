"""Actor-critic with Monte Carlo advantages: Sutton and Barto 2018, chapter 13, as CS231n teaches it.

Each iteration samples m trajectories; A_t = sum_{t'>=t} gamma^(t'-t) r_t' - V_phi(s_t);
theta follows sum_i sum_t A_t grad log pi(a_t|s_t), phi descends sum_i sum_t grad ||A_t||^2.

Departures from the algorithm as taught:
- Adam instead of plain gradient steps, and means in place of sums over steps in the critic's loss;
- a game cut by a time limit counts as it stands: advantages are not bootstrapped.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from rlparity.buffers.replay import Trajectories, Trajectory
from rlparity.environments.base import EnvSpec
from rlparity.nn import networks
from rlparity.nn.distributions import categorical
from rlparity.objectives import targets
from rlparity.records import Step
from rlparity.seeding import Streams

DEPARTURES = [
    "Adam instead of plain gradient steps",
    "the critic's loss is a mean over steps",
    "a game cut by a time limit is not bootstrapped",
]


@dataclass(frozen=True)
class Config:
    """No reference exists; the values are our own."""

    learning_rate: float = 5e-3  # alpha, the actor's
    vf_learning_rate: float = 5e-3  # beta, the critic's
    n_episodes: int = 5  # m, trajectories per iteration
    gamma: float = 0.99  # discount
    net_arch: tuple[int, ...] = (64, 64)  # hidden units
    activation: Literal["tanh", "relu"] = "tanh"


def advantages(games: list[Trajectory], value: Tensor, gamma: float) -> Tensor:
    """A_t of whole games laid end to end: value (1, B) -> (1, B)."""
    to_go = torch.cat([targets.rewards_to_go(game.reward, gamma) for game in games])[None]
    assert to_go.shape == value.shape
    return to_go - value


class Agent:
    """Plays whole games; each seed learns when it has m of them."""

    def __init__(self, spec: EnvSpec, config: Config, random: Streams, budget: int):
        assert spec.n_actions is not None
        hidden = [*spec.obs_shape, *config.net_arch]
        generators = random.torch_generators("network")
        actor, critic = networks.mlp([*hidden, spec.n_actions], 0.01), networks.mlp([*hidden, 1], 1.0)
        self.actor = networks.Network({"actor": actor}, generators, config.activation)
        self.critic = networks.Network({"critic": critic}, generators, config.activation)
        self.actor_optimizer, self.critic_optimizer = networks.Adam(self.actor), networks.Adam(self.critic)
        self.memory = Trajectories(spec.n_seeds, spec.n_envs)
        self.config = config
        self.uniforms = 1
        self.alive = torch.ones(spec.n_seeds, dtype=torch.bool)
        self._metrics = torch.full((3, spec.n_seeds), torch.nan)

    @torch.no_grad()
    def act(self, obs: Tensor, explore: Tensor | None = None) -> Tensor:
        """obs (S, N, *obs), uniform numbers (S, N, 1) -> action (S, N)."""
        logits = self.actor("actor", obs)
        return logits.argmax(-1) if explore is None else categorical.sample(logits, explore[..., 0])

    def observe(self, step: Step) -> dict[str, Tensor]:
        """Remember one step of N worlds; a seed with m finished games learns from them, alone."""
        self.memory.add(step)
        due = [s for s, games in enumerate(self.memory.finished) if len(games) >= self.config.n_episodes]
        for s in due:
            self.update(s, self.memory.pop(s))
        names = ("policy_loss", "value_loss", "entropy")
        return dict(zip(names, self._metrics.clone(), strict=True)) if due else {}

    def update(self, s: int, games: list[Trajectory]) -> None:
        """One step of seed s's actor and one of its critic, both on the same games."""
        c, actor, critic = self.config, self.actor.row(s), self.critic.row(s)
        obs = torch.cat([game.obs for game in games])[None]
        action = torch.cat([game.action for game in games])[None]
        log_prob, entropy = categorical.log_prob_and_entropy(actor("actor", obs), action)
        advantage = advantages(games, critic("critic", obs), c.gamma)
        policy_loss = -(log_prob * advantage.detach()).sum(1) / len(games)
        value_loss = advantage.square().mean(1)
        self.alive[s] &= (policy_loss + value_loss).isfinite().item()
        actor.backward(policy_loss)
        critic.backward(value_loss)
        self.actor.grad[s], self.critic.grad[s] = actor.grad[0], critic.grad[0]
        due = self.alive & (torch.arange(len(self.alive)) == s)
        self.actor_optimizer.step(c.learning_rate, due)
        self.critic_optimizer.step(c.vf_learning_rate, due)
        terms = (policy_loss.detach()[0], value_loss.detach()[0], entropy.detach().mean())
        self._metrics[:, s] = torch.stack(terms)

    def state_dict(self) -> dict[str, Tensor]:
        """The parameters of all seeds."""
        return {"actor": self.actor.theta.detach(), "critic": self.critic.theta.detach()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take over saved parameters."""
        self.actor.theta.detach().copy_(state["actor"])
        self.critic.theta.detach().copy_(state["critic"])
