"""Time PPO or DQN of rejax on gymnax's CartPole, all seeds by vmap: JSON of settings in, a line of JSON out.

Run it with `python -P`, so that `import rejax` finds the library and not this file.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import jax
import optax
from flax import linen
from rejax import DQN, PPO
from rejax.networks import DiscreteQNetwork, EpsilonGreedyPolicy


def ppo(asked: dict[str, Any], values: dict[str, Any]) -> PPO:
    rollout = asked["n_envs"] * values["n_steps"]
    minibatches = rollout // values["batch_size"]
    updates = asked["budget"] // rollout * values["n_epochs"] * minibatches
    return PPO.create(
        env=asked["environment"],
        num_envs=asked["n_envs"],
        num_steps=values["n_steps"],
        num_minibatches=minibatches,
        num_epochs=values["n_epochs"],
        learning_rate=optax.linear_schedule(values["learning_rate"], 0.0, updates),
        gamma=values["gamma"],
        gae_lambda=values["gae_lambda"],
        clip_eps=values["clip_range"],
        vf_coef=values["vf_coef"],
        ent_coef=values["ent_coef"],
        max_grad_norm=values["max_grad_norm"],
        agent_kwargs={"activation": "tanh", "hidden_layer_sizes": tuple(values["net_arch"])},
        total_timesteps=asked["budget"],
        eval_freq=asked["budget"],
    )


def dqn(asked: dict[str, Any], values: dict[str, Any]) -> DQN:
    every = values["train_freq"] // values["gradient_steps"]  # steps of all sub-environments to an update
    algorithm = DQN.create(
        env=asked["environment"],
        num_envs=every,
        num_epochs=1,
        learning_rate=values["learning_rate"],
        gamma=values["gamma"],
        max_grad_norm=values["max_grad_norm"],
        buffer_size=values["buffer_size"] // every * every,
        fill_buffer=values["learning_starts"],
        batch_size=values["batch_size"],
        eps_end=values["exploration_final_eps"],
        exploration_fraction=values["exploration_fraction"],
        target_update_freq=values["target_update_interval"],
        ddqn=False,
        total_timesteps=asked["budget"],
        eval_freq=asked["budget"],
    )
    network = EpsilonGreedyPolicy(DiscreteQNetwork)  # `create` knows no other sizes than 64 and 64
    sizes = tuple(values["net_arch"])
    return algorithm.replace(agent=network(sizes, activation=linen.relu, action_dim=2))


def main() -> None:
    sys.path.append(str(Path(__file__).parent))
    import measuring

    asked = measuring.settings()
    algorithm = {"ppo": ppo, "dqn": dqn}[asked["agent"]](asked, asked["hyperparameters"])
    no_evaluation = algorithm.replace(eval_callback=lambda *_: (), skip_initial_evaluation=True)
    rate, keys = measuring.product_rate(), jax.random.split(jax.random.key(0), asked["seeds"])
    started = time.perf_counter()
    train = jax.jit(jax.vmap(no_evaluation.train)).lower(keys).compile()
    compile_s, started = time.perf_counter() - started, time.perf_counter()
    jax.block_until_ready(train(keys))
    seconds = time.perf_counter() - started
    packages = ["rejax", "gymnax", "jax", "jaxlib", "flax", "optax", "numpy"]
    measuring.report(asked["budget"] * asked["seeds"], seconds, compile_s, rate, packages)


if __name__ == "__main__":
    main()
