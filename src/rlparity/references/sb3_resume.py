"""What Stable-Baselines3's on-policy algorithms go on from where worlds are not saved.

A checkpoint falls between two rollouts: the buffer is empty, and what is left of a training is its networks,
optimiser, clock and rows. It goes on with new games and new random streams, named by how often it was
resumed; schedules follow the clock. An off-policy algorithm starts again: its replay memory would have to be
written whole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm

from rlparity import registry
from rlparity.cell import Cell
from rlparity.references.sb3_environments import RecordedEnvironments
from rlparity.training.recorder import Recorder


def resumable(cell: Cell) -> bool:
    """Whether a reference's cell may go on from a checkpoint: its worlds promise no identical records, it has
    no replay memory, and no running statistics."""
    task = import_module(registry.family(cell.environment))
    exact = getattr(task, "RESUMES_EXACTLY", True)
    return not exact and not cell.normalize and issubclass(registry.reference(cell.agent), OnPolicyAlgorithm)


class Training:
    """A reference in training, between two rollouts; see `train.Training`."""

    def __init__(self, model: BaseAlgorithm, recorder: RecordedEnvironments, rows: Recorder):
        self.model, self.rows = model, rows
        self.point = 0  # the next of the protocol's evaluations
        self._recorder = recorder
        self._boundary = 0  # environment step of the last boundary between two rollouts

    @property
    def env_step(self) -> int:
        """Environment steps so far."""
        return self._recorder.env_step

    @property
    def between_rollouts(self) -> bool:
        """Whether a checkpoint taken now misses nothing."""
        return self._boundary == self.env_step

    def reach_boundary(self) -> None:
        """A rollout begins, or the budget is spent."""
        self._boundary = self.env_step

    def snapshot(self) -> dict[str, Any]:
        """Parameters, optimiser, the update count and what the last update said, clock and rows."""
        assert self.between_rollouts
        model: Any = self.model
        said = {name: float(value) for name, value in model.logger.name_to_value.items() if value is not None}
        return {
            "parameters": model.get_parameters(),
            "n_updates": model._n_updates,
            "metrics": said,
            "env_step": self.env_step,
            "point": self.point,
            "rows": self.rows.snapshot(),
        }

    def resume(self, state: Mapping[str, Any]) -> None:
        """Go on from a `snapshot`, with whatever games the worlds start."""
        model: Any = self.model
        model.set_parameters(state["parameters"], device=model.device)
        model._n_updates, model.num_timesteps = state["n_updates"], state["env_step"]
        model.logger.name_to_value.update(state["metrics"])
        self._recorder.env_step = self._boundary = state["env_step"]
        self.point = state["point"]
        self.rows.resume(state["rows"])


class BeforeRollout(BaseCallback):
    """Calls a function whenever a rollout is about to begin, after the update that came before it."""

    def __init__(self, call: Callable[[], None]):
        super().__init__()
        self._call = call

    def _on_rollout_start(self) -> None:
        self._call()

    def _on_step(self) -> bool:
        return True
