"""Steps, books and evaluations of our own worlds, against plain Gymnasium that replays the same actions."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from gymnasium import spaces

from rlparity.cell import Cell
from rlparity.environments import base as tasks
from rlparity.validation.checks import Answer
from rlparity.validation.contract.own_agents.traced_training import Log, Round, Watched
from rlparity.validation.plain_environments import Moment, plain, replay

RTOL, ATOL = 1e-5, 1e-5  # of numbers that may have been added up in another order


def is_continuous(environment: str) -> bool:
    """Whether actions are a box."""
    env = plain(environment)
    env.close()
    return isinstance(env.action_space, spaces.Box)


def clipped(environment: str, actions: list[Any]) -> list[Any]:
    """Actions as a task passes them on: continuous ones within their bounds."""
    env = plain(environment)
    space = env.action_space
    env.close()
    if not isinstance(space, spaces.Box):
        return [int(action) for action in actions]
    return [np.clip(action, space.low, space.high) for action in actions]


def expected(environment: str, round_: Round, s: int, n: int, first_game: bool = False) -> list[Moment]:
    """What one world should have shown; with `first_game`, only until it is over."""
    actions = clipped(environment, round_.actions(s, n))
    return replay(environment, round_.seeds[s][n], actions, first_game)


def close(a: Any, b: Any) -> bool:
    """Equal up to rounding."""
    return bool(np.allclose(np.asarray(a, np.float64), np.asarray(b, np.float64), rtol=RTOL, atol=ATOL))


def different(round_: Round, environment: str, s: int, n: int) -> str | None:
    """What is wrong with the steps of one world, and when; None if nothing is."""
    truth = expected(environment, round_, s, n)
    for t, (shown, true) in enumerate(zip(round_.shown, truth, strict=True)):
        step, told = shown.step, dict[str, tuple[Any, Any]]()
        told["obs"] = step.obs[s, n], true.obs
        told["obs before the step"] = shown.before[s, n], true.obs
        told["action"] = step.action[s, n], shown.action[s, n]
        told["reward"] = step.reward[s, n], np.float32(true.reward)
        told["discount"] = step.discount[s, n], 0.0 if true.ended else 1.0
        told["last"] = step.last[s, n], float(true.ended or true.cut)
        told["next_obs, the true successor"] = step.next_obs[s, n], true.next_obs
        after = truth[t + 1].obs if t + 1 < len(truth) else None
        if after is not None:
            told["observation after the step"] = shown.after[s, n], after
        for name, (ours, theirs) in told.items():
            if not close(ours, theirs):
                end = " at an end" if true.ended else " at a time limit" if true.cut else ""
                return f"{name} of step {t + 1}{end}, world {n} of seed {s}, is not Gymnasium's"
    return None


def faithful(log: Log) -> Answer:
    """Every field of every step that the worlds of training made."""
    environment, worlds = log.cell.environment, log.training
    for s, n in np.ndindex(len(worlds.seeds), len(worlds.seeds[0])):
        if problem := different(worlds, environment, s, n):
            return False, problem
    last = torch.stack([shown.step.last for shown in worlds.shown])
    ended = 1 - torch.stack([shown.step.discount for shown in worlds.shown])
    return True, f"{int(ended.sum())} ends and {int((last - ended).sum())} time limits"


def to_the_limit(environment: str) -> Answer:
    """Steps of two worlds as far as the environment's own time limit, if it can be reached."""
    env = plain(environment)
    limit = env.spec.max_episode_steps if env.spec is not None else None
    space = env.action_space
    env.close()
    steps = min(limit or 0, 1000) + 20
    worlds = Watched(tasks.make(environment, [[11, 2**63 + 5]]), [[11, 2**63 + 5]], Log.empty())
    space.seed(0)
    for _ in range(steps):
        if environment == "CartPole-v1":  # balanced
            obs = worlds.obs
            worlds.step((obs[..., 2] + 0.5 * obs[..., 3] > 0).long())
        else:
            worlds.step(torch.as_tensor(np.stack([space.sample() for _ in range(2)]))[None])
    worlds.close()
    found = [different(worlds.rounds[0], environment, 0, n) for n in range(2)]
    cuts = sum(int((shown.step.last * shown.step.discount).sum()) for shown in worlds.rounds[0].shown)
    problem = next(filter(None, found), None)
    return problem is None, problem or f"{cuts} time limits after {limit} steps"


