"""Updates of our agents against naive versions of them, for several seeds at once, in float64 and float32.

Agent and naive version see the same made-up steps, in which episodes terminate or are cut by time limits, at
other times in every seed; rewards of one seed become NaN, which freezes it. After every step the parameters
of all seeds and the metrics are compared. Nothing of an agent's own mathematics is used by the naive version.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from rlparity.environments import metadata
from rlparity.environments.base import EnvSpec
from rlparity.suites import hyperparameters
from rlparity.validation.checks import Answer
from rlparity.validation.gradients import enumeration
from rlparity.validation.gradients.comparison import NAIVE, SEEDS, Comparison
from rlparity.validation.gradients.learner import key
from rlparity.validation.plain_environments import is_atari

SMALL: dict[str, Any] = {  # hyper-parameters of a short training of small networks
    "net_arch": (6, 5),
    "learning_rate": 0.02,
    "vf_learning_rate": 0.03,
    "n_episodes": 3,
    "buffer_size": 41,
    "learning_starts": 10,
    "batch_size": 5,
    "train_freq": 3,
    "gradient_steps": 2,
    "target_update_interval": 14,
    "n_quantiles": 3,
    "n_epochs": 2,
    "n_critic_updates": 2,
    "cg_max_steps": 4,
    "n_steps": 5,
    "clip_range": 0.1,
}
OTHER: dict[str, Any] = {  # other branches: of schedules, of clipping, of functions
    **SMALL,
    "net_arch": (7,),
    "learning_rate_schedule": "linear",
    "gamma": 0.8,
    "max_grad_norm": 0.7,
    "baseline_decay": 0.6,
    "vf_coef": 1.5,
    "batch_size": 4,
    "train_freq": 2,
    "gradient_steps": -1,
    "buffer_size": 30,
    "learning_starts": 8,
    "n_episodes": 2,
    "gae_lambda": 0.7,
    "normalize_advantage": False,
    "ent_coef": 0.03,
    "clip_range_schedule": "linear",
    "clip_range_vf": 0.4,
    "use_rms_prop": False,
    "sub_sampling_factor": 2,
}
ONE_BY_ONE: dict[str, Any] = {**SMALL, "learning_rate": 1e-3, "gradient_steps": 1}
OF_IMAGES: dict[str, Any] = {
    "learning_rate": 1e-4,
    "learning_starts": 8,
    "batch_size": 4,
    "train_freq": 2,
    "n_steps": 3,
    "buffer_size": 40,
}
IMAGE = (4, 84, 84)
SWAPPED = {"tanh": "relu", "relu": "tanh"}
STEPS = {"small": 48, "other": 40, "single": 24, "images": 10}  # of two sub-environments
LONG = 520  # steps without an end; memory is first laid out for 512
DRAWS = 2000  # actions, or transitions, drawn with evenly spread uniform numbers

N_ENVS = 2  # sub-environments
LazyCheck = Callable[[], Answer | None]


class Asked(NamedTuple):
    """A named configuration in an environment, with other values of some hyper-parameters."""

    algorithm: str
    environment: str
    changes: Mapping[str, Any]

    @property
    def spec(self) -> EnvSpec:
        """What agents act on: three seeds, two sub-environments, three numbers, actions as there."""
        if metadata.probe(self.environment).actions == "discrete":
            return EnvSpec(len(SEEDS), N_ENVS, (3,), 3)
        return EnvSpec(len(SEEDS), N_ENVS, (3,), None, (2,), (-3.0, 1.0), (1.0, 5.0))


def checks(algorithm: str, environment: str, changes: Mapping[str, Any]) -> dict[str, LazyCheck]:
    """All checks by name, of a named configuration with the settings of an environment, of which `changes`
    replaces some."""
    found: dict[str, Callable[[Asked], Answer | None]] = {
        "updates match a naive version of the algorithm": _as_named,
        "updates match the naive version under other settings": _other_settings,
        "gradients match the naive version's in single precision": _in_single_precision,
        "updates from long episodes match the naive version": _long_episodes,
        "actions are drawn with the naive version's probabilities": _acts,
        "transitions are drawn by their priorities": _priorities,
        "the mean gradient of all trajectories is the policy gradient": _enumerated,
        "gradients from images match the naive version's": _images,
    }
    asked = Asked(algorithm, environment, changes)
    return {name: partial(check, asked) for name, check in found.items()}


def settings(asked: Asked, small: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The agent and the hyper-parameters of a named configuration in an environment, made small; what makes
    it this variant stays as it is."""
    library = hyperparameters.library()
    named = library.algorithms[asked.algorithm]
    known = hyperparameters.config(named.agent)
    values = dict(library.lookup(asked.environment, named.agent).hyperparameters)
    rollouts = "buffer_size" not in known
    values |= {name: value for name, value in small.items() if name in known}
    if not rollouts:
        values.pop("n_steps", None)  # rewards of a target, not the length of a rollout
    return named.agent, {**values, **named.options_for(asked.environment), **asked.changes}


