"""All mutations, in the order of docs/method/mutations.md."""

from __future__ import annotations

from rlparity.errors import unknown
from rlparity.validation.mutations import (
    a2c_and_trpo,
    continuous,
    dqn,
    environments_and_evaluation,
    harmless,
    ppo,
    refactorings,
    rollouts,
    seed_axis,
)
from rlparity.validation.mutations.mutation import Mutation

MODULES = (
    rollouts,
    ppo,
    a2c_and_trpo,
    dqn,
    continuous,
    environments_and_evaluation,
    seed_axis,
    harmless,
    refactorings,
)
CORPUS: tuple[Mutation, ...] = tuple(mutation for module in MODULES for mutation in module.MUTATIONS)


def find(id: str) -> Mutation:
    """The mutation with this id; UserError if there is none."""
    for mutation in CORPUS:
        if mutation.id == id:
            return mutation
    raise unknown("mutation", id, [mutation.id for mutation in CORPUS], "sensitivity")
