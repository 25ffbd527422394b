"""What an agent remembers and learns from, against lists of the steps that it saw."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rlparity.buffers.replay import Replay, Trajectory
from rlparity.records import Step
from rlparity.training import object_state
from rlparity.validation.checks import Answer
from rlparity.validation.contract.own_agents.traced_training import Learned, Log

TOLERANCE = 1e-4  # relative and absolute


def same(a: Any, b: Any) -> bool:
    """Equal up to rounding."""
    a, b = (x.detach() if isinstance(x, Tensor) else x for x in (a, b))
    a, b = (np.asarray(x, np.float64) for x in (a, b))
    return bool(np.allclose(a, b, rtol=TOLERANCE, atol=TOLERANCE))


def replayed(log: Log) -> Answer:
    """Replay memory holds the last transitions, draws all equally often, and gives what follows them."""
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
                if not same(getattr(found, name)[s, k], value):
                    return False, f"{name} of transition {int(number[place])} is not what was observed"
    return True, f"{len(places[0])} of {held} transitions"


def flat(log: Log, step: Step) -> Step:
    """A step as replay memory takes it: continuous actions in [-1, 1], without their shape."""
    if log.agent.config and hasattr(log.agent, "bounds"):
        spec = log.tasks[0].spec
        low, high = torch.tensor([spec.action_low, spec.action_high])
        action = step.action.flatten(2)
        return step._replace(action=2 * (action - low) / (high - low) - 1)
    return step


def window(history: Step, s: int, first: int, n_envs: int, n_steps: int, gamma: float) -> dict[str, Any]:
    """n-step transition number `first` of one seed, step by step; fields of the history (S, K, ...)."""
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
    """Every row of every minibatch of an off-policy agent is a transition that it has seen by then."""
    c = log.agent.config
    transitions = [flat(log, step) for step in log.observed]
    history = Step(*(torch.cat(fields, 1) for fields in zip(*transitions, strict=True)))
    n_envs, n_steps = log.cell.n_envs, getattr(c, "n_steps", 1)
    number = [{key(obs): k for k, obs in enumerate(seed)} for seed in history.obs]
    windows: dict[tuple[int, int], dict[str, Any]] = {}
    for learned in log.learned:
        batch, when = learned.arguments[0], f"a minibatch after {learned.time} steps"
        for s, rows in enumerate(batch.obs):
            drawn = [number[s].get(key(obs), history.reward.shape[1]) for obs in rows]
            if max(drawn) >= learned.time * n_envs:
                return False, f"{when} has an observation that was not seen"
            for k in drawn:
                if (s, k) not in windows:
                    windows[s, k] = window(history, s, k, n_envs, n_steps, c.gamma)
            for name in Step._fields:
                truth = np.stack([np.asarray(windows[s, k][name]) for k in drawn])
                if not same(getattr(batch, name)[s], truth):
                    return False, f"{name} in {when} is another transition's"
    return bool(windows), f"{len(log.learned)} minibatches of {len(windows)} transitions"


def rollouts(log: Log) -> Answer:
    """What an on-policy agent learns from is its last rollout, with advantages worked out step by step."""
    c = log.agent.config
    for learned in log.learned:
        assert learned.values is not None
        steps = log.observed[learned.time - c.n_steps : learned.time]
        rollout = Step(*(torch.stack(fields, 2) for fields in zip(*steps, strict=True)))
        advantage = naive_advantages(rollout, learned.values, c.gamma, c.gae_lambda)
        truth = {
            "action": rollout.action,
            "advantage": advantage,
            "returns": advantage + learned.values[0].double(),
            "value": learned.values[0],
        }
        if problem := _rows(learned.arguments[0], rollout.obs, truth):
            return False, f"{problem} after {learned.time} steps"
    return bool(log.learned), f"{len(log.learned)} rollouts of {c.n_steps} steps"


def _rows(batch: Any, obs: Tensor, truth: dict[str, Tensor]) -> str | None:
    """What is wrong with a batch (S, B, ...) of a rollout (S, N, T, ...), in any order; None if nothing."""
    places = [{key(obs[s, n, t]): (n, t) for n, t in np.ndindex(*obs.shape[1:3])} for s in range(len(obs))]
    if batch.obs.shape[1] != obs.shape[1] * obs.shape[2]:
        return f"{batch.obs.shape[1]} rows were learned from, {obs.shape[1] * obs.shape[2]} observed"
    for s, b in np.ndindex(*batch.obs.shape[:2]):
        place = places[s].get(key(batch.obs[s, b]))
        if place is None:
            return "an observation was learned from that the rollout does not have"
        for name, values in truth.items():
            if not same(getattr(batch, name)[s, b], values[s][place]):
                ours, theirs = getattr(batch, name)[s, b].flatten()[0], values[s][place].flatten()[0]
                return f"{name} is {ours:.6g}, by hand {theirs:.6g},"
    return None


def key(obs: Tensor) -> bytes:
    """An observation as a dictionary's key."""
    return obs.numpy().tobytes()


def naive_advantages(rollout: Step, values: tuple[Tensor, Tensor], gamma: float, lam: float) -> Tensor:
    """Generalised advantages (S, N, T), float64, one world and one step at a time (Schulman et al. 2016)."""
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


def games(log: Log) -> Answer:
    """What a Monte Carlo agent learns from are whole games, each step once."""
    count = 0
    whole = [_games(log.observed, s) for s in range(log.observed[0].reward.shape[0])]
    for learned in log.learned:
        s, played = learned.arguments
        for game in played:
            truth = whole[s].get(key(game.obs[0]))
            if truth is None or not all(same(a, b) for a, b in zip(game, truth, strict=True)):
                return (
                    False,
                    f"a game that seed {s} learned from after {learned.time} steps is not one it played",
                )
            count += 1
    return count > 0, f"{count} games"


def _games(steps: Sequence[Step], s: int) -> dict[bytes, Trajectory]:
    """All finished games of one seed, by their first observation."""
    found = {}
    for n in range(steps[0].reward.shape[1]):
        game: list[Step] = []
        for step in steps:
            game.append(step)
            if step.last[s, n] > 0:
                fields = ("obs", "action", "reward")
                whole = Trajectory(*(torch.stack([getattr(x, f)[s, n] for x in game]) for f in fields))
                found[key(whole.obs[0])] = whole
                game = []
    return found


def learning(log: Log) -> Answer | None:
    """What the agent learned from, looked at as its kind asks for; None if it learns nothing."""
    if not hasattr(log.agent, "memory"):
        return None
    if not log.learned:
        return False, "it never learned"
    first: Learned = log.learned[0]
    if isinstance(first.arguments[0], Step):
        return batches(log)
    if hasattr(first.arguments[0], "advantage"):
        return rollouts(log)
    return games(log)
