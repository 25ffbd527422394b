"""Categorical policies from logits (..., A). Randomness is handed over as uniform numbers."""

from __future__ import annotations

import torch
from torch import Tensor


def sample(logits: Tensor, uniform: Tensor) -> Tensor:
    """Inverse of the cumulative distribution: logits (..., A), uniform (...) in [0, 1) -> action (...)."""
    cumulative = torch.softmax(logits, -1).cumsum(-1)[..., :-1]
    return (uniform.unsqueeze(-1) >= cumulative).sum(-1)


def log_prob(logits: Tensor, action: Tensor) -> Tensor:
    """log pi(a|s): logits (..., A), action (...) -> (...)."""
    return torch.log_softmax(logits, -1).gather(-1, action.unsqueeze(-1)).squeeze(-1)


def log_prob_and_entropy(logits: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
    """log pi(a|s) and the entropy of pi(.|s) in nats, each (...)."""
    log_pi = torch.log_softmax(logits, -1)
    entropy = -(log_pi.exp() * log_pi).sum(-1)
    return log_pi.gather(-1, action.unsqueeze(-1)).squeeze(-1), entropy


def entropy(log_pi: Tensor) -> Tensor:
    """Entropy in nats from log pi(.|s): (..., A) -> (...)."""
    return -(log_pi.exp() * log_pi).sum(-1)


def slopes(log_pi: Tensor, action: Tensor, by_log_prob: Tensor, by_entropy: Tensor | None) -> Tensor:
    """Gradient by the logits of a sum, from its gradients by log pi(a|s) and by the entropy of pi(.|s).

    With p = pi(.|s) and H its entropy: d log pi(a|s) / d logits = 1_a - p, d H / d logits = -p (log p + H).
    log_pi (..., A), the rest (...) -> (..., A); None: no entropy in the sum.
    """
    pi, by = log_pi.exp(), by_log_prob.unsqueeze(-1)
    found = (pi * -by).scatter_add_(-1, action.unsqueeze(-1), by)
    if by_entropy is not None:
        found -= by_entropy.unsqueeze(-1) * pi * (log_pi + entropy(log_pi).unsqueeze(-1))
    return found
