"""Kullback-Leibler divergences between policies of one kind, and their curvature where both are the same.

The curvature is the Fisher information in terms of what the network answers (Martens 2020, arXiv:1412.1193,
sections 5 and 9.2): it is what the Gauss-Newton product puts between J and its transpose.
"""

from __future__ import annotations

import torch
from torch import Tensor


def categorical(logits: Tensor, other: Tensor) -> Tensor:
    """KL(p || q) in nats from the logits of p and q: (..., A) -> (...)."""
    log_p, log_q = torch.log_softmax(logits, -1), torch.log_softmax(other, -1)
    return (log_p.exp() * (log_p - log_q)).sum(-1)


def categorical_fisher(logits: Tensor, tangent: Tensor) -> Tensor:
    """(diag(p) - p p^T) u for a change u of the logits: (..., A), (..., A) -> (..., A)."""
    p = torch.softmax(logits, -1)
    return p * (tangent - (p * tangent).sum(-1, keepdim=True))


def gaussian(mean: Tensor, log_std: Tensor, other_mean: Tensor, other_log_std: Tensor) -> Tensor:
    """KL(p || q) in nats of diagonal Gaussians, summed over the components: (..., A) -> (...).

    log(s_q / s_p) + (s_p^2 + (m_p - m_q)^2) / (2 s_q^2) - 1/2 for each component.
    """
    narrower = other_log_std - log_std
    distance = ((mean - other_mean) * (-other_log_std).exp()).square()
    return (narrower + 0.5 * ((-2 * narrower).exp() + distance - 1)).sum(-1)


def gaussian_fisher(log_std: Tensor, tangent: Tensor) -> Tensor:
    """u / sigma^2 for a change u of the means: (..., A), (..., A) -> (..., A).

    For a change of log sigma it is 2 whatever the policy, and nothing couples the two.
    """
    return tangent * (-2 * log_std).exp()
