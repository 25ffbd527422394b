"""Exact expectations of policy-gradient estimates: all trajectories of a small problem along the seed axis.

Two states, two actions, three steps: 128 trajectories with the state after the last step, each given to one
seed, all seeds with the same parameters. The sum of the agent's own gradients, weighted by the trajectories'
probabilities, is held against the policy gradient by dynamic programming (Sutton et al. 2000, theorem 1;
Sutton and Barto 2018, section 13.2), sum_t sum_s d_t(s) sum_a grad pi(a|s) Q_t(s, a). With the whole return
or the reward to go that is the gradient of the expected return, by which it is checked; with discounted
rewards to go it lacks a factor gamma^t, as the algorithms as taught do.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from rlparity.cell import Cell
from rlparity.environments.base import EnvSpec
from rlparity.nn.networks import Network
from rlparity.seeding import Streams
from rlparity.transitions import Step
from rlparity.validation.checks import Answer
from rlparity.validation.gradients.comparison import built, precision
from rlparity.validation.gradients.learner import log_softmax
from rlparity.validation.gradients.plain_networks import PlainNetwork, names, parts

STATES, ACTIONS, HORIZON = 2, 2, 3
START = (0.3, 0.7)  # probability of each first state
MOVE = (((0.8, 0.2), (0.1, 0.9)), ((0.5, 0.5), (0.65, 0.35)))  # P(s' | s, a)
REWARD = (((1.0, -2.0), (0.5, 3.0)), ((-1.0, 4.0), (2.0, 0.25)))  # r(s, a, s')
GAMMA, TOLERANCE = 0.9, 1e-10
_ROLLOUT = {"n_steps": HORIZON, "gae_lambda": 1.0, "normalize_advantage": False, "net_arch": (4,)}
_UNCLIPPED = {"ent_coef": 0.0, "max_grad_norm": 1e9}
_STILL = {"learning_rate": 0.0, "gamma": GAMMA}
SETTINGS: Mapping[str, Mapping[str, Any]] = {  # with which estimates are unbiased and parameters stay
    "reinforce": {**_STILL, "n_episodes": 1, "net_arch": (4,)},
    "actor_critic": {**_STILL, "vf_learning_rate": 0.0, "n_episodes": 1, "net_arch": (4,)},
    "a2c": {**_STILL, **_ROLLOUT, **_UNCLIPPED, "use_rms_prop": False},
    "ppo": {**_STILL, **_ROLLOUT, **_UNCLIPPED, "batch_size": HORIZON, "n_epochs": 1},
    "trpo": {**_STILL, **_ROLLOUT, "target_kl": 0.0, "cg_max_steps": 1, "n_critic_updates": 1},
}
ASCENDS = ("trpo",)  # its gradient is the objective's, not the loss's
MEANS = ("a2c", "ppo", "trpo")  # over the steps of a rollout, not sums


class Trajectory(NamedTuple):
    """States, actions and the state after the last."""

    states: tuple[int, ...]
    actions: tuple[int, ...]


def trajectories() -> list[Trajectory]:
    """All of them."""
    states = itertools.product(range(STATES), repeat=HORIZON + 1)
    actions = list(itertools.product(range(ACTIONS), repeat=HORIZON))
    return [Trajectory(s, a) for s in states for a in actions]


def observation(state: int, t: int) -> Tensor:
    """What a policy sees: the state, one-hot, and the time."""
    return torch.tensor([float(state == 0), float(state == 1), t / HORIZON], dtype=torch.float64)


def expected(agent_name: str, options: Mapping[str, Any]) -> Answer:
    """Whether the expectation of an agent's gradient is the policy gradient."""
    found, spec = trajectories(), EnvSpec(len(trajectories()), 1, (STATES + 1,), ACTIONS)
    cell = Cell("gradients", "all", "scratch", agent_name, agent_name, tuple(range(len(found))), 1000)
    values = {**SETTINGS[agent_name], **options}
    agent = built(agent_name, spec, values, Streams(cell), 1000)
    for part in (x for x in vars(agent).values() if isinstance(x, Network)):
        noise = torch.randn(part.n_parameters, generator=torch.Generator().manual_seed(3)).double()
        part.theta.detach()[:, : part.n_parameters] = part.theta.detach()[0, : part.n_parameters] + noise / 2
    network: Network = getattr(agent, "network", None) or agent.actor
    plain = PlainNetwork(network, 0)
    for episodes in ([found[5]] * len(found), found):  # a first one for all, which baselines may remember
        for step in steps(episodes):
            with precision(torch.float64):
                agent.observe(step)
    chances = torch.tensor([probability(plain, each) for each in found], dtype=torch.float64)
    mean = (chances[:, None] * network.grad).sum(0, keepdim=True)
    mean *= (HORIZON if agent_name in MEANS else 1) * (1 if agent_name in ASCENDS else -1)
    gamma = 1.0 if values.get("weight") in ("trajectory", "togo") else GAMMA
    truth = exact(plain, gamma)
    largest = max(float(x.abs().max()) for x in truth)
    worst = 0.0
    for name, ours, theirs in zip(names(network), parts(network, mean, 0), truth, strict=True):
        if name.endswith("of actor"):
            worst = max(worst, float((ours - theirs.view_as(ours)).abs().max()) / largest)
    return worst < TOLERANCE, f"{len(found)} trajectories, whose mean gradient is within {worst:.0e}"


