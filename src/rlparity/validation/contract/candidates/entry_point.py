"""The checks of a candidate's contract, from outside: see `contract.check.check`."""

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
from rlparity.candidates.environments import Misbehaved, bad_actions
from rlparity.candidates.policy import ambient_randomness
from rlparity.candidates.protocol import Candidate, Factory
from rlparity.cell import Cell
from rlparity.validation.checks import Answer
from rlparity.validation.contract.candidates import traced_training
from rlparity.validation.contract.candidates.traced_training import Trace, TracedEnvironment, silence
from rlparity.validation.plain_environments import is_atari, replay, starts_vary

BRIEF_STEPS = 300  # environment steps of the other seeds, which are trained briefly


def checks(cell: Cell, factory: Factory, trace: Trace) -> dict[str, Callable[[], Answer]]:
    """All checks by name, given the trace of a training that did not fail."""
    traces = [trace]  # of several seeds; the others are brief

    def independent() -> Answer:
        for seed in (1, 2):
            traces.append(traced_training.train(replace(cell, seeds=(seed,)), factory, steps=BRIEF_STEPS))
        return independent_streams(cell.environment, traces)

    return {
        "steps are Gymnasium's, termination apart from truncation": lambda: gymnasium_steps(cell, trace),
        "returns are the sums of rewards": lambda: returns_are_sums(trace),
        "episodes start from new states": lambda: fresh_episodes(cell, trace),
        "sub-environments and seeds share no random stream": independent,
        "another seed gives another run": lambda: other_seeds(traces),
        "the same seed gives the same run": lambda: same_runs(trace, traced_training.train(cell, factory)),
        "evaluation does not change training": lambda: undisturbed(cell, factory, trace),
        "actions depend on their own observation alone": lambda: independent_actions(cell, trace),
        "save and load": lambda: round_trip(cell, factory, trace),
    }


def gymnasium_steps(cell: Cell, trace: Trace) -> Answer:
    """Compare every step that the candidate received with plain environments that replay its actions."""
    ends = limits = 0
    if is_atari(cell.environment):
        return True, "Atari games are not replayed"
    for env in trace.stepped:
        if env.abandoned or any(seed is not None for seed in env.seeds):
            continue
        assert env.stream is not None
        expected = replay(cell.environment, env.stream, [step[0] for step in env.steps])
        for n, (shown, true) in enumerate(zip(env.steps, expected, strict=True)):
            _, obs, reward, terminated, truncated = shown
            same = (reward, terminated, truncated) == (true.reward, true.terminated, true.truncated)
            if not (same and np.array_equal(obs, true.next_obs)):
                return (
                    False,
                    f"step {n + 1} of sub-environment {env.index} is not that of {cell.environment}",
                )
            ends, limits = ends + terminated, limits + (truncated and not terminated)
    return True, f"{ends} terminations and {limits} time limits"


def returns_are_sums(trace: Trace) -> Answer:
    """Compare recorded and reported returns with sums of rewards, step by step."""
    running: dict[int, float] = {}
    sums = []
    for env, n in trace.order:
        _, _, reward, terminated, truncated = env.steps[n]
        if n in env.abandoned:
            running.pop(id(env), None)
        running[id(env)] = running.get(id(env), 0.0) + reward
        if terminated or truncated:
            sums.append(running.pop(id(env)))
    recorded = [row["episode_return"] for row in trace.recorder.episodes]
    if is_atari(trace.recorder.cell.environment):
        sums = recorded  # of whole games and raw scores, which a learner does not observe
    if len(recorded) != len(sums):
        return False, f"{len(recorded)} episodes are recorded, {len(sums)} were played"
    if not np.allclose(recorded, sums, rtol=1e-6):
        return False, f"of {len(sums)} recorded returns some are not the sum of rewards"
    reported = getattr(trace.candidate, "episode_returns", None)
    if reported is None:
        return True, f"{len(sums)} episodes; it reports no episode_returns"
    return True, f"{len(sums)} episodes, of which it reports {len(reported)}"


def fresh_episodes(cell: Cell, trace: Trace) -> Answer:
    """No episode starts from the state of an earlier one of its sub-environment."""
    left = sum(len(env.abandoned) for env in trace.stepped)
    played = f"{left} episodes were reset before their end" if left else "every episode was played to its end"
    if not starts_vary(cell.environment):
        return True, f"{played}; all episodes of {cell.environment} start alike"
    for env in trace.stepped:
        different = len({start.tobytes() for start in env.starts})
        if different < len(env.starts):
            seeds = [seed for seed in env.seeds[1:] if seed is not None]
            why = f", by reset(seed={seeds[0]})" if seeds else ""
            n = len(env.starts)
            return False, f"{n} episodes of sub-environment {env.index} have {different} starting states{why}"
    return True, played


