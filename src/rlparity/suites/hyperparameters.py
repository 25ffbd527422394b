"""Named configurations and the hyper-parameters they run with: workflow/resources/hyperparameters.yaml.

Defaults of hyper-parameters are read from the agents' sources, without importing torch.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from rlparity import arms, project_files
from rlparity.arms import Arm
from rlparity.environments import metadata
from rlparity.environments.configured import ids
from rlparity.errors import UserError, unknown
from rlparity.provenance import source_code
from rlparity.registry import AGENTS, IMPLEMENTATIONS, is_small
from rlparity.suites import yaml_reader


@dataclass(frozen=True)
class Algorithm:
    """A named configuration."""

    name: str
    title: str
    agent: str
    modes: tuple[str, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    options_in: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # namespace -> further ones
    reference: Arm | None = None
    deterministic: bool = False  # whether every seed gives the same value

    def options_for(self, environment: str) -> dict[str, Any]:
        """The hyper-parameters that make the agent this variant in an environment."""
        return {**self.options, **self.options_in.get(namespace(environment), {})}


@dataclass(frozen=True)
class Settings:
    """The settings of an agent in one environment."""

    source: str = "the agent's Config defaults"
    differs: str = "nothing"
    n_envs: int = 1
    normalize: bool = False
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Library:
    """All named configurations, and the settings of agents by environment."""

    algorithms: Mapping[str, Algorithm]
    settings: Mapping[str, Mapping[str, Settings]]

    def block(self, environment: str, agent: str) -> str:
        """The key of the settings for an environment: its id, with or without keys, else its namespace, else
        "default"."""
        names = (environment, ids.base(environment), namespace(environment))
        return next((name for name in names if agent in self.settings.get(name, {})), "default")

    def lookup(self, environment: str, agent: str) -> Settings:
        """The settings of an agent in an environment."""
        return self.settings[self.block(environment, agent)].get(agent) or Settings()

    def judged_by(self, references: Mapping[str, Any]) -> Library:
        """The same with other references for some configurations, as a suite's key `reference` gives them."""
        other = {
            name: replace(self.algorithms[name], reference=arms.reference(data))
            for name, data in references.items()
        }
        return replace(self, algorithms={**self.algorithms, **other})


def namespace(environment: str) -> str:
    """The part of a Gymnasium id before the name: "ALE" of "ALE/Pong-v5@nature", empty for most."""
    return ids.base(environment).rpartition(":")[2].rpartition("/")[0]


def place() -> str:
    """The path of the hyperparameters.yaml in use, for messages."""
    return project_files.shown(project_files.find(project_files.SETTINGS))


def put_command_on_path() -> None:
    """Let jobs find the `rlparity` of this Python, even if its environment was not activated."""
    folder = str(Path(sys.executable).parent)
    if os.environ.get("PATH", "").split(os.pathsep)[0] != folder:
        os.environ["PATH"] = os.pathsep.join([folder, os.environ.get("PATH", "")])


def library() -> Library:
    """The checked content of hyperparameters.yaml: that of the working folder, else the project's."""
    return _library(project_files.find(project_files.SETTINGS).resolve())


@cache
def _library(path: Path) -> Library:
    raw = yaml_reader.read(path)
    found = list(yaml_reader.problems(raw, project_files.schema("hyperparameters.schema.yaml")))
    found = found or _bad_names(raw["algorithms"], raw["settings"])
    if found:
        raise UserError("\n  - ".join([f"Bad {place()}:", *found]))
    algorithms = {name: _algorithm(name, values) for name, values in raw["algorithms"].items()}
    settings = {
        environment: {agent: Settings(**block) for agent, block in blocks.items()}
        for environment, blocks in raw["settings"].items()
    }
    return Library(algorithms, settings)


def _algorithm(name: str, values: Mapping[str, Any]) -> Algorithm:
    reference = arms.reference(values.get("reference"))
    return Algorithm(name=name, **{**values, "modes": tuple(values["modes"]), "reference": reference})


