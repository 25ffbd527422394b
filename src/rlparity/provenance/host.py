"""Where numbers come from: versions, hardware, vector instructions, commit; and the memory of a process."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import resource
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rlparity.project_files import PROJECT

PACKAGES = (
    "rlparity",
    "torch",
    "numba",
    "numpy",
    "gymnasium",
    "stable-baselines3",
    "sb3-contrib",
    "Box2D",
    "mujoco",
    "ale-py",
    "pandas",
    "scipy",
    "snakemake",
)
CPUINFO = Path("/proc/cpuinfo")
FLAGS = (  # of the processor, by which CPU libraries choose kernels; x86, then ARM
    *("avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_bf16", "amx_int8"),
    *("asimd", "sve", "sve2", "bf16", "i8mm"),
)
STEERING = ("ATEN_CPU_CAPABILITY", "MKL_", "ONEDNN_", "OMP_NUM_THREADS", "NUMBA_CPU_")  # of that choice
KERNEL = "RLPARITY_KERNEL"  # `off`: PyTorch computes what `rlparity.nn.kernel` would


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that numbers may depend on."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def hardware() -> dict[str, Any]:
    """Processor, its vector instructions, kernel, GPU, cores, threads of this process, system."""
    import torch

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "cpu": _processor(),
        "instructions": instructions(),
        "kernel": "off"
        if os.environ.get(KERNEL) == "off"
        else f"numba {importlib.metadata.version('numba')}",
        "gpu": gpu,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "machine": f"{platform.system()} {platform.machine()}",
    }


def instructions() -> str | None:
    """By what CPU libraries choose kernels, in words; None outside Linux.

    PyTorch's choice, then the processor's flags, then the variables that steer the choice. MKL chooses by the
    processor: with AVX2 and with AVX-512 sums round differently, so two processors of one name may train
    differently.
    """
    if sys.platform != "linux":
        return None
    import torch

    flags = set((_cpuinfo("flags") or _cpuinfo("Features") or "").split())
    chosen = torch.backends.cpu.get_cpu_capability()
    steered = [f"{name}={value}" for name, value in sorted(os.environ.items()) if name.startswith(STEERING)]
    return " ".join([chosen, *(flag for flag in FLAGS if flag in flags), *steered])


def rounding(hardware: Mapping[str, Any]) -> str:
    """What the last bits of results depend on, of `hardware`: processor, instructions, kernel."""
    parts = (hardware.get("cpu"), hardware.get("instructions"), hardware.get("kernel"))
    return "; ".join(str(part) for part in parts if part) or "an unknown processor"


def processor() -> str:
    """Name, family and model of the processor: cloud machines call different ones "AMD EPYC"."""
    parts = [f"{key.split()[-1]} {value}" for key in ("cpu family", "model") if (value := _cpuinfo(key))]
    return f"{_processor()} ({', '.join(parts)})" if parts else _processor()


def _processor() -> str:
    return _cpuinfo("model name") or platform.processor() or "unknown"


def _cpuinfo(name: str) -> str | None:
    """A field of the first processor; None where Linux does not list it."""
    try:
        lines = CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    pairs = (line.partition(":") for line in lines)
    return next((value.strip() for key, _, value in pairs if key.strip() == name), None)


def git() -> dict[str, Any]:
    """The commit of the clone that these sources are in, and whether it is dirty: tracked files changed, or
    modules untracked. Both are None of sources outside a clone, such as installed ones."""

    def ask(*words: str) -> str | None:
        command = ["git", "-C", str(PROJECT), *words]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20)
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout.strip()

    top = ask("rev-parse", "--show-toplevel")
    if top is None or Path(top) != PROJECT.resolve():  # of another repository, in which it is installed
        return {"commit": None, "dirty": None}
    commit = ask("rev-parse", "HEAD")
    changed = ask("status", "--porcelain", "--untracked-files=no", "--", ".", ":!reports")
    modules = ask("ls-files", "--others", "--exclude-standard", "--", ":(top)src/*.py")
    return {"commit": commit, "dirty": None if changed is None else bool(changed or modules)}


def peak_memory_mib() -> float:
    """Peak resident memory of this process, MiB."""
    units = 2**20 if sys.platform == "darwin" else 2**10  # macOS counts bytes, Linux KiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / units


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1  # macOS cannot pin a process
