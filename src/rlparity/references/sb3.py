"""Stable-Baselines3 (sb3-contrib included) under the same books: same worlds, evaluator, records and
hyper-parameter block.

Time limits, normalisation and seeds are SB3's own, except that every sub-environment gets an independent seed
(SB3's seed + i overlaps between runs). Only this room and those named after it import SB3.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.noise import NormalActionNoise
from stable_baselines3.common.sb2_compat.rmsprop_tf_like import RMSpropTFLike
from stable_baselines3.common.vec_env import VecEnv, VecNormalize
from torch import Tensor, nn

from rlparity import registry
from rlparity.cell import Cell
from rlparity.nn.distributions import categorical
from rlparity.references.sb3_environments import RecordedEnvironments
from rlparity.references.sb3_resume import BeforeRollout, Training, resumable
from rlparity.seeding import Streams
from rlparity.training.evaluation import Evaluator
from rlparity.training.recorder import OnEpisodes, Recorder, State, unwatched

if TYPE_CHECKING:
    from rlparity.training.checkpointing import Checkpointer

DEPARTURES = ["sub-environments are seeded independently, not seed + i"]
ACTIVATIONS = {"tanh": nn.Tanh, "relu": nn.ReLU}
POLICY_KEYWORDS = ("log_std_init", "ortho_init", "n_quantiles")


def departures(cell: Cell) -> list[str]:
    """In what a reference's cell differs from plain SB3, and its worlds from ours."""
    family = import_module(registry.reference_worlds(cell.environment))
    return [*DEPARTURES, *family.DEPARTURES]


class BudgetSpent(Exception):
    """The next environment step would be one too many."""


class Policy:
    """An SB3 model as the evaluator sees it, with S = 1."""

    uniforms = 1

    def __init__(self, model: BaseAlgorithm):
        self._policy: Any = model.policy
        self._device = model.device
        self._q_values = _q_values(self._policy)
        self._continuous = isinstance(model.action_space, spaces.Box)

    @torch.no_grad()
    def act(self, obs: Tensor, explore: Tensor | None = None) -> Tensor:
        """obs (1, E, *obs) -> action (1, E) or (1, E, *action)."""
        self._policy.set_training_mode(False)
        seen = obs[0].to(self._device)
        if self._continuous:
            assert explore is None, "continuous policies are evaluated deterministically"
            return self._continuous_action(seen).cpu()[None]
        if self._q_values is not None:
            scores = self._q_values(seen).cpu()
        else:
            scores = self._policy.get_distribution(seen).distribution.logits.cpu()
        if explore is None:
            return scores.argmax(-1)[None]
        return categorical.sample(scores, explore[0, :, 0])[None]

    def _continuous_action(self, obs: Tensor) -> Tensor:
        """In the task's units; the task clips."""
        action: Tensor = self._policy._predict(obs, deterministic=True)
        if not self._policy.squash_output:
            return action
        return torch.as_tensor(self._policy.unscale_action(action.cpu().numpy()))


def _q_values(policy: Any) -> Callable[[Tensor], Tensor] | None:
    """What the policy takes the best of: Q of observations (E, *obs) -> (E, A), if it has one."""
    if hasattr(policy, "quantile_net"):
        return lambda obs: policy.quantile_net(obs).mean(1)
    return getattr(policy, "q_net", None)


def keywords(hyperparameters: dict[str, Any]) -> dict[str, Any]:
    """The plain block of hyperparameters.yaml as SB3's arguments: schedules and networks become objects."""
    values = dict(hyperparameters)
    policy: dict[str, Any] = {name: values.pop(name) for name in POLICY_KEYWORDS if name in values}
    for name in ("learning_rate", "clip_range"):
        if values.pop(f"{name}_schedule", "constant") == "linear":
            values[name] = _linear(values[name])
    if "net_arch" in values:
        policy["net_arch"] = list(values.pop("net_arch"))
    if "activation" in values:
        policy["activation_fn"] = ACTIVATIONS[values.pop("activation")]
    if values.pop("rms_prop_tf", False) and values.get("use_rms_prop", True):
        policy["optimizer_class"] = RMSpropTFLike
        policy["optimizer_kwargs"] = {"eps": values.get("rms_prop_eps", 1e-5)}
    return {**values, "policy_kwargs": policy}


def _linear(start: float) -> Callable[[float], float]:
    return lambda remaining: max(remaining, 0.0) * start


def build(cell: Cell, env: VecEnv, seed: int) -> BaseAlgorithm:
    """An SB3 model with the cell's hyper-parameters, on the cell's device."""
    arguments = keywords(dict(cell.hyperparameters))
    noise = arguments.pop("noise_std", None)
    if noise is not None:
        shape = env.action_space.shape
        arguments["action_noise"] = NormalActionNoise(np.zeros(shape), np.full(shape, noise))  # type: ignore[arg-type]
    images = len(env.observation_space.shape or ()) == 3
    if images:  # Nature's network, whatever stands before the heads elsewhere; so it is with our agents
        arguments["policy_kwargs"].pop("net_arch", None)
    model: BaseAlgorithm = registry.reference(cell.agent)(
        "CnnPolicy" if images else "MlpPolicy", env, seed=seed, device=cell.device, **arguments
    )
    return model


