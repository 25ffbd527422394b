"""Seeds: repeated, alone and in a block, interrupted, failed; and independent random streams."""

from __future__ import annotations

import signal
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rlparity.agents import base as agents
from rlparity.cell import Cell
from rlparity.errors import Interrupted
from rlparity.seeding import Streams
from rlparity.training import run as train
from rlparity.training.checkpointing import Checkpointer
from rlparity.training.recorder import Recorder
from rlparity.transitions import Episode
from rlparity.validation.checks import Answer
from rlparity.validation.contract.own_agents import traced_training
from rlparity.validation.contract.own_agents.traced_training import Log, Segment
from rlparity.validation.plain_environments import starts_vary
from rlparity.validation.tables import measured

RTOL, ATOL = 1e-4, 1e-5  # for returns of a seed that was trained in a block of another size
STATE = 1e-2  # for its parameters, relative to the largest


def rows_of(recorder: Recorder, seed: int) -> list[dict[str, Any]]:
    """All episode and evaluation rows of one seed."""
    return [row for row in (*recorder.episodes, *recorder.evaluations) if row["seed"] == seed]


def same(first: Log, second: Log) -> Answer:
    """Compare all rows and parameters of two trainings, bit by bit."""
    a, b = first.recorder, second.recorder
    if a.episodes != b.episodes:
        return False, f"episodes of training differ: {_first(a.episodes, b.episodes)}"
    if a.evaluations and b.evaluations and a.evaluations != b.evaluations:
        return False, f"evaluations differ: {_first(a.evaluations, b.evaluations)}"
    for name, value in a.state.items():
        if not torch.equal(value, b.state[name]):
            return False, f"{name} differs, by up to {(value - b.state[name]).abs().max():.2g}"
    return True, f"{len(a.episodes)} episodes, {len(a.evaluations)} evaluations, {len(a.state)} tensors"


def _first(a: list[dict[str, Any]], b: list[dict[str, Any]]) -> str:
    for one, other in zip(a, b, strict=False):
        if one != other:
            return f"{measured(one):g} and {measured(other):g} near step {one['env_step']}"
    return f"{len(a)} and {len(b)} rows"


def finite(*logs: Log) -> Answer:
    """No seed fails, and no parameter or recorded value is NaN or infinite."""
    for log in logs:
        for seed, reason in log.recorder.failed.items():
            return False, f"seed {seed} failed in {log.cell.environment}: {reason}"
        values = [measured(row) for row in (*log.recorder.episodes, *log.recorder.evaluations)]
        if not np.isfinite(values).all():
            return False, f"a value in {log.cell.environment} is not finite"
        for name, value in log.recorder.state.items():
            if not value.isfinite().all():
                return False, f"{name} is not finite after training in {log.cell.environment}"
    return True, " and ".join(f"{log.cell.budget} steps of {log.cell.environment}" for log in logs)


def among_others(block: Log, alone: Log) -> Answer:
    """Compare rows and parameters of a seed in a block with the seed alone, up to rounding."""
    (seed,) = alone.cell.seeds
    s = block.cell.seeds.index(seed)
    ours, theirs = rows_of(block.recorder, seed), rows_of(alone.recorder, seed)
    if len(ours) != len(theirs):
        return False, f"seed {seed} has {len(ours)} rows in a block and {len(theirs)} alone"
    for a, b in zip(ours, theirs, strict=True):
        if not np.isclose(measured(a), measured(b), rtol=RTOL, atol=ATOL):
            values = f"{measured(a):g} in a block, {measured(b):g} alone"
            return False, f"an episode of seed {seed} returns {values}"
    worst = 0.0
    for name, value in alone.recorder.state.items():
        both = block.recorder.state[name][s].double(), value[0].double()
        worst = max(worst, float((both[0] - both[1]).abs().max() / both[1].abs().max().clamp(min=1e-12)))
    detail = f"parameters of seed {seed} differ by up to {worst:.1g}"
    return worst < STATE, f"{detail} from those of the seed alone" if worst else "to the last bit"


