"""Divergence and Fisher information of a policy, for trust regions.

Schulman et al. 2015, arXiv:1502.05477, appendix C.1: F v = J^T H J v, J being the derivative of the network's
outputs by its parameters and H the curvature of the divergence by the outputs.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from rlparity.nn.distributions import kl_divergence
from rlparity.nn.jacobian import Jacobian
from rlparity.nn.networks import Network
from rlparity.nn.policies import Gaussian, Policy


def divergence(policy: Policy, network: Network, old: Network, obs: Tensor) -> Tensor:
    """KL(pi || pi of the old network) in nats, (S, B)."""
    if not isinstance(policy, Gaussian):
        return kl_divergence.categorical(network("actor", obs), old("actor", obs))
    log_std, old_log_std = (n.vectors["log_std"] for n in (network, old))
    return kl_divergence.gaussian(policy.mean(network, obs), log_std, policy.mean(old, obs), old_log_std)


def fisher(policy: Policy, network: Network, obs: Tensor) -> Callable[[Tensor], Tensor]:
    """v -> F v, (S, P) -> (S, P): F is the Fisher information of the policy, mean over the batch, and the
    Hessian of its mean divergence from the same policy by the parameters."""
    jacobian = Jacobian(network, "actor", obs)
    product = _gaussian_product if isinstance(policy, Gaussian) else _categorical_product
    return lambda v: product(jacobian, v)


def _categorical_product(jacobian: Jacobian, v: Tensor) -> Tensor:
    """J^T H J v, H by the logits."""
    change = kl_divergence.categorical_fisher(jacobian.y, jacobian.push(v))
    return jacobian.pull(change / change.shape[1])


def _gaussian_product(jacobian: Jacobian, v: Tensor) -> Tensor:
    """J^T H J v, H by the means, and 2 v by log sigma."""
    network = jacobian.network
    log_std = network.vectors["log_std"].detach()
    change = kl_divergence.gaussian_fisher(log_std, jacobian.push(v))
    rows = jacobian.pull(change / change.shape[1])
    network.lay(rows)[1]["log_std"].copy_(2 * network.lay(v)[1]["log_std"])
    return rows
