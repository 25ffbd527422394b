"""Seeds of one block with different fates, each beside itself alone, step by step.

One seed's rewards become NaN, another's are infinite from the start, one's episodes end with every step,
one's never end, one's rewards are so large that trust regions and divergence limits stop its updates early.
After every step each seed must have the parameters, moments, metrics and actions that it has without the
others, learn at the same steps, and a seed that has failed must stay as it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from rlparity.agents import base as agents
from rlparity.cell import Cell
from rlparity.environments.base import EnvSpec
from rlparity.nn.networks import Network
from rlparity.nn.optimizers import Optimizer
from rlparity.seeding import Streams
from rlparity.suites import hyperparameters
from rlparity.training import object_state
from rlparity.transitions import Step
from rlparity.validation.checks import Answer
from rlparity.validation.contract.own_agents import seeds as rows
from rlparity.validation.contract.own_agents import traced_training
from rlparity.validation.contract.own_agents.traced_training import Log
from rlparity.validation.gradients import experience

FATES = ("ordinary", "NaN", "large", "never ending", "always ending", "infinite")
STEPS, N_ENVS, BROKEN, OFTEN = 40, 2, 18, 5
LARGE = 300.0
STRICT: dict[str, Any] = {"target_kl": 0.003, "learning_rate_schedule": "linear"}  # stops some, changes all
NEAR = 1e-4  # relative difference, where rounding depends on how many seeds there are


def undisturbed(cell: Cell, spec: EnvSpec) -> Answer | None:
    """No fate of a neighbour changes a seed's course; None if nothing is learned."""
    known = hyperparameters.config(cell.agent)
    values = {**cell.hyperparameters, **{name: x for name, x in STRICT.items() if name in known}}
    block = _made(cell, spec, values, range(len(FATES)))
    if not hasattr(block, "update"):
        return None
    single = [_made(cell, spec, values, [s]) for s in range(len(FATES))]
    steps = [fated(step, t) for t, step in enumerate(_experience(spec))]
    frozen: dict[int, list[Tensor]] = {}
    times = [0] * len(FATES)
    for t, step in enumerate(steps):
        metrics = block.observe(_copied(step, slice(None)))
        for s, one in enumerate(single):
            its = one.observe(_copied(step, slice(s, s + 1)))
            where = f"after step {t + 1} the seed whose fate is {FATES[s]!r}"
            if bool(block.alive[s]) != bool(one.alive[0]):
                among, alone = ("not failed", "it has") if block.alive[s] else ("failed", "it has not")
                return False, f"{where} has {among}, while alone {alone}"
            times[s] += bool(its)
            for name, a, b in _pairs(block, one, s):
                if not _close(a, b):
                    return False, f"{where} has other {name} than alone"
            if not block.alive[s]:
                held = frozen.setdefault(s, [x.clone() for x in _learned(block, s)])
                if not all(map(_close, _learned(block, s), held)):
                    return False, f"{where} goes on learning after it failed"
                continue
            for name, value in its.items():
                if name not in metrics or not _close(metrics[name][s], value[0]):
                    return False, f"{where} has another {name} than alone"
            for explore in (None, _uniforms(one.uniforms, t)) if t % OFTEN == 0 else ():
                if not _close(
                    _acted(block, step.obs, explore)[s], _acted(one, step.obs[s : s + 1], explore)[0]
                ):
                    return False, f"{where} acts otherwise than alone"
    if len(frozen) != FATES.index("NaN") + 1:
        return False, f"{len(frozen)} seeds failed; {FATES[1]} and {FATES[-1]} rewards should have made them"
    return True, f"{', '.join(map(str, times))} updates of {len(FATES)} seeds in {STEPS} steps"


