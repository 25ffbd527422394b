"""Files of published numbers: workflow/resources/published/*.csv, read and checked."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from rlparity.errors import UserError
from rlparity.metrics import RETURN

NAMES = "configurations.csv"  # which named configuration a published algorithm is; other files hold numbers
ATARI = "atari.csv"  # how a source emulates Atari games, and what it counts
NEEDED = (  # columns of a file of published numbers that are read here
    "source_id",
    "algorithm",
    "environment",
    "metric",
    "value",
    "spread",
    "spread_kind",
    "seeds",
    "frames_or_steps",
    "protocol",
    "reference",
    "provenance",
)
NUMBERS = ("value", "spread", "low", "high", "seeds", "frames_or_steps")
AT_THE_END = "mean episode return"  # of one agent; ours too, if it acts deterministically there
BEST = "max average return"  # best of the evaluations during training, of the mean over seeds
RETURNS = (AT_THE_END, BEST, "final average return", "average return", "average total reward")


def published(folder: Path) -> pd.DataFrame:
    """Published numbers of algorithms that have a named configuration, with that in `configuration`.

    A spread written as an interval ("3664..6574") stands in `low` and `high`, and `spread` is missing.
    `preset` and `counted` are the columns of `atari.csv`, if there is one, about the source.
    Raises UserError where a file of `folder` lacks a column or a number.
    """
    names = read(folder / NAMES, ("source_id", "algorithm", "configuration"))
    about = ("source_id", "preset", "counted")
    atari = read(folder / ATARI, about) if (folder / ATARI).is_file() else pd.DataFrame(columns=about)
    if twice := sorted(atari.source_id[atari.source_id.duplicated()]):
        raise UserError(f"{folder / ATARI}: names {twice[0]} twice")
    files = [file for file in sorted(folder.glob("*.csv")) if file.name not in (NAMES, ATARI)]
    columns = [*NEEDED, "low", "high"]
    rows = [read(file, NEEDED)[columns] for file in files]
    known = pd.concat(rows) if rows else pd.DataFrame(columns=columns)
    known = known.merge(names, on=["source_id", "algorithm"])
    return known.merge(atari[list(about)], on="source_id", how="left")


def measured(word: str) -> str:
    """Name of the metric that a source's word means: one of RETURNS the return, others themselves."""
    return RETURN.name if word in RETURNS else word


def read(file: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    """A file of published numbers, as text but for its numbers. Raises UserError where it lacks `columns`."""
    if not file.is_file():
        raise UserError(f"{file}: missing")
    try:
        rows = pd.read_csv(file, dtype=str)
        missing = [name for name in columns if name not in rows.columns]
        if missing:
            raise UserError(f"{file}: lacks the column {', '.join(missing)}")
        if "spread" in columns:
            ends = rows["spread"].str.split("..", n=1, regex=False, expand=True).reindex(columns=[0, 1])
            whole = ends[1].notna()
            rows["spread"], rows["low"], rows["high"] = ends[0].mask(whole), ends[0].where(whole), ends[1]
        found = rows.astype({name: float for name in NUMBERS if name in rows.columns})
        if "value" in columns and found["value"].isna().any():
            raise ValueError(f"row {int(found['value'].isna().idxmax()) + 1} has no value")
        return found
    except ValueError as error:
        raise UserError(f"{file}: not a table of published numbers ({error})") from None
