"""What is looked at in a candidate, from outside: see `contract.check`."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces

from rlparity.candidates import entry_point, environments
from rlparity.candidates.entry_point import Candidate, Factory
from rlparity.candidates.environments import Misbehaved, bad_actions
from rlparity.candidates.policy import ambient_randomness
from rlparity.cell import Cell
from rlparity.validation.checks import Answer
from rlparity.validation.contract.candidates import traced_training
from rlparity.validation.contract.candidates.traced_training import Trace, World, silence
from rlparity.validation.plain_environments import is_atari, replay, starts_vary

LOOK = 300  # steps of those seeds of which only the beginning is looked at


def looks(cell: Cell, factory: Factory, trace: Trace) -> dict[str, Callable[[], Answer]]:
    """What is looked at, given a training that worked."""
    others = [trace]  # of other seeds; the beginning of their training

    def independent() -> Answer:
        for seed in (1, 2):
            others.append(traced_training.train(replace(cell, seeds=(seed,)), factory, steps=LOOK))
        return independent_worlds(cell.environment, others)

    return {
        "steps are Gymnasium's, time limits and ends told apart": lambda: faithful_steps(cell, trace),
        "returns are those that were paid": lambda: paid_returns(trace),
        "games begin anew": lambda: fresh_games(cell, trace),
        "sub-environments and seeds share no stream": independent,
        "another seed is another run": lambda: other_seeds(others),
        "the same seed is the same run": lambda: same_runs(trace, traced_training.train(cell, factory)),
        "evaluation leaves training as it was": lambda: undisturbed(cell, factory, trace),
        "act answers for each observation alone": lambda: separate_answers(cell, trace),
        "save and load": lambda: round_trip(cell, factory, trace),
    }


def faithful_steps(cell: Cell, trace: Trace) -> Answer:
    """What the candidate was shown, against plain environments that replay its actions."""
    ends = limits = 0
    if is_atari(cell.environment):
        return True, "Atari games are not played again"
    for world in trace.stepped:
        if world.abandoned or any(seed is not None for seed in world.seeds):
            continue
        assert world.stream is not None
        expected = replay(cell.environment, world.stream, [step[0] for step in world.steps])
        for n, (shown, true) in enumerate(zip(world.steps, expected, strict=True)):
            _, obs, reward, ended, over = shown
            told = (reward, ended, over) == (true.reward, true.ended, true.cut)
            if not (told and np.array_equal(obs, true.next_obs)):
                return (
                    False,
                    f"step {n + 1} of sub-environment {world.index} is not that of {cell.environment}",
                )
            ends, limits = ends + ended, limits + (over and not ended)
    return True, f"{ends} ends and {limits} time limits"


def paid_returns(trace: Trace) -> Answer:
    """The books and the candidate's own counts, against sums of what every step paid."""
    running: dict[int, float] = {}
    paid = []
    for world, n in trace.order:
        _, _, reward, ended, over = world.steps[n]
        if n in world.abandoned:
            running.pop(id(world), None)
        running[id(world)] = running.get(id(world), 0.0) + reward
        if ended or over:
            paid.append(running.pop(id(world)))
    booked = [row["episode_return"] for row in trace.rows.episodes]
    if is_atari(trace.rows.cell.environment):
        paid = booked  # of whole games and raw scores, which a learner is not shown
    if not (len(booked) == len(paid) and np.allclose(booked, paid, rtol=1e-6)):
        return False, f"the books have {len(booked)} games, {len(paid)} were paid for, or other returns"
    reported = getattr(trace.made, "episode_returns", None)
    if reported is None:
        return True, f"{len(paid)} games; it has no episode_returns of its own"
    return True, f"{len(paid)} games, of which it reports {len(reported)}"


def fresh_games(cell: Cell, trace: Trace) -> Answer:
    """No game begins like an earlier one of its sub-environment."""
    left = sum(len(world.abandoned) for world in trace.stepped)
    told = f"{left} games were reset before their end" if left else "every game was played to its end"
    if not starts_vary(cell.environment):
        return True, f"{told}; all games of {cell.environment} begin alike"
    for world in trace.stepped:
        different = len({start.tobytes() for start in world.starts})
        if different < len(world.starts):
            seeds = [seed for seed in world.seeds[1:] if seed is not None]
            why = f", by reset(seed={seeds[0]})" if seeds else ""
            n = len(world.starts)
            return False, f"{n} games of sub-environment {world.index} have {different} beginnings{why}"
    return True, told


def independent_worlds(environment: str, traces: list[Trace]) -> Answer:
    """No two sub-environments, of one seed or of several, begin from the same stream."""
    worlds = [(seed, world) for seed, trace in enumerate(traces) for world in trace.stepped]
    vary = starts_vary(environment)
    for (seed, a), (other, b) in combinations(worlds, 2):
        if a.stream == b.stream or (vary and np.array_equal(a.starts[0], b.starts[0])):
            return False, f"{_name(seed, a)} and {_name(other, b)} share a stream{_given(a, b)}"
    own = sum(world.seeds[0] is not None for _, world in worlds)
    note = f"; {own} were seeded by the candidate, not by make_env" if own else ""
    return True, f"{len(worlds)} sub-environments of {len(traces)} seeds{note}"