def _made(cell: Cell, spec: EnvSpec, values: dict[str, Any], seeds: Any) -> Any:
    own = replace(cell, seeds=tuple(seeds))
    shape = spec._replace(n_seeds=len(own.seeds), n_envs=N_ENVS)
    return agents.build(cell.agent, shape, dict(values), Streams(own), STEPS * N_ENVS * 5 // 4)


def _experience(spec: EnvSpec) -> list[Step]:
    shape = spec._replace(n_seeds=len(FATES), n_envs=N_ENVS)
    return [experience.as_single(step) for step in experience.steps(shape, STEPS)]


def fated(step: Step, t: int) -> Step:
    """A step with the fates of its seeds."""
    reward, discount, last = (x.clone() for x in (step.reward, step.discount, step.last))
    if t >= BROKEN:
        reward[1] = torch.nan
    reward[2] *= LARGE
    last[3], discount[3] = 0, 1
    last[4] = 1
    reward[5] = torch.inf
    return step._replace(reward=reward, discount=discount, last=last)


def _copied(step: Step, seeds: slice) -> Step:
    return Step(*(x[seeds].clone() for x in step))


def _uniforms(n: int, t: int) -> Tensor:
    """(1, N, n) for every seed the same."""
    return torch.rand(1, N_ENVS, n, generator=torch.Generator().manual_seed(t))


def _acted(agent: Any, obs: Tensor, explore: Tensor | None) -> Tensor:
    found: Tensor = agent.act(obs, None if explore is None else explore.expand(len(obs), -1, -1))
    return found


def _pairs(block: Any, one: Any, s: int) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Parameters and moments of seed s in the block and alone."""
    for kind in (Network, Optimizer):
        for ours, theirs in zip(object_state.find(block, kind), object_state.find(one, kind), strict=True):
            if isinstance(ours, Network):
                yield "parameters", ours.theta.detach()[s], theirs.theta.detach()[0]
            else:
                yield "counts of updates", ours._counts[s], theirs._counts[0]
                for a, b in zip(ours._moments, theirs._moments, strict=True):
                    yield "moments", a[s], b[0]


def _learned(agent: Any, s: int) -> list[Tensor]:
    """Parameters and moments of seed s that a frozen seed keeps: targets may still become copies of them."""
    optimizers = object_state.find(agent, Optimizer)
    moments = [x[s] for optimizer in optimizers for x in (*optimizer._moments, optimizer._counts)]
    return [*moments, *(optimizer.network.theta.detach()[s] for optimizer in optimizers)]


def _close(a: Tensor, b: Tensor) -> bool:
    if torch.equal(a, b):
        return True
    x, y = a.double().nan_to_num(1e30), b.double().nan_to_num(1e30)
    return bool((x - y).abs().max() <= NEAR * y.abs().max().clamp(min=1e-6)) if x.numel() else True


def outlived(healthy: Log) -> Answer | None:
    """When the first seed fails, the others' rows, metrics, points of evaluation and parameters stay the
    same, to the last bit; the failed one's rows up to then, too; None if nothing is learned."""
    cell = healthy.cell
    if not hasattr(healthy.agent, "update"):
        return None
    broken = traced_training.run(cell, nan_seed=0)
    if set(broken.recorder.failed) != {cell.seeds[0]}:
        return False, f"rewards of seed {cell.seeds[0]} were NaN; failed are {sorted(broken.recorder.failed)}"
    for s, seed in enumerate(cell.seeds[1:], 1):
        ours, theirs = (rows.rows_of(log.recorder, seed) for log in (broken, healthy))
        if ours != theirs:
            return False, f"rows of seed {seed} change with the failure of seed {cell.seeds[0]}"
        if _metrics(broken, seed) != _metrics(healthy, seed):
            return False, f"metrics of seed {seed} change with the failure of seed {cell.seeds[0]}"
        for name, value in healthy.recorder.state.items():
            if not torch.equal(broken.recorder.state[name][s], value[s]):
                return False, f"{name} of seed {seed} changes with the failure of seed {cell.seeds[0]}"
    victim = [rows.rows_of(log.recorder, cell.seeds[0]) for log in (broken, healthy)]
    if not all(row in victim[1] for row in victim[0] if row["env_step"] <= _first_broken(cell)):
        return False, f"rows of seed {cell.seeds[0]} from before it failed are others"
    return True, broken.recorder.failed[cell.seeds[0]]


def _first_broken(cell: Cell) -> int:
    return traced_training.NAN_AFTER * cell.n_envs


def _metrics(log: Log, seed: int) -> list[str]:
    """Metrics but the clock's, as text, so that NaN is NaN."""
    found = [row for row in log.recorder.progress if row["seed"] == seed]
    timeless = [row for row in found if row["metric"] != "evaluation_time_s"]
    return [str({name: x for name, x in row.items() if name != "wall_time_s"}) for row in timeless]
