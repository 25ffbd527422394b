"""Running normalisation, against sums over all that the worlds have shown."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from rlparity.validation.checks import Answer
from rlparity.validation.contract.own_agents.traced_training import Log, Shown

CLIP, EPSILON, PRIOR = 10.0, 1e-8, 1e-4  # VecNormalize's; the prior counts as so many zeros of variance 1
TOLERANCE = 1e-4  # relative and absolute


class Sums:
    """Mean and variance of all numbers so far, from their sum and the sum of squares."""

    def __init__(self, shape: tuple[int, ...]):
        self._count, self._sum, self._squares = PRIOR, np.zeros(shape), PRIOR * np.ones(shape)

    def add(self, rows: np.ndarray) -> None:
        """Rows (N, *shape)."""
        self._count += len(rows)
        self._sum = self._sum + rows.sum(0)
        self._squares = self._squares + np.square(rows).sum(0)

    @property
    def mean(self) -> np.ndarray:
        """(*shape)"""
        return self._sum / self._count

    @property
    def deviation(self) -> np.ndarray:
        """(*shape), never 0."""
        variance = self._squares / self._count - np.square(self.mean)
        return np.sqrt(variance + EPSILON)

    def normal(self, rows: np.ndarray) -> np.ndarray:
        """Rows as a learner sees them."""
        return np.clip((rows - self.mean) / self.deviation, -CLIP, CLIP)


def normalised(log: Log) -> Answer:
    """Observations, successors and rewards that each seed saw, and what evaluations saw."""
    gamma = log.cell.hyperparameters.get("gamma", 0.99)
    worlds = log.training
    for s in range(len(worlds.seeds)):
        obs = Sums(tuple(worlds.start.shape[2:]))
        obs.add(_seed(worlds.start, s))
        rewards, running = Sums(()), np.zeros(len(worlds.seeds[s]))
        for t, (shown, seen) in enumerate(zip(worlds.shown, log.observed, strict=True)):
            truth = {"obs": obs.normal(_seed(shown.before, s))}
            obs.add(_seed(shown.after, s))
            truth["next_obs"] = obs.normal(_seed(shown.step.next_obs, s))
            paid = _seed(shown.step.reward, s)
            running = gamma * running + paid
            rewards.add(running)
            truth["reward"] = np.clip(paid / rewards.deviation, -CLIP, CLIP)
            running = np.where(_seed(shown.step.last, s) > 0, 0.0, running)
            for name, value in truth.items():
                if not _close(_seed(getattr(seen, name), s), value):
                    return (
                        False,
                        f"{name} of step {t + 1}, seed {s}, is not normalised as by hand{_end(shown, s)}",
                    )
        final = log.rows.state.get("normaliser.mean")
        if final is not None and not _close(final[s].numpy().reshape(obs.mean.shape), obs.mean):
            return False, f"the mean of seed {s} is not that of what it saw in training"
    return True, f"{len(worlds.shown)} steps of {len(worlds.seeds)} seeds"


def viewed(log: Log) -> Answer:
    """The last evaluation sees the observations of its own worlds by the statistics of training."""
    rounds = log.tasks[1].rounds
    mean, var = (log.rows.state[f"normaliser.{name}"] for name in ("mean", "var"))
    for shown in rounds[-1].shown:
        assert shown.choice is not None
        truth = ((shown.before.double() - mean) / (var + EPSILON).sqrt()).clamp(-CLIP, CLIP)
        if not _close(shown.choice.obs.numpy(), truth.numpy()):
            return (
                False,
                "observations of the last evaluation are not normalised by the statistics of training",
            )
    return True, f"{len(rounds[-1].shown)} steps"


def _close(a: np.ndarray, b: np.ndarray) -> bool:
    return bool(np.allclose(a, b, rtol=TOLERANCE, atol=TOLERANCE))


def _seed(x: Tensor, s: int) -> np.ndarray:
    return x[s].double().numpy()


def _end(shown: Shown, s: int) -> str:
    return " (a game ended there)" if shown.step.last[s].any() else ""
