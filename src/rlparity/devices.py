"""Where tensors live. A suite names `cpu`, `cuda` or `auto`; a cell has been told which."""

from __future__ import annotations

from pathlib import Path

from rlparity.errors import UserError

CHOICES = ("auto", "cpu", "cuda")


def resolve(device: str) -> str:
    """`cpu` or `cuda` for what a suite says; UserError where CUDA is asked for and missing.

    PyTorch is asked only where the machine has an NVIDIA device: its import takes seconds.
    """
    if device == "cpu":
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
