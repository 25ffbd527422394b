"""Diagonal Gaussian policies (..., A), plain or squashed by tanh. Randomness is handed over as numbers."""

from __future__ import annotations

import math

import torch
from torch import Tensor

LOG_2PI = math.log(2 * math.pi)
LEAST = 2.0**-25  # half a step of float32 uniform numbers: keeps the normal ones finite
SQUASH_EPS = 1e-6  # as SB3 has it: log(1 - tanh^2 + 1e-6)


def normal(uniform: Tensor) -> Tensor:
    """Standard normal numbers by the inverse of their cumulative distribution: [0, 1) -> within +-5.4."""
    return torch.special.ndtri(uniform.clamp(LEAST, 1 - 2 * LEAST))


def sample(mean: Tensor, log_std: Tensor, uniform: Tensor) -> Tensor:
    """mean (..., A), log_std and uniform likewise or broadcast -> action (..., A)."""
    return mean + log_std.exp() * normal(uniform)


def log_prob(mean: Tensor, log_std: Tensor, action: Tensor) -> Tensor:
    """log pi(a|s), summed over the components: (..., A) -> (...)."""
    z = (action - mean) * (-log_std).exp()
    return (-0.5 * z.square() - log_std - 0.5 * LOG_2PI).sum(-1)


def entropy(log_std: Tensor) -> Tensor:
    """Entropy in nats, summed over the components: (..., A) -> (...)."""
    return (log_std + 0.5 * (1 + LOG_2PI)).sum(-1)


def slopes(
    mean: Tensor, log_std: Tensor, action: Tensor, by_log_prob: Tensor, by_entropy: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Gradients by mean and log sigma of a sum, from its gradients by log pi(a|s) and by the entropy.

    With z = (a - mean) / sigma: d log pi / d mean = z / sigma, d log pi / d log sigma = z^2 - 1, d H / d log
    sigma = 1. mean, action (S, B, A), log_std (S, 1, A), the rest (S, B) -> (S, B, A), (S, A).
    """
    precision = (-log_std).exp()
    z, by = (action - mean) * precision, by_log_prob.unsqueeze(-1)
    by_log_std = (by * (z.square() - 1)).sum(1)
    if by_entropy is not None:
        by_log_std = by_log_std + by_entropy.sum(1, keepdim=True)
    return by * z * precision, by_log_std


def squashed_log_prob(gaussian_log_prob: Tensor, squashed: Tensor) -> Tensor:
    """log pi of a = tanh(u) from that of u: minus sum log(1 - a^2 + 1e-6).

    Haarnoja et al. 2018, arXiv:1801.01290, appendix C, eq. 21. (...), (..., A) -> (...).
    """
    return gaussian_log_prob - (1 - squashed.square() + SQUASH_EPS).log().sum(-1)
