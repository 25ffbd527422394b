"""A mutation that is planted while code of a candidate runs, and not while ours does.

In `validate`, environments, records, evaluation and checks are not the candidate's. So a mutation must act in
what the candidate calls, and nowhere else in the same process.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from inspect import getattr_static
from typing import Any

import gymnasium as gym

from rlparity.validation.mutations.mutation import Mutation, Patch


class PlantedCode:
    """One mutation, or none, planted once and then put in place and taken away as often as needed."""

    def __init__(self, mutation: Mutation | None):
        patch = Patch()
        if mutation is not None:
            mutation.plant(patch)
        self._places = list(patch._before)
        self._mutated: list[Any] = []
        self._active = True
        self._switch(False)

    def owners(self) -> set[str]:
        """The modules whose attributes, or whose classes' attributes, are replaced."""
        return {owner.__module__ if isinstance(owner, type) else owner.__name__ for owner, *_ in self._places}

    @contextmanager
    def active(self, wanted: bool = True) -> Iterator[None]:
        """Put the mutation in place, or take it away, while the context lasts."""
        before = self._active
        self._switch(wanted)
        try:
            yield
        finally:
            self._switch(before)

    def _switch(self, wanted: bool) -> None:
        if wanted == self._active:
            return
        self._active = wanted
        if wanted:
            for (owner, name, *_), value in zip(self._places, self._mutated, strict=True):
                setattr(owner, name, value)
            return
        self._mutated = []
        for owner, name, own, value in reversed(self._places):  # the last replacement first
            self._mutated.insert(0, getattr_static(owner, name))
            if own:
                setattr(owner, name, value)
            else:
                delattr(owner, name)


class NotMutated(gym.Wrapper):
    """An environment that is not the candidate's: the mutation is away while it runs."""

    def __init__(self, env: gym.Env, planted: PlantedCode):
        super().__init__(env)
        self._planted = planted

    def reset(self, **keywords: Any) -> Any:
        """Reset without the mutation."""
        with self._planted.active(False):
            return self.env.reset(**keywords)

    def step(self, action: Any) -> Any:
        """Take a step without the mutation."""
        with self._planted.active(False):
            return self.env.step(action)
