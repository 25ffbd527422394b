"""Watch a trained cell: a window for a person at the screen, or an animated GIF."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor

from rlparity import agents, checkpoint, tasks
from rlparity.cell import Cell
from rlparity.errors import UserError
from rlparity.evaluate import Policy
from rlparity.seeding import Streams
from rlparity.tasks.normalise import CLIP, EPSILON

FRAMES_PER_S = 30


def play(folder: Path, gif: Path | None = None, seed: int | None = None, max_steps: int = 1000) -> float:
    """Play one game with a trained seed of the cell in `folder` and return its raw return."""
    cell = _cell(folder)
    index = 0 if seed is None else _index(cell, seed, folder)
    state = checkpoint.load(folder / "checkpoint")
    try:
        policy, rows = _policy(cell, state), len(cell.seeds)
    except (KeyError, ValueError, RuntimeError) as error:
        reason = checkpoint.first_line(error)
        raise UserError(f"{folder / 'checkpoint'}: does not fit the cell ({reason})") from None
    sampled, rng = "deterministic" not in cell.evaluation.modes, torch.Generator().manual_seed(index)
    env = gym.make(cell.environment, render_mode="human" if gif is None else "rgb_array")
    obs, _ = env.reset(seed=cell.seeds[index])
    frames, total = [], 0.0
    for _ in range(max_steps):
        seen = _view(state, torch.from_numpy(np.asarray(obs, dtype=np.float32)).expand(rows, 1, *obs.shape))
        explore = torch.rand(rows, 1, policy.uniforms, generator=rng) if sampled else None
        action = policy.act(seen, explore)[index, 0].numpy()
        obs, reward, ended, cut, _ = env.step(action)
        total += float(reward)
        if gif is not None:
            frames.append(env.render())
        if ended or cut:
            break
    env.close()
    if gif is not None:
        _write(gif, frames)
    return total


def _cell(folder: Path) -> Cell:
    try:
        return Cell.from_json(json.dumps(json.loads((folder / "run.json").read_text())["cell"]))
    except FileNotFoundError:
        raise UserError(f"{folder}: not a finished cell (no run.json)") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UserError(f"{folder / 'run.json'}: not a record of a run") from None


def _index(cell: Cell, seed: int, folder: Path) -> int:
    if seed not in cell.seeds:
        raise UserError(f"{folder}: no seed {seed}; choose from {', '.join(map(str, cell.seeds))}")
    return cell.seeds.index(seed)


def _policy(cell: Cell, state: dict[str, Tensor]) -> Policy:
    random = Streams(cell)
    if cell.implementation == "sb3":
        from rlparity import reference

        world: Any = gym.make(cell.environment)
        model = reference.build(cell, world, seed=0)
        weights = {k.removeprefix("policy."): v for k, v in state.items() if k.startswith("policy.")}
        model.policy.load_state_dict(weights)
        return reference.Policy(model)
    task: Any = tasks.make(cell.environment, random.environments("play", 1))
    agent = agents.build(cell.agent, task.spec, dict(cell.hyperparameters), random, cell.budget)
    task.close()
    for name, wanted in agent.state_dict().items():
        if state[name].shape != wanted.shape:  # a copy would spread a single seed over all
            raise ValueError(f"{name} is of shape {tuple(state[name].shape)}, not {tuple(wanted.shape)}")
    agent.load_state_dict(state)
    return agent


def _view(state: dict[str, Tensor], obs: Tensor) -> Tensor:
    if "normaliser.mean" not in state:
        return obs
    mean, var = state["normaliser.mean"], state["normaliser.var"]
    return ((obs.double() - mean) / (var + EPSILON).sqrt()).clamp(-CLIP, CLIP).float()


def _write(path: Path, frames: list[Any]) -> None:
    import imageio.v3 as iio

    try:
        iio.imwrite(path, np.stack(frames), duration=1000 / FRAMES_PER_S, loop=0)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be written as a GIF ({error})") from None