def booked(log: Log) -> Answer:
    """Games of training against RecordEpisodeStatistics."""
    cell, worlds = log.cell, log.training
    n_envs = len(worlds.seeds[0])
    games = []
    for s, n in np.ndindex(len(worlds.seeds), n_envs):
        for t, moment in enumerate(expected(cell.environment, worlds, s, n)):
            env_step = (t + 1) * n_envs
            if moment.game is not None and env_step <= cell.budget:
                games.append((cell.seeds[s], env_step, *moment.game))
    columns = ("seed", "env_step", "episode_return", "episode_length")
    rows = [tuple(row[name] for name in columns) for row in log.rows.episodes]
    if len(rows) != len(games):
        return False, f"{len(rows)} games in the books, {len(games)} were played"
    for row, game in zip(sorted(rows), sorted(games), strict=True):
        if not close(row, game):
            return False, f"booked is {row}, played was {game} ({', '.join(columns)})"
    return True, f"{len(rows)} games"


def evaluated(log: Log) -> Answer:
    """Rows of evaluations: when, how many, which mode, and the returns of first games that are replayed."""
    protocol, cell = log.cell.evaluation, log.cell
    budget, n = cell.budget, cell.n_envs
    due = [-(-k * budget // (protocol.points * n)) * n for k in range(protocol.points)] + [budget]
    if (found := sorted({row["env_step"] for row in log.rows.evaluations})) != due:
        return False, f"evaluations at {found}; the protocol says {due}"
    rounds = iter(log.tasks[1].rounds)
    games = 0
    for point, env_step in enumerate(due):
        wanted = protocol.final_episodes if point == protocol.points else protocol.episodes
        played: dict[str, list[Game]] = {mode: [] for mode in protocol.modes}
        for _ in range(len(protocol.modes) * -(-wanted // protocol.episodes)):
            round_ = next(rounds, None)
            if round_ is None:
                return False, f"fewer games were played by step {env_step} than the protocol says"
            mode = _mode(round_, protocol.modes)
            first = max((game.episode + 1 for game in played[mode]), default=0)
            played[mode] += [game for game in _first_games(cell, round_, first) if game.episode < wanted]
        for mode, truth in played.items():
            rows = [
                row for row in log.rows.evaluations if (row["env_step"], row["protocol"]) == (env_step, mode)
            ]
            booked = [Game(*(row[name] for name in Game._fields)) for row in rows]
            if problem := _other_games(booked, truth):
                return False, f"{mode} games at step {env_step}: {problem}"
            games += len(rows)
    return next(rounds, None) is None, f"{games} games at {len(due)} points"


class Game(NamedTuple):
    """A game of an evaluation, in the columns of its row."""

    seed: int
    episode: int
    episode_return: float
    episode_length: int


def _other_games(booked: list[Game], played: list[Game]) -> str | None:
    if len(booked) != len(played):
        return f"{len(booked)} were booked, {len(played)} are due"
    for row, game in zip(sorted(booked), sorted(played), strict=True):
        if not close(row, game):
            return f"booked is {tuple(row)}, played was {tuple(game)} (seed, episode, return, length)"
    return None


def _mode(round_: Round, modes: tuple[str, ...]) -> str:
    """Whether the policy was asked for deterministic actions or handed random numbers."""
    explored = [shown.choice is not None and shown.choice.explore is not None for shown in round_.shown]
    fitting = [mode for mode in modes if (mode == "deterministic") == (not any(explored))]
    return fitting[0] if fitting else modes[0]


def _first_games(cell: Cell, round_: Round, episode: int) -> list[Game]:
    """What every world of a round played until its game was over; those of a seed count from `episode`."""
    games = []
    for s, n in np.ndindex(len(round_.seeds), len(round_.seeds[0])):
        game = expected(cell.environment, round_, s, n, first_game=True)[-1].game
        assert game is not None, "a world of an evaluation was not played to its end"
        games.append(Game(cell.seeds[s], episode + n, *game))
    return games
