"""Where tensors live. A suite names `cpu`, `cuda` or `auto`; a cell has been told which.

`auto` is what this machine has. Jobs that go to others need one of the two by name.
"""

from __future__ import annotations

from pathlib import Path

from rlparity.errors import UserError

CHOICES = ("auto", "cpu", "cuda")


def resolve(device: str, elsewhere: bool = False) -> str:
    """`cpu` or `cuda` for what a suite says; UserError where CUDA is asked for and missing, unless the cells
    are for machines `elsewhere`.

    PyTorch is asked only where the machine has an NVIDIA device: its import takes seconds.
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
