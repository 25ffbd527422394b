"""Whatever runs in a training lies in its cell's fingerprint."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest
import small
import torch
from small import Protocol

from rlparity import registry
from rlparity.cell import Cell
from rlparity.provenance import definition_text, definitions, fingerprint, modules, source_code
from rlparity.seeding import Streams
from rlparity.training import loop, rows
from rlparity.training.evaluation import Evaluator

pytestmark = pytest.mark.probes

BRIEF = Protocol(points=2, episodes=2, final_episodes=3)
NEUTRAL = {f"rlparity.{name}" for name in definition_text.NEUTRAL}


class Rows:
    """A recorder of rows alone."""

    evaluation_time_s = 0.0

    def __init__(self, cell: Cell) -> None:
        self.cell, self.failed = cell, dict[int, str]()

    def ended(self, episodes: Any) -> None:
        rows.of_episodes(self.cell, self.failed, episodes)

    def evaluated(self, env_step: int, outcomes: Any, _: Any) -> None:
        rows.of_evaluation(self.cell, self.failed, env_step, outcomes)

    def on_policy(self, *_: Any) -> None: ...


def train(cell: Cell) -> None:
    if cell.implementation == registry.REFERENCE:
        from rlparity.references import sb3

        recorder: Any = Rows(cell)
        training = sb3.Training(cell, recorder, Evaluator(cell, Streams(cell)), True)
        sb3.train(training, lambda *_: None, lambda _: 0)
        return
    random = Streams(cell)
    training, evaluator = loop.build(cell, random), Evaluator(cell, random)

    def evaluate(at: loop.Training) -> loop.Evaluation:
        return loop.evaluation(at, evaluator, at.view)

    recorder = Rows(cell)
    for event in loop.loop(training, evaluate):
        if isinstance(event, loop.Evaluation):
            recorder.evaluated(*event)
        else:
            recorder.ended(event.episodes)


def definition(module: str, code: CodeType) -> str:
    """The top-level definition that a function belongs to; a lambda has the name of its statement."""
    name = code.co_qualname.split(".")[0]
    for other, statements in modules.module(module).definitions.items():
        for one in statements:
            if name == "<lambda>" and one.lineno <= code.co_firstlineno <= (one.end_lineno or 0):
                return other
    return name


def traced(cell: Cell) -> set[tuple[str, str]]:
    """(module, top-level name) of every function of the package that ran."""
    found: set[CodeType] = set()

    def profile(frame: FrameType, event: str, _: Any) -> None:
        if event == "call":
            found.add(frame.f_code)

    train(cell)  # once before, so that nothing is imported under the profile
    sys.setprofile(profile)
    try:
        train(cell)
    finally:
        sys.setprofile(None)
    ran = set()
    for code in found:
        path = Path(code.co_filename)
        if path.is_relative_to(source_code.PACKAGE):
            parts = path.relative_to(source_code.PACKAGE.parent).with_suffix("").parts
            module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            ran.add((module, definition(module, code)))
    return ran


def cells() -> dict[str, Cell]:
    made = {name: small.cell(name, (0, 1), budget=300, evaluation=BRIEF) for name in small.CONFIGURATIONS}
    for name in ("ppo", "a2c", "trpo"):
        made[f"{name} continuous"] = small.cell(name, environment="Pendulum-v1", budget=300, evaluation=BRIEF)
    made["random"] = replace(made["random"], evaluation=replace(BRIEF, modes=("sampled",)))
    epsilon = replace(BRIEF, modes=("epsilon-0.05", "sampled"))
    made["ppo normalised, sampled"] = replace(made["ppo"], normalize=True, evaluation=epsilon)
    for name in ("a2c", "ppo", "dqn", "qrdqn", "trpo", "ddpg", "td3", "sac"):
        made[f"sb3 {name}"] = replace(made[name], implementation="sb3", seeds=(0,))
    made["sb3 ppo normalised"] = replace(made["sb3 ppo"], normalize=True)
    return made


CELLS = cells()


@pytest.mark.parametrize("name", CELLS)
def test_whatever_runs_lies_in_the_fingerprint(name: str) -> None:
    torch.set_num_threads(1)
    cell = CELLS[name]
    ran = traced(cell)
    counted = set(definitions.reached(fingerprint.roots(cell), fingerprint.used(cell)))
    outside = {place for place in ran - counted if place[0] not in NEUTRAL}
    kernel = {place for place in outside if place[0].startswith(f"{fingerprint.KERNEL}.")}
    assert bool(kernel) == fingerprint.computed_by_kernel(cell)  # which counts whole
    assert not outside - kernel
    assert len(ran) > 20
