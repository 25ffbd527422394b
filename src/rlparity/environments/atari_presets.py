"""How Atari games are played: the conventions of the field as named presets, part of every environment id.

`ALE/Pong-v5@nature` is the game `ALE/Pong-v5` under the preset `nature`. Rows of different presets differ in
their environment and are never compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from rlparity.errors import UserError, unknown

FRAME_SKIP = 4  # frames for which an action is repeated; the last two are max-pooled
STACK = 4  # frames of an observation, the newest last
SIZE = 84  # height and width of an observation, pixels


@dataclass(frozen=True)
class Preset:
    """A protocol of play. The last two change what a learner sees, never the game or its recorded return."""

    repeat_action_probability: float  # sticky actions: chance, each frame, that the action before goes on
    full_action_space: bool  # all 18 actions, or only those that do something in the game
    noop_max: int  # games start after 0 to noop_max - 1 frames, drawn by their seed
    use_fire_reset: bool  # ... of which the first is FIRE, where the game has it
    terminal_on_life_loss: bool  # a lost life ends an episode (discount 0), and the game goes on
    clip_reward: bool  # rewards to their sign, -1, 0 or 1
    max_frames: int = 108_000  # a game's time limit, half an hour of play; it cuts and does not end


PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        # Mnih et al. 2015 ("Human-level control", Methods) as it has come to be run: FIRE at the start
        # is from OpenAI's baselines, 30 minutes instead of five from later papers (van Hasselt et al. 2016).
        "nature": Preset(
            repeat_action_probability=0.0,
            full_action_space=False,
            noop_max=30,
            use_fire_reset=True,
            terminal_on_life_loss=True,
            clip_reward=True,
        ),
        # Machado et al. 2018 ("Revisiting the Arcade Learning Environment"): chance by sticky actions alone,
        # all actions, no knowledge of lives. Frame skip and cap are Dopamine's (Castro et al. 2018).
        "machado": Preset(
            repeat_action_probability=0.25,
            full_action_space=True,
            noop_max=0,
            use_fire_reset=False,
            terminal_on_life_loss=False,
            clip_reward=True,
        ),
    }
)


def parse(environment: str) -> tuple[str, Preset]:
    """`ALE/Pong-v5@nature` -> (`ALE/Pong-v5`, its preset). UserError without a preset that is known."""
    game, at, name = environment.partition("@")
    if not at:
        choices = " or ".join(f"{f'{game}@{preset}'!r}" for preset in PRESETS)
        raise UserError(f"{environment!r} needs a preset: {choices}")
    if name not in PRESETS:
        raise unknown("preset", name, PRESETS, repr(environment))
    return game, PRESETS[name]
