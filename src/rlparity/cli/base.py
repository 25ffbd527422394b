"""The commands of `rlparity`, by who calls them: people, the pipeline, the layers of validation.

Importing a room of these is quick: each command loads what it needs when it is run.
"""

from __future__ import annotations

import argparse
import ctypes
import signal
import sys
from collections.abc import Callable

Add = Callable[..., argparse.ArgumentParser]  # name, what runs it, summary, positional arguments


def say(line: str) -> None:
    """A line for whoever watches, at once."""
    print(line, flush=True)


def end_with_parent() -> None:
    """Let a killed Snakemake take its trainer along (Linux; elsewhere the lock on the folder has to do)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
