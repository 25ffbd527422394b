"""What a machine is: versions, its GPU, the rates of a large product, the time of a small operation."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rlparity.provenance import host
from rlparity.records import write_bytes

SIZES = {"cuda": 8192, "cpu": 512}  # rows and columns of the product's matrices
BEST_OF, SMALL = 5, 1000  # products, and small operations in a row
SMI_S = 5  # less than the block's limit, so that a driver that hangs does not take the other facts along
SMI = ("name", "driver_version", "memory.total", "clocks.sm", "clocks.max.sm", "clocks.mem", "power.limit")


def write(device: str, path: Path) -> None:
    """Measure, and write a file of JSON: the machine, rates in TFLOP/s, times in microseconds."""
    found = {
        "versions": host.versions(),
        "hardware": host.hardware(),
        "git": host.git(),
        "device": device,
        "gpu": _gpu() if device == "cuda" else None,
        "nvidia_smi": _nvidia_smi() if device == "cuda" else None,
        "product_size": SIZES[device],
        "product_tflops": _products(device),
        **_small_operations(device),
    }
    write_bytes(path, json.dumps(found, indent=1, sort_keys=True).encode())


def _gpu() -> dict[str, Any]:
    import torch

    properties = torch.cuda.get_device_properties(0)
    return {
        "name": properties.name,
        "memory_bytes": properties.total_memory,
        "multiprocessors": properties.multi_processor_count,
        "capability": f"{properties.major}.{properties.minor}",
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
    }


def _nvidia_smi() -> dict[str, str] | None:
    """What `nvidia-smi` says of the first GPU, in its words; None where there is none."""
    if shutil.which("nvidia-smi") is None:
        return None
    command = ["nvidia-smi", "--id=0", f"--query-gpu={','.join(SMI)}", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=SMI_S)
    except (OSError, subprocess.SubprocessError):
        return None
    return dict(zip(SMI, map(str.strip, done.stdout.split(",")), strict=False))


def _products(device: str) -> dict[str, float]:
    """10^12 operations per second of a product in each precision, the best of BEST_OF."""
    import torch

    a, b = torch.randn(2, SIZES[device], SIZES[device], device=device)
    a16, b16 = a.bfloat16(), b.bfloat16()
    kinds: dict[str, tuple[str, Any, Any]] = {"float32": ("highest", a, b), "bfloat16": ("highest", a16, b16)}
    if device == "cuda":
        kinds["tf32"] = ("high", a, b)
    rates, before = {}, torch.get_float32_matmul_precision()
    for name, (precision, left, right) in kinds.items():
        torch.set_float32_matmul_precision(precision)
        best = min(_seconds(device, left.mm, right) for _ in range(1 + BEST_OF))
        rates[name] = round(2 * SIZES[device] ** 3 / best / 1e12, 3)
    torch.set_float32_matmul_precision(before)
    return rates


def _small_operations(device: str) -> dict[str, float]:
    """Microseconds of adding 1 to a number: many in a row, and each with its result read on the CPU."""
    import torch

    x = torch.zeros(1, device=device)

    def in_a_row() -> None:
        for _ in range(SMALL):
            x.add_(1)

    def each_read() -> None:
        for _ in range(SMALL):
            x.add_(1).item()

    calls = {"small_operation_us": in_a_row, "small_operation_read_us": each_read}
    return {
        name: round(min(_seconds(device, call) for _ in range(3)) / SMALL * 1e6, 2)
        for name, call in calls.items()
    }


def _seconds(device: str, call: Callable[..., object], *arguments: Any) -> float:
    import torch

    started = time.perf_counter()
    call(*arguments)
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started