def independent_streams(environment: str, traces: list[Trace]) -> Answer:
    """No two sub-environments, of one seed or of several, use the same random stream."""
    envs = [(seed, env) for seed, trace in enumerate(traces) for env in trace.stepped]
    vary = starts_vary(environment)
    for (seed, a), (other, b) in combinations(envs, 2):
        if a.stream == b.stream or (vary and np.array_equal(a.starts[0], b.starts[0])):
            return False, f"{_name(seed, a)} and {_name(other, b)} share a random stream{_given(a, b)}"
    own = sum(env.seeds[0] is not None for _, env in envs)
    note = f"; {own} were seeded by the candidate, not by make_env" if own else ""
    return True, f"{len(envs)} sub-environments of {len(traces)} seeds{note}"


def _name(seed: int, env: TracedEnvironment) -> str:
    return f"sub-environment {env.index} of seed {seed}"


def _given(a: TracedEnvironment, b: TracedEnvironment) -> str:
    if a.seeds[0] is not None and a.seeds[0] == b.seeds[0]:
        return f": both were reset with seed={a.seeds[0]}; leave it out, make_env seeds them"
    return ""


def other_seeds(traces: list[Trace]) -> Answer:
    """Different seeds choose different actions, and do not only start from different states."""
    runs = [[action.tobytes() for _, action, _ in trace.moments()] for trace in traces]
    n = min(map(len, runs))
    for (seed, a), (other, b) in combinations(enumerate(runs), 2):
        if a[:n] == b[:n]:
            return False, f"seeds {seed} and {other} choose the same {n} actions"
    return True, f"{len(traces)} seeds"


def same_runs(first: Trace, second: Trace) -> Answer:
    """Compare two trainings step by step: sub-environment, action and reward."""
    if second.reason is not None:
        return False, second.reason
    for n, (a, b) in enumerate(zip(first.moments(), second.moments(), strict=False)):
        if a[0] != b[0] or not np.array_equal(a[1], b[1]):
            return False, f"actions differ from step {n + 1} on"
        if a[2] != b[2]:
            return False, f"rewards differ from step {n + 1} on"
    return len(first.order) == len(second.order), f"{len(first.order):,} steps"


def undisturbed(cell: Cell, factory: Factory, trace: Trace) -> Answer:
    """Compare with the same training interrupted by evaluations."""
    evaluated = traced_training.train(cell, factory, evaluate=True)
    if evaluated.reason is not None:
        return False, evaluated.reason
    same, detail = same_runs(trace, evaluated)
    points = sorted({row["env_step"] for row in evaluated.recorder.evaluations})
    at = ", ".join(map(str, points))
    return same, f"{detail}, evaluations at {at}" if same else f"{detail}; evaluations at {at}"


def independent_actions(cell: Cell, trace: Trace) -> Answer:
    """Compare deterministic actions for a batch with those for its observations one by one, and with sampled
    actions."""
    assert trace.candidate is not None
    env = environments.make(cell.environment)
    space = env.action_space
    env.close()
    obs = trace.observations(64)
    many = obs.repeat(20, 0)
    with silence(), ambient_randomness(0):
        greedy, again = (trace.candidate.act(obs.copy(), True) for _ in range(2))
        sampled = trace.candidate.act(many.copy(), False)
        alone = [trace.candidate.act(obs[i : i + 1].copy(), True) for i in range(len(obs))]
    for actions, n in ((greedy, len(obs)), (sampled, len(many)), *((action, 1) for action in alone)):
        if problem := bad_actions(actions, space, (n,)):
            return False, f"act gave {problem}"
    if not np.array_equal(greedy, again):
        return False, "two calls with deterministic=True return different actions"
    discrete = isinstance(space, spaces.Discrete)
    one_by_one = np.concatenate(alone)
    agree = np.isclose(greedy, one_by_one, rtol=1e-4, atol=1e-5).reshape(len(obs), -1).all(1)
    if agree.mean() < (0.95 if discrete else 1.0):  # ties may be broken either way
        n = len(obs) - int(agree.sum())
        return False, f"{n} of {len(obs)} actions depend on the other observations of the batch"
    if "sampled" in cell.evaluation.modes and np.array_equal(greedy.repeat(20, 0), sampled):
        return False, f"{len(many)} sampled actions are the deterministic ones"
    return True, f"{len(obs)} observations"


def round_trip(cell: Cell, factory: Factory, trace: Trace) -> Answer:
    """A fresh candidate chooses the same actions after `load`."""
    trained: Any = trace.candidate
    offered = [callable(getattr(trained, name, None)) for name in ("save", "load")]
    if not all(offered):
        missing = " and ".join(
            name for name, there in zip(("save", "load"), offered, strict=True) if not there
        )
        return not any(offered), f"it has no {missing}"
    obs = trace.observations(64)
    with tempfile.TemporaryDirectory() as folder, silence():
        path = str(Path(folder, "candidate"))
        trained.save(path)
        try:
            loaded: Any = entry_point.build(cell, factory)
        except Misbehaved as error:
            return False, str(error)
        loaded.load(path)
        pairs = [_act(candidate, obs) for candidate in (trained, loaded)]
    if not np.allclose(pairs[0], pairs[1], rtol=1e-5, atol=1e-6):
        return False, f"other actions for {len(obs)} observations after load"
    return True, f"{len(obs)} observations"


def _act(candidate: Candidate, obs: np.ndarray) -> np.ndarray:
    return np.asarray(candidate.act(obs.copy(), True), dtype=np.float64)
