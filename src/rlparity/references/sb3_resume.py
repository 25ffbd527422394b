"""Resume Stable-Baselines3's on-policy algorithms where environments are not saved.

A checkpoint falls between two rollouts: the buffer is empty, and what is left of a training is its networks,
optimiser, clock and rows. It goes on with new episodes and new random streams, named by how often it was
resumed; schedules follow the clock. An off-policy algorithm starts again: its replay memory would have to be
written whole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from torch import Tensor

from rlparity import registry
from rlparity.cell import Cell
from rlparity.training.checkpointing import Checkpointer
from rlparity.training.evaluation import View

if TYPE_CHECKING:
    from rlparity.references.sb3 import Training


def resumable(cell: Cell) -> bool:
    """Whether a reference's cell may go on from a checkpoint: its environments promise no identical records,
    it has no replay memory, and no running statistics."""
    exact = registry.family(cell.environment).resumes_exactly
    return not exact and not cell.normalize and issubclass(registry.reference(cell.agent), OnPolicyAlgorithm)


def attach(training: Training, checkpointer: Checkpointer) -> Callable[[Training], int]:
    """Let a checkpointer save a training between rollouts; returns what restores it, see `sb3.train`."""
    session = Session(training)

    def between_rollouts() -> None:
        session.reach_boundary()
        checkpointer(session)

    def interruptible(seen: View) -> View:
        def watched(obs: Tensor) -> Tensor:
            if checkpointer.signal is not None and session.is_between_rollouts:
                checkpointer.end(session, checkpointer.signal)
            return seen(obs)

        return watched

    def restore(training: Training) -> int:
        checkpointer.restore(session)
        return checkpointer.times_resumed

    training.between_rollouts, training.interruptible = between_rollouts, interruptible
    return restore


class Session:
    """What a checkpoint of a reference holds; see `rlparity.training.run.Session`."""

    def __init__(self, training: Training):
        self._training = training
        self._boundary = 0  # environment step of the last boundary between two rollouts

    @property
    def env_step(self) -> int:
        """Environment steps so far."""
        return self._training.environments.env_step

    @property
    def is_between_rollouts(self) -> bool:
        """Whether a checkpoint taken now misses nothing."""
        return self._boundary == self.env_step

    def reach_boundary(self) -> None:
        """A rollout begins, or the budget is spent."""
        self._boundary = self.env_step

    def snapshot(self) -> dict[str, Any]:
        """Parameters, optimiser, update count, last metrics, step count and rows."""
        assert self.is_between_rollouts
        model: Any = self._training.model
        logged = model.logger.name_to_value.items()
        return {
            "parameters": model.get_parameters(),
            "n_updates": model._n_updates,
            "metrics": {name: float(value) for name, value in logged if value is not None},
            "env_step": self.env_step,
            "point": self._training.point,
            "recorder": self._training.recorder.snapshot(),
        }

    def resume(self, state: Mapping[str, Any]) -> None:
        """Go on from a `snapshot`, with whatever episodes the environments start."""
        model: Any = self._training.model
        model.set_parameters(state["parameters"], device=model.device)
        model._n_updates, model.num_timesteps = state["n_updates"], state["env_step"]
        model.logger.name_to_value.update(state["metrics"])
        self._training.environments.env_step = self._boundary = state["env_step"]
        self._training.point = state["point"]
        self._training.recorder.resume(state["recorder"])
