"""TensorBoard's event files, read by TensorBoard: one scalar tag, by default CleanRL's returns."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rlparity.log_readers.series import (
    CLEANRL_TAG,
    EVALUATION,
    TRAINING,
    Reading,
    Refused,
    Series,
    refuse_running_means,
)
from rlparity.log_readers.setting_names import literal

LENGTHS = {"charts/episodic_return": "charts/episodic_length", "eval/mean_reward": "eval/mean_ep_length"}


def read(paths: Sequence[Path], reading: Reading) -> list[Series]:
    """Read one run for each folder: its event files are one training, resumed or not."""
    return [_folder(folder, reading) for folder in dict.fromkeys(path.parent for path in paths)]


def measure(reading: Reading) -> str:
    """What the scalar contains, TRAINING or EVALUATION; by its tag unless `reading` names it."""
    return reading.measure or (EVALUATION if reading.tag.startswith(("eval", "test")) else TRAINING)


def _folder(folder: Path, reading: Reading) -> Series:
    tag = reading.tag or CLEANRL_TAG
    events, source = _load(folder), f"{folder}, tag {tag}"
    tags = sorted(events.Tags()["scalars"])
    refuse_running_means(tag, source)
    if tag not in tags:
        raise Refused(f"{folder}: no scalar {tag!r}; there are {', '.join(tags) or 'none'}")
    scalars = events.Scalars(tag)
    step = np.array([event.step for event in scalars], dtype=float)
    returns = np.array([event.value for event in scalars], dtype=float)
    length = np.zeros(len(step))
    beside = LENGTHS.get(tag)
    if beside in tags and len(events.Scalars(beside)) == len(step):
        length = np.array([event.value for event in events.Scalars(beside)], dtype=float)
    notes = () if beside in tags else ("lengths of episodes are not logged, recorded as 0",)
    return Series(source, measure(reading), step, returns, length, None, _environment(events), notes=notes)


def _load(folder: Path) -> Any:
    """Load all scalars. After a logged restart TensorBoard drops the steps that were repeated."""
    from tensorboard.backend.event_processing import event_accumulator

    events = event_accumulator.EventAccumulator(str(folder), size_guidance={event_accumulator.SCALARS: 0})
    try:
        events.Reload()
    except Exception as error:  # a damaged file raises many kinds
        raise Refused(f"{folder}: event files that cannot be read ({type(error).__name__})") from None
    return events


def _environment(events: Any) -> str | None:
    """`env_id` in CleanRL's table of hyper-parameters; None without one."""
    named = _table(events).get("env_id")
    return None if named is None else str(named)


def hyperparameters(folder: Path) -> dict[str, Any]:
    """CleanRL's table of hyper-parameters in the event files of a folder; empty without one, or if they
    cannot be read. Texts that are numbers, truth values or None are converted."""
    from tensorboard.backend.event_processing import event_accumulator

    few = {event_accumulator.SCALARS: 1, event_accumulator.TENSORS: 10}  # of each tag; a text has one
    events = event_accumulator.EventAccumulator(str(folder), size_guidance=few)
    try:
        events.Reload()
    except Exception:  # a damaged file raises many kinds; the reader of returns names it
        return {}
    return {name: literal(text) for name, text in _table(events).items()}


def _table(events: Any) -> dict[str, str]:
    """The rows `|name|value|` of texts whose tag begins with `hyperparameters`."""
    found: dict[str, str] = {}
    for tag in events.Tags()["tensors"]:
        if tag.startswith("hyperparameters"):
            text = b"".join(events.Tensors(tag)[0].tensor_proto.string_val).decode(errors="replace")
            rows = (
                [cell.strip() for cell in line.strip().strip("|").split("|")] for line in text.splitlines()
            )
            found |= {row[0]: row[1] for row in rows if len(row) == 2}
    return {name: value for name, value in found.items() if name not in ("param", "-")}
