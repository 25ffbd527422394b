"""A known run, and writers of it in the formats of other programs."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from rlparity.log_readers.checks import Expected

DATA = Path(__file__).parents[1] / "log_readers" / "data"
CARTPOLE = Expected("CartPole-v1", budget=100_000, n_envs=8, points=20, time_limit=500)
PONG = Expected("ALE/Pong-v5@nature", budget=40_960, n_envs=8, points=10, time_limit=27_000)
EVENTS = "events.out.tfevents.{}.host.1.0"


class Run(NamedTuple):
    """Episodes in the order in which they ended."""

    step: NDArray[np.float64]  # (n,) environment steps over all sub-environments
    value: NDArray[np.float64]  # (n,) returns
    length: NDArray[np.float64]  # (n,)

    def rows(self, which: Any) -> Run:
        return Run(*(column[which] for column in self))


def cartpole(seed: int = 0) -> Run:
    return _read(DATA / f"cartpole-{seed}.csv")


def pong(seed: int = 0) -> Run:
    return _read(DATA / f"pong-{seed}.csv")


def _read(path: Path) -> Run:
    frame = pd.read_csv(path)
    return Run(*(frame[name].to_numpy(float) for name in ("env_step", "episode_return", "episode_length")))


def area(run: Run, expected: Expected) -> float:
    """Mean return over equal stretches of the budget, computed without the code that is tested."""
    edges = np.linspace(0, expected.budget, expected.points + 1)
    place = np.searchsorted(edges, run.step, side="left")
    means = {i: run.value[place == i].mean() for i in range(1, expected.points + 1) if (place == i).any()}
    return float(np.interp(range(1, expected.points + 1), list(means), list(means.values())).mean())


def sub_environments(run: Run, n: int = 8) -> list[Run]:
    """The episodes of each of n sub-environments: each begins where one ended."""
    parts: list[list[int]] = [[] for _ in range(n)]
    ended = [0.0] * n
    for i, (step, length) in enumerate(zip(run.step / n, run.length, strict=True)):
        which = ended.index(step - length)
        ended[which] = step
        parts[which].append(i)
    return [run.rows(part) for part in parts]


# --- writers


def csv(
    path: Path, run: Run, names: Sequence[str] = ("env_step", "episode_return", "episode_length")
) -> Path:
    """The first columns of a run under these names; returns have a decimal, others none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = list(run)[: len(names)]
    kinds = ["{:.0f}", "{:.1f}", "{:.0f}"]
    rows = [
        ",".join(kind.format(v) for kind, v in zip(kinds, row, strict=False))
        for row in zip(*columns, strict=True)
    ]
    path.write_text("\n".join([",".join(names), *rows]) + "\n")
    return path


def parquet(path: Path, run: Run) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    names = ("env_step", "episode_return", "episode_length")
    pq.write_table(pa.table(dict(zip(names, run, strict=True))), path)
    return path


def monitor_text(
    run: Run, environment: str = "CartPole-v1", start: float = 1.7e9, factor: float = 1.0
) -> str:
    """Stable-Baselines3's Monitor; a step of all sub-environments takes a millisecond.

    `factor` multiplies lengths.
    """
    head = json.dumps({"t_start": start, "env_id": environment})
    rows = (
        f"{value:.1f},{factor * length:.0f},{step / 8000:.6f}"
        for step, value, length in zip(*run, strict=True)
    )
    return "\n".join([f"#{head}", "r,l,t", *rows]) + "\n"


def monitor(path: Path, run: Run, **how: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(monitor_text(run, **how))
    return path


def evaluations(path: Path, points: int = 20, episodes: int = 5, seed: int = 0, **arrays: Any) -> Path:
    """EvalCallback's file, with returns that rise to 500."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    rising = np.linspace(100, 500, points)[:, None] - rng.integers(0, 50, (points, episodes))
    known = {
        "timesteps": 5000 * np.arange(1, points + 1),
        "results": rising,
        "ep_lengths": rising.astype(int),
    }
    np.savez(path, **{**known, **arrays})
    return path


def events(
    folder: Path,
    run: Run,
    tags: Sequence[str] = ("charts/episodic_return", "charts/episodic_length"),
    environment: str | None = "CartPole-v1",
    begun: float = 1.7e9,
    purge: int | None = None,
) -> Path:
    """CleanRL's event file: returns and lengths under two tags, and its table of hyper-parameters."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / EVENTS.format(f"{begun:.2f}")
    path.write_bytes(b"".join(_records(run, tags, environment, begun, purge)))
    return path


def _records(
    run: Run, tags: Sequence[str], environment: str | None, begun: float, purge: int | None
) -> list[bytes]:
    from tensorboard.compat.proto.event_pb2 import Event, SessionLog
    from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
    from tensorboard.compat.proto.tensor_pb2 import TensorProto

    found = [Event(wall_time=begun, file_version="brain.Event:2")]
    if purge is not None:
        found.append(Event(wall_time=begun, step=purge, session_log=SessionLog(status=SessionLog.START)))
    if environment is not None:
        text = f"|param|value|\n|-|-|\n|env_id|{environment}|\n|seed|1|".encode()
        tensor = TensorProto(dtype=7, string_val=[text])
        plugin = SummaryMetadata.PluginData(plugin_name="text")
        value = Summary.Value(
            tag="hyperparameters/text_summary", metadata=SummaryMetadata(plugin_data=plugin), tensor=tensor
        )
        found.append(Event(wall_time=begun, summary=Summary(value=[value])))
    for row in zip(*run, strict=True):
        for tag, number in zip(tags, row[1:], strict=False):
            summary = Summary(value=[Summary.Value(tag=tag, simple_value=number)])
            found.append(Event(wall_time=begun + row[0] / 1e6, step=int(row[0]), summary=summary))
    return [record(event.SerializeToString()) for event in found]


def record(data: bytes) -> bytes:
    """A record of an event file."""
    from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c

    length = struct.pack("<Q", len(data))
    return length + struct.pack("<I", masked_crc32c(length)) + data + struct.pack("<I", masked_crc32c(data))


def dopamine(path: Path, runs: Sequence[Sequence[float]], by_iteration: bool = True) -> Path:
    """Dopamine's JSON: the values of each run, row by row of an iteration or run by run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [{"Iteration": i, "Value": value, "Agent": "PPO"} for run in runs for i, value in enumerate(run)]
    if by_iteration:
        rows.sort(key=lambda row: row["Iteration"])
    path.write_text(json.dumps(rows))
    return path
