"""What the scripts of all peers share: their settings, and the line that they print."""

from __future__ import annotations

import importlib.metadata
import json
import resource
import sys
import time
from statistics import median
from typing import Any

import numpy as np

SIZE, BEST_OF = 1024, 5


def settings() -> dict[str, Any]:
    """The JSON of the command line: agent, environment, seeds, budget, n_envs, and all hyper-parameters."""
    found: dict[str, Any] = json.loads(sys.argv[1])
    return found


def product_rate() -> float:
    """10^9 operations per second of a large float32 product, by NumPy's library; the best of BEST_OF."""
    a, b = np.random.default_rng(0).standard_normal((2, SIZE, SIZE), dtype=np.float32)
    seconds = []
    for _ in range(BEST_OF):
        started = time.perf_counter()
        a @ b
        seconds.append(time.perf_counter() - started)
    return 2 * SIZE**3 / min(seconds) / 1e9


def report(steps: int, seconds: float, compile_s: float, rate_before: float, packages: list[str]) -> None:
    """Print what was measured as one line of JSON."""
    found = {
        "steps_per_second": steps / seconds,
        "compile_s": compile_s,
        "versions": {name: importlib.metadata.version(name) for name in packages},
        "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "machine_gflops": median((rate_before, product_rate())),
    }
    print(json.dumps(found))
