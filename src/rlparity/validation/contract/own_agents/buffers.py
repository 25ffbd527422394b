"""Buffers and batches of our agents, compared with lists of the steps that they observed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rlparity.buffers.replay import Minibatch, Replay
from rlparity.buffers.trajectories import Trajectory
from rlparity.training import object_state
from rlparity.transitions import Step
from rlparity.validation.checks import Answer
from rlparity.validation.contract.own_agents.comparison import close
from rlparity.validation.contract.own_agents.traced_training import Log, Update


def replayed(log: Log) -> Answer:
    """Replay memory holds the latest transitions, draws all equally often and returns their successors."""
    memory: Replay = object_state.find(log.agent, Replay)[0]
    transitions = [flat(log, step) for step in log.observed]
    history = Step(*(torch.cat(fields, 1) for fields in zip(*transitions, strict=True)))
    held = history.reward.shape[1]
    first = max(held - memory.capacity, 0)
    if memory.added != held or memory.size != held - first:
        return False, f"{memory.size} transitions of {memory.added}; {held} were observed"
    n_steps, gamma = getattr(log.agent.config, "n_steps", 1), log.agent.config.gamma
    usable = held - first - (n_steps - 1) * log.cell.n_envs
    draws = 8 * usable
    grid = ((torch.arange(draws) + 0.5) / draws).expand(history.reward.shape[0], -1)
    index = memory.index(grid, n_steps) if n_steps > 1 else memory.index(grid)
    counts = torch.stack([row.bincount(minlength=memory.capacity) for row in index])
    number = (
        first + (torch.arange(memory.capacity) - first) % memory.capacity
    )  # of the transition at each place
    due = torch.where(number < first + usable, 8, 0).expand_as(counts)
    if (counts - due).abs().max() > 1:
        place = int((counts - due).abs().max(0).values.argmax())
        return (
            False,
            f"transition {int(number[place])} of {held} is drawn {int(counts[0, place])} times, not 8",
        )
    places = torch.arange(memory.capacity)[number < first + usable].expand(len(counts), -1)
    found = memory.at(places, n_steps, gamma) if n_steps > 1 else memory.at(places)
    for s in range(len(counts)):
        for k, place in enumerate(places[s].tolist()):
            truth = window(history, s, int(number[place]), log.cell.n_envs, n_steps, gamma)
            for name, value in truth.items():
                if not close(getattr(found, name)[s, k], value):
                    return False, f"{name} of transition {int(number[place])} is not what was observed"
    return True, f"{len(places[0])} of {held} transitions"


def flat(log: Log, step: Step) -> Step:
    """A step as replay memory stores it: continuous actions are in [-1, 1] and flat."""
    if log.agent.config and hasattr(log.agent, "bounds"):
        spec = log.environments[0].spec
        low, high = torch.tensor([spec.action_low, spec.action_high])
        action = step.action.flatten(2)
        return step._replace(action=2 * (action - low) / (high - low) - 1)
    return step


def window(history: Step, s: int, first: int, n_envs: int, n_steps: int, gamma: float) -> dict[str, Any]:
    """n-step transition number `first` of seed `s`, summed step by step; history fields (S, K, ...)."""
    total, k = 0.0, first
    for power in range(n_steps):
        k = first + power * n_envs
        total += gamma**power * history.reward[s, k].item()
        if history.last[s, k] > 0:
            break
    return {
        "obs": history.obs[s, first],
        "action": history.action[s, first],
        "reward": total,
        "discount": gamma ** ((k - first) // n_envs) * history.discount[s, k].item(),
        "last": history.last[s, k],
        "next_obs": history.next_obs[s, k],
    }


def batches(log: Log) -> Answer:
    """Every row of every minibatch of an off-policy agent is a transition observed before."""
    c = log.agent.config
    transitions = [flat(log, step) for step in log.observed]
    history = Step(*(torch.cat(fields, 1) for fields in zip(*transitions, strict=True)))
    n_envs, n_steps = log.cell.n_envs, getattr(c, "n_steps", 1)
    number = [{key(obs): k for k, obs in enumerate(seed)} for seed in history.obs]
    windows: dict[tuple[int, int], dict[str, Any]] = {}
    for update in log.updates:
        batch, when = _transitions(update), f"a minibatch after {update.time} steps"
        for s, rows in enumerate(batch.obs):
            drawn = [number[s].get(key(obs), history.reward.shape[1]) for obs in rows]
            if max(drawn) >= update.time * n_envs:
                return False, f"{when} has an observation that was never received"
            for k in drawn:
                if (s, k) not in windows:
                    windows[s, k] = window(history, s, k, n_envs, n_steps, c.gamma)
            for name in Step._fields:
                truth = np.stack([np.asarray(windows[s, k][name]) for k in drawn])
                if not close(getattr(batch, name)[s], truth):
                    return False, f"{name} in {when} is another transition's"
    return bool(windows), f"{len(log.updates)} minibatches of {len(windows)} transitions"


def _transitions(update: Update) -> Any:
    """The first argument of an update; of a drawn minibatch, its transitions."""
    batch = update.arguments[0]
    return batch.step if isinstance(batch, Minibatch) else batch


def rollouts(log: Log) -> Answer:
    """Batches of an on-policy agent are its last rollout, with advantages computed step by step."""
    c = log.agent.config
    for update in log.updates:
        assert update.values is not None
        steps = log.observed[update.time - c.n_steps : update.time]
        rollout = Step(*(torch.stack(fields, 2) for fields in zip(*steps, strict=True)))
        advantage = naive_advantages(rollout, update.values, c.gamma, c.gae_lambda)
        truth = {
            "action": rollout.action,
            "advantage": advantage,
            "returns": advantage + update.values[0].double(),
            "value": update.values[0],
        }
        if problem := _wrong_row(update.arguments[0], rollout.obs, truth):
            return False, f"{problem} after {update.time} steps"
    return bool(log.updates), f"{len(log.updates)} rollouts of {c.n_steps} steps"


def _wrong_row(batch: Any, obs: Tensor, truth: dict[str, Tensor]) -> str | None:
    """Describe the first row of a batch (S, B, ...), in any order, that is not in the rollout (S, N, T, ...);
    None if there is none."""
    places = [{key(obs[s, n, t]): (n, t) for n, t in np.ndindex(*obs.shape[1:3])} for s in range(len(obs))]
    if batch.obs.shape[1] != obs.shape[1] * obs.shape[2]:
        return f"{batch.obs.shape[1]} rows were used, {obs.shape[1] * obs.shape[2]} observed"
    for s, b in np.ndindex(*batch.obs.shape[:2]):
        place = places[s].get(key(batch.obs[s, b]))
        if place is None:
            return "an observation was used that is not in the rollout"
        for name, values in truth.items():
            if not close(getattr(batch, name)[s, b], values[s][place]):
                ours, theirs = getattr(batch, name)[s, b].flatten()[0], values[s][place].flatten()[0]
                return f"{name} is {ours:.6g}, expected {theirs:.6g},"
    return None


def key(obs: Tensor) -> bytes:
    """The bytes of an observation, as a dictionary's key."""
    return obs.numpy().tobytes()


