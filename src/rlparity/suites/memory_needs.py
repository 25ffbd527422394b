"""What a cell asks of the machine: the size of its replay memory, and of its process.

What a candidate needs nobody knows beforehand. For plans and for what runs side by side, an entry point or a
command is taken to hold what the reference holds that it claims to be, but it is not refused for that; logs
are only read.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

from rlparity.cell import Cell
from rlparity.environments.metadata import EnvironmentInfo
from rlparity.suites import hyperparameters

PROCESS_MIB = 600  # of a trainer besides its replay memory: measured 330 to 450 with small networks
IMAGES_MIB, SEED_OF_IMAGES_MIB = 200, 100  # more with convolutions: 660 to 840 in all, with a rollout of PPO
STEPS_PER_START = 100  # steps of the shortest games that replay memory of frames makes room for


def value(cell: Cell, name: str) -> Any:
    """A hyper-parameter as the cell has it, else the agent's default; None where the agent has none."""
    field = hyperparameters.config(cell.agent).get(name)
    return cell.hyperparameters.get(name, field.default if field else None)


def memory_bytes(cell: Cell, info: EnvironmentInfo) -> int:
    """Size of a replay memory in RAM at the end of the budget, 0 without one."""
    size = value(cell, "buffer_size")
    if not isinstance(size, int) or cell.kind == "logs":
        return 0
    return min(size, cell.budget) * len(cell.seeds) * _transition_bytes(cell, info)


def _transition_bytes(cell: Cell, info: EnvironmentInfo) -> int:
    """RAM for one transition: two observations, an action and three numbers.

    Observations of ours are float32 or bytes, SB3's as the environment gives them. A stack of frames is, with
    ours, its newest frame, unless that lies on the disk, its age and a share of the frames at a game's start.
    """
    action = 8 if info.actions == "discrete" else 4 * info.action_size
    numbers = action + 12
    if cell.implementation != "scratch":
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
    """Size of a replay memory in checkpoints at the end of the budget: all that is in it, whether it lies in
    RAM or not. 0 where no checkpoints are written."""
    whole = replace(cell, hyperparameters={**cell.hyperparameters, "memory_mapped": False})
    return memory_bytes(whole, info) if cell.checkpoint_every else 0


def needed_mib(cell: Cell, info: EnvironmentInfo) -> int:
    """Memory that the process of a cell needs, MiB."""
    images = 0
    if info.frame_bytes is not None and cell.kind != "logs":
        seed_mib = SEED_OF_IMAGES_MIB + _rollout_bytes(cell, info) // 2**20
        images = IMAGES_MIB + len(cell.seeds) * seed_mib
    return PROCESS_MIB + images + memory_bytes(cell, info) // 2**20


def _rollout_bytes(cell: Cell, info: EnvironmentInfo) -> int:
    """Of one seed, where there is no replay memory: what is seen before and after each step, once as it comes
    in and once in one piece."""
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


def _largest(cell: Cell) -> tuple[int, str]:
    """How much there is for the replay memory of a cell, and whose that is."""
    on_gpu = cell.device == "cuda" and cell.implementation == "scratch" and not value(cell, "memory_mapped")
    if on_gpu and (found := gpu_bytes()):
        return found, "GPU"
    return machine_bytes(), "machine"


def bad_memory(cell: Cell, info: EnvironmentInfo) -> list[str]:
    """A line if the replay memory of the cell's block is larger than that of the machine, or of its GPU."""
    needed = memory_bytes(cell, info)
    if not needed or cell.kind:
        return []
    there, whose = _largest(cell)
    if needed <= there:
        return []
    room = there // (len(cell.seeds) * _transition_bytes(cell, info))
    can_map = cell.implementation == "scratch" and info.frame_bytes and not value(cell, "memory_mapped")
    where = f"buffer_size {value(cell, 'buffer_size'):,} of {cell.algorithm!r} in {cell.environment!r}"
    mapped = ", or memory_mapped: true" if can_map else ""
    return [
        f"{where}: the replay memory of a block of {len(cell.seeds)} seeds needs {needed / 2**30:,.1f} GiB, "
        f"the {whose} has {there / 2**30:,.1f}; {room:,} would fit{mapped}"
    ]
