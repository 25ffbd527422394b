"""Time PPO or DQN of sbx (SB3 in JAX), one seed: JSON of settings in, a line of JSON out.

Run it with `python -P`, so that `import sbx` finds the library and not this file.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sbx import DQN, PPO
from stable_baselines3.common.env_util import make_vec_env

SAME = {  # hyper-parameters of the same name and meaning
    "ppo": "n_steps batch_size n_epochs gamma gae_lambda ent_coef vf_coef max_grad_norm normalize_advantage",
    "dqn": "buffer_size learning_starts batch_size gamma train_freq gradient_steps target_update_interval "
    "exploration_fraction exploration_initial_eps exploration_final_eps",
}


def schedule(values: dict[str, Any], name: str) -> float | Callable[[float], float]:
    """A number, or a function of the rest of the budget, which falls from 1 to 0."""
    start = values[name]
    return (lambda left: left * start) if values[f"{name}_schedule"] == "linear" else start


def model(asked: dict[str, Any]) -> PPO | DQN:
    agent, values = asked["agent"], asked["hyperparameters"]
    taken = {name: values[name] for name in SAME[agent].split()}
    taken["learning_rate"] = schedule(values, "learning_rate")
    if agent == "ppo":
        taken["clip_range"] = schedule(values, "clip_range")
    environments = make_vec_env(asked["environment"], n_envs=asked["n_envs"], seed=0)
    policy = {"net_arch": list(values["net_arch"])}
    return {"ppo": PPO, "dqn": DQN}[agent]("MlpPolicy", environments, policy_kwargs=policy, seed=0, **taken)


def first(asked: dict[str, Any]) -> int:
    """Steps after which everything has been compiled: two updates."""
    values = asked["hyperparameters"]
    if asked["agent"] == "ppo":
        return int(2 * values["n_steps"] * asked["n_envs"])
    return int(values["learning_starts"] + 3 * values["train_freq"])


def main() -> None:
    sys.path.append(str(Path(__file__).parent))
    import measuring

    asked = measuring.settings()
    rate, learner = measuring.product_rate(), model(asked)
    started = time.perf_counter()
    learner.learn(first(asked))
    compile_s, started = time.perf_counter() - started, time.perf_counter()
    learner.learn(asked["budget"])  # the same object: another one would be compiled anew
    seconds = time.perf_counter() - started
    packages = ["sbx-rl", "stable-baselines3", "gymnasium", "jax", "jaxlib", "flax", "optax", "numpy"]
    measuring.report(asked["budget"], seconds, compile_s, rate, packages)


if __name__ == "__main__":
    main()
