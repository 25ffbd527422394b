"""Compile functions with Numba, once for each machine and version of the sources. No sum is reordered."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from numba import config as _config

config: Any = _config
njit: Any = numba.njit  # whose annotations lack options
inner = njit(error_model="numpy", nogil=True, no_cpython_wrapper=True)


def cache_folder(function: Callable[..., Any]) -> Path:
    """Where a compiled function is kept: a folder for its package's sources, as Numba follows no imports."""
    package = Path(function.__code__.co_filename).parent
    sources = b"".join(file.read_bytes() for file in sorted(package.glob("*.py")))
    root = config.CACHE_DIR or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "rlparity")
    return Path(root, hashlib.sha256(sources).hexdigest()[:16])


def entry(function: Callable[..., Any]) -> Any:
    """Compile at the first call for a kind of number, and keep the result for other processes."""
    options: dict[str, Any] = {"error_model": "numpy", "nogil": True}
    before, config.CACHE_DIR = config.CACHE_DIR, str(cache_folder(function))
    try:
        return njit(cache=True, **options)(function)
    except (RuntimeError, OSError):  # no folder to write to: every process compiles
        return njit(**options)(function)
    finally:
        config.CACHE_DIR = before