def _bad_names(algorithms: Mapping[str, Any], settings: Mapping[str, Any]) -> list[str]:
    found = []
    for name, values in algorithms.items():
        where = f"algorithms.{name}"
        if values["agent"] not in AGENTS:
            found.append(str(unknown("agent", values["agent"], AGENTS, f"{where}.agent")))
        if "reference" in values:
            known = IMPLEMENTATIONS
            found += bad_reference(values["reference"], known, algorithms, f"{where}.reference")
    for environment, blocks in settings.items():
        where = f"settings.{environment}"
        found += [str(unknown("agent", agent, AGENTS, where)) for agent in blocks if agent not in AGENTS]
    return found


def bad_reference(
    data: str | Mapping[str, str], implementations: Collection[str], algorithms: Collection[str], where: str
) -> list[str]:
    """One line for every name in a key `reference` that is not known."""
    arm = arms.reference(data)
    assert arm is not None
    keys = (".implementation", ".algorithm") if isinstance(data, Mapping) else ("", "")
    checked = zip(("implementation", "reference"), arm, (implementations, algorithms), keys, strict=True)
    return [
        str(unknown(kind, name, known, where + key))
        for kind, name, known, key in checked
        if name not in known
    ]


# Options that no reference has. These change how our arm computes; references are given none of them.
MEANS = {"memory_mapped", "precision"}
# These change what it computes; only at their defaults is it what Stable-Baselines3 does.
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
    """The hyper-parameters of an agent, by name."""
    return source_code.fields(AGENTS[agent].module, AGENTS[agent].settings)


def resolved(
    agent: str, values: Mapping[str, Any], environment: str, n_envs: int = 1, normalize: bool = False
) -> dict[str, Any]:
    """All settings of a reference, with `values` in place of defaults: what a program should be given.

    Named as Stable-Baselines3's arguments are; besides `n_envs`, `normalize` (running statistics of
    observations and rewards), the schedules, and what tells variants of an algorithm apart (`double_q`,
    `loss`, ...), at the value by which the reference computes. What has no effect in `environment` is left
    out.
    """
    info = metadata.probe(environment)
    idle = {*MEANS, "priority_exponent", "priority_correction"}
    idle |= {"net_arch", "activation"} if info.image else set()
    idle |= {"cnn"} if info.image is None or is_small(info.image) else set()
    idle |= {"log_std_init"} if info.actions == "discrete" else set()
    defaults = {name: each.default for name, each in config(agent).items()}
    found = {name: value for name, value in {**defaults, **values}.items() if name not in idle}
    found = {name: list(value) if isinstance(value, tuple) else value for name, value in found.items()}
    return {**found, "n_envs": n_envs, "normalize": normalize}


def plain(algorithm: Algorithm, others: Mapping[str, Algorithm]) -> str | None:
    """The configuration among `others` without the options of MEANS, such as ppo for ppo-bfloat16."""
    kept = {name: value for name, value in algorithm.options.items() if name not in MEANS}
    wanted = replace(algorithm, options=kept)
    same = (replace(other, name=algorithm.name, title=algorithm.title) for other in others.values())
    found = (name for name, other in zip(others, same, strict=True) if other == wanted != algorithm)
    return next(found, None)


def for_reference(values: Mapping[str, Any], agent: str) -> dict[str, Any]:
    """Hyper-parameters for a reference: without those of MEANS, and without those of OURS that have the
    value by which it does the same."""
    fields = config(agent)
    same = {name for name in OURS & values.keys() & fields.keys() if values[name] == fields[name].default}
    return {name: value for name, value in values.items() if name not in MEANS | same}


def beyond_reference(values: Mapping[str, Any], agent: str, where: str) -> list[str]:
    """One line for every hyper-parameter that a reference does not have."""
    return [
        f"{where}.{name}: Stable-Baselines3 has no {name} = {value!r}; leave it out, or leave sb3 out of "
        "'implementations'"
        for name, value in for_reference(values, agent).items()
        if name in OURS
    ]
