"""A mutation: a few lines that replace a function of an agent, an environment, a buffer, the evaluator or the
analysis.

No file is edited: attributes of modules and classes are replaced while a mutation is planted.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from inspect import getattr_static
from typing import Any, Literal

from rlparity.agents import base as agents

Kind = Literal["bug", "refactoring", "harmless"]
Area = Literal[
    "training", "analysis"
]  # what trains and records, or what makes tables and verdicts of records


class Patch:
    """Replaces attributes and restores them."""

    def __init__(self) -> None:
        self._before: list[tuple[Any, str, bool, Any]] = []

    def replace(self, owner: Any, name: str, value: Any) -> None:
        """Replace an attribute of a module or class, which must exist."""
        self._before.append((owner, name, name in vars(owner), getattr_static(owner, name)))
        setattr(owner, name, value)

    def wrap(self, owner: Any, name: str, around: Callable[..., Any]) -> None:
        """Replace a function by `around`, which receives the function as its first argument."""
        original = getattr(owner, name)
        self.replace(owner, name, lambda *arguments, **keywords: around(original, *arguments, **keywords))

    def configure(self, agent: str, change: Callable[[Any], Mapping[str, Any]]) -> None:
        """Change an agent's hyper-parameters: `change` maps its settings to new values of fields."""

        def around(build: Callable[..., None], self: Any, task: Any, config: Any, *rest: Any) -> None:
            build(self, task, dataclasses.replace(config, **change(config)), *rest)

        self.wrap(agents.agent_class(agent), "__init__", around)

    def undo(self) -> None:
        """Restore all attributes, the last replacement first."""
        while self._before:
            owner, name, own, value = self._before.pop()
            if own:
                setattr(owner, name, value)
            else:
                delattr(owner, name)


Plant = Callable[[Patch], None]


@dataclass(frozen=True)
class Mutation:
    """One change of our code, and where it can show."""

    id: str  # as in docs/method/mutations.md; with a word where several mutations implement one bug
    title: str  # what the mutated code does
    kind: Kind
    source: str  # where the bug was found, or "own"
    agents: tuple[str, ...]  # named configurations to try it with; none where it is in the analysis
    environments: tuple[str, ...]
    plant: Plant
    hides: str = ""  # conditions under which it does not show
    needs: Mapping[str, Any] = field(
        default_factory=dict
    )  # options of the agent without which it has no effect
    area: Area = "training"  # analysis: no training shows it, but calibration and numbers worked by hand

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """(agent, environment) of every trial."""
        return [(agent, environment) for agent in self.agents for environment in self.environments]


@contextmanager
def planted(mutation: Mutation) -> Iterator[None]:
    """Plant a mutation while the context lasts."""
    patch = Patch()
    try:
        mutation.plant(patch)
        yield
    finally:
        patch.undo()


class MutationSet:
    """The mutations of one module, in the order of its text; a decorator adds them."""

    def __init__(self, kind: Kind = "bug", source: str = "", area: Area = "training"):
        """`source` is the default of mutations without one."""
        self.mutations: list[Mutation] = []
        self._kind, self._source, self._area = kind, source, area

    def __call__(
        self,
        id: str,
        title: str,
        where: str = "",
        source: str = "",
        hides: str = "",
        needs: Mapping[str, Any] | None = None,
    ) -> Callable[[Plant], Plant]:
        """Decorate the function that plants a mutation; `where` is "agent environment", nothing in the
        analysis."""
        assert bool(where) == (self._area == "training")
        agents, environments = tuple(where.split()[:1]), tuple(where.split()[1:])

        def register(plant: Plant) -> Plant:
            named = (id, title, self._kind, source or self._source)
            made = Mutation(*named, agents, environments, plant, hides, needs or {}, self._area)
            self.mutations.append(made)
            return plant

        return register