def _name(seed: int, world: World) -> str:
    return f"sub-environment {world.index} of seed {seed}"


def _given(a: World, b: World) -> str:
    if a.seeds[0] is not None and a.seeds[0] == b.seeds[0]:
        return f": both were reset with seed={a.seeds[0]}; leave it out, make_env seeds them"
    return ""


def other_seeds(traces: list[Trace]) -> Answer:
    """Two seeds differ in what they do, not only in where their games begin."""
    runs = [[action.tobytes() for _, action, _ in trace.moments()] for trace in traces]
    shown = min(map(len, runs))
    for (seed, a), (other, b) in combinations(enumerate(runs), 2):
        if a[:shown] == b[:shown]:
            return False, f"seeds {seed} and {other} choose the same {shown} actions"
    return True, f"{len(traces)} seeds"


def same_runs(first: Trace, second: Trace) -> Answer:
    """Two trainings, step for step: sub-environment, action and reward."""
    if second.reason is not None:
        return False, second.reason
    for n, (a, b) in enumerate(zip(first.moments(), second.moments(), strict=False)):
        if a[0] != b[0] or not np.array_equal(a[1], b[1]):
            return False, f"actions differ from step {n + 1} on"
        if a[2] != b[2]:
            return False, f"rewards differ from step {n + 1} on"
    return len(first.order) == len(second.order), f"{len(first.order):,} steps"


def undisturbed(cell: Cell, factory: Factory, trace: Trace) -> Answer:
    """The same training with evaluations in between."""
    watched = traced_training.train(cell, factory, evaluate=True)
    if watched.reason is not None:
        return False, watched.reason
    same, detail = same_runs(trace, watched)
    points = sorted({row["env_step"] for row in watched.rows.evaluations})
    at = ", ".join(map(str, points))
    return same, f"{detail}, evaluations at {at}" if same else f"{detail}; evaluations at {at}"


def separate_answers(cell: Cell, trace: Trace) -> Answer:
    """Deterministic actions for many observations at once, twice, and for each alone; sampled ones."""
    assert trace.made is not None
    env = environments.make(cell.environment)
    space = env.action_space
    env.close()
    obs = trace.observations(64)
    many = obs.repeat(20, 0)
    with silence(), ambient_randomness(0):
        greedy, again = (trace.made.act(obs.copy(), True) for _ in range(2))
        sampled = trace.made.act(many.copy(), False)
        alone = [trace.made.act(obs[i : i + 1].copy(), True) for i in range(len(obs))]
    for actions, n in ((greedy, len(obs)), (sampled, len(many)), *((action, 1) for action in alone)):
        if problem := bad_actions(actions, space, (n,)):
            return False, f"act gave {problem}"
    if not np.array_equal(greedy, again):
        return False, "asked twice, it answers differently though deterministic=True"
    discrete = isinstance(space, spaces.Discrete)
    one_by_one = np.concatenate(alone)
    agree = np.isclose(greedy, one_by_one, rtol=1e-4, atol=1e-5).reshape(len(obs), -1).all(1)
    if agree.mean() < (0.95 if discrete else 1.0):  # equal scores may be ordered either way
        n = len(obs) - int(agree.sum())
        return False, f"{n} of {len(obs)} actions depend on the other observations of the batch"
    if "sampled" in cell.evaluation.modes and np.array_equal(greedy.repeat(20, 0), sampled):
        return False, f"{len(many)} sampled actions are the deterministic ones"
    return True, f"{len(obs)} observations"


def round_trip(cell: Cell, factory: Factory, trace: Trace) -> Answer:
    """A saved candidate acts like the one that was saved, after `load` into an untrained one."""
    trained: Any = trace.made
    has = [callable(getattr(trained, name, None)) for name in ("save", "load")]
    if not all(has):
        missing = " and ".join(name for name, there in zip(("save", "load"), has, strict=True) if not there)
        return not any(has), f"it has no {missing}"
    obs = trace.observations(64)
    with tempfile.TemporaryDirectory() as folder, silence():
        path = str(Path(folder, "candidate"))
        trained.save(path)
        try:
            loaded: Any = entry_point.build(cell, factory)
        except Misbehaved as error:
            return False, str(error)
        loaded.load(path)
        pairs = [_act(made, obs) for made in (trained, loaded)]
    if not np.allclose(pairs[0], pairs[1], rtol=1e-5, atol=1e-6):
        return False, f"{len(obs)} observations are answered differently after load"
    return True, f"{len(obs)} observations"


def _act(made: Candidate, obs: np.ndarray) -> np.ndarray:
    return np.asarray(made.act(obs.copy(), True), dtype=np.float64)
