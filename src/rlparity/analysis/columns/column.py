"""A column of a table, and the groups of columns that several tables share."""

from __future__ import annotations

from typing import NamedTuple

import pyarrow as pa

from rlparity import records

DTYPES = {  # dtype of a column -> (pandas, Parquet); a whole number that may be missing is a "float"
    "str": ("str", pa.string()),
    "int": ("int64", pa.int64()),
    "float": ("float64", pa.float64()),
    "bool": ("boolean", pa.bool_()),
}


class Column(NamedTuple):
    """One column: a key of `DTYPES`, its meaning with the unit, and whether every report's table has it."""

    dtype: str
    meaning: str
    required: bool = True


def columns(text: str) -> dict[str, Column]:
    """Columns from lines of "name dtype meaning"; a dtype that ends in "?" marks a column as not required."""
    found = {}
    for line in text.strip().splitlines():
        name, dtype, meaning = line.split(maxsplit=2)
        found[name] = Column(dtype.removesuffix("?"), meaning, not dtype.endswith("?"))
    return found


def recorded(schema: pa.Schema, meanings: dict[str, str]) -> dict[str, Column]:
    """The columns of a Parquet schema. Raises KeyError for a column without a meaning."""
    dtypes = {parquet: dtype for dtype, (_, parquet) in DTYPES.items()}
    return {field.name: Column(dtypes[field.type], meanings[field.name]) for field in schema}


KEY_MEANINGS = {
    "implementation": "scratch, the implementation of a reference, or the name of a candidate",
    "algorithm": "named configuration",
    "environment": "Gymnasium id",
    "seed": "seed of the run",
    "env_step": "environment steps of this seed so far",
}
CLOCK = recorded(pa.schema(records.KEYS), KEY_MEANINGS)  # of every row of a record
SEED = {name: column for name, column in CLOCK.items() if name != "env_step"}
ARM = {name: column for name, column in SEED.items() if name != "seed"}
METRIC = columns("metric str? name of what the evaluations measure; missing: return")
RUN = columns("seed int seed of the run")
INTERVAL = columns("""
    ci_low float lower end of the 95 % interval
    ci_high float upper end of the 95 % interval
""")
