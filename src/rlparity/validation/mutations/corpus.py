"""All mutations, in the order of docs/method/mutations.md: what trains first, then the analysis."""

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
from rlparity.validation.mutations.analysis import (
    estimates,
    published_numbers,
    tables_and_curves,
    verdicts,
)
from rlparity.validation.mutations.mutation import Mutation
from rlparity.validation.mutations.training import (
    action_values,
    deterministic_and_soft,
    monte_carlo,
    more_refactorings,
    networks_and_optimizers,
    policy_gradients,
    quantiles_and_priorities,
    refactorings_of_value_learning,
    seeds_together,
    trust_regions,
    wrappers,
)

MODULES = (
    rollouts,
    ppo,
    a2c_and_trpo,
    dqn,
    continuous,
    environments_and_evaluation,
    seed_axis,
    policy_gradients,
    trust_regions,
    monte_carlo,
    action_values,
    quantiles_and_priorities,
    deterministic_and_soft,
    networks_and_optimizers,
    wrappers,
    seeds_together,
    harmless,
    refactorings,
    more_refactorings,
    refactorings_of_value_learning,
)
ANALYSING = (estimates, verdicts, tables_and_curves, published_numbers)
CORPUS: tuple[Mutation, ...] = tuple(mutation for module in MODULES for mutation in module.MUTATIONS)
ANALYSIS: tuple[Mutation, ...] = tuple(mutation for module in ANALYSING for mutation in module.MUTATIONS)
"""Those of the area `analysis`, for which nothing is trained."""


def find(id: str) -> Mutation:
    """The mutation with this id; UserError if there is none."""
    for mutation in (*CORPUS, *ANALYSIS):
        if mutation.id == id:
            return mutation
    raise unknown("mutation", id, [mutation.id for mutation in (*CORPUS, *ANALYSIS)], "sensitivity")
