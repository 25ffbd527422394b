"""The memory that a cell needs: of its replay memory, and of its process.

The need of a candidate is not known. Plans and the scheduling of cells that run at the same time assume that
an entry point or a command holds as much as the reference of its configuration, but it is not refused for
that; logs are only read.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

from rlparity.arms import OURS
from rlparity.cell import Cell
from rlparity.environments.metadata import EnvironmentInfo
from rlparity.registry import is_small
from rlparity.suites import hyperparameters

PROCESS_MIB = 600  # of a training process besides its replay memory: measured 330 to 450, small networks
IMAGES_MIB, SEED_OF_IMAGES_MIB = 200, 100  # further with convolutions: 660 to 840 in all, with PPO's rollout
SEED_OF_SMALL_MIB = 10  # further with small images: 420 to 520 in all with ten seeds
STEPS_PER_START = 100  # steps of the shortest episodes that fit into a replay memory of frames


def value(cell: Cell, name: str) -> Any:
    """A hyper-parameter of a cell, else the agent's default; None where the agent has none."""
    field = hyperparameters.config(cell.agent).get(name)
    return cell.hyperparameters.get(name, field.default if field else None)


def memory_bytes(cell: Cell, info: EnvironmentInfo) -> int:
    """Size of a replay memory at the end of the budget, 0 without one.

    RAM is taken as it is written, the memory of a GPU whole at the first step: all of `buffer_size`.
    """
    size = value(cell, "buffer_size")
    if not isinstance(size, int) or cell.kind == "logs":
        return 0
    held = size if on_gpu(cell, info) else min(size, cell.budget)
    return held * len(cell.seeds) * _transition_bytes(cell, info)


def on_gpu(cell: Cell, info: EnvironmentInfo) -> bool:
    """Whether a replay memory is the GPU's: that of our own agents on CUDA, but for frames in a file."""
    mapped = info.frame_bytes is not None and value(cell, "memory_mapped")
    return cell.device == "cuda" and cell.implementation == OURS and not mapped


def _transition_bytes(cell: Cell, info: EnvironmentInfo) -> int:
    """Bytes of one transition: two observations, an action and three numbers.

    Our observations are float32 or bytes, those of references as the environment gives them. Of a stack of
    frames ours keeps the newest frame, unless that is on the disk, its age, and a share of the frames at the
    start of an episode.
    """
    action = 8 if info.actions == "discrete" else 4 * info.action_size
    numbers = action + 12
    if cell.implementation != OURS:
        observations = 1 if value(cell, "optimize_memory_usage") else 2
        return observations * info.observation_bytes + numbers
    if value(cell, "prioritized"):
        numbers += 32  # two to four nodes of a sum tree
    if info.frame_bytes is None:
        width = min(4, info.observation_bytes // info.observation_size)
        return 2 * info.observation_size * width + numbers
    ring = 0 if value(cell, "memory_mapped") else info.frame_bytes
    return ring + numbers + 1 + info.observation_bytes // STEPS_PER_START


def checkpoint_bytes(cell: Cell, info: EnvironmentInfo) -> int:
    """Size of a replay memory in checkpoints at the end of the budget, whether it is in RAM or on the disk.

    0 where no checkpoints are written.
    """
    whole = replace(cell, device="cpu", hyperparameters={**cell.hyperparameters, "memory_mapped": False})
    return memory_bytes(whole, info) if cell.checkpoint_every else 0


def needed_mib(cell: Cell, info: EnvironmentInfo) -> int:
    """RAM that the process of a cell needs, MiB."""
    images = 0
    if info.image is not None and cell.kind != "logs":
        small = is_small(info.image)
        seed_mib = (SEED_OF_SMALL_MIB if small else SEED_OF_IMAGES_MIB) + _rollout_bytes(cell, info) // 2**20
        images = (0 if small else IMAGES_MIB) + len(cell.seeds) * seed_mib
    replay = 0 if on_gpu(cell, info) else memory_bytes(cell, info)
    return PROCESS_MIB + images + replay // 2**20


def _rollout_bytes(cell: Cell, info: EnvironmentInfo) -> int:
    """Bytes of one seed's rollout, where there is no replay memory: the observations before and after each
    step, first one by one and then stacked."""
    steps = value(cell, "n_steps")
    if not isinstance(steps, int) or value(cell, "buffer_size") is not None:
        return 0
    return 4 * steps * cell.n_envs * info.observation_bytes


def machine_bytes() -> int:
    """Memory of this machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def gpu_bytes() -> int:
    """Memory of the GPU that cells train on, 0 where there is none."""
    import torch

    return torch.cuda.get_device_properties(0).total_memory if torch.cuda.is_available() else 0


def _largest(cell: Cell, info: EnvironmentInfo) -> tuple[int, str]:
    """The bytes that a cell's replay memory can have, and whether they are the GPU's or the machine's."""
    if on_gpu(cell, info) and (found := gpu_bytes()):
        return found, "GPU"
    return machine_bytes(), "machine"


def bad_memory(cell: Cell, info: EnvironmentInfo) -> list[str]:
    """A line if the replay memory of the cell's block is larger than the memory of the machine or its GPU."""
    needed = memory_bytes(cell, info)
    if not needed or cell.kind:
        return []
    there, whose = _largest(cell, info)
    if needed <= there:
        return []
    most = there // (len(cell.seeds) * _transition_bytes(cell, info))
    can_map = cell.implementation == OURS and info.frame_bytes and not value(cell, "memory_mapped")
    where = f"buffer_size {value(cell, 'buffer_size'):,} of {cell.algorithm!r} in {cell.environment!r}"
    mapped = ", or memory_mapped: true" if can_map else ""
    return [
        f"{where}: the replay memory of a block of {len(cell.seeds)} seeds needs {needed / 2**30:,.1f} GiB, "
        f"the {whose} has {there / 2**30:,.1f}; {most:,} would fit{mapped}"
    ]
