"""Transitions, recorded episodes and evaluations of our environments, compared with plain Gymnasium that
replays the same actions."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from gymnasium import spaces

from rlparity.cell import Cell
from rlparity.environments import base as environments
from rlparity.validation.checks import Answer
from rlparity.validation.contract.own_agents.comparison import SUMS, close
from rlparity.validation.contract.own_agents.traced_training import Log, Segment, TracedEnv
from rlparity.validation.plain_environments import PlainStep, plain, replay


def is_continuous(environment: str) -> bool:
    """Whether actions are continuous."""
    env = plain(environment)
    env.close()
    return isinstance(env.action_space, spaces.Box)


def clipped(environment: str, actions: list[Any]) -> list[Any]:
    """Actions as our environments pass them on: continuous ones clipped to their bounds."""
    env = plain(environment)
    space = env.action_space
    env.close()
    if not isinstance(space, spaces.Box):
        return [int(action) for action in actions]
    return [np.clip(action, space.low, space.high) for action in actions]


def expected(
    environment: str, segment: Segment, s: int, n: int, first_episode: bool = False
) -> list[PlainStep]:
    """Replay sub-environment `n` of seed `s`; with `first_episode`, until the end of its first episode."""
    actions = clipped(environment, segment.actions(s, n))
    return replay(environment, segment.seeds[s][n], actions, first_episode)


def different(segment: Segment, environment: str, s: int, n: int) -> str | None:
    """Describe the first step of a sub-environment that is not Gymnasium's; None if there is none."""
    truth = expected(environment, segment, s, n)
    for t, (traced, true) in enumerate(zip(segment.steps, truth, strict=True)):
        step, compared = traced.step, dict[str, tuple[Any, Any]]()
        compared["obs"] = step.obs[s, n], true.obs
        compared["obs before the step"] = traced.before[s, n], true.obs
        compared["action"] = step.action[s, n], traced.action[s, n]
        compared["reward"] = step.reward[s, n], np.float32(true.reward)
        compared["discount"] = step.discount[s, n], 0.0 if true.terminated else 1.0
        compared["last"] = step.last[s, n], float(true.terminated or true.truncated)
        compared["next_obs, the true successor"] = step.next_obs[s, n], true.next_obs
        after = truth[t + 1].obs if t + 1 < len(truth) else None
        if after is not None:
            compared["observation after the step"] = traced.after[s, n], after
        for name, (ours, theirs) in compared.items():
            if not close(ours, theirs, SUMS):
                end = " at a termination" if true.terminated else " at a time limit" if true.truncated else ""
                return f"{name} of step {t + 1}{end}, sub-environment {n} of seed {s}, is not Gymnasium's"
    return None


def faithful(log: Log) -> Answer:
    """Compare every field of every step of training with Gymnasium."""
    environment, segment = log.cell.environment, log.training
    for s, n in np.ndindex(len(segment.seeds), len(segment.seeds[0])):
        if problem := different(segment, environment, s, n):
            return False, problem
    last = torch.stack([traced.step.last for traced in segment.steps])
    ended = 1 - torch.stack([traced.step.discount for traced in segment.steps])
    return True, f"{int(ended.sum())} terminations and {int((last - ended).sum())} time limits"


def to_the_limit(environment: str) -> Answer:
    """Compare steps of two sub-environments past the environment's own time limit, at most 1,020 of them."""
    single = plain(environment)
    limit = single.spec.max_episode_steps if single.spec is not None else None
    space = single.action_space
    single.close()
    steps = min(limit or 0, 1000) + 20
    seeds = [[11, 2**63 + 5]]
    env = TracedEnv(environments.make(environment, seeds), seeds, Log.empty())
    space.seed(0)
    for _ in range(steps):
        if environment == "CartPole-v1":  # keep the pole up
            obs = env.obs
            env.step((obs[..., 2] + 0.5 * obs[..., 3] > 0).long())
        else:
            env.step(torch.as_tensor(np.stack([space.sample() for _ in range(2)]))[None])
    env.close()
    segment = env.segments[0]
    found = [different(segment, environment, 0, n) for n in range(2)]
    limits = sum(int((traced.step.last * traced.step.discount).sum()) for traced in segment.steps)
    problem = next(filter(None, found), None)
    return problem is None, problem or f"{limits} time limits after {limit} steps"


