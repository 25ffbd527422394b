"""Exploration of our agents, compared with their probabilities, schedules and bounds of actions."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from rlparity.nn.networks import Network
from rlparity.training import object_state
from rlparity.validation.checks import Answer
from rlparity.validation.contract.own_agents.traced_training import Log

DRAWS = 2000  # actions drawn for one observation, from evenly spread uniform numbers
NEAR = 0.02  # allowed error of a mean over DRAWS
SPREAD = 0.25  # allowed relative error of a standard deviation over some hundreds of draws


def bounded(log: Log) -> Answer:
    """All actions lie within their bounds, and random ones span at least three quarters of them."""
    spec, c = log.environments[0].spec, log.agent.config
    low, high = torch.tensor([spec.action_low, spec.action_high])
    taken = torch.stack([choice.action for choice in log.choices])
    greedy = torch.stack([choice.greedy for choice in log.choices if choice.greedy is not None])
    slack = 1e-5 * (high - low)
    for actions, what in ((taken, "actions"), (greedy, "deterministic actions")):
        if (actions < low - slack).any() or (actions > high + slack).any():
            worst = actions.flatten(0, -2)
            return False, f"{what} of {worst.min(0).values.tolist()} to {worst.max(0).values.tolist()}"
    first = taken[: c.learning_starts // log.cell.n_envs].flatten(0, -2)
    span = ((first.max(0).values - first.min(0).values) / (high - low)).tolist()
    if min(span) < 0.75:
        return False, f"random actions span {min(span):.0%} of their bounds"
    return True, f"{len(taken)} steps; random ones span {min(span):.0%}"


def epsilon_greedy(log: Log) -> Answer:
    """Every action is greedy, or random with a probability that decreases with environment steps."""
    c, n_envs = log.agent.config, log.cell.n_envs
    n_actions, explored = log.environments[0].spec.n_actions, 0
    for t, choice in enumerate(log.choices):
        step = t * n_envs
        done = min(step / (c.exploration_fraction * log.cell.budget), 1.0)
        epsilon = c.exploration_initial_eps + done * (c.exploration_final_eps - c.exploration_initial_eps)
        epsilon = 1.0 if step < c.learning_starts else epsilon
        assert choice.explore is not None and choice.greedy is not None and n_actions is not None
        whether, which = choice.explore.unbind(-1)
        sure = (whether - epsilon).abs() > 1e-6
        anything = (which * n_actions).long().clamp(max=n_actions - 1)
        expected = torch.where(whether < epsilon, anything, choice.greedy)
        if ((choice.action != expected) & sure).any():
            return False, f"at environment step {step} an action is not that of epsilon {epsilon:.3f}"
        explored += int((whether < epsilon).sum())
    return True, f"{explored} of {len(log.choices) * choice.action.numel()} actions were random"


def sampled(log: Log) -> Answer:
    """Frequencies of actions equal the policy's probabilities."""
    networks = object_state.find(log.agent, Network)
    found = [part.theta.detach().clone() for part in networks]
    try:
        for part in networks:  # make the policy less uniform than training did
            noise = torch.randn(part.theta.shape, generator=torch.Generator().manual_seed(0))
            part.theta.detach().add_(0.3 * noise)
        return _frequencies(log)
    finally:  # other checks look at the same agent
        for part, theta in zip(networks, found, strict=True):
            part.theta.detach().copy_(theta)


def _frequencies(log: Log) -> Answer:
    agent, spec = log.agent, log.environments[0].spec
    network: Network = getattr(agent, "network", None) or agent.actor
    obs = log.observed[-1].obs[:, :1]
    many = obs.expand(-1, DRAWS, *obs.shape[2:])
    action = agent.act(many, _spread(len(obs), agent.uniforms))
    features = network.features(many)
    with torch.no_grad():
        if spec.n_actions is None:
            return _gaussian(agent, network, features, action)
        worst = 0.0
        for choice in range(spec.n_actions):
            chosen = torch.full_like(action, choice)
            p = agent.policy.log_prob(network, features, chosen)[:, 0].exp()
            share = (action == choice).double().mean(1)
            worst = max(worst, float((share - p).abs().max()))
    return worst < NEAR, f"frequencies of actions are within {worst:.2g} of their probabilities"


