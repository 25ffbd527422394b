"""Trust Region Policy Optimization: its hyper-parameters, for both arms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

DEPARTURES: list[str] = []


@dataclass(frozen=True)
class Config:
    """Names and defaults are Stable-Baselines3's."""

    learning_rate: float = 1e-3  # of the critic
    learning_rate_schedule: Literal["constant", "linear"] = "constant"  # linear: to zero at the end
    n_steps: int = 2048  # environment steps per world and update
    batch_size: int = 128  # transitions per minibatch of the critic
    gamma: float = 0.99  # discount
    gae_lambda: float = 0.95  # lambda
    target_kl: float = 0.01  # delta, nats
    cg_max_steps: int = 15  # iterations of conjugate gradient
    cg_damping: float = 0.1  # added to the Fisher matrix's diagonal
    line_search: bool = True  # False: the whole natural-gradient step (`npg`)
    line_search_shrinking_factor: float = 0.8
    line_search_max_iter: int = 10
    n_critic_updates: int = 10  # epochs of the critic over the rollout
    normalize_advantage: bool = True
    sub_sampling_factor: int = 1  # the policy's step uses every k-th transition
    net_arch: tuple[int, ...] = (64, 64)  # hidden units
    activation: Literal["tanh", "relu"] = "tanh"
    log_std_init: float = 0.0  # continuous actions, in the task's units
    ortho_init: bool = True  # else PyTorch's own start
