"""Let freed memory stay in the process, for the next update.

By default glibc returns large blocks to the system at once. Requesting them anew, page by page, took a fifth
of the time of an update, measured on wide networks. No number depends on it.
"""

from __future__ import annotations

import ctypes
import sys

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # names of glibc's malloc.h
FREE_BYTES = 2**28  # at the end of the heap, before glibc returns any
LARGEST_BLOCK = 2**25  # bytes of a block on the heap; the maximum of glibc


def keep_freed_memory() -> bool:
    """Configure the C library of this process; returns False if it is not glibc."""
    if sys.platform != "linux":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(TRIM_THRESHOLD, FREE_BYTES) and mallopt(MMAP_THRESHOLD, LARGEST_BLOCK))