def _gaussian(agent: Any, network: Network, features: Tensor, action: Tensor) -> Answer:
    log_prob, entropy = agent.policy.log_prob_and_entropy(network, features, action)
    off = float((log_prob.mean(1) + entropy[:, 0]).abs().max())
    return off < NEAR, f"the mean log-probability of draws is within {off:.2g} of minus the entropy"


def _spread(n_seeds: int, uniforms: int) -> Tensor:
    """Uniform numbers (S, DRAWS, uniforms), evenly spread in every column."""
    rng = torch.Generator().manual_seed(0)
    grid = (torch.arange(DRAWS) + 0.5) / DRAWS
    columns = [grid[torch.randperm(DRAWS, generator=rng)] for _ in range(uniforms)]
    return torch.stack(columns, -1).expand(n_seeds, -1, -1)


def squashed(log: Log) -> Answer:
    """SAC's actions before squashing have the mean and standard deviation of its policy."""
    agent = log.agent
    obs = log.observed[-1].obs[:, :1]
    many = obs.expand(-1, DRAWS, *obs.shape[2:])
    with torch.no_grad():
        mean, log_std = agent.policy(many)
    unit = _unit(log, agent.act(many, _spread(len(obs), agent.uniforms)))
    inside = unit.abs() < 0.9999
    z = (unit.clamp(-0.9999, 0.9999).atanh() - mean) / log_std.exp()
    z = torch.where(inside, z, torch.nan)
    middle, deviation = float(z.nanmean()), float((z - z.nanmean()).square().nanmean().sqrt())
    lost = float((~inside).double().mean())
    passed = lost > 0.05 or (abs(middle) < NEAR and abs(deviation - 1) < NEAR)
    return passed, f"mean {middle:.3f} and deviation {deviation:.3f}, expected 0 and 1"


def noisy(log: Log) -> Answer:
    """The noise of DDPG and TD3 has the configured standard deviation, in units of actions in [-1, 1]."""
    c = log.agent.config
    first = math.ceil(c.learning_starts / log.cell.n_envs)
    later = [choice for choice in log.choices[first:] if choice.greedy is not None]
    noise = [_unit(log, x.action) - _unit(log, x.greedy) for x in later if x.greedy is not None]
    free = [_unit(log, x.action).abs() < 0.999 for x in later]
    near = [_unit(log, x.greedy).abs() < 1 - 3 * c.noise_std for x in later if x.greedy is not None]
    unclipped = torch.stack(noise)[torch.stack(free) & torch.stack(near)]
    if unclipped.numel() < 100:
        return True, f"only {unclipped.numel()} actions were not clipped"
    found = float(unclipped.square().mean().sqrt())
    return abs(found - c.noise_std) < SPREAD * c.noise_std, f"deviation {found:.3f}, expected {c.noise_std:g}"


def _unit(log: Log, action: Tensor) -> Tensor:
    spec = log.environments[0].spec
    low, high = torch.tensor([spec.action_low, spec.action_high])
    return 2 * (action.flatten(2) - low) / (high - low) - 1


def exploration(log: Log) -> Answer | None:
    """Check how actions are drawn, according to the kind of agent; None if no check applies."""
    config = getattr(log.agent, "config", None)
    if hasattr(config, "exploration_final_eps"):
        return epsilon_greedy(log)
    if hasattr(config, "noise_std"):
        return noisy(log)
    if hasattr(log.agent, "temperature"):
        return squashed(log)
    return sampled(log) if hasattr(getattr(log.agent, "policy", None), "log_prob") else None
