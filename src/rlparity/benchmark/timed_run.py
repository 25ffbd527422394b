"""Time one run of a cell in this process."""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any

from rlparity import registry
from rlparity.benchmark import flops
from rlparity.cell import Cell
from rlparity.environments import metadata
from rlparity.provenance import fingerprint, host
from rlparity.records import SCHEMAS, write
from rlparity.runs import malloc
from rlparity.runs.run_cell import configuration
from rlparity.seeding import Streams

WARM_UP = 8  # part of the budget that is run and written before, untimed: first uses import and compile


def timed(cell: Cell) -> dict[str, Any]:
    """Train a cell without evaluation; returns environment steps of all seeds per second, peak memory in MiB,
    what computed the networks, and on a CPU 10^9 operations per second: those possible, the median of the
    best rates before and after, and those achieved where they are counted; there our critic's share, too."""
    import torch

    torch.set_num_threads(1)
    malloc.keep_freed_memory()
    _trained(replace(cell, budget=cell.budget // WARM_UP))
    best = [flops.best_rate()] if cell.device == "cpu" else []
    started = time.perf_counter()
    _trained(cell)
    seconds = time.perf_counter() - started
    rate = cell.budget * len(cell.seeds) / seconds
    found = {"steps_per_second": rate, "peak_memory_mib": host.peak_memory_mib(), "kernel": kernel(cell)}
    if cell.device == "cpu":
        found["machine_gflops"] = median([*best, flops.best_rate()]) / 1e9
        needed = operations(cell)
        if needed is not None:
            found["gflops"] = needed / seconds / 1e9
            if found["kernel"] not in ("", "off"):
                found["critic_share"] = critic_share(cell)
    return found


def _trained(cell: Cell) -> None:
    """Train a cell and write its records."""
    with tempfile.TemporaryDirectory() as folder:
        recorder = import_module(registry.trainer(cell)).run(cell, evaluate=False)
        for kind in SCHEMAS:
            write(Path(folder), kind, getattr(recorder, kind))


def kernel(cell: Cell) -> str:
    """What computed the networks: "numba 0.68.1"; "off" where the kernel was turned off; "" where there is
    none, as for references and images."""
    import torch

    if not fingerprint.computed_by_kernel(cell):
        return ""
    supported = registry.part("kernel").supports(torch.zeros(1))
    return f"numba {host.versions()['numba']}" if supported else "off"


def critic_share(cell: Cell) -> float:
    """Best rate of a critic's two passes, as a share of the core's best rate measured in turn with them."""
    from rlparity.nn import networks

    info, values = metadata.probe(cell.environment), configuration(replace(cell, implementation="scratch"))
    sizes = [info.observation_size + info.action_size, *values["net_arch"], 1]
    generators = Streams(cell).torch_generators("network")
    network = networks.Network({"critic": networks.mlp(sizes)}, generators, values["activation"])
    return flops.share_of_best(network, "critic", sizes, values["batch_size"])


def operations(cell: Cell) -> float | None:
    """Floating-point operations of all updates of a cell; None where they are not counted."""
    info, values = metadata.probe(cell.environment), configuration(replace(cell, implementation="scratch"))
    once = flops.per_update(cell.agent, values, info.observation_size, info.action_size)
    if once is None:
        return None
    updates = (cell.budget - values["learning_starts"]) // values["train_freq"] * values["gradient_steps"]
    return once * updates * len(cell.seeds)