def all_differ(log: Log) -> Answer:
    """Seeds start with different parameters, and all sub-environments have different exploration streams."""
    initial = log.initial
    for name, value in initial.items():
        if value.shape[0] > 1 and value[0].numel() > 1 and value[0].unique().numel() > 1:
            for s in range(1, len(value)):
                if torch.equal(value[0], value[s]):
                    return (
                        False,
                        f"{name} of seeds {log.cell.seeds[0]} and {log.cell.seeds[s]} starts the same",
                    )
    numbers = torch.stack([choice.explore for choice in log.choices if choice.explore is not None])
    streams = numbers.flatten(3).permute(1, 2, 3, 0).flatten(0, 2)  # (S * N * uniforms, T)
    different = len({stream.numpy().tobytes() for stream in streams})
    if different < len(streams):
        return False, f"{len(streams)} streams of exploration, of which {different} are different"
    middle = float(numbers.mean())
    if not abs(middle - 0.5) < 6 * 0.29 / numbers.numel() ** 0.5:
        return False, f"random numbers of exploration have mean {middle:.3f}, not 0.5"
    return True, f"{len(streams)} streams of {len(numbers)} numbers"


def no_shared_streams(log: Log) -> Answer:
    """All sub-environments, in training and in evaluations, have different seeds and first states."""
    segments: list[Segment] = [segment for env in log.environments for segment in env.segments]
    seeds = [seed for segment in segments for row in segment.seeds for seed in row]
    if (different := len(set(seeds))) < len(seeds):
        return (
            False,
            f"{len(seeds)} sub-environments, of which {len(seeds) - different} repeat another's seed",
        )
    starts = [start.numpy().tobytes() for segment in segments for start in segment.start.flatten(0, 1)]
    if starts_vary(log.cell.environment) and (different := len(set(starts))) < len(starts):
        return False, f"{len(starts)} sub-environments, of which {len(starts) - different} start like another"
    return True, f"{len(seeds)} sub-environments"


def interrupted(log: Log) -> Answer:
    """A training that is saved, interrupted and resumed leaves the same rows as an uninterrupted one."""
    cell = log.cell
    middle = cell.budget * 6 // 10
    with tempfile.TemporaryDirectory() as folder:
        checkpointer = Checkpointer(cell, Path(folder, "checkpoint"))

        def interrupt(env_step: int, ended: Iterable[Episode]) -> None:
            if env_step >= middle:
                checkpointer.signal = signal.SIGTERM

        with suppress(Interrupted):
            train.run(cell, interrupt, checkpointer=checkpointer)
        again = Log(cell, train.run(cell, checkpointer=Checkpointer(cell, Path(folder, "checkpoint"))))
    passed, detail = same(log, again)
    return passed, f"saved at step {middle}; {detail}"


def failed(healthy: Log) -> Answer:
    """A seed with NaN rewards is frozen and named, its earlier rows stay, and other seeds do not change."""
    cell = healthy.cell
    broken = traced_training.run(cell, nan_seed=1)
    victim = cell.seeds[1]
    if set(broken.recorder.failed) != {victim}:
        return False, f"rewards of seed {victim} were NaN; failed are {sorted(broken.recorder.failed)}"
    for seed in set(cell.seeds) - {victim}:
        if rows_of(broken.recorder, seed) != rows_of(healthy.recorder, seed):
            return False, f"rows of seed {seed} change with the failure of seed {victim}"
    if not rows_of(broken.recorder, victim):
        return False, f"rows of seed {victim} from before it failed are lost"
    if not all(value.isfinite().all() for value in broken.recorder.state.values()):
        return False, "its parameters are no longer finite"
    return True, broken.recorder.failed[victim]


def loaded(log: Log) -> Answer:
    """A fresh agent chooses the same actions after it has loaded saved parameters."""
    cell, spec = log.cell, log.environments[0].spec
    other = Streams(Cell(**{**vars(cell), "suite": "", "seeds": tuple(seed + 100 for seed in cell.seeds)}))
    fresh = agents.build(cell.agent, spec, dict(cell.hyperparameters), other, cell.budget)
    obs = torch.stack([step.obs for step in log.observed[-20:]], 2).flatten(1, 2)
    before = fresh.act(obs)
    agents.load_state_dict(
        fresh, {name: value.clone() for name, value in agents.state_dict(log.agent).items()}
    )
    ours, theirs = log.agent.act(obs), fresh.act(obs)
    if not torch.equal(ours, theirs):
        return False, f"{_share(ours, theirs)} of {obs.shape[1]} actions differ after loading"
    return True, f"{obs.shape[1]} observations; {_share(before, ours)} of the actions differed before"


def _share(a: Tensor, b: Tensor) -> str:
    return f"{float((a != b).flatten(1).double().mean()):.0%}"
