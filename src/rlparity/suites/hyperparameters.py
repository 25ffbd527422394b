"""Named configurations and the hyper-parameters they run with: workflow/resources/hyperparameters.yaml.

Names and types of hyper-parameters are checked against the agents' `Config`, read from their sources without
importing torch.
"""

from __future__ import annotations

import ast
import math
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from rlparity.errors import UserError, unknown
from rlparity.provenance import source_code
from rlparity.registry import AGENTS
from rlparity.suites import yaml_reader

RESOURCES = Path("workflow", "resources", "hyperparameters.yaml")
SCHEMAS = Path("workflow", "schemas")


@dataclass(frozen=True)
class Algorithm:
    """A named configuration."""

    name: str
    title: str
    agent: str
    modes: tuple[str, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    options_in: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # namespace -> further ones
    reference: str | None = None

    def options_for(self, environment: str) -> dict[str, Any]:
        """The hyper-parameters that make the agent this variant in an environment."""
        return {**self.options, **self.options_in.get(namespace(environment), {})}


@dataclass(frozen=True)
class Settings:
    """What an agent runs with in one environment."""

    source: str = "the agent's Config defaults"
    differs: str = "nothing"
    n_envs: int = 1
    normalize: bool = False
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Library:
    """All named configurations, and the settings per environment and agent."""

    algorithms: Mapping[str, Algorithm]
    settings: Mapping[str, Mapping[str, Settings]]

    def block(self, environment: str, agent: str) -> str:
        """Whose settings serve an environment: its own, else its namespace's, else the default ones."""
        names = (environment, namespace(environment))
        return next((name for name in names if agent in self.settings.get(name, {})), "default")

    def lookup(self, environment: str, agent: str) -> Settings:
        """The settings of an agent in an environment."""
        return self.settings[self.block(environment, agent)].get(agent) or Settings()


def namespace(environment: str) -> str:
    """What stands before the name in a Gymnasium id: "ALE" of "ALE/Pong-v5@nature", nothing of most."""
    return environment.rpartition(":")[2].rpartition("/")[0]


@cache
def root() -> Path:
    """The repository's root: the working directory or one above it, else where this package lies."""
    here = Path.cwd()
    for folder in (here, *here.parents, source_code.PACKAGE.parents[1]):
        if (folder / RESOURCES).is_file():
            return folder
    raise UserError(f"{RESOURCES}: not found from {here}; run rlparity inside a checkout of its repository")


def put_command_on_path() -> None:
    """Let jobs find the `rlparity` of this very Python, even if nobody activated its environment."""
    folder = str(Path(sys.executable).parent)
    if os.environ.get("PATH", "").split(os.pathsep)[0] != folder:
        os.environ["PATH"] = os.pathsep.join([folder, os.environ.get("PATH", "")])


@cache
def library() -> Library:
    """The checked content of hyperparameters.yaml."""
    path = root() / RESOURCES
    raw = yaml_reader.read(path)
    found = list(yaml_reader.problems(raw, root() / SCHEMAS / "hyperparameters.schema.yaml"))
    found = found or _bad_names(raw["algorithms"], raw["settings"])
    if found:
        raise UserError("\n  - ".join([f"Bad {RESOURCES}:", *found]))
    algorithms = {
        name: Algorithm(name=name, **{**values, "modes": tuple(values["modes"])})
        for name, values in raw["algorithms"].items()
    }
    settings = {
        environment: {agent: Settings(**block) for agent, block in blocks.items()}
        for environment, blocks in raw["settings"].items()
    }
    return Library(algorithms, settings)


def _bad_names(algorithms: Mapping[str, Any], settings: Mapping[str, Any]) -> list[str]:
    found = []
    for name, values in algorithms.items():
        if values["agent"] not in AGENTS:
            found.append(unknown("agent", values["agent"], AGENTS, f"algorithms.{name}.agent"))
        if values.get("reference", name) not in algorithms:
            found.append(
                unknown("reference", values["reference"], algorithms, f"algorithms.{name}.reference")
            )
    for environment, blocks in settings.items():
        where = f"settings.{environment}"
        found += [unknown("agent", agent, AGENTS, where) for agent in blocks if agent not in AGENTS]
    return list(map(str, found))


COUNTS = {
    "n_steps",
    "n_epochs",
    "batch_size",
    "buffer_size",
    "train_freq",
    "n_episodes",
    "target_update_interval",
    "policy_delay",
    "cg_max_steps",
    "n_critic_updates",
    "line_search_max_iter",
    "sub_sampling_factor",
    "n_quantiles",
}
SHARES = {
    "gamma",
    "tau",
    "line_search_shrinking_factor",
    "gae_lambda",
    "baseline_decay",
    *(f"exploration_{end}_eps" for end in ("initial", "final")),
}

ANY_SIGN = {"log_std_init", "target_entropy"}

# What no reference has. These say how our arm computes, and are not for the reference to know ...
MEANS = {"memory_mapped", "precision"}
# ... and these what it computes: only their defaults are what Stable-Baselines3 does.
OURS = {
    "target_network",
    "double_q",
    "loss",
    "cnn",
    "dueling",
    "prioritized",
    "priority_exponent",
    "priority_correction",
    "line_search",
    "kl_components",
}


def config(agent: str) -> dict[str, source_code.Field]:
    """The fields of the agent's `Config`."""
    return source_code.fields(AGENTS[agent].module, AGENTS[agent].settings)


def bad_hyperparameters(values: Mapping[str, Any], agent: str, where: str) -> list[str]:
    """One line for every hyper-parameter that the agent's `Config` does not have, or not of that type."""
    fields = config(agent)
    found = []
    for name, value in values.items():
        if name not in fields:
            found.append(str(unknown("hyper-parameter", name, fields, where)))
        elif not fits(value, fields[name].annotation):
            expected = ast.unparse(fields[name].annotation)
            found.append(f"{where}.{name}: expected {expected}, got {value!r}")
        elif (allowed := out_of_range(name, value)) is not None:
            found.append(f"{where}.{name}: {value!r} is out of range; allowed is {allowed}")
    return found


def plain(algorithm: Algorithm, others: Mapping[str, Algorithm]) -> str | None:
    """The configuration among `others` that computes the same by plain means, such as ppo of ppo-bfloat16."""
    kept = {name: value for name, value in algorithm.options.items() if name not in MEANS}
    wanted = replace(algorithm, options=kept)
    same = (replace(other, name=algorithm.name, title=algorithm.title) for other in others.values())
    found = (name for name, other in zip(others, same, strict=True) if other == wanted != algorithm)
    return next(found, None)


def for_reference(values: Mapping[str, Any], agent: str) -> dict[str, Any]:
    """Hyper-parameters as a reference gets them: without those that only say how our arm computes, and
    without defaults of ours that are what it does anyway."""
    fields = config(agent)
    same = {name for name in OURS & values.keys() & fields.keys() if values[name] == fields[name].default}
    return {name: value for name, value in values.items() if name not in MEANS | same}


def beyond_reference(values: Mapping[str, Any], agent: str, where: str) -> list[str]:
    """One line for every hyper-parameter that asks of a reference what it cannot do."""
    return [
        f"{where}.{name}: Stable-Baselines3 has no {name} = {value!r}; leave it out, or leave sb3 out of "
        "'implementations'"
        for name, value in for_reference(values, agent).items()
        if name in OURS
    ]


def out_of_range(name: str, value: Any) -> str | None:
    """The range that a hyper-parameter must lie in, if it does not; the names are the same for all agents."""
    if name == "net_arch":
        return None if all(width >= 1 for width in value) else "1 and more units per layer"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if name == "gradient_steps":
        return None if value == -1 or value >= 1 else "1 and more, or -1"
    if name == "exploration_fraction":
        return None if 0 < value <= 1 else "above 0, to 1"
    if name in COUNTS:
        return None if value >= 1 else "1 and more"
    if name in ANY_SIGN:
        return None if math.isfinite(value) else "finite"
    if name in SHARES:
        return None if 0 <= value <= 1 else "0 to 1"
    return None if 0 <= value < math.inf else "0 and more, finite"


def fits(value: Any, annotation: ast.expr) -> bool:
    """Whether a YAML value is of an annotated type. Types that YAML has no values for are let pass."""
    match annotation:
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return fits(value, left) or fits(value, right)
        case ast.Constant(value=None):
            return value is None
        case ast.Subscript(value=ast.Name(id="Literal"), slice=choices):
            allowed = choices.elts if isinstance(choices, ast.Tuple) else [choices]
            return any(ast.literal_eval(choice) == value for choice in allowed)
        case ast.Subscript(value=ast.Name(id="tuple" | "list" | "Sequence"), slice=inner):
            item = inner.elts[0] if isinstance(inner, ast.Tuple) else inner
            return isinstance(value, list | tuple) and all(fits(each, item) for each in value)
        case ast.Name(id="bool"):
            return isinstance(value, bool)
        case ast.Name(id="int"):
            return isinstance(value, int) and not isinstance(value, bool)
        case ast.Name(id="float"):
            return isinstance(value, int | float) and not isinstance(value, bool)
        case ast.Name(id="str"):
            return isinstance(value, str)
    return True