def naive_advantages(rollout: Step, values: tuple[Tensor, Tensor], gamma: float, lam: float) -> Tensor:
    """Generalised advantages (S, N, T), float64, one sub-environment and step at a time (Schulman et al.
    2016)."""
    value, next_value = (x.double() for x in values)
    advantage = torch.zeros_like(value)
    for s, n in np.ndindex(*value.shape[:2]):
        running = 0.0
        for t in reversed(range(value.shape[2])):
            bootstrap = next_value[s, n, t].item() if rollout.discount[s, n, t] > 0 else 0.0
            delta = rollout.reward[s, n, t].item() + gamma * bootstrap - value[s, n, t].item()
            running = delta if rollout.last[s, n, t] > 0 else delta + gamma * lam * running
            advantage[s, n, t] = running
    return advantage


def whole_episodes(log: Log) -> Answer:
    """A Monte Carlo agent learns from whole episodes, each step once."""
    count = 0
    whole = [_finished_episodes(log.observed, s) for s in range(log.observed[0].reward.shape[0])]
    for update in log.updates:
        s, used = update.arguments
        for episode in used:
            truth = whole[s].get(key(episode.obs[0]))
            if truth is None or not all(close(a, b) for a, b in zip(episode, truth, strict=True)):
                return False, f"after {update.time} steps seed {s} learned from an episode it did not play"
            count += 1
    return count > 0, f"{count} episodes"


def _finished_episodes(steps: Sequence[Step], s: int) -> dict[bytes, Trajectory]:
    """All finished episodes of seed `s`, by their first observation."""
    found = {}
    for n in range(steps[0].reward.shape[1]):
        episode: list[Step] = []
        for step in steps:
            episode.append(step)
            if step.last[s, n] > 0:
                fields = ("obs", "action", "reward")
                whole = Trajectory(*(torch.stack([getattr(x, f)[s, n] for x in episode]) for f in fields))
                found[key(whole.obs[0])] = whole
                episode = []
    return found


def learning(log: Log) -> Answer | None:
    """Check what the agent learned from, according to its kind; None if it does not learn."""
    if not hasattr(log.agent, "update"):
        return None
    if not log.updates:
        return False, "it made no update"
    first = _transitions(log.updates[0])
    if isinstance(first, Step):
        return batches(log)
    if hasattr(first, "advantage"):
        return rollouts(log)
    return whole_episodes(log)