def run(
    cell: Cell,
    watch: OnEpisodes = unwatched,
    evaluate: bool = True,
    checkpointer: Checkpointer | None = None,
    rows: Recorder | None = None,
) -> Recorder:
    """Train SB3 on the one seed of a cell; `checkpointer`, for a `resumable` cell alone, and `rows` as in
    `train.run`."""
    assert len(cell.seeds) == 1, "SB3 has no axis of seeds"
    assert checkpointer is None or resumable(cell), "what goes on with new games would pass for exact"
    random, rows = Streams(cell), rows or Recorder(cell)
    evaluator = Evaluator(cell, random)

    def before_step(env_step: int) -> None:
        if env_step >= cell.budget:
            raise BudgetSpent
        n_points = cell.evaluation.points
        if evaluate and env_step * n_points >= training.point * cell.budget:
            training.point = env_step * n_points // cell.budget
            _evaluate(training, env, evaluator, env_step, checkpointer)
            training.point += 1

    family = import_module(registry.reference_worlds(cell.environment))
    worlds = family.make(cell.environment, cell.n_envs)
    recorder = RecordedEnvironments(worlds, before_step, rows, watch, family.paid)
    env: Any = family.present(recorder)
    if cell.normalize:
        env = VecNormalize(env, gamma=cell.hyperparameters.get("gamma", 0.99))
    model = build(cell, env, random.integers("model")[0])
    model.set_logger(Logger(folder=None, output_formats=[]))
    training = Training(model, recorder, rows)
    rows.start()
    again = ""
    if checkpointer:
        checkpointer.restore(training)
        again = f"|resumed {checkpointer.times_resumed}" if checkpointer.times_resumed else ""
    if again:
        model.set_random_seed(random.integers(f"model{again}")[0])
    worlds._seeds = list(random.environments(f"training{again}", cell.n_envs)[0])
    try:
        _learn(training, checkpointer)
        if evaluate and not rows.failed:
            training.point = cell.evaluation.points
            with suppress(BudgetSpent):  # the last update broke it
                _evaluate(training, env, evaluator, cell.budget, checkpointer)
        rows.finish()
    finally:
        evaluator.close()
        env.close()
    rows.state = _state(model, env)
    return rows


def _state(model: BaseAlgorithm, env: VecEnv) -> State:
    """What the policy acts with, by now."""
    state = {f"policy.{name}": value.cpu() for name, value in model.policy.state_dict().items()}
    if isinstance(env, VecNormalize):
        moments: Any = env.obs_rms
        state |= {"normaliser.mean": torch.from_numpy(moments.mean)}
        state |= {"normaliser.var": torch.from_numpy(moments.var)}
    return state


def _learn(training: Training, checkpointer: Checkpointer | None) -> None:
    """Train until the budget is spent; save and end between rollouts."""
    model, rows = training.model, training.rows
    budget = rows.cell.budget

    def between_rollouts() -> None:
        training.reach_boundary()
        if checkpointer:
            checkpointer(training)

    try:
        model.learn(
            budget - model.num_timesteps,
            BeforeRollout(between_rollouts),
            log_interval=budget,
            reset_num_timesteps=model.num_timesteps == 0,
        )
    except BudgetSpent:
        pass
    except ValueError as error:  # SB3's distributions refuse NaN
        if _finite(model):
            raise
        rows.fail(0, model.num_timesteps, f"SB3 stopped: {str(error).splitlines()[0]}")
    if not rows.failed:
        between_rollouts()


def _finite(model: BaseAlgorithm) -> bool:
    return all(bool(p.isfinite().all()) for p in model.policy.parameters())


def _evaluate(
    training: Training, env: VecEnv, evaluator: Evaluator, env_step: int, checkpointer: Checkpointer | None
) -> None:
    """Evaluate at `training.point`."""
    model, rows = training.model, training.rows
    if not _finite(model):
        rows.fail(0, env_step, "the parameters were not finite")
        raise BudgetSpent
    seen = view(env)

    def watched(obs: Tensor) -> Tensor:
        if checkpointer and checkpointer.asked is not None and training.between_rollouts:
            checkpointer.end(training, checkpointer.asked)
        return seen(obs)

    started = time.perf_counter()
    outcomes = evaluator(Policy(model), watched, training.point)
    rows.evaluation_time_s += time.perf_counter() - started
    metrics = {
        name.removeprefix("train/"): torch.tensor([float(value)])
        for name, value in model.logger.name_to_value.items()
        if name.startswith("train/") and value is not None
    }
    rows.evaluated(env_step, outcomes, metrics)
    rows.keep(env_step, lambda: _state(model, env))


def view(env: VecEnv) -> Callable[[Tensor], Tensor]:
    """Raw observations (1, E, *obs) as the model sees them; the statistics stay as they are."""
    if not isinstance(env, VecNormalize):
        return Tensor.float
    normalise: Any = env.normalize_obs
    return lambda obs: torch.from_numpy(normalise(obs.numpy()).astype(np.float32))
