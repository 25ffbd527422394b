"""Six envs whose values are known, each of which isolates one part of a learner, and what agents learn.
Each has a twin for continuous actions, where the best action is half the observation, or one half.

    python tests/support/probes.py              largest errors, configuration x probe
    python tests/support/probes.py dqn ...      every reading of these configurations, as in docs/agents

A learner is judged by its predictions: a value learner by its values, a policy without values by
the probability of its best action. What a learner has no opinion about does not apply to it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch
from small import CONFIGURATIONS
from torch import Tensor

from rlparity import registry
from rlparity.agents import base as agents
from rlparity.cell import Cell
from rlparity.environments.base import EnvSpec
from rlparity.environments.episode_statistics import EpisodeStatistics
from rlparity.seeding import Streams, Uniforms
from rlparity.suites import hyperparameters
from rlparity.training.loop import Training, loop
from rlparity.transitions import Episode, Step

GAMMA = 0.9
SEEDS = (0, 1, 2)
CUT = 5  # steps


class Probe(NamedTuple):
    """An environment with one number as its observation and two actions, or one component within +-1."""

    reward: Callable[[Tensor, Tensor], Tensor]  # observation, action (S, N) -> (S, N)
    horizon: int = 1
    random: bool = False  # observations are -1 or 1, by chance
    clock: bool = False  # observations are the step of the episode; else 0
    cut: bool = False  # the episode is cut by a time limit, the task goes on
    continuous: bool = False


def matches(obs: Tensor, action: Tensor) -> Tensor:
    """1 where action 1 answers a positive observation and action 0 a negative one, else -1."""
    return torch.where((action == 1) == (obs > 0), 1.0, -1.0)


PROBES = {
    "constant reward": Probe(lambda obs, action: torch.ones_like(obs)),
    "reward from observation": Probe(lambda obs, action: obs, random=True),
    "delayed reward": Probe(lambda obs, action: (obs == 1).float(), horizon=2, clock=True),
    "choose action": Probe(lambda obs, action: 2.0 * action - 1),
    "choose from observation": Probe(matches, random=True),
    "cut, not ended": Probe(lambda obs, action: torch.ones_like(obs), horizon=CUT, cut=True),
}
TWINS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "choose action": lambda obs, action: 1 - (action[..., 0] - 0.5).square(),
    "choose from observation": lambda obs, action: 1 - (action[..., 0] - 0.5 * obs).square(),
}


def twin(name: str) -> str:
    """The same environment for continuous actions."""
    return f"{name}, continuous"


PROBES |= {
    twin(name): probe._replace(continuous=True, reward=TWINS.get(name, probe.reward))
    for name, probe in PROBES.items()
}

# state -> value of actions 0 and 1
Q_VALUES: dict[str, dict[float, tuple[float, float]]] = {
    "constant reward": {0: (1, 1)},
    "reward from observation": {-1: (-1, -1), 1: (1, 1)},
    "delayed reward": {0: (GAMMA, GAMMA), 1: (1, 1)},
    "choose action": {0: (-1, 1)},
    "choose from observation": {-1: (1, -1), 1: (-1, 1)},
    "cut, not ended": {0: (10, 10)},
}
BEST = {"choose action": {0: 1}, "choose from observation": {-1: 0, 1: 1}}  # state -> action
BEST_CONTINUOUS: dict[str, dict[float, float]] = {
    "choose action": {0: 0.5},
    "choose from observation": {-1: -0.5, 1: 0.5},
}

# Rewards to go of a cut episode as it stands, 1 to CUT steps from its end, which one value must stand for
MONTE_CARLO_CUT = float(np.mean([(1 - GAMMA**k) / (1 - GAMMA) for k in range(1, CUT + 1)]))
MONTE_CARLO = ("reinforce", "actor_critic")  # agents that declare that they do not bootstrap at a cut


class ProbeEnv:
    """S x N copies of one probe, all at the same step of their episode; see `environments.base.Env`."""

    def __init__(self, cell: Cell):
        probe, n_envs = PROBES[cell.environment], cell.n_envs
        box = {"n_actions": None, "action_shape": (1,), "action_low": (-1.0,), "action_high": (1.0,)}
        self.spec = EnvSpec(len(SEEDS), n_envs, (1,), **(box if probe.continuous else {"n_actions": 2}))
        self._probe, self._t = probe, 0
        self._coins = Uniforms(Streams(cell).generators("probe"), n_envs)
        self._statistics = EpisodeStatistics(len(SEEDS), n_envs)
        self.obs = self._observe()

    def _observe(self) -> Tensor:
        shape = (self.spec.n_seeds, self.spec.n_envs, 1)
        if self._probe.random:
            return torch.where(self._coins.next() < 0.5, -1.0, 1.0).view(shape)
        return torch.full(shape, float(self._t if self._probe.clock else 0))

    def step(self, action: Tensor, live: np.ndarray | None = None) -> Step:
        """Return the reward; reset once the horizon is reached."""
        bounded = action.clamp(-1, 1) if self._probe.continuous else action
        obs, reward = self.obs, self._probe.reward(self.obs[..., 0], bounded)
        self._t += 1
        stop = self._t == self._probe.horizon
        next_obs = self.obs = self._observe()
        if stop:
            self._t = 0
            self.obs = self._observe()
        last = torch.full_like(reward, float(stop))
        discount = 1 - last * (not self._probe.cut)
        self._statistics.add(reward.double().numpy(), last.bool().numpy())
        return Step(obs, action, reward, discount, last, next_obs)

    def reset(self, seeds: Sequence[Sequence[int]]) -> None:
        """Probes are made anew instead."""
        raise NotImplementedError

    def pop_episodes(self) -> list[Episode]:
        """The games that ended since the last call."""
        return self._statistics.pop()

    def close(self) -> None:
        """Nothing is held."""


class SideBySide:
    """Several probes of one kind in one block, the seeds of the first before those of the next."""

    def __init__(self, parts: Sequence[ProbeEnv]):
        first = parts[0].spec
        self.spec = first._replace(n_seeds=sum(part.spec.n_seeds for part in parts))
        self._parts, self._sizes = parts, [part.spec.n_seeds for part in parts]

    @property
    def obs(self) -> Tensor:
        """Observations (S, N, 1)."""
        return torch.cat([part.obs for part in self._parts])

    def step(self, action: Tensor, live: np.ndarray | None = None) -> Step:
        """A step of all of them."""
        actions = action.split(self._sizes)
        steps = [part.step(own) for part, own in zip(self._parts, actions, strict=True)]
        return Step(*map(torch.cat, zip(*steps, strict=True)))

    def reset(self, seeds: Sequence[Sequence[int]]) -> None:
        """Probes are made anew instead."""
        raise NotImplementedError

    def pop_episodes(self) -> list[Episode]:
        """The games that ended since the last call."""
        firsts = np.cumsum([0, *self._sizes[:-1]]).tolist()
        return [
            game._replace(seed_index=game.seed_index + first)
            for part, first in zip(self._parts, firsts, strict=True)
            for game in part.pop_episodes()
        ]

    def close(self) -> None:
        """Nothing is held."""


class JointStreams(Streams):
    """The random streams of several cells: those of the first before those of the next."""

    def __init__(self, cells: Sequence[Cell]):
        self._each = [Streams(cell) for cell in cells]

    def sequences(self, name: str) -> list[np.random.SeedSequence]:
        """One seed sequence for each seed of each cell, as in the cell alone."""
        return [sequence for streams in self._each for sequence in streams.sequences(name)]


SMALL = {"net_arch": (32,), "gamma": GAMMA}
TUNED: dict[str, dict[str, Any]] = {  # budget: environment steps, or games of a Monte Carlo learner
    "ppo": {
        "hyperparameters": {"n_steps": 10, "batch_size": 80, "n_epochs": 8, "learning_rate": 0.01},
        "n_envs": 16,
        "budget": 6_400,
    },
    "a2c": {
        "hyperparameters": {
            "learning_rate": 0.005,
            "learning_rate_schedule": "linear",
            "max_grad_norm": 5.0,
        },
        "n_envs": 8,
        "budget": 20_000,
    },
    "dqn": {
        "hyperparameters": {
            "learning_rate": 0.005,
            "learning_rate_schedule": "linear",
            "buffer_size": 2_000,
            "learning_starts": 100,
            "batch_size": 64,
            "train_freq": 1,
            "target_update_interval": 100,
            "exploration_fraction": 0.5,
            "activation": "tanh",
        },
        "n_envs": 4,
        "budget": 4_800,
    },
    "qrdqn": {
        "hyperparameters": {
            "learning_rate": 0.005,
            "learning_rate_schedule": "linear",
            "buffer_size": 2_000,
            "learning_starts": 100,
            "batch_size": 64,
            "train_freq": 1,
            "target_update_interval": 100,
            "exploration_fraction": 0.5,
            "exploration_final_eps": 0.05,
            "activation": "tanh",
            "n_quantiles": 8,
        },
        "n_envs": 4,
        "budget": 4_800,
    },
    "trpo": {
        "hyperparameters": {
            "n_steps": 20,
            "batch_size": 80,
            "target_kl": 0.03,
            "n_critic_updates": 10,
            "learning_rate": 0.01,
            "learning_rate_schedule": "linear",
        },
        "n_envs": 16,
        "budget": 9_600,
    },
    **{
        name: {
            "hyperparameters": {
                "learning_rate": 0.01,
                "gradient_steps": 2,
                "learning_rate_schedule": "linear",
                "buffer_size": 2_000,
                "learning_starts": 200,
                "batch_size": 64,
                "tau": 0.1,
                "activation": "tanh",
            },
            "n_envs": 4,
            "budget": 4_800,
        }
        for name in ("ddpg", "td3", "sac")
    },
    "reinforce": {
        "hyperparameters": {"learning_rate": 0.01, "n_episodes": 16},
        "n_envs": 16,
        "budget": 3_200,
    },
    "actor_critic": {
        "hyperparameters": {"learning_rate": 0.01, "vf_learning_rate": 0.01, "n_episodes": 16},
        "n_envs": 16,
        "budget": 3_200,
    },
}

ONLINE: dict[str, Any] = {  # of an agent that is new
    "hyperparameters": {"learning_rate": 0.01, "learning_rate_schedule": "linear"},
    "n_envs": 16,
    "budget": 6_400,
}

# Noise to explore with; and little of it in policies whose own value pays for it.
OWN: dict[str, dict[str, Any]] = {
    "a2c": {"log_std_init": -2.0},
    "ddpg": {"noise_std": 0.3},
    "td3": {"noise_std": 0.3},
    "sac": {"ent_coef": 0.001},
}


def learn(
    algorithm: str, *probes: str, spoil: Callable[[Step], Step] | None = None, **changes: Any
) -> agents.Agent:
    """Train a named configuration on probes of one kind and budget, with three seeds on each.

    `spoil` plants a bug in what it observes.
    The probes lie along the axis of seeds, so each learns what it would learn alone.
    """
    cells = [_cell(algorithm, probe, changes) for probe in probes]
    assert len({cell.budget for cell in cells}) == 1
    whole = replace(cells[0], seeds=tuple(range(len(SEEDS) * len(cells))))
    random = JointStreams(cells)
    envs = SideBySide([ProbeEnv(cell) for cell in cells])
    agent = agents.build(whole.agent, envs.spec, dict(whole.hyperparameters), random, whole.budget)
    if spoil is not None:
        observe = agent.observe
        agent.observe = lambda step: observe(spoil(step))  # type: ignore[method-assign]
    explore = Uniforms(random.generators("explore"), whole.n_envs, agent.uniforms)
    training = Training(agent, envs, explore, whole.budget, whole.evaluation.points)
    for _ in loop(training, None):
        pass
    return agent


def tuned_for(agent: str) -> dict[str, Any]:
    """Settings for the probes: of TUNED, else of the block `probes` in hyperparameters.yaml, else ONLINE."""
    library = hyperparameters.library()
    if agent in TUNED:
        return TUNED[agent]
    if agent not in library.settings.get("probes", {}):
        return ONLINE
    block = library.lookup("probes", agent)
    return {**ONLINE, "hyperparameters": block.hyperparameters, "n_envs": block.n_envs}


def _cell(algorithm: str, probe: str, changes: Mapping[str, Any]) -> Cell:
    named = hyperparameters.library().algorithms[algorithm]
    tuned, known = tuned_for(named.agent), hyperparameters.config(named.agent)
    return Cell(
        suite="probes",
        environment=probe,
        implementation="scratch",
        algorithm=algorithm,
        agent=named.agent,
        seeds=SEEDS,
        budget=budget(algorithm, probe),
        n_envs=tuned["n_envs"],
        hyperparameters={
            **{name: value for name, value in SMALL.items() if name in known},
            **tuned["hyperparameters"],
            **OWN.get(named.agent, {}),
            **named.options,
            **changes,
        },
    )


def budget(algorithm: str, probe: str) -> int:
    """Environment steps of a training."""
    agent = hyperparameters.library().algorithms[algorithm].agent
    steps: int = tuned_for(agent)["budget"]
    return steps * (PROBES[probe].horizon if agent in MONTE_CARLO else 1)


class Reading(NamedTuple):
    """What the seeds say about one quantity of a probe, beside what is true."""

    quantity: str
    truth: float
    learned: list[float]  # one for each seed

    @property
    def error(self) -> float:
        """The seed farthest off."""
        return max(abs(value - self.truth) for value in self.learned)


@torch.no_grad()
def read(agent: Any, algorithm: str, probe: str, place: int = 0) -> list[Reading]:
    """Every opinion of a trained agent that a probe knows the truth of; `place` is that of the probe among
    those that it was trained on."""
    own = slice(len(SEEDS) * place, len(SEEDS) * (place + 1))
    if PROBES[probe].continuous:
        return _read_continuous(agent, probe.removesuffix(twin("")), own)
    named = hyperparameters.library().algorithms[algorithm]
    readings = []
    for state, values in Q_VALUES[probe].items():
        obs = torch.full((len(agent.alive), 1, 1), float(state))
        if values_actions(agent):
            learned = q_values(agent, obs)[own, 0]
            for action, value in enumerate(values):
                readings.append(Reading(f"Q({state:g}, {action})", value, learned[:, action].tolist()))
            continue
        if "critic" in critic(agent).stacks:
            truth = MONTE_CARLO_CUT if PROBES[probe].cut and named.agent in MONTE_CARLO else max(values)
            readings.append(Reading(f"V({state:g})", truth, critic(agent)("critic", obs)[own, 0].tolist()))
        if probe in BEST:
            best = BEST[probe][state]
            chance = torch.softmax(actor(agent)("actor", obs), -1)[own, 0, best]
            readings.append(Reading(f"pi({best}; {state:g})", 1.0, chance.tolist()))
    return readings


def values_actions(agent: Any) -> bool:
    """Whether it learns the value of each action, and no policy."""
    return any(hasattr(agent, name) for name in ("q_values", "quantiles", "q")) and not hasattr(
        agent, "actor"
    )


def has_values(agent: Any) -> bool:
    """Whether it learns values of states or actions, by what it is built of."""
    return values_actions(agent) or hasattr(agent, "critic") or "critic" in critic(agent).stacks


def q_values(agent: Any, obs: Tensor) -> Tensor:
    """Q(s, .) of observations (S, B, 1) -> (S, B, A)."""
    if hasattr(agent, "q_values"):
        found: Tensor = agent.q_values(obs)
        return found
    if hasattr(agent, "quantiles"):
        return agent.quantiles(agent.network, obs).mean(2)
    return agent.q.values(obs)


def _read_continuous(agent: Any, name: str, own: slice) -> list[Reading]:
    """V of an actor-critic, Q at the best action of the others, and the action itself."""
    readings = []
    for state, values in Q_VALUES[name].items():
        obs = torch.full((len(agent.alive), 1, 1), float(state))
        best = BEST_CONTINUOUS.get(name, {}).get(state, 0.0)
        if "critic" in critic(agent).stacks:
            learned = critic(agent)("critic", obs)[own, 0].tolist()
            readings.append(Reading(f"V({state:g})", max(values), learned))
        else:
            seen = torch.cat([obs, torch.full_like(obs, best)], -1)
            stack = next(iter(critic(agent).stacks))
            learned = critic(agent)(stack, seen)[own, 0].tolist()
            readings.append(Reading(f"Q({state:g}, {best:g})", max(values), learned))
        if name in BEST_CONTINUOUS:
            action = agent.act(obs).clamp(-1, 1)[own, 0, 0]
            readings.append(Reading(f"mu({state:g})", best, action.tolist()))
    return readings


def actor(agent: Any) -> Any:
    """The network that holds the policy."""
    return agent.actor if hasattr(agent, "actor") else agent.network


def critic(agent: Any) -> Any:
    """The network that holds the value, if there is one."""
    return agent.critic if hasattr(agent, "critic") else agent.network


@cache
def readings(algorithm: str, probe: str) -> tuple[Reading, ...]:
    """Train and read; nothing for a learner without an opinion."""
    if not applies(algorithm, probe):
        return ()
    together = tuple(name for name in PROBES if applies(algorithm, name) and alike(algorithm, name, probe))
    return tuple(read(learned(algorithm, together), algorithm, probe, together.index(probe)))


def alike(algorithm: str, probe: str, other: str) -> bool:
    """Whether a configuration can learn both in one training."""
    a, b = PROBES[probe], PROBES[other]
    return a.continuous == b.continuous and budget(algorithm, probe) == budget(algorithm, other)


@cache
def learned(algorithm: str, together: tuple[str, ...]) -> agents.Agent:
    """A configuration trained on several probes, once."""
    return learn(algorithm, *together)


def applies(algorithm: str, probe: str) -> bool:
    """Whether the configuration has an opinion on what the probe asks."""
    named = hyperparameters.library().algorithms[algorithm]
    kind = "continuous" if PROBES[probe].continuous else "discrete"
    if named.agent == "random" or kind not in registry.AGENTS[named.agent].actions:
        return False
    has_values = named.agent != "reinforce" or named.options["baseline"] == "value"
    return has_values or probe in BEST


def tolerance(reading: Reading) -> float:
    """How far off any seed may be: a twentieth of the reward, or 1 % of a larger value."""
    return max(0.05, 0.01 * abs(reading.truth))


def table(algorithms: Sequence[str]) -> str:
    """What was learned as a Markdown table: of three seeds, the one farthest off."""
    rows: dict[tuple[str, str, str], dict[str, str]] = {}
    for probe in PROBES:
        for algorithm in algorithms:
            for r in readings(algorithm, probe):
                worst = max(r.learned, key=lambda value, truth=r.truth: abs(value - truth))
                rows.setdefault((probe, r.quantity, f"{r.truth:.3g}"), {})[algorithm] = f"{worst:.2f}"
    lines = [markdown(["probe", "quantity", "truth", *(f"`{name}`" for name in algorithms)])]
    lines.append(markdown(["---"] * (3 + len(algorithms))))
    for names, learned in rows.items():
        lines.append(markdown([*names, *(learned.get(algorithm, "-") for algorithm in algorithms)]))
    return "\n".join(lines)


def markdown(fields: Sequence[str]) -> str:
    """One line of a table."""
    return f"| {' | '.join(fields)} |"


def summary(algorithms: Sequence[str]) -> str:
    """The largest error of any reading and seed, configuration x probe."""
    lines = [markdown(["", *PROBES]), markdown(["---"] * (1 + len(PROBES)))]
    for algorithm in algorithms:
        errors = ([r.error for r in readings(algorithm, probe)] for probe in PROBES)
        lines.append(markdown([f"`{algorithm}`", *(f"{max(e):.3f}" if e else "-" for e in errors)]))
    return "\n".join(lines)


if __name__ == "__main__":
    wanted = sys.argv[1:]
    print(table(wanted) if wanted else summary(CONFIGURATIONS))
