"""Running normalisation, compared with sums over all steps of the environments."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from rlparity.validation.checks import Answer
from rlparity.validation.contract.own_agents.comparison import close
from rlparity.validation.contract.own_agents.traced_training import Log

CLIP, EPSILON, PRIOR = 10.0, 1e-8, 1e-4  # of VecNormalize; the prior counts as PRIOR zeros of variance 1


class Sums:
    """Mean and variance of all rows so far, from their sum and the sum of their squares."""

    def __init__(self, shape: tuple[int, ...]):
        self._count, self._sum, self._squares = PRIOR, np.zeros(shape), PRIOR * np.ones(shape)

    def add(self, rows: np.ndarray) -> None:
        """Add rows (N, *shape)."""
        self._count += len(rows)
        self._sum = self._sum + rows.sum(0)
        self._squares = self._squares + np.square(rows).sum(0)

    @property
    def mean(self) -> np.ndarray:
        """Mean, (*shape)."""
        return self._sum / self._count

    @property
    def deviation(self) -> np.ndarray:
        """Standard deviation, (*shape), never 0."""
        variance = self._squares / self._count - np.square(self.mean)
        return np.sqrt(variance + EPSILON)

    def normal(self, rows: np.ndarray) -> np.ndarray:
        """Rows (N, *shape), normalised and clipped."""
        return np.clip((rows - self.mean) / self.deviation, -CLIP, CLIP)


def normalised(log: Log) -> Answer:
    """Compare the normalised observations, successors and rewards of every seed with running sums."""
    gamma = log.cell.hyperparameters.get("gamma", 0.99)
    segment = log.training
    for s in range(len(segment.seeds)):
        obs = Sums(tuple(segment.start.shape[2:]))
        obs.add(_seed(segment.start, s))
        rewards, running = Sums(()), np.zeros(len(segment.seeds[s]))
        for t, (step, received) in enumerate(zip(segment.steps, log.observed, strict=True)):
            truth = {"obs": obs.normal(_seed(step.before, s))}
            obs.add(_seed(step.after, s))
            truth["next_obs"] = obs.normal(_seed(step.step.next_obs, s))
            raw_reward = _seed(step.step.reward, s)
            running = gamma * running + raw_reward
            rewards.add(running)
            truth["reward"] = np.clip(raw_reward / rewards.deviation, -CLIP, CLIP)
            running = np.where(_seed(step.step.last, s) > 0, 0.0, running)
            for name, value in truth.items():
                if not close(_seed(getattr(received, name), s), value):
                    end = " (an episode ended there)" if step.step.last[s].any() else ""
                    return False, f"{name} of step {t + 1}, seed {s}, is not normalised by running sums{end}"
        final = log.recorder.state.get("normaliser.mean")
        if final is not None and not close(final[s].numpy().reshape(obs.mean.shape), obs.mean):
            return False, f"the mean of seed {s} is not that of its observations in training"
    return True, f"{len(segment.steps)} steps of {len(segment.seeds)} seeds"


def viewed(log: Log) -> Answer:
    """The last evaluation normalises its observations by the statistics of training."""
    segments = log.environments[1].segments
    mean, var = (log.recorder.state[f"normaliser.{name}"] for name in ("mean", "var"))
    for step in segments[-1].steps:
        assert step.choice is not None
        truth = ((step.before.double() - mean) / (var + EPSILON).sqrt()).clamp(-CLIP, CLIP)
        if not close(step.choice.obs.numpy(), truth.numpy()):
            return False, "the last evaluation does not normalise by the statistics of training"
    return True, f"{len(segments[-1].steps)} steps"


def _seed(x: Tensor, s: int) -> np.ndarray:
    return x[s].double().numpy()
