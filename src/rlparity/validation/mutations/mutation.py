"""A mutation: a few lines that replace one function of an agent, a task, a memory or the evaluator.

Nothing is edited: attributes of modules and classes are replaced for as long as a mutation is planted.
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


class Patch:
    """Attributes that were replaced, to be put back."""

    def __init__(self) -> None:
        self._before: list[tuple[Any, str, bool, Any]] = []

    def replace(self, owner: Any, name: str, value: Any) -> None:
        """Give a module's or class's attribute, which must exist, another value."""
        self._before.append((owner, name, name in vars(owner), getattr_static(owner, name)))
        setattr(owner, name, value)

    def wrap(self, owner: Any, name: str, around: Callable[..., Any]) -> None:
        """Let `around` take the place of a function, which it is given as its first argument."""
        original = getattr(owner, name)
        self.replace(owner, name, lambda *arguments, **keywords: around(original, *arguments, **keywords))

    def configure(self, agent: str, change: Callable[[Any], Mapping[str, Any]]) -> None:
        """Let an agent run with other options than it is given: `change` maps its Config to new fields."""

        def around(build: Callable[..., None], self: Any, task: Any, config: Any, *rest: Any) -> None:
            build(self, task, dataclasses.replace(config, **change(config)), *rest)

        self.wrap(agents.agent_class(agent), "__init__", around)

    def undo(self) -> None:
        """Put everything back, the last replacement first."""
        while self._before:
            owner, name, own, value = self._before.pop()
            if own:
                setattr(owner, name, value)
            else:
                delattr(owner, name)


Plant = Callable[[Patch], None]


@dataclass(frozen=True)
class Mutation:
    """One change, and where it can show."""

    id: str  # as in docs/mutations.md; with a word where several mutations come of one bug
    title: str  # what the mutated code does
    kind: Kind
    source: str  # where it was seen, or "own"
    agents: tuple[str, ...]  # named configurations that it is tried with
    environments: tuple[str, ...]
    plant: Plant
    hides: str = ""  # where it cannot be seen
    needs: Mapping[str, Any] = field(default_factory=dict)  # options of the agent without which it is silent

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """(agent, environment) of every trial."""
        return [(agent, environment) for agent in self.agents for environment in self.environments]


@contextmanager
def planted(mutation: Mutation) -> Iterator[None]:
    """The mutation, for as long as the context lasts."""
    patch = Patch()
    try:
        mutation.plant(patch)
        yield
    finally:
        patch.undo()


class Room:
    """The mutations of one theme, in the order in which they are written down."""

    def __init__(self, kind: Kind = "bug", source: str = ""):
        """`source` is that of mutations which name none."""
        self.mutations: list[Mutation] = []
        self._kind, self._source = kind, source

    def __call__(
        self,
        id: str,
        title: str,
        where: str,
        source: str = "",
        hides: str = "",
        needs: Mapping[str, Any] | None = None,
    ) -> Callable[[Plant], Plant]:
        """Decorates the function that plants a mutation; `where` is "agent environment"."""
        agent, environment = where.split()

        def keep(plant: Plant) -> Plant:
            who = (id, title, self._kind, source or self._source)
            made = Mutation(*who, (agent,), (environment,), plant, hides, needs or {})
            self.mutations.append(made)
            return plant

        return keep
