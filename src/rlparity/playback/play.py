"""Watch a trained cell: a window for a person at the screen, an animated GIF or an MP4."""

from __future__ import annotations

import dataclasses
import json
import math
import shlex
import warnings
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from rlparity import registry
from rlparity.agents import base as agents
from rlparity.arms import OURS
from rlparity.cell import EPSILON, Cell
from rlparity.environments import base as environments
from rlparity.environments import normalization
from rlparity.errors import UserError, not_written
from rlparity.playback import rendering, shipped_policy, video
from rlparity.playback.rendering import Renderer
from rlparity.runs import saved_policies
from rlparity.seeding import Streams, Uniforms
from rlparity.suites import hyperparameters
from rlparity.training import checkpoint_files
from rlparity.training.epsilon_greedy import EpsilonGreedy
from rlparity.training.evaluation import Policy
from rlparity.training.recorder import State

FRAMES_PER_S = 50  # most that browsers show
MEMORY = {"buffer_size": 1_000, "memory_mapped": False}  # nothing is learned


class PlayedEpisode(NamedTuple):
    """One episode that was watched."""

    frames: list[np.ndarray]  # (H, W, 3) uint8
    episode_return: float  # raw, to the end of the episode
    episode_length: int  # environment steps


def play(folder: Path, into: Path | None = None, seed: int | None = None, max_steps: int = 1000) -> float:
    """Play one episode with a trained seed of the cell in `folder` and return its raw return.

    With a path `into`, the first `max_steps` steps are written there, as an MP4 if its name says so, else as
    a GIF, one frame a step unless the environment is faster than GIFs are; without, a window shows the
    episode.
    """
    cell = _cell(folder)
    seed = cell.seeds[0] if seed is None else seed
    if seed not in cell.seeds:
        raise UserError(f"{folder}: no seed {seed}; choose from {', '.join(map(str, cell.seeds))}")
    if into is not None:
        encode = video.encoder(into)
    state, file = _state(cell, folder, seed)
    try:
        player = Player(cell, state, seed)
    except ValueError as error:
        raise UserError(f"{file}: does not fit the cell ({error})") from None
    screen = rendering.make(cell.environment, window=into is None)
    try:
        every = math.ceil(screen.steps_per_s / FRAMES_PER_S)
        episode = watch(player, screen, seed, every, 0 if into is None else max_steps // every)
    finally:
        screen.close()
    if into is not None:
        _write(into, encode(episode.frames, screen.steps_per_s / every))
    return episode.episode_return


def _state(cell: Cell, folder: Path, seed: int) -> tuple[State, Path]:
    """The parameters of one seed, and the file or folder that they are from. Raises UserError."""
    run = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    own, shipped = folder / "checkpoint", folder / shipped_policy.FILE
    other = shipped_policy.is_other(run, own / checkpoint_files.FILE)
    if (own / checkpoint_files.FILE).is_file() and not other:
        try:
            return saved_policies.of_seed(cell, checkpoint_files.load(own), cell.seeds.index(seed)), own
        except ValueError as error:
            raise UserError(f"{own}: does not fit the cell ({error})") from None
    if shipped.is_file():
        if seed != cell.seeds[0]:
            raise UserError(
                f"{folder}: the report carries the policy of seed {cell.seeds[0]} alone; {_how(cell, seed)}"
            )
        return shipped_policy.load(folder, run), shipped
    what = f"the policy in {own.name} is of other records" if other else "no policy beside these records"
    raise UserError(f"{folder}: {what}; {_how(cell, seed)}")


def _how(cell: Cell, seed: int) -> str:
    """The command that trains a policy of one seed again, if there is one."""
    known = hyperparameters.library().algorithms
    if cell.candidate:
        return "candidates keep none"
    if cell.algorithm not in known:
        return f"there is no configuration {cell.algorithm!r} any more that would train one"
    settings = hyperparameters.library().lookup(cell.environment, cell.agent).hyperparameters
    options = known[cell.algorithm].options_for(cell.environment)
    usual = {**settings, **options}
    other = [
        f"{name}={json.dumps(value)}"
        for name, value in cell.hyperparameters.items()
        if usual.get(name) != value
    ]
    words = [
        "rlparity",
        "train",
        cell.algorithm,
        cell.environment,
        "--steps",
        str(cell.budget),
        "--seeds",
        str(seed),
    ]
    words += [] if cell.implementation == OURS else ["--implementation", cell.implementation]
    return f"{shlex.join([*words, *(['--set', *other] if other else [])])} trains one, and names its folder"


def watch(player: Player, screen: Renderer, seed: int, every: int, most: int) -> PlayedEpisode:
    """Play an episode to its end, from a start that the seed determines. Every `every`-th step is a frame, up
    to `most` of them, the last position included if there is room."""
    obs, over = screen.reset(seed), False
    frames: list[np.ndarray] = []
    total, length = 0.0, 0
    while not over:
        if length % every == 0 and len(frames) < most:
            frames.append(screen.picture())
        obs, reward, over = screen.step(player.act(obs))
        total, length = total + reward, length + 1
    if len(frames) < most:
        frames.append(screen.picture())
    return PlayedEpisode(frames, total, length)


class Player:
    """One trained seed that acts as it was evaluated: deterministically, unless it never was."""

    def __init__(self, cell: Cell, state: State, seed: int):
        """`state` is of this seed alone, see `saved_policies.of_seed`. ValueError if it does not fit."""
        cell = dataclasses.replace(cell, seeds=(seed,), device="cpu")
        mode = "deterministic" if "deterministic" in cell.evaluation.modes else cell.evaluation.modes[0]
        try:
            policy, n_actions = _policy(cell, state)
        except (KeyError, ValueError, RuntimeError) as error:
            raise ValueError(checkpoint_files.first_line(error)) from None
        if mode.startswith(EPSILON) and n_actions is not None:
            policy = EpsilonGreedy(policy, float(mode.removeprefix(EPSILON)), n_actions)
        self._policy, self._state, self._explore = policy, state, None
        if mode != "deterministic":
            self._explore = Uniforms(Streams(cell).generators("film|explore"), 1, policy.uniforms)

    def act(self, obs: Tensor) -> Tensor:
        """The action in a raw observation (*obs)."""
        explore = None if self._explore is None else self._explore.next()
        return self._policy.act(_view(self._state, obs[None, None]), explore)[0, 0]


def _cell(folder: Path) -> Cell:
    try:
        return Cell.from_json(json.dumps(json.loads((folder / "run.json").read_text())["cell"]))
    except FileNotFoundError:
        raise UserError(f"{folder}: not a finished cell (no run.json)") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UserError(f"{folder / 'run.json'}: not a record of a run") from None


def _policy(cell: Cell, state: State) -> tuple[Policy, int | None]:
    """The policy of a cell of one seed, and its number of actions if they are discrete."""
    fields = agents.settings(cell.agent).__dataclass_fields__
    changes = {name: value for name, value in MEMORY.items() if name in fields}
    if cell.implementation == registry.REFERENCE:
        changes.pop("memory_mapped", None)
    cell = dataclasses.replace(cell, hyperparameters={**cell.hyperparameters, **changes})
    return (_reference if cell.implementation == registry.REFERENCE else _agent)(cell, state)


def _reference(cell: Cell, state: State) -> tuple[Policy, int | None]:
    from rlparity.references import sb3_models

    family = import_module(registry.family(cell.environment).reference)
    env: Any = family.present(family.make(cell.environment, 1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about a batch that one environment does not fill
        model = sb3_models.build(cell, env, seed=0)
    env.close()
    weights = {k.removeprefix("policy."): v for k, v in state.items() if k.startswith("policy.")}
    policy: Any = model.policy
    lost = policy.load_state_dict(weights, strict=False).missing_keys
    unused = tuple(name.removeprefix("policy.") for name in shipped_policy.UNUSED)
    if needed := sorted(name for name in lost if not name.startswith(unused)):
        raise KeyError(needed[0])
    return sb3_models.Policy(model), getattr(env.action_space, "n", None)


def _agent(cell: Cell, state: State) -> tuple[Policy, int | None]:
    random = Streams(cell)
    env = environments.make(cell.environment, random.environments("play", 1), "evaluation")
    agent = agents.build(cell.agent, env.spec, dict(cell.hyperparameters), random, cell.budget)
    env.close()
    for name, wanted in agents.state_dict(agent).items():
        if state[name].shape != wanted.shape:  # a copy would spread a single number over all
            raise ValueError(f"{name} is of shape {tuple(state[name].shape)}, not {tuple(wanted.shape)}")
    agents.load_state_dict(agent, state)
    return agent, env.spec.n_actions


def _view(state: State, obs: Tensor) -> Tensor:
    """Raw observations (S, N, *obs) as the policy saw them in training."""
    if "normaliser.mean" not in state:
        return obs.float()
    mean, var = state["normaliser.mean"], state["normaliser.var"]
    clip, epsilon = normalization.CLIP, normalization.EPSILON
    return ((obs.double() - mean) / (var + epsilon).sqrt()).clamp(-clip, clip).float()


def _write(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as error:
        raise not_written(error, f"{path}: cannot be written ({error.strerror})") from None