def _as_named(asked: Asked) -> Answer | None:
    agent, values = settings(asked, SMALL)
    return Comparison(agent, values, asked.spec, STEPS["small"]).run() if agent in NAIVE else None


def _other_settings(asked: Asked) -> Answer | None:
    agent, values = settings(asked, OTHER)
    if agent not in NAIVE:
        return None
    default = hyperparameters.config(agent)["activation"].default
    values["activation"] = SWAPPED[values.get("activation", default)]
    return Comparison(agent, values, asked.spec, STEPS["other"]).run()


def _in_single_precision(asked: Asked) -> Answer | None:
    agent, values = settings(asked, ONE_BY_ONE)
    return (
        Comparison(agent, values, asked.spec, STEPS["single"], torch.float32).run()
        if agent in NAIVE
        else None
    )


def _enumerated(asked: Asked) -> Answer | None:
    """All trajectories of a small problem, see `enumeration`."""
    named = hyperparameters.library().algorithms[asked.algorithm]
    if named.agent not in enumeration.SETTINGS:
        return None
    return enumeration.expected(named.agent, named.options_for(asked.environment))


def _images(asked: Asked) -> Answer | None:
    """Learning from stacks of frames: networks, memory of frames, values of successors."""
    agent, values = settings(asked, {**ONE_BY_ONE, **OF_IMAGES})
    if not is_atari(asked.environment) or agent not in NAIVE:
        return None
    spec = EnvSpec(2, N_ENVS, IMAGE, 3)
    values["precision"] = "float32"
    return Comparison(agent, values, spec, STEPS["images"], torch.float32).run()


def _long_episodes(asked: Asked) -> Answer | None:
    """Episodes of Monte Carlo agents beyond the length for which memory is first laid out."""
    agent, values = settings(asked, {**SMALL, "n_episodes": 1})
    if "n_episodes" not in values or agent not in NAIVE:
        return None
    spec = asked.spec._replace(n_seeds=2, n_envs=1)
    return Comparison(agent, values, spec, LONG + 40, quiet=LONG).run()


def _acts(asked: Asked) -> Answer | None:
    """Frequencies of actions over evenly spread uniform numbers, and the likeliest action."""
    agent, values = settings(asked, SMALL)
    if agent not in NAIVE or not hasattr(NAIVE[agent], "probabilities"):
        return None
    made = Comparison(agent, values, asked.spec, 1)
    obs = torch.randn(made.spec.n_seeds, 1, *made.spec.obs_shape, generator=torch.Generator().manual_seed(1))
    obs, many = obs.double(), obs.double().expand(-1, DRAWS, -1)
    grid = ((torch.arange(DRAWS) + 0.5) / DRAWS).expand(made.spec.n_seeds, -1)[..., None]
    drawn, likeliest, worst = made.agent.act(many, grid), made.agent.act(obs), 0.0
    for s, learner in enumerate(made.learners):
        p: Tensor = learner.probabilities(obs[s, 0])  # type: ignore[attr-defined]
        share = torch.bincount(drawn[s], minlength=len(p)).double() / DRAWS
        worst = max(worst, float((share - p).abs().max()))
        if int(likeliest[s, 0]) != int(p.argmax()):
            return False, f"the deterministic action of seed {s} is not the likeliest"
    return worst < 2 / DRAWS, f"frequencies of actions are within {worst:.1g} of their probabilities"


def _priorities(asked: Asked) -> Answer | None:
    """Over evenly spread numbers, every transition is drawn as often as its priority says."""
    agent, values = settings(asked, SMALL)
    if not values.get("prioritized", False):
        return None
    made = Comparison(agent, values, asked.spec, STEPS["small"])
    passed, detail = made.run()
    if not passed:
        return False, detail
    size, batches = values["batch_size"], DRAWS // values["batch_size"]
    grid = ((torch.arange(batches) + 0.5) / batches).expand(made.spec.n_seeds, size, -1)
    obs = torch.cat([made.agent.replay.draw(part, 1.0).step.obs for part in grid.unbind(-1)], 1)
    worst = 0.0
    for s, learner in enumerate(made.learners):
        naive: Any = learner
        naive.cover()
        chances, counts = naive.chances(), dict.fromkeys(naive.memory.drawable, 0)
        for row in obs[s]:
            counts[naive.memory.number(key(row))] += 1
        worst = max(worst, *(abs(counts[k] / obs.shape[1] - p) for k, p in chances.items()))
    spread = f"{max(chances.values()) / min(chances.values()):.0f} times"
    return worst < 1.01 / DRAWS, f"the likeliest is {spread} as likely as the least; within {worst:.1g}"
