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
