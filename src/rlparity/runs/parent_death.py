"""End a process with the one that started it, however that ends."""

from __future__ import annotations

import ctypes
import signal
import sys

PR_SET_PDEATHSIG = 1  # of Linux' prctl(2)
# Loaded here, not in the function: between fork and exec the dynamic linker must not be called.
LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


def end_with_parent(number: signal.Signals = signal.SIGTERM) -> None:
    """Ask the kernel to send this process a signal when its parent ends. Linux only; elsewhere no effect."""
    if LIBC is not None:
        LIBC.prctl(PR_SET_PDEATHSIG, int(number))
