"""What outlives a run besides its records: the parameters that `rlparity play` acts with."""

from __future__ import annotations

import io
from pathlib import Path

import torch
from torch import Tensor

from rlparity.errors import UserError
from rlparity.records import write_bytes

FILE = "agent.pt"


def save(folder: Path, state: dict[str, Tensor]) -> None:
    """Write named tensors: to a temporary name first, then renamed."""
    buffer = io.BytesIO()
    torch.save({name: value.contiguous().clone() for name, value in state.items()}, buffer)
    write_bytes(folder / FILE, buffer.getvalue())


def load(folder: Path) -> dict[str, Tensor]:
    """Read named tensors; nothing but tensors is unpickled."""
    path = folder / FILE
    try:
        state: dict[str, Tensor] = torch.load(path, weights_only=True)
    except FileNotFoundError:
        raise UserError(f"{path}: no checkpoint; train the cell first") from None
    except Exception as error:
        raise UserError(f"{path}: not a readable checkpoint ({str(error).splitlines()[0]})") from None
    return state
