"""Shared mathematics of learning targets: pure functions of tensors that lead with the seed."""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate

import torch
from torch import Tensor

from rlparity.transitions import Step

IMAGES = 6  # axes of a rollout (S, N, T, C, H, W)


def gae(
    reward: Tensor,
    value: Tensor,
    next_value: Tensor,
    discount: Tensor,
    last: Tensor,
    gamma: float,
    lam: float,
) -> Tensor:
    """Generalised advantage estimates, Schulman et al. 2016, eq. 11 and 16. All (S, N, T) -> (S, N, T).

    `next_value` is V of the true successor, so a time limit bootstraps (`discount` 1) and an end does
    not (0); either cuts the sum (`last` 1).
    """
    assert reward.shape == value.shape == next_value.shape == discount.shape == last.shape
    delta = (reward + gamma * discount * next_value - value).unbind(-1)
    decay = (gamma * lam * (1 - last)).unbind(-1)
    advantage = [delta[-1]]
    for t in range(len(delta) - 2, -1, -1):
        advantage.append(delta[t] + decay[t] * advantage[-1])
    return torch.stack(advantage[::-1], -1)


def next_values(rollout: Step, value: Tensor, critic: Callable[[Tensor], Tensor]) -> Tensor:
    """V of the true successors of a rollout, (S, N, T); `value` (S, N, T) is V of its observations.

    Evaluating images is expensive, so the next step's value is reused where the episode continued. The others
    are evaluated one by one, so that a seed's batches do not depend on its neighbours.
    """
    if rollout.next_obs.dim() < IMAGES:
        return critic(rollout.next_obs.flatten(1, 2)).view(value.shape)
    found = torch.cat([value[..., 1:], critic(rollout.next_obs[:, :, -1])[..., None]], 2)
    stopped = rollout.last[..., :-1] > 0
    for n, t in torch.nonzero(stopped.any(0)).tolist():
        alone = critic(rollout.next_obs[:, n : n + 1, t])[:, 0]
        found[:, n, t] = torch.where(stopped[:, n, t], alone, found[:, n, t])
    return found


def rewards_to_go(reward: Tensor, gamma: float) -> Tensor:
    """G_t = sum of gamma^(t'-t) r_t' from t to the end of one episode: (T,) -> (T,)."""
    backwards = accumulate(reversed(reward.tolist()), lambda later, r: r + gamma * later)
    return torch.tensor(list(backwards)[::-1], dtype=reward.dtype)


def td_target(reward: Tensor, discount: Tensor, next_q: Tensor, chooser: Tensor, gamma: float) -> Tensor:
    """y = r + gamma * discount * Q(s', argmax_a chooser(s', a)).

    Mnih et al. 2015, Algorithm 1, where `chooser` is `next_q` itself; van Hasselt et al. 2016, eq. 4, where
    it is the online network. reward, discount (S, B); next_q, chooser (S, B, A) -> (S, B).
    """
    if chooser is next_q:
        bootstrap = next_q.amax(-1)
    else:
        bootstrap = next_q.gather(-1, chooser.argmax(-1, keepdim=True)).squeeze(-1)
    assert bootstrap.shape == reward.shape
    return reward + gamma * discount * bootstrap


def explained_variance(prediction: Tensor, truth: Tensor) -> Tensor:
    """1 - Var[truth - prediction] / Var[truth] for each seed, (S, B) -> (S,); NaN if truth is constant."""
    spread = truth.var(1)
    return torch.where(spread > 0, 1 - (truth - prediction).var(1) / spread, torch.nan)


def one_step(reward: Tensor, discount: Tensor, next_value: Tensor, gamma: float) -> Tensor:
    """y = r + gamma * discount * V(s'), V(s') being what the critics say of the next action. All (S, B)."""
    assert reward.shape == discount.shape == next_value.shape
    return reward + gamma * discount * next_value


def squared_error(q: Tensor, y: Tensor) -> Tensor:
    """Mean square of Q(s, a) - y over each seed's minibatch: (S, B), (S, B) -> (S,)."""
    assert q.shape == y.shape
    return (q - y).square().mean(1)
