"""What a suite must know of an Atari game before anything is trained; needs ale_py, but not torch."""

from __future__ import annotations

import math

from rlparity.environments import atari_presets
from rlparity.environments.metadata import EnvironmentInfo, unknown_environment
from rlparity.errors import UserError


def probe(environment: str) -> EnvironmentInfo:
    """What a suite must know of a game under a preset: the registry and the ROM's file are enough."""
    import gymnasium

    game = environment.partition("@")[0]
    try:
        import ale_py.roms

        gymnasium.register_envs(ale_py)
        rom = gymnasium.spec(game).kwargs["game"]
        _, preset = atari_presets.parse(environment)
        ale_py.roms.get_rom_path(rom)
    except ImportError as error:
        raise UserError(f"environment {environment!r} needs a package, ale-py: {error}") from None
    except gymnasium.error.Error:
        known = [name for name in gymnasium.registry if name.startswith("ALE/")]
        raise UserError(
            unknown_environment(game, known, "a game of ale_py, such as 'ALE/Pong-v5'", 0.8)
        ) from None
    except OSError as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"environment {environment!r}: ale_py's {rom}.bin cannot be read: {reason}") from None
    image = (atari_presets.STACK, atari_presets.SIZE, atari_presets.SIZE)
    size = math.prod(image)
    return EnvironmentInfo(
        actions="discrete",
        observation_bytes=size,
        observation_size=size,
        action_size=1,
        threshold=None,
        time_limit=preset.max_frames // atari_presets.FRAME_SKIP,
        simulator="ale-py",
        module=None,
        image=image,
        frame_bytes=atari_presets.SIZE**2,
    )
