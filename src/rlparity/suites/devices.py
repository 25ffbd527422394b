"""The device of a suite's cells: `cpu` or `cuda`, or `auto`, which is CUDA where this machine has it.

Jobs on other machines need one of the first two by name.
"""

from __future__ import annotations

from pathlib import Path

from rlparity.errors import UserError

CHOICES = ("auto", "cpu", "cuda")


def resolve(device: str, elsewhere: bool = False) -> str:
    """`cpu` or `cuda` for the device that a suite names.

    Raises UserError where CUDA is named and missing, unless the cells are for machines `elsewhere`.
    PyTorch is imported only where the machine has an NVIDIA device: that takes seconds.
    """
    if device == "cpu" or (device == "cuda" and elsewhere):
        return device
    found = any(Path("/dev").glob("nvidia[0-9]*")) and _cuda()
    if device == "cuda" and not found:
        raise UserError(
            "device: cuda was asked for, but PyTorch finds no CUDA device; allowed here are auto, cpu"
        )
    return "cuda" if found else "cpu"


def _cuda() -> bool:
    import torch

    return torch.cuda.is_available()
