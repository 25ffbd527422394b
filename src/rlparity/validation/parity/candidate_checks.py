"""All checks of a candidate's parity, and the names of what they do not look at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rlparity.candidates.protocol import Factory
from rlparity.validation.checks import Check, not_looked_at
from rlparity.validation.counterparts import ON_POLICY
from rlparity.validation.parity import candidates, compare
from rlparity.validation.parity.candidate_cases import Compared
from rlparity.validation.parity.preparation import check as preparation

MEMORY = "replay memory"  # what off-policy algorithms store and draw; contract and statistics see it


def check(
    factory: Factory,
    compared: Sequence[Compared],
    has_update: bool,
    has_prepare: bool,
    updates: Sequence[int] = compare.UPDATES,
) -> list[Check]:
    """Compare `update` in all of these configurations, the first of which is the plain one, and `prepare`; no
    checks if the candidate has neither."""
    plain = compared[0].case
    prepares = has_prepare and plain.algorithm in ON_POLICY
    if not (has_update or prepares):
        return []
    return [
        *(_updates(factory, compared, updates) if has_update else ()),
        *(_preparations(factory, compared[0]) if prepares else ()),
        *_not_looked_at(compared, has_update, prepares),
    ]


def _updates(factory: Factory, compared: Sequence[Compared], updates: Sequence[int]) -> Iterator[Check]:
    for each in compared:
        plain = each is compared[0]
        found = compare.check_candidate_case(factory, each.case, updates=updates, may_decline=not plain)
        yield found if found.looked else found._replace(name=each.topic)


def _preparations(factory: Factory, plain: Compared) -> list[Check]:
    def build(options: Mapping[str, Any], n_envs: int) -> Any:
        return candidates.build(factory, plain.case, options, n_envs)

    return preparation.check(build, plain.case.algorithm)


def _not_looked_at(compared: Sequence[Compared], has_update: bool, prepares: bool) -> Iterator[Check]:
    if compared[0].case.algorithm not in ON_POLICY:
        yield not_looked_at("parity", MEMORY, "outside of an update")
    elif not prepares:
        yield not_looked_at("parity", preparation.TOPICS, "it has no prepare(rollout)")
    if not has_update:
        topics = ", ".join(each.topic for each in compared)
        missing = ", ".join(candidates.METHODS)
        yield not_looked_at("parity", topics, f"it lacks one of {missing}")
