"""One cell of the grid: what is trained, on what, with which seeds. Pure data, no YAML and no torch."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import PurePosixPath
from typing import Any

KINDS = ("entry", "command", "logs")  # a Python entry point, a program, or what one has left
# Fields of a cell that leave its records as they are.
UNRELATED = frozenset({"suite", "tensorboard", "checkpoint_every", "fingerprint"})
LONGEST_NAME = 100  # characters of an id with keys in the name of a folder
EPSILON = "epsilon-"  # and a probability: a mode that is deterministic but for that many random actions


@dataclass(frozen=True)
class Protocol:
    """How a policy is evaluated: `points` times in training, then once more at the end of the budget."""

    points: int = 20  # evaluations at 0, 1/points, ... of the budget
    episodes: int = 20  # whole episodes at each of them
    final_episodes: int = 100  # whole episodes once the budget is spent
    modes: tuple[str, ...] = ("deterministic",)  # of {"deterministic", "epsilon-0.05", ..., "sampled"}


@dataclass(frozen=True)
class Cell:
    """A block of seeds of one named configuration of one implementation in one environment."""

    suite: str
    environment: str  # Gymnasium id, "module:Id" too
    implementation: str  # "scratch", "sb3" or the name of a candidate
    algorithm: str  # named configuration, a key of hyperparameters.yaml; what a candidate claims to be
    agent: str  # what runs it: a name in registry.AGENTS; its reference is in registry.REFERENCES
    seeds: tuple[int, ...]
    budget: int  # environment steps per seed
    n_envs: int = 1  # sub-environments per seed
    normalize: bool = False  # running normalisation of observations and rewards
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)  # differences from the agent's Config
    evaluation: Protocol = Protocol()
    tensorboard: bool = False
    device: str = "cpu"  # or "cuda"
    checkpoint_every: int = 0  # environment steps per seed between checkpoints; 0: none
    fingerprint: str = ""  # hash of all that the records depend on, see fingerprint.py
    candidate: Mapping[str, Any] = field(default_factory=dict)  # how it is brought, see KINDS; empty if ours

    @property
    def kind(self) -> str:
        """How a candidate is brought, of KINDS; empty for our own agents and references."""
        return next((kind for kind in KINDS if kind in self.candidate), "")

    @property
    def block(self) -> str:
        """Name of the block of seeds: `seeds-<first>-<last>`."""
        return f"seeds-{self.seeds[0]}-{self.seeds[-1]}"

    @property
    def folder(self) -> PurePosixPath:
        """Where the records go, below the results folder."""
        environment = path_name(self.environment)
        return PurePosixPath(self.suite, environment, self.implementation, self.algorithm, self.block)

    def accepts(self, run: Mapping[str, Any]) -> bool:
        """Whether the records beside a run.json are all that this cell asks for."""
        return run.get("status") != "unfinished" and self.made(run)

    def made(self, run: Mapping[str, Any]) -> bool:
        """Whether this cell made the records beside a run.json: with its fingerprint, or vouched for it."""
        entries = (run, *run.get("vouched", ()))
        return any(entry.get("fingerprint") == self.fingerprint for entry in entries)

    def to_json(self) -> str:
        """The cell as one line of JSON; `from_json` reads it back. Only a candidate's has a `candidate`."""
        values = asdict(self)
        if not self.candidate:
            del values["candidate"]
        return json.dumps(values, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Cell:
        """Read what `to_json` wrote."""
        values = json.loads(text)
        evaluation = values.pop("evaluation")
        evaluation["modes"] = tuple(evaluation["modes"])
        values["seeds"] = tuple(values["seeds"])
        return cls(evaluation=Protocol(**evaluation), **values)


def is_configured(environment: str) -> bool:
    """Whether an id has keys, `ID@KEY=VALUE,...`: see `environments.configured.ids`."""
    return "=" in environment.partition("@")[2]


def path_name(environment: str) -> str:
    """An environment id as one path component: "ALE/Pong-v5" becomes "ALE_Pong-v5".

    Of an id with keys, what a file name had better not contain is replaced, and a hash of the id is added.
    """
    if not is_configured(environment):
        return environment.replace("/", "_").replace(":", "_")
    readable = re.sub(r"[^\w.@=+-]+", "_", environment)[:LONGEST_NAME]
    return f"{readable}-{hashlib.sha256(environment.encode()).hexdigest()[:8]}"