def episodes(log: Log) -> Answer:
    """Compare recorded episodes of training with RecordEpisodeStatistics."""
    cell, segment = log.cell, log.training
    n_envs = len(segment.seeds[0])
    episodes = []
    for s, n in np.ndindex(len(segment.seeds), n_envs):
        for t, step in enumerate(expected(cell.environment, segment, s, n)):
            env_step = (t + 1) * n_envs
            if step.episode is not None and env_step <= cell.budget:
                episodes.append((cell.seeds[s], env_step, *step.episode))
    columns = ("seed", "env_step", "episode_return", "episode_length")
    rows = [tuple(row[name] for name in columns) for row in log.recorder.episodes]
    if len(rows) != len(episodes):
        return False, f"{len(rows)} episodes are recorded, {len(episodes)} were played"
    for row, episode in zip(sorted(rows), sorted(episodes), strict=True):
        if not close(row, episode, SUMS):
            return False, f"recorded is {row}, played was {episode} ({', '.join(columns)})"
    return True, f"{len(rows)} episodes"


def evaluated(log: Log) -> Answer:
    """Check rows of evaluations: steps, number, modes, and returns of the replayed first episodes."""
    protocol, cell = log.cell.evaluation, log.cell
    budget, n = cell.budget, cell.n_envs
    due = [-(-k * budget // (protocol.points * n)) * n for k in range(protocol.points)] + [budget]
    if (found := sorted({row["env_step"] for row in log.recorder.evaluations})) != due:
        return False, f"evaluations at {found}; the protocol requires {due}"
    segments = iter(log.environments[1].segments)
    episodes = 0
    for point, env_step in enumerate(due):
        wanted = protocol.final_episodes if point == protocol.points else protocol.episodes
        played: dict[str, list[EvaluatedEpisode]] = {mode: [] for mode in protocol.modes}
        for _ in range(len(protocol.modes) * -(-wanted // protocol.episodes)):
            segment = next(segments, None)
            if segment is None:
                return False, f"fewer episodes were played at step {env_step} than the protocol requires"
            mode = _mode(segment, protocol.modes)
            first = max((episode.episode + 1 for episode in played[mode]), default=0)
            new = _first_episodes(cell, segment, first)
            played[mode] += [episode for episode in new if episode.episode < wanted]
        for mode, truth in played.items():
            rows = [
                row
                for row in log.recorder.evaluations
                if (row["env_step"], row["protocol"]) == (env_step, mode)
            ]
            recorded = [EvaluatedEpisode(*(row[name] for name in EvaluatedEpisode._fields)) for row in rows]
            if problem := _difference(recorded, truth):
                return False, f"{mode} episodes at step {env_step}: {problem}"
            episodes += len(rows)
    return next(segments, None) is None, f"{episodes} episodes at {len(due)} points"


class EvaluatedEpisode(NamedTuple):
    """An episode of an evaluation, in the columns of its row."""

    seed: int
    episode: int
    value: float  # its return
    size: int  # its length


def _difference(recorded: list[EvaluatedEpisode], played: list[EvaluatedEpisode]) -> str | None:
    if len(recorded) != len(played):
        return f"{len(recorded)} are recorded, {len(played)} are due"
    for row, episode in zip(sorted(recorded), sorted(played), strict=True):
        if not close(row, episode, SUMS):
            return f"recorded is {tuple(row)}, played was {tuple(episode)} (seed, episode, return, length)"
    return None


def _mode(segment: Segment, modes: tuple[str, ...]) -> str:
    """The mode of a segment: deterministic if the policy received no random numbers."""
    explored = [traced.choice is not None and traced.choice.explore is not None for traced in segment.steps]
    fitting = [mode for mode in modes if (mode == "deterministic") == (not any(explored))]
    return fitting[0] if fitting else modes[0]


def _first_episodes(cell: Cell, segment: Segment, start: int) -> list[EvaluatedEpisode]:
    """The first episode of every sub-environment of a segment; those of a seed are numbered from `start`."""
    episodes = []
    for s, n in np.ndindex(len(segment.seeds), len(segment.seeds[0])):
        episode = expected(cell.environment, segment, s, n, first_episode=True)[-1].episode
        assert episode is not None, "an episode of an evaluation was not played to its end"
        episodes.append(EvaluatedEpisode(cell.seeds[s], start + n, *episode))
    return episodes