def steps(episodes: list[Trajectory]) -> list[Step]:
    """One trajectory for each seed, (S, 1), as steps; the task ends with the last."""
    found = []
    for t in range(HORIZON):
        at = [(e.states[t], e.actions[t], e.states[t + 1]) for e in episodes]
        obs = torch.stack([observation(s, t) for s, _, _ in at])[:, None]
        after = torch.stack([observation(s, t + 1) for _, _, s in at])[:, None]
        reward = torch.tensor([[REWARD[s][a][s2]] for s, a, s2 in at], dtype=torch.float64)
        last = torch.full_like(reward, float(t == HORIZON - 1))
        action = torch.tensor([[a] for _, a, _ in at])
        found.append(Step(obs, action, reward, 1 - last, last, after))
    return found


def policy(plain: PlainNetwork, state: int, t: int) -> Tensor:
    """pi(.|s), (A,)."""
    return torch.exp(log_softmax(plain("actor", observation(state, t))))


def probability(plain: PlainNetwork, trajectory: Trajectory) -> float:
    """Of a trajectory under the policy."""
    found, (states, actions) = START[trajectory.states[0]], trajectory
    for t, action in enumerate(actions):
        found *= policy(plain, states[t], t)[action].item() * MOVE[states[t]][action][states[t + 1]]
    return found


def exact(plain: PlainNetwork, gamma: float) -> list[Tensor]:
    """The policy gradient by every parameter, from values backwards and distributions of states forwards."""
    value = torch.zeros(STATES, dtype=torch.float64)
    pi = [[policy(plain, s, t) for s in range(STATES)] for t in range(HORIZON)]
    action_values: list[list[list[Tensor]]] = []
    for t in reversed(range(HORIZON)):
        q = [
            [
                sum(
                    (MOVE[s][a][n] * (REWARD[s][a][n] + gamma * value[n]) for n in range(STATES)),
                    value[0] * 0,
                )
                for a in range(ACTIONS)
            ]
            for s in range(STATES)
        ]
        value = torch.stack([torch.stack(q[s]) @ pi[t][s] for s in range(STATES)])
        action_values.insert(0, q)
    surrogate, reached = torch.zeros((), dtype=torch.float64), list(START)
    for t in range(HORIZON):
        for s in range(STATES):
            surrogate = surrogate + reached[s] * (torch.stack(action_values[t][s]).detach() @ pi[t][s])
        reached = [
            sum(
                reached[s] * pi[t][s][a].item() * MOVE[s][a][n] for s in range(STATES) for a in range(ACTIONS)
            )
            for n in range(STATES)
        ]
    gradient = list(
        torch.autograd.grad(surrogate, plain.parameters(), retain_graph=True, materialize_grads=True)
    )
    if gamma == 1.0:  # the theorem: it is the gradient of the expected return
        returns = torch.tensor(START, dtype=torch.float64) @ value
        for a, b in zip(gradient, plain.gradient(returns), strict=True):
            assert torch.allclose(a, b, rtol=0, atol=TOLERANCE)
    return gradient
