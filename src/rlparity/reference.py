"""Stable-Baselines3 (sb3-contrib included) under the same books: same worlds, evaluator, records and
hyper-parameter block.

The only room that imports Stable-Baselines3. Time limits, normalisation and seeds are SB3's own, except
that every sub-environment gets an independent seed (SB3's seed + i overlaps between runs).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.noise import NormalActionNoise
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecEnvWrapper, VecNormalize
from torch import Tensor, nn

from rlparity import registry
from rlparity.cell import Cell
from rlparity.distributions import categorical
from rlparity.evaluate import Evaluator
from rlparity.rows import Rows, Watch, unwatched
from rlparity.seeding import Streams
from rlparity.tasks.books import Books
from rlparity.tasks.generic import make_single

DEPARTURES = ["sub-environments are seeded independently, not seed + i"]
ACTIVATIONS = {"tanh": nn.Tanh, "relu": nn.ReLU}
POLICY_KEYWORDS = ("log_std_init", "ortho_init")


class BudgetSpent(Exception):
    """The next environment step would be one too many."""


class Recorder(VecEnvWrapper):
    """Keeps the books between SB3 and its worlds, and stops the clock exactly where our own loop does:
    an evaluation comes after any update and before the step that would follow it."""

    def __init__(self, venv: VecEnv, before_step: Callable[[int], None], rows: Rows, watch: Watch):
        super().__init__(venv)
        self._books, self._before_step, self._rows, self._watch = (
            Books(1, venv.num_envs),
            before_step,
            rows,
            watch,
        )

    @property
    def env_step(self) -> int:
        """Environment steps so far."""
        return self._books.env_step

    def reset(self) -> Any:
        """Start all worlds anew."""
        return self.venv.reset()

    def step_async(self, actions: np.ndarray) -> None:
        """Pass the actions on, after an evaluation that is due."""
        self._before_step(self._books.env_step)
        self.venv.step_async(actions)

    def step_wait(self) -> Any:
        """Book what the worlds pay."""
        obs, rewards, dones, infos = self.venv.step_wait()
        self._books.add(rewards[None].astype(np.float64), dones[None])
        ended = self._books.pop()
        self._rows.ended(ended)
        self._watch(self._books.env_step, ended)
        return obs, rewards, dones, infos


class Policy:
    """An SB3 model as the evaluator sees it, with S = 1."""

    uniforms = 1

    def __init__(self, model: BaseAlgorithm):
        self._policy: Any = model.policy
        self._device = model.device
        self._q_values = hasattr(self._policy, "q_net")
        self._continuous = isinstance(model.action_space, spaces.Box)

    @torch.no_grad()
    def act(self, obs: Tensor, explore: Tensor | None = None) -> Tensor:
        """obs (1, E, *obs) -> action (1, E) or (1, E, *action)."""
        self._policy.set_training_mode(False)
        seen = obs[0].to(self._device)
        if self._continuous:
            assert explore is None, "continuous policies are evaluated deterministically"
            return self._continuous_action(seen).cpu()[None]
        if self._q_values:
            scores = self._policy.q_net(seen).cpu()
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
    model: BaseAlgorithm = registry.reference(cell.agent)(
        "MlpPolicy", env, seed=seed, device=cell.device, **arguments
    )
    return model


def run(cell: Cell, watch: Watch = unwatched, evaluate: bool = True) -> Rows:
    """Train SB3 on the one seed of a cell."""
    assert len(cell.seeds) == 1, "SB3 has no axis of seeds"
    random, rows = Streams(cell), Rows(cell)
    evaluator = Evaluator(cell, random)
    point = 0

    def before_step(env_step: int) -> None:
        nonlocal point
        if env_step >= cell.budget:
            raise BudgetSpent
        n_points = cell.evaluation.points
        if evaluate and env_step * n_points >= point * cell.budget:
            point = env_step * n_points // cell.budget
            _evaluate(model, env, rows, evaluator, point, env_step)
            point += 1

    worlds = DummyVecEnv([lambda: make_single(cell.environment) for _ in range(cell.n_envs)])
    env: Any = Recorder(worlds, before_step, rows, watch)
    if cell.normalize:
        env = VecNormalize(env, gamma=cell.hyperparameters.get("gamma", 0.99))
    model = build(cell, env, random.integers("model")[0])
    model.set_logger(Logger(folder=None, output_formats=[]))
    worlds._seeds = list(random.environments("training", cell.n_envs)[0])
    rows.start()
    try:
        model.learn(cell.budget, log_interval=cell.budget)
    except BudgetSpent:
        pass
    except ValueError as error:  # SB3's distributions refuse NaN
        if _finite(model):
            raise
        rows.fail(0, model.num_timesteps, f"SB3 stopped: {str(error).splitlines()[0]}")
    if evaluate and not rows.failed:
        _evaluate(model, env, rows, evaluator, cell.evaluation.points, cell.budget)
    rows.finish()
    evaluator.close()
    env.close()
    rows.state = {f"policy.{name}": value.cpu() for name, value in model.policy.state_dict().items()}
    if isinstance(env, VecNormalize):
        moments: Any = env.obs_rms
        rows.state |= {"normaliser.mean": torch.from_numpy(moments.mean)}
        rows.state |= {"normaliser.var": torch.from_numpy(moments.var)}
    return rows


def _finite(model: BaseAlgorithm) -> bool:
    return all(bool(p.isfinite().all()) for p in model.policy.parameters())


def _evaluate(
    model: BaseAlgorithm, env: VecEnv, rows: Rows, evaluator: Evaluator, point: int, env_step: int
) -> None:
    if not _finite(model):
        rows.fail(0, env_step, "the parameters were not finite")
        raise BudgetSpent
    started = time.perf_counter()
    outcomes = evaluator(Policy(model), view(env), point)
    rows.evaluation_time_s += time.perf_counter() - started
    metrics = {
        name.removeprefix("train/"): torch.tensor([float(value)])
        for name, value in model.logger.name_to_value.items()
        if name.startswith("train/") and value is not None
    }
    rows.evaluated(env_step, outcomes, metrics)


def view(env: VecEnv) -> Callable[[Tensor], Tensor]:
    """Raw observations (1, E, *obs) as the model sees them; the statistics stay as they are."""
    if not isinstance(env, VecNormalize):
        return Tensor.float
    normalise: Any = env.normalize_obs
    return lambda obs: torch.from_numpy(normalise(obs.numpy()).astype(np.float32))
