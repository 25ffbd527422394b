"""log pi(a|s) and entropy for one state: of a categorical policy, or of a diagonal Gaussian one."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from rlparity.validation.gradients.learner import entropy, log_softmax
from rlparity.validation.gradients.plain_networks import PlainNetwork

LOG_STD = "log_std"


def log_prob(network: PlainNetwork, features: Tensor, action: Tensor) -> Tensor:
    """log pi(a|s), (); a Gaussian's is summed over the components: -((a - mu) / sigma)^2 / 2 - log sigma -
    log(2 pi) / 2."""
    outputs = network("actor", features)
    if LOG_STD not in network.vectors:
        return log_softmax(outputs)[int(action)]
    total = torch.zeros((), dtype=torch.float64)
    for mu, log_std, a in zip(outputs, network.vectors[LOG_STD], action.flatten(), strict=True):
        z = (a - mu) / torch.exp(log_std)
        total = total - z * z / 2 - log_std - math.log(2 * math.pi) / 2
    return total


def entropy_of(network: PlainNetwork, features: Tensor) -> Tensor:
    """Entropy of pi(.|s), nats; a Gaussian's: sum of log sigma + log(2 pi e) / 2."""
    if LOG_STD not in network.vectors:
        return entropy(log_softmax(network("actor", features)))
    log_std = network.vectors[LOG_STD]
    return log_std.sum() + len(log_std) * math.log(2 * math.pi * math.e) / 2


def fisher(network: PlainNetwork, features: Tensor) -> Tensor:
    """The Fisher matrix of pi(.|s), (P, P) in the order of `PlainNetwork.parameters`.

    Categorical: sum_a pi(a) g_a g_a^T with g_a = grad log pi(a). Gaussian: sum_i grad mu_i grad mu_i^T /
    sigma_i^2, and 2 for each log sigma_i.
    """
    outputs = network("actor", features)
    n = sum(p.numel() for p in network.parameters())
    found = torch.zeros(n, n, dtype=torch.float64)
    if LOG_STD not in network.vectors:
        log_pi = log_softmax(outputs)
        for one in log_pi:
            slope = flat(network, one)
            found += one.exp().item() * torch.outer(slope, slope)
        return found
    log_std = network.vectors[LOG_STD].detach()
    for mu, spread in zip(outputs, log_std, strict=True):
        slope = flat(network, mu)
        found += torch.outer(slope, slope) / spread.exp() ** 2
    start = n - len(log_std)
    for i in range(start, n):
        found[i, i] += 2
    return found


def divergence(new: PlainNetwork, old: PlainNetwork, features: Tensor) -> float:
    """KL(new || old) of the policies in one state, nats."""
    with torch.no_grad():
        p, q = new("actor", features), old("actor", features)
        if LOG_STD not in new.vectors:
            a, b = log_softmax(p), log_softmax(q)
            return float((a.exp() * (a - b)).sum())
        total = 0.0
        widths = zip(p, q, new.vectors[LOG_STD], old.vectors[LOG_STD], strict=True)
        for mu, other, log_std, log_other in widths:
            ratio = (log_std - log_other).exp() ** 2
            total += float(
                ratio / 2 + ((mu - other) / log_other.exp()) ** 2 / 2 - 0.5 - (log_std - log_other)
            )
        return total


def flat(network: PlainNetwork, value: Tensor) -> Tensor:
    """The gradient of a number by all parameters, (P,)."""
    slopes = torch.autograd.grad(value, network.parameters(), retain_graph=True, materialize_grads=True)
    return torch.cat([slope.flatten() for slope in slopes])
