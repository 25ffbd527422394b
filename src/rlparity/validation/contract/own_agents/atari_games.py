"""Our Atari environments, compared with a plain loop over the frames of the emulator.

The loop follows Mnih et al. 2015, Methods: an action for four frames, the last two grey frames' maximum,
84x84 by area, the last four such pictures; what a preset adds is read from it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import ale_py
import cv2
import gymnasium as gym
import numpy as np
import torch
from ale_py import roms

from rlparity.environments import atari, base
from rlparity.environments.atari_presets import FRAME_SKIP, SIZE, STACK, parse
from rlparity.validation.checks import Answer

LIVES = "ALE/Breakout-v5"  # five lives, lost within some 250 random steps
POINTS = "ALE/SpaceInvaders-v5"  # rewards of 5 to 30
STEPS, SOME, FEW = 330, 100, 40  # of the first game, of the second, and of the one that is asked for
SEEDS = [[7], [2**63 + 5]]
FIRE = ale_py.Action.FIRE


class Emulated(NamedTuple):
    """What a step of a game gives."""

    frame: np.ndarray  # (84, 84), the newest of the stack
    raw: float  # sum of rewards
    life_lost: bool
    over: bool


class PlainGame:
    """One emulator, stepped frame by frame."""

    def __init__(self, environment: str, seed: int):
        game, self.preset = parse(environment)
        ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
        self._ale = ale_py.ALEInterface()
        self._ale.setInt("random_seed", atari.emulator_seed(seed))
        self._ale.setFloat("repeat_action_probability", self.preset.repeat_action_probability)
        rom: Any = roms.get_rom_path(gym.spec(game).kwargs["game"])
        self._ale.loadROM(rom)
        whole = self.preset.full_action_space
        self._fitting: list[Any] = []  # states of the emulator
        self.actions = self._ale.getLegalActionSet() if whole else self._ale.getMinimalActionSet()

    def start(self, first: np.ndarray) -> bool:
        """A new game that begins with the picture `first` (84, 84), after as many no-ops as that takes;
        whether there is such a number. How many there are is drawn by the game's seed; where several fit, the
        next pictures tell them apart."""
        self._ale.reset_game()
        fires = self.preset.use_fire_reset and FIRE in self._ale.getMinimalActionSet()
        self._fitting = []
        for played in range(max(self.preset.noop_max, 1)):
            if played:
                self._ale.act(FIRE if fires and played == 1 else ale_py.Action.NOOP)
            if np.array_equal(_small(self._ale.getScreenGrayscale()), first):
                self._fitting.append(self._ale.cloneSystemState())
        return bool(self._fitting)

    def step(self, action: int, seen: np.ndarray) -> Emulated:
        """An action for four frames, in all games that fit; `seen` (84, 84) is the picture of ours."""
        found = []
        for state in self._fitting:
            self._ale.restoreSystemState(state)
            one = self._act(action)
            found.append((one, self._ale.cloneSystemState()))
        fitting = [pair for pair in found if pair[0].over or np.array_equal(pair[0].frame, seen)] or found[:1]
        self._fitting = [state for _, state in fitting]
        self._ale.restoreSystemState(self._fitting[0])
        return fitting[0][0]

    def _act(self, action: int) -> Emulated:
        before, raw, screens = self._ale.lives(), 0.0, []
        for _ in range(FRAME_SKIP):
            raw += self._ale.act(self.actions[action])
            screens.append(self._ale.getScreenGrayscale())
            if self._ale.game_over():
                break
        pooled = np.maximum(screens[-1], screens[-2]) if len(screens) > 1 else screens[-1]
        over = self._ale.game_over()
        return Emulated(_small(pooled), raw, self._ale.lives() < before and not over, over)


def _small(screen: np.ndarray) -> np.ndarray:
    return np.asarray(cv2.resize(screen, (SIZE, SIZE), interpolation=cv2.INTER_AREA))


def emulated(environment: str) -> Answer:
    """Steps and recorded episodes are those of the plain loop: of an environment's own game, of Breakout and
    of Space Invaders under its preset."""
    preset = environment.partition("@")[2]
    games = {f"{LIVES}@{preset}": STEPS, f"{POINTS}@{preset}": SOME}
    details = []
    for game, steps in {environment: FEW, **games}.items():
        passed, detail = _played(game, steps)
        if not passed:
            return False, detail
        details.append(detail)
    return True, "; ".join(details)


def _played(environment: str, steps: int) -> Answer:
    env = base.make(environment, SEEDS)
    games = [PlainGame(environment, row[0]) for row in SEEDS]
    stacks = [env.obs[s, 0].numpy().copy() for s in range(len(SEEDS))]
    rng, counts = np.random.default_rng(1), {"lives": 0, "games": 0, "points": 0}
    totals = [(0.0, 0)] * len(SEEDS)
    try:
        for s, game in enumerate(games):
            if stacks[s][:-1].any() or not game.start(stacks[s][-1]):
                return False, f"the first observation of seed {s} is not one of the start of {environment}"
        for t in range(steps):
            actions = torch.from_numpy(rng.integers(env.spec.n_actions or 1, size=(len(SEEDS), 1)))
            step = env.step(actions)
            ended = {episode.seed_index: episode for episode in env.pop_episodes()}
            for s, game in enumerate(games):
                seen = step.next_obs[s, 0].numpy()
                true = game.step(int(actions[s, 0]), seen[-1])
                where = f"step {t + 1} of seed {s} of {environment}"
                totals[s] = totals[s][0] + true.raw, totals[s][1] + 1
                due = _due(true, game, stacks[s])
                if problem := _difference(step, s, seen, due, true.over):
                    return False, f"{where}: {problem}"
                after = env.obs[s, 0].numpy().copy()
                if (s in ended) != true.over:
                    return False, f"{where}: a game is recorded where none ended, or not where one did"
                if true.over:
                    if (ended[s].episode_return, ended[s].episode_length) != totals[s]:
                        return False, f"{where}: recorded is {ended[s]}, played was {totals[s]}"
                    if after[:-1].any() or not game.start(after[-1]):
                        return False, f"{where}: the next game does not begin with an empty stack"
                    totals[s] = 0.0, 0
                elif not np.array_equal(after, seen):
                    return False, f"{where}: the next action does not see what followed"
                counts["lives"] += true.life_lost
                counts["games"] += true.over
                counts["points"] += int(true.raw)
                stacks[s] = after
    finally:
        env.close()
    lost = f"{counts['points']} points, {counts['lives']} lives lost, {counts['games']} games ended"
    return True, f"{steps} steps of {len(SEEDS)} games of {environment}, {lost}"


def _due(true: Emulated, game: PlainGame, stack: np.ndarray) -> dict[str, Any]:
    """The fields of a step as they should be."""
    last = true.over or (true.life_lost and game.preset.terminal_on_life_loss)
    reward = float(np.sign(true.raw)) if game.preset.clip_reward else true.raw
    return {
        "reward": reward,
        "last": float(last),
        "discount": float(not last),
        "next_obs": np.concatenate([stack[1:], true.frame[None]]),
        "obs": stack,
    }


def _difference(step: Any, s: int, seen: np.ndarray, due: dict[str, Any], over: bool) -> str | None:
    """Describe the first field that is not as it should be; the newest picture of a game that is over was
    pooled without the emulator's last frame (`environments.atari.Atari`), and is left out."""
    for name in ("reward", "last", "discount"):
        if float(getattr(step, name)[s, 0]) != due[name]:
            return f"{name} is {float(getattr(step, name)[s, 0]):g}, expected {due[name]:g}"
    if not np.array_equal(step.obs[s, 0].numpy(), due["obs"]):
        return "obs is not what was seen before the step"
    n = STACK - 1 if over else STACK
    wrong = int((seen[:n] != due["next_obs"][:n]).sum())
    return f"{wrong} pixels of next_obs are not the emulator's" if wrong else None
