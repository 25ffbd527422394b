"""Deterministic actions, and evaluations that use them, held against one state's network worked out plainly.

The deterministic action is the likeliest of a categorical policy, the mean of a Gaussian one (in the
environment's units, which alone bounds it), tanh of the mean of a squashed one (Haarnoja et al. 2018,
arXiv:1812.05905, section 7), of a deterministic one what its actor answers, and of an agent with action
values the one of the highest value: of quantiles, of their mean (Dabney et al. 2018, Algorithm 1). It knows
neither exploration nor how far training has come.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any
from unittest import mock

import torch
from torch import Tensor

from rlparity import registry
from rlparity.agents import base as agents
from rlparity.cell import Cell, Protocol
from rlparity.environments import base as environments
from rlparity.environments.base import EnvSpec
from rlparity.nn.networks import Network
from rlparity.seeding import Streams
from rlparity.training import object_state
from rlparity.training.evaluation import Evaluator
from rlparity.validation.checks import Answer
from rlparity.validation.contract.own_agents.traced_training import Log, Segment, TracedEnv
from rlparity.validation.gradients.plain_networks import PlainNetwork

ROWS, IMAGES = 24, 3  # observations of each seed
SIZES = (1.0, 20.0)  # of observations; large ones saturate
SHAKEN = 0.4  # deviation of what is added to all parameters: policies start almost uniform
TIE = 1e-4  # values closer than that may be ranked either way
NEAR = 1e-4  # relative to the range of actions
LATE = 10**6  # environment steps after which nothing is random any more
GRID = 600  # evenly spread uniform numbers
EPSILON, EPISODES = 0.3, 20
ATARI = (4, 84, 84)


def answers(agent: Any, plain: dict[str, PlainNetwork], obs: Tensor) -> tuple[str, Tensor]:
    """The kind of policy, and what decides in one state: probabilities' logits, values, or means, (A,)."""
    with torch.no_grad():
        if hasattr(agent, "q"):
            net = plain["q"]
            x = net.features(obs)
            if "advantage" not in net.layers:
                return "values", net("q", x)
            advantage = net("advantage", x)
            return "values", net("value", x) + advantage - sum(advantage) / len(advantage)
        if hasattr(agent, "quantiles"):
            net = plain["network"]
            flat = net("quantiles", net.features(obs))
            n = agent.config.n_quantiles
            found = [sum(flat[i * agent.n_actions + a] for i in range(n)) / n for a in range(agent.n_actions)]
            return "values", torch.stack(found)
        name = "actor" if "actor" in plain else "network"
        net = plain[name]
        out = net("actor", net.features(obs))
    if hasattr(agent, "temperature"):
        return "squashed", out[: len(out) // 2]
    if hasattr(agent, "bounds"):
        return "deterministic", out
    return ("gaussian" if "log_std" in net.vectors else "categorical"), out


def expected(agent: Any, spec: EnvSpec, plain: dict[str, PlainNetwork], obs: Tensor) -> Tensor | None:
    """The deterministic action in one state; None where two are as good."""
    kind, out = answers(agent, plain, obs)
    if kind in ("values", "categorical"):
        best = out.sort(descending=True).values
        return out.argmax() if best[0] - best[1] > TIE * best[0].abs().clamp(min=1) else None
    if kind != "gaussian":
        low, high = (torch.tensor(end).double() for end in (spec.action_low, spec.action_high))
        out = low + (torch.tanh(out) + 1) / 2 * (high - low)
    return out.view(spec.action_shape)


def modes(cell: Cell, spec: EnvSpec, with_images: bool) -> Answer | None:
    """Deterministic actions of a new agent with shaken parameters; None if its only policy is chance."""
    problem, looked = _modes(cell, spec, SIZES)
    if with_images and problem is None and looked:
        problem, more = _modes(cell, EnvSpec(2, 1, ATARI, spec.n_actions), (1.0,))
        looked += more
    return (problem is None, problem or f"{looked} observations") if looked or problem else None


def _modes(cell: Cell, spec: EnvSpec, sizes: tuple[float, ...]) -> tuple[str | None, int]:
    agent, looked = _shaken(cell, spec), 0
    if not agents.state_dict(agent):
        return None, 0
    plain = plain_networks(agent, spec.n_seeds)
    for size in sizes:
        obs = _observations(spec, size)
        before = object_state.capture(agent)
        for late in (0, LATE):
            if hasattr(agent, "env_steps"):
                agent.env_steps = late
            found = agent.act(obs)
            where = f"after {late} steps, for observations of size {size:g}"
            for s, b in torch.cartesian_prod(torch.arange(spec.n_seeds), torch.arange(obs.shape[1])).tolist():
                due = expected(agent, spec, plain[s], _double(obs[s, b]))
                if due is not None and not _same(found[s, b], due, spec):
                    return f"{where}, it is {found[s, b].tolist()}, expected {due.tolist()}", looked
                looked += due is not None
            if not torch.equal(agent.act(obs), found):
                return f"{where}, it is another when asked again", looked
            alone = torch.cat([agent.act(obs[:, b : b + 1]) for b in range(obs.shape[1])], 1)
            if not _same(alone, found, spec):
                return f"{where}, it depends on what other observations there are", looked
            if getattr(agent, "env_steps", late) != late:
                return "asking for it changes the agent", looked
        if hasattr(agent, "env_steps"):
            agent.env_steps = before[2]["env_steps"]
        if str(object_state.capture(agent)) != str(before):
            return "asking for it changes the agent", looked
        agent.env_steps = LATE
        if len(spec.obs_shape) == 1 and (problem := _of_own_draws(agent, plain, obs, spec)):
            return f"for observations of size {size:g}, {problem}", looked
    return None, looked


def _of_own_draws(agent: Any, plain: list[Any], obs: Tensor, spec: EnvSpec) -> str | None:
    """Describe one that is neither the median of what is drawn nor the action that is drawn most often."""
    found = agent.act(obs)
    kind, _ = answers(agent, plain[0], _double(obs[0, 0]))
    if kind != "categorical":
        middle = agent.act(obs, torch.full((*obs.shape[:2], agent.uniforms), 0.5))
        return None if _same(middle, found, spec) else "it is not what is drawn half-way"
    grid = ((torch.arange(GRID) + 0.5) / GRID)[None, :, None].expand(len(obs), -1, -1)
    for b in range(obs.shape[1]):
        drawn = agent.act(obs[:, b : b + 1].expand(-1, GRID, -1), grid)
        for s in range(len(obs)):
            counts = torch.bincount(drawn[s], minlength=spec.n_actions or 0)
            if counts[found[s, b]] < counts.max() - 2:
                return (
                    f"action {int(found[s, b])} is drawn {int(counts[found[s, b]])} times, {counts.tolist()}"
                )
    return None


def _shaken(cell: Cell, spec: EnvSpec) -> Any:
    values = dict(cell.hyperparameters)
    if "buffer_size" in values:
        values["buffer_size"] = 8 * spec.n_envs
    seeds = tuple(range(spec.n_seeds))
    agent: Any = agents.build(cell.agent, spec, values, Streams(replace(cell, seeds=seeds)), 1000)
    for i, network in enumerate(object_state.find(agent, Network)):
        rng = torch.Generator().manual_seed(i)
        theta = network.theta.detach()
        theta += (
            SHAKEN
            * torch.randn(theta.shape, generator=rng)
            / theta.shape[1] ** (len(spec.obs_shape) // 3 / 2)
        )
    return agent


def _observations(spec: EnvSpec, size: float) -> Tensor:
    rng = torch.Generator().manual_seed(2)
    if len(spec.obs_shape) == 3:
        return torch.randint(256, (spec.n_seeds, IMAGES, *spec.obs_shape), generator=rng, dtype=torch.uint8)
    return size * torch.randn(spec.n_seeds, ROWS, *spec.obs_shape, generator=rng)


def plain_networks(agent: Any, n_seeds: int) -> list[dict[str, PlainNetwork]]:
    """The networks of each seed by the agent's attributes."""
    found = {name: x for name, x in vars(agent).items() if isinstance(x, Network) and x.stacks}
    return [{name: PlainNetwork(network, s) for name, network in found.items()} for s in range(n_seeds)]


def _double(x: Tensor) -> Tensor:
    return x.double() if x.is_floating_point() else x


def _same(a: Tensor, b: Tensor, spec: EnvSpec) -> bool:
    if spec.n_actions is not None:
        return torch.equal(a.long(), b.long())
    scale = max(
        float(b.abs().max()), *(y - x for x, y in zip(spec.action_low, spec.action_high, strict=True))
    )
    return a.shape == b.shape and float((a.double() - b.double()).abs().max()) < NEAR * scale


def evaluated(log: Log) -> Answer | None:
    """Evaluations before and after training act as their mode says, with the parameters of that moment."""
    agent, spec, cell = log.agent, log.environments[0].spec, log.cell
    if not log.initial:
        return None
    segments, final = log.environments[1].segments, len(cell.evaluation.modes)
    rounds = -(-cell.evaluation.final_episodes // cell.evaluation.episodes)
    looked = 0
    for state, part in ((log.initial, segments[:final]), (log.recorder.state, segments[-final * rounds :])):
        with _parameters(agent, state):
            plain = plain_networks(agent, spec.n_seeds)
        when = "before training" if state is log.initial else "after training"
        plainly = sum(not _explored(segment) for segment in part) * final
        if plainly != len(part) * cell.evaluation.modes.count("deterministic"):
            return False, f"{when}, {plainly // final} of {len(part)} rounds are deterministic"
        for segment in part:
            problem, n = _acted(agent, spec, plain, segment)
            if problem:
                return False, f"{when}, {problem}"
            looked += n
    return True, f"{looked} actions before and after training"


def _explored(segment: Segment) -> bool:
    return any(step.choice is not None and step.choice.explore is not None for step in segment.steps)


class _parameters:
    """The agent has other parameters for a while."""

    def __init__(self, agent: Any, state: dict[str, Tensor]):
        self._agent, self._state = agent, state

    def __enter__(self) -> None:
        self._kept = {name: x.clone() for name, x in agents.state_dict(self._agent).items()}
        agents.load_state_dict(self._agent, self._state)

    def __exit__(self, *_: object) -> None:
        agents.load_state_dict(self._agent, self._kept)


def _acted(agent: Any, spec: EnvSpec, plain: list[Any], segment: Segment) -> tuple[str | None, int]:
    looked = 0
    for t, step in enumerate(segment.steps):
        assert step.choice is not None
        if not torch.equal(step.choice.action, step.action):
            return f"step {t + 1} of an evaluation is not what the agent chose", looked
        for s, n in torch.cartesian_prod(*map(torch.arange, step.action.shape[:2])).tolist():
            obs, action = step.choice.obs[s, n].double(), step.action[s, n]
            if step.choice.explore is None:
                due = expected(agent, spec, plain[s], obs)
                if due is not None and not _same(action, due, spec):
                    return f"a deterministic action is {action.tolist()}, expected {due.tolist()}", looked
            elif spec.n_actions is not None:
                u, p = float(step.choice.explore[s, n, 0]), answers(agent, plain[s], obs)[1].softmax(0)
                low, high = float(p[:action].sum()), float(p[: action + 1].sum())
                if not low - TIE <= u <= high + TIE:
                    return f"a sampled action does not follow the policy: {action} for {u:.3f}", looked
            looked += 1
    return None, looked


def epsilon_evaluated(cell: Cell, spec: EnvSpec) -> Answer | None:
    """An evaluation with a share of random actions has that share, all actions alike; None where actions are
    continuous or nothing but chance."""
    agent = _shaken(cell, spec)
    if spec.n_actions is None or not agents.state_dict(agent):
        return None
    part = registry.part("epsilon-greedy")(agent, EPSILON, spec.n_actions)
    grid = (torch.arange(GRID) + 0.5) / GRID
    shuffled = grid[torch.randperm(GRID, generator=torch.Generator().manual_seed(0))]
    obs = _observations(spec, 1.0)[:, :1].expand(-1, GRID, -1)
    acted = part.act(obs, torch.stack([grid, shuffled], -1).expand(spec.n_seeds, -1, -1))
    for s, actions in enumerate(acted):
        best = int(agent.act(obs)[s, 0])
        shares = torch.bincount(actions, minlength=spec.n_actions).double() / GRID
        due = torch.full_like(shares, EPSILON / spec.n_actions)
        due[best] += 1 - EPSILON
        if (shares - due).abs().max() > 0.05:
            return False, f"shares of actions are {shares.tolist()}, expected {due.tolist()}"
    mode = f"epsilon-{EPSILON}"
    protocol = Protocol(points=1, episodes=EPISODES, final_episodes=EPISODES, modes=(mode,))
    seeds = replace(cell, seeds=tuple(range(spec.n_seeds)), evaluation=protocol)
    found = list(_greedy_in_evaluation(agent, seeds))
    share, n = 1 - sum(found) / len(found), len(found)
    due_share = EPSILON * (1 - 1 / spec.n_actions)
    passed = abs(share - due_share) < 5 * (due_share / n) ** 0.5
    return passed, f"{share:.0%} of {n} actions are not greedy, expected {due_share:.0%}"


def _greedy_in_evaluation(agent: Any, cell: Cell) -> Iterator[bool]:
    made: list[TracedEnv] = []
    make = environments.make

    def traced(environment: str, seeds: Sequence[Sequence[int]], role: environments.Role) -> TracedEnv:
        made.append(TracedEnv(make(environment, seeds, role), seeds, Log.empty()))
        return made[-1]

    evaluator = Evaluator(cell, Streams(cell))
    with mock.patch.object(environments, "make", traced):
        evaluator(agent, lambda obs: obs.float(), 0)
    evaluator.close()
    for segment in made[0].segments:
        for step in segment.steps:
            yield from (agent.act(step.before.float()) == step.action).flatten().tolist()
