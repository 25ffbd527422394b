"""The corpus of mutations: each is planted and taken back, each bug changes the result of a short training,
and each refactoring changes nothing but the last digits."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from inspect import getattr_static
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mutated import brief
from small import cell
from torch import Tensor

from rlparity import seeding
from rlparity.environments import base as environments
from rlparity.nn import convolutions
from rlparity.suites import hyperparameters
from rlparity.training import object_state
from rlparity.training import run as train
from rlparity.validation.mutations import corpus
from rlparity.validation.mutations.corpus import ANALYSIS, CORPUS
from rlparity.validation.mutations.mutation import Mutation, Patch, planted

pytestmark = [pytest.mark.probes, pytest.mark.filterwarnings("ignore:std")]  # of one number, which is P31
DOCS = Path(__file__).parents[2] / "docs" / "method" / "mutations.md"
ROUNDING = 1e-5  # of parameters of size 1, float32, after some updates
APART = {  # a short training does not show these; each has its own test
    "D10 resume",
    "O13",
    "N6",
    "AT8 missing",
    "AT8 twice",
    *("O24", "O27", "O28", "O29", "O30"),
    *("AT12", "AT13", "AT14", "AT15", "AT16", "AT17", "AT18", "AT19"),  # test_atari_mutations.py
    *("G15", "O23", "R12", "R13"),  # test_mutated_updates.py
}


def trained(mutation: Mutation) -> tuple[list[str], dict[str, Tensor], list[str]]:
    """Rows, parameters and metrics of a training."""
    return _trained(*mutation.pairs[0], tuple(sorted(mutation.needs.items())))


def _trained(agent: str, environment: str, needs: Any) -> Any:
    found = train.run(brief(agent, environment, dict(needs)))
    rows = [repr(row) for row in (*found.episodes, *found.evaluations)]
    metrics = [f"{row['metric']} {row['value']}" for row in found.progress if "time" not in row["metric"]]
    return rows, found.state, metrics


@cache
def plain(agent: str, environment: str, needs: Any) -> Any:
    """The results of the unchanged code."""
    return _trained(agent, environment, needs)


def before(mutation: Mutation) -> Any:
    return plain(*mutation.pairs[0], tuple(sorted(mutation.needs.items())))


@contextmanager
def reached(mutation: Mutation) -> Iterator[None]:
    """Plant a mutation; whatever it replaces by a function must be called while the context lasts."""
    patch, called, missing = Patch(), set(), set()
    mutation.plant(patch)

    def watch(owner: Any, name: str) -> None:
        value = getattr_static(owner, name)
        if isinstance(value, property):
            value = value.fget
        if not callable(value):
            return
        missing.add((owner, name))

        def watched(*arguments: Any, **keywords: Any) -> Any:
            called.add((owner, name))
            return value(*arguments, **keywords)

        found: Any = watched
        patch.replace(owner, name, property(found) if name == "epsilon" else found)

    try:
        for owner, name, *_ in list(patch._before):
            watch(owner, name)
        yield
    finally:
        patch.undo()
    assert called == missing


def of(kind: str) -> list[Mutation]:
    return [mutation for mutation in CORPUS if mutation.kind == kind]


def test_the_corpus_is_as_large_as_promised() -> None:
    ids = [mutation.id for mutation in (*CORPUS, *ANALYSIS)]
    assert not [id for id, count in Counter(ids).items() if count > 1]
    bugs = of("bug")
    own = [mutation for mutation in bugs if mutation.source == "own"]
    assert len(bugs) - len(own) >= 60
    assert len(bugs) >= 125
    assert len(of("refactoring")) >= 24
    assert len(ANALYSIS) >= 20
    assert {"P13", "P24", "S1"} <= {mutation.id for mutation in of("harmless")}
    assert all(mutation.source and mutation.title for mutation in (*CORPUS, *ANALYSIS))


def test_every_mutation_is_documented() -> None:
    lines = DOCS.read_text(encoding="utf-8").partition("## Left out")[0].splitlines()
    rows = {found[1]: line for line in lines if (found := re.match(r"\| ([A-Z]+\d+[a-z0-9 ]*) \|", line))}
    assert set(rows) == {mutation.id for mutation in (*CORPUS, *ANALYSIS)}
    for mutation in (*CORPUS, *ANALYSIS):
        assert mutation.title in rows[mutation.id]
        assert mutation.source in rows[mutation.id]


def test_agents_and_environments_exist() -> None:
    known = hyperparameters.library().algorithms
    for mutation in CORPUS:
        for agent, _ in mutation.pairs:
            options = set(hyperparameters.config(known[agent].agent))
            assert set(mutation.needs) <= options


@pytest.mark.parametrize("mutation", (*CORPUS, *ANALYSIS), ids=lambda mutation: mutation.id)
def test_it_is_planted_and_taken_back(mutation: Mutation) -> None:
    patch = Patch()
    mutation.plant(patch)
    touched = {(owner, name): (own, value) for owner, name, own, value in reversed(patch._before)}
    assert touched
    for (owner, name), (_, value) in touched.items():
        assert getattr_static(owner, name) is not value
    patch.undo()
    for (owner, name), (own, value) in touched.items():
        assert getattr_static(owner, name) is value
        assert (name in vars(owner)) == own


@pytest.mark.parametrize(
    "mutation",
    [mutation for mutation in (*of("bug"), *of("harmless")) if mutation.id not in APART],
    ids=lambda mutation: mutation.id,
)
def test_it_changes_something(mutation: Mutation) -> None:
    with reached(mutation):
        rows, state, metrics = trained(mutation)
    true_rows, true_state, true_metrics = before(mutation)
    same = all(torch.equal(state[name], value) for name, value in true_state.items())
    assert (rows, metrics) != (true_rows, true_metrics) or not same


@pytest.mark.parametrize("mutation", of("refactoring"), ids=lambda mutation: mutation.id)
def test_a_refactoring_rounds_otherwise_at_most(mutation: Mutation) -> None:
    with reached(mutation):
        _, state, _ = trained(mutation)
    _, true_state, _ = before(mutation)
    for name, value in true_state.items():
        torch.testing.assert_close(state[name], value, rtol=0, atol=ROUNDING)


def session(algorithm: str, environment: str = "CartPole-v1", **fields: Any) -> train.Session:
    """A training of a hundred steps, as a checkpoint contains it."""
    sessions: list[train.Session] = []

    class Checkpointer:
        signal = None

        def restore(self, session: train.Session) -> None:
            sessions.append(session)

        def __call__(self, session: train.Session) -> None:
            pass

    checkpointer: Any = Checkpointer()
    cell = replace(brief(algorithm, environment, {}), **fields)
    train.run(cell, checkpointer=checkpointer, evaluate=False)
    return sessions[0]


@pytest.mark.parametrize(
    ("id", "algorithm", "state"),
    [
        ("D10 resume", "dqn", lambda agent: agent.env_steps),
        ("O13", "ppo", lambda agent: float(agent.optimizer._moments[1].sum())),
    ],
)
def test_what_shows_after_an_interruption(id: str, algorithm: str, state: Callable[[Any], float]) -> None:
    old = session(algorithm)
    assert state(old.training.agent) > 0

    def resumed() -> float:
        new = session(algorithm, budget=0)
        object_state.restore(new, object_state.capture(old))
        return state(new.training.agent)

    with planted(corpus.find(id)):
        assert resumed() == 0
    assert resumed() == state(old.training.agent)


@pytest.mark.parametrize(
    ("id", "algorithm", "environment", "state"),
    [
        ("O27", "dqn", "CartPole-v1", lambda training: float(training.agent.q_target.theta.sum())),
        ("O28", "a2c", "CartPole-v1", lambda training: training.explore._used),
        ("O29", "a2c", "Pendulum-v1", lambda training: float(training.env.obs_moments.mean.sum())),
        ("O30", "dqn", "CartPole-v1", lambda training: training.agent.replay.memory.added),
    ],
)
def test_what_a_resumed_run_goes_on_with(
    id: str, algorithm: str, environment: str, state: Callable[[Any], float]
) -> None:
    old = session(algorithm, environment)

    def resumed() -> float:
        new = session(algorithm, environment, budget=0)
        object_state.restore(new, object_state.capture(old))
        return state(new.training)

    with planted(corpus.find(id)):
        assert resumed() != state(old.training)
    assert resumed() == state(old.training)


def test_a_seed_freezes_the_others() -> None:
    def alive() -> list[bool]:
        agent = session("ppo", budget=0).training.agent
        agent.alive[0] = False
        agent.optimizer.step(1e-3)
        found: list[bool] = agent.alive.tolist()
        return found

    with planted(corpus.find("O24")):
        assert alive() == [False, False]
    assert alive() == [False, True]


def test_cart_poles_of_another_version_end_sooner() -> None:
    def ends() -> list[float]:
        env: Any = environments.make("CartPole-v1", [[1]])
        env._elapsed[:] = 199
        return [float(env.step(torch.zeros(1, 1, dtype=torch.long)).last) for _ in range(1)]

    with planted(corpus.find("N6")):
        assert ends() == [1.0]
    assert ends() == [0.0]


@pytest.mark.parametrize(("id", "factor"), [("AT8 missing", 255.0), ("AT8 twice", 1 / 255)])
def test_images_of_another_brightness(id: str, factor: float) -> None:
    conv = convolutions.Conv(1, 1, 1, 1)
    image = torch.full((1, 1, 1, 2, 2), 51, dtype=torch.uint8)
    leaves = [(torch.ones(1, 1, 1, 1, 1), torch.zeros(1, 1))]
    true = convolutions.run(image, [conv], leaves)
    with planted(corpus.find(id)):
        torch.testing.assert_close(convolutions.run(image, [conv], leaves), factor * true)


def test_streams_come_back() -> None:
    """A mutation of seeding leaves nothing behind."""
    streams = seeding.Streams(cell("ppo"))
    first = [rng.random() for rng in streams.generators("x")]
    with planted(corpus.find("O4")):
        assert not np.allclose(first, [rng.random() for rng in streams.generators("x")])
    assert first == [rng.random() for rng in streams.generators("x")]
