"""Stable-Baselines3's `evaluations.npz`: the returns of each evaluation, saved by EvalCallback."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rlparity.log_readers.series import EVALUATION, Reading, Refused, Series, numbers

ARRAYS = ("timesteps", "results")


def read(paths: Sequence[Path], reading: Reading) -> tuple[list[Series], list[str]]:
    """Read timesteps (P,), results and ep_lengths (P, E), and name the archives that hold others.

    Results (P, E, 1) are read as (P, E), results (P,) as a mean at each point. Arrays of objects are refused,
    not unpickled.
    """
    found, problems = [], []
    for path in paths:
        try:
            found.append(_file(path, reading))
        except Refused as error:
            problems.append(str(error))
    if not found:
        raise Refused("; ".join(problems))
    return found, problems


def _file(path: Path, reading: Reading) -> Series:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in (*ARRAYS, "ep_lengths") if name in file}
            there = ", ".join(file.files[:6])
    except Exception as error:  # a damaged file raises many kinds
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise Refused(f"{path}: not an archive of plain numbers ({reason})") from None
    if missing := [name for name in ARRAYS if name not in arrays]:
        raise Refused(
            f"{path}: no array {', '.join(missing)}; EvalCallback saves timesteps and results; "
            f"there are {there}"
        )
    notes = [] if reading.deterministic is not None else ["assumed to be of the deterministic policy"]
    step, results, lengths = _shapes(path, arrays, notes)
    if (twice := _twice(step)) is not None:
        raise Refused(f"{path}: two evaluations at environment step {twice:g}; are these several runs?")
    clock = numbers(np.repeat(step, results.shape[1]), str(path), "timesteps")
    returns, length = (numbers(values, str(path), "results") for values in (results, lengths))
    return Series(str(path), EVALUATION, clock, returns, length, notes=tuple(notes), files=(path,))


def _shapes(
    path: Path, arrays: dict[str, np.ndarray], notes: list[str]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Steps (P,), returns and lengths (P, E)."""
    shapes = f"timesteps {arrays['timesteps'].shape} and results {arrays['results'].shape}"
    step = _squeezed(arrays["timesteps"], 1)
    results = _squeezed(arrays["results"], 2)
    if results.ndim == 1 and step.ndim == 1 and len(step) == len(results):
        results = results[:, None]
        notes.append("one value at each point, taken as the mean of an evaluation")
    if step.ndim != 1 or results.ndim != 2 or len(step) != len(results) or not results.size:
        raise Refused(f"{path}: {shapes} do not belong together; expected (points,) and (points, episodes)")
    if "ep_lengths" not in arrays:
        return step, results, np.zeros(results.shape)
    lengths = _squeezed(arrays["ep_lengths"], 2)
    lengths = lengths[:, None] if lengths.ndim == 1 else lengths
    if lengths.shape != results.shape:
        if results.shape[1] == 1 and len(lengths) == len(results) and lengths.ndim == 2:
            return step, results, lengths.mean(axis=1, keepdims=True).round()
        raise Refused(f"{path}: ep_lengths {lengths.shape} and results {results.shape} differ in shape")
    return step, results, lengths


def _squeezed(values: np.ndarray, ndim: int) -> np.ndarray:
    """Without last axes of length one beyond the dimensions that there should be."""
    while values.ndim > ndim and values.shape[-1] == 1:
        values = values[..., 0]
    return values


def _twice(step: np.ndarray) -> float | None:
    """The first step that was evaluated more than once; None if there is none."""
    found, count = np.unique(step, return_counts=True)
    return float(found[count > 1][0]) if (count > 1).any() else None
