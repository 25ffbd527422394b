"""Train our own agent of a cell: the loop, with a recorder and a checkpointer around it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from rlparity.agents import base as agents
from rlparity.cell import Cell
from rlparity.seeding import Streams
from rlparity.training import loop
from rlparity.training.evaluation import Evaluator
from rlparity.training.recorder import OnEpisodes, Recorder, State, ignore

if TYPE_CHECKING:
    from rlparity.training.checkpointing import Checkpointer


@dataclass
class Session:
    """What a checkpoint holds: a training, and what has been recorded of it."""

    training: loop.Training
    recorder: Recorder

    @property
    def env_step(self) -> int:
        """Environment steps of each seed so far."""
        return self.training.env_step


def run(
    cell: Cell,
    on_episodes: OnEpisodes = ignore,
    evaluate: bool = True,
    checkpointer: Checkpointer | None = None,
    recorder: Recorder | None = None,
) -> Recorder:
    """Train the agent of a cell on all its seeds at once.

    `on_episodes` is called after every step. With a checkpointer, an interrupted training is resumed. A
    `recorder` that is handed in has everything up to the step in which `on_episodes` raised.
    """
    random = Streams(cell)
    evaluator, recorder = Evaluator(cell, random), recorder or Recorder(cell)
    training = loop.build(cell, random)
    session = Session(training, recorder)
    recorder.start()
    if checkpointer:
        checkpointer.restore(session)
        checkpointer(session)
    try:
        for event in loop.loop(training, _evaluation(session, evaluator, checkpointer) if evaluate else None):
            recorder.take(event)
            if isinstance(event, loop.Evaluation):
                recorder.on_policy(event.env_step, lambda: state(training))
                continue
            on_episodes(event.env_step, event.episodes)
            if checkpointer:
                checkpointer(session)
    finally:
        evaluator.close()
        training.env.close()
    recorder.finish()
    recorder.state = state(training)
    return recorder


def departures(cell: Cell) -> list[str]:
    """In what the agent of a cell departs from its paper."""
    return list(agents.module(cell.agent).DEPARTURES)


def state(training: loop.Training) -> State:
    """What the policy acts with: its parameters, and the statistics that normalise observations."""
    found = agents.state_dict(training.agent)
    if hasattr(training.env, "state_dict"):
        found |= {f"normaliser.{name}": value for name, value in training.env.state_dict().items()}
    return found


def _evaluation(session: Session, evaluator: Evaluator, checkpointer: Checkpointer | None) -> loop.Evaluate:
    """Evaluate, measure the time it takes, and stop in the middle of it if a signal asks for that."""

    def evaluate(training: loop.Training) -> loop.Evaluation:
        def view(obs: Tensor) -> Tensor:
            if checkpointer and checkpointer.signal is not None:
                checkpointer.end(session, checkpointer.signal)
            return training.view(obs)

        started = time.perf_counter()
        found = loop.evaluation(training, evaluator, view)
        session.recorder.evaluation_time_s += time.perf_counter() - started
        return found

    return evaluate
