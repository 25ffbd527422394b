"""Stable-Baselines3's `evaluations.npz`: the returns of each evaluation, saved by EvalCallback."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rlparity.log_readers.series import EVALUATION, Reading, Refused, Series, numbers

ARRAYS = ("timesteps", "results")


def read(paths: Sequence[Path], reading: Reading) -> list[Series]:
    """Read timesteps (P,), results and ep_lengths (P, E). Arrays of objects are refused, not unpickled."""
    found = []
    for path in paths:
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in (*ARRAYS, "ep_lengths") if name in file}
        except Exception as error:  # a damaged file raises many kinds
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise Refused(f"{path}: not an archive of plain numbers ({reason})") from None
        if missing := [name for name in ARRAYS if name not in arrays]:
            raise Refused(f"{path}: no array {', '.join(missing)}; EvalCallback saves timesteps and results")
        step, results = arrays["timesteps"], arrays["results"]
        if step.ndim != 1 or results.ndim != 2 or len(step) != len(results):
            raise Refused(
                f"{path}: timesteps {step.shape} and results {results.shape} do not belong together"
            )
        lengths = arrays.get("ep_lengths", np.zeros(results.shape))
        if lengths.shape != results.shape:
            raise Refused(f"{path}: ep_lengths {lengths.shape} and results {results.shape} differ in shape")
        notes = () if reading.deterministic is not None else ("assumed to be of the deterministic policy",)
        if (twice := _twice(step)) is not None:
            raise Refused(f"{path}: two evaluations at environment step {twice:g}; are these several runs?")
        clock = numbers(np.repeat(step, results.shape[1]), str(path), "timesteps")
        returns, length = (numbers(values, str(path), "results") for values in (results, lengths))
        found.append(Series(str(path), EVALUATION, clock, returns, length, notes=notes))
    return found


def _twice(step: np.ndarray) -> float | None:
    """The first step that was evaluated more than once; None if there is none."""
    found, count = np.unique(step, return_counts=True)
    return float(found[count > 1][0]) if (count > 1).any() else None
