"""A report folder for figures, pages and comparisons: its plan, tables and runs, and which rows are whose."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from rlparity.analysis import plans
from rlparity.arms import OURS, Arm
from rlparity.cell import path_name
from rlparity.metrics import RETURN, Metric
from rlparity.reporting import report_files
from rlparity.reporting.formatting import ENDPOINTS, label
from rlparity.reporting.style import Look, looks

RANDOM = "random"  # the agent that acts at random


class Measurement(NamedTuple):
    """An environment and one of its metrics: the subject of a section of the page and of its figures."""

    environment: str
    metric: Metric = RETURN
    several: bool = False  # whether the environment has other metrics

    @property
    def name(self) -> str:
        """The environment, with the metric where it has several."""
        return f"{self.environment} ({self.metric.name})" if self.several else self.environment

    @property
    def slug(self) -> str:
        """The same as part of a file name."""
        return slug(self.environment) + f".{slug(self.metric.name)}" * self.several


@dataclass(frozen=True)
class Folder:
    """A report folder: `reports/<suite>/`."""

    path: Path

    @cached_property
    def plan(self) -> dict[str, Any]:
        """The resolved suite. Raises UserError where there is none or it cannot be read."""
        return report_files.read_plan(self.path)

    @cached_property
    def tables(self) -> dict[str, pd.DataFrame]:
        """Every table by name; empty, with its columns, where the suite made none."""
        return {name: report_files.read_table(self.path, name) for name in report_files.TABLES}

    @cached_property
    def runs(self) -> list[dict[str, Any]]:
        """run.json of the plan's cells, in its order of environments and algorithms."""
        return sorted(report_files.read_runs(self.path, self.plan), key=lambda run: self._rank(run["cell"]))

    @cached_property
    def processors(self) -> dict[tuple[str, str, str], set[str]]:
        """The processors that trained an arm, by environment, implementation and algorithm."""
        found: dict[tuple[str, str, str], set[str]] = {}
        for run in self.runs:
            cell, machine = run["cell"], run.get("hardware") or {}
            arm = (cell["environment"], cell["implementation"], cell["algorithm"])
            found.setdefault(arm, set()).add(str(machine.get("gpu") or machine.get("cpu")))
        return found

    def _rank(self, cell: dict[str, Any]) -> tuple[Any, ...]:
        places = [list(self.plan["environments"]), list(self.plan["algorithms"]), self.implementations]
        names = [cell["environment"], cell["algorithm"], cell["implementation"]]
        order = [_place(where)(name) for where, name in zip(places, names, strict=True)]
        return (*order, *names, list(cell["seeds"]))

    @cached_property
    def measurements(self) -> list[Measurement]:
        """Every metric of every environment, in the plan's order."""
        found = []
        for environment in self.plan["environments"]:
            metrics = plans.metrics(self.plan, environment)
            found += [Measurement(environment, metric, len(metrics) > 1) for metric in metrics]
        return found

    def measurement(self, row: Any) -> Measurement:
        """The measurement that a row of a table is of."""
        here = (one for one in self.measurements if one[:1] == (row.environment,))
        named = (one for one in here if one.metric.name == row.metric)
        return next(named, Measurement(row.environment, Metric(row.metric, row.metric)))

    def measured(self, table: str) -> list[Measurement]:
        """The measurements that a table has rows of."""
        frame = self.tables[table]
        there = set(zip(frame.environment, frame.metric, strict=True))
        return [one for one in self.measurements if (one.environment, one.metric.name) in there]

    @property
    def quantity(self) -> str:
        """What is measured, in a word: the metric's name if all environments share one, else "value"."""
        names = {one.metric.name for one in self.measurements}
        return names.pop() if len(names) == 1 else "value"

    @cached_property
    def implementations(self) -> list[str]:
        """Those that left numbers: ours first, then the references, then the others by name."""
        seen = {*self.tables["scores"].implementation, *self.tables["curves"].implementation}
        first = [name for name in (OURS, *self.references) if name in seen]
        return first + sorted(seen - set(first))

    @cached_property
    def references(self) -> list[str]:
        """Implementations of the plan's references."""
        arms = (self.reference(name) for name in self.plan["algorithms"])
        return list(dict.fromkeys(arm.implementation for arm in arms if arm is not None))

    def reference(self, algorithm: str) -> Arm | None:
        """The arm that a configuration is judged against, if there is one."""
        return plans.reference(self.plan, algorithm) if algorithm in self.plan["algorithms"] else None

    def plain(self, algorithm: str) -> Arm | None:
        """The arm that this configuration of ours differs from only in how it computes, if there is one."""
        name = self.plan["algorithms"].get(algorithm, {}).get("plain")
        return Arm(OURS, name) if name else None

    @cached_property
    def baselines(self) -> set[str]:
        """Configurations that mark the floor of a metric, such as the random agent: no contenders."""
        floors = {RANDOM} | {one.metric.floor for one in self.measurements}
        return {
            name
            for name, about in self.plan["algorithms"].items()
            if floors & {name, about.get("agent", name)}
        }

    def algorithms(self, environment: str) -> list[str]:
        """Configurations of an environment, without the baselines if there are others."""
        names = self.plan["environments"][environment].get("algorithms") or list(self.plan["algorithms"])
        return [name for name in names if name not in self.baselines] or list(names)

    def title(self, algorithm: str) -> str:
        """The name of a configuration in figures and sentences."""
        return str(self.plan["algorithms"].get(algorithm, {}).get("title") or algorithm)

    def called(self, row: Any, algorithm: str = "") -> str:
        """The configuration of a row of `verdicts` or `improvement`, or `algorithm` as another name for it,
        with its implementation where there are several and the plain configuration if it is judged by that.
        """
        several = self.tables["verdicts"].implementation.nunique() > 1
        who = f" ({label(row.implementation)})" if several else ""
        plain = "" if by_reference(row) else f" against our {row.reference.partition('/')[2]}"
        return f"{algorithm or row.algorithm}{who}{plain}"

    def sharing(self, algorithm: str) -> list[Arm]:
        """The arms shown together for a configuration: its implementations, and the reference's arm."""
        theirs = self.reference(algorithm)
        others = (Arm(who, algorithm) for who in self.implementations)
        return [theirs if theirs and theirs.implementation == arm.implementation else arm for arm in others]

    def arms(self, environment: str, algorithm: str) -> list[Arm]:
        """The same as far as they left numbers in an environment."""
        seen = {key[:1] + key[2:] for table in ("curves", "scores") for key in self._parts[table]}
        return [arm for arm in self.sharing(algorithm) if (environment, *arm) in seen]

    @cached_property
    def looks(self) -> dict[str, Look]:
        """Implementation -> its look, the same wherever it is drawn."""
        return looks(self.implementations, self.references)

    @cached_property
    def _parts(self) -> dict[str, dict[tuple[str, str, str, str], pd.DataFrame]]:
        """Tables taken apart: name -> (environment, metric, implementation, algorithm) -> rows."""
        keys = ["environment", "metric", "implementation", "algorithm"]
        tables = {name: table for name, table in self.tables.items() if {*keys} <= {*table.columns}}
        return {name: dict(iter(table.groupby(keys, sort=False))) for name, table in tables.items()}

    def here(self, table: str, measured: Measurement) -> pd.DataFrame:
        """Rows of all arms by one measurement."""
        rows = self.tables[table]
        return rows[(rows.environment == measured.environment) & (rows.metric == measured.metric.name)]

    def rows(self, table: str, measured: Measurement, arm: Arm, **keys: str) -> pd.DataFrame:
        """Rows of one arm by one measurement, narrowed by further columns."""
        rows = self._parts[table].get((measured.environment, measured.metric.name, *arm))
        if rows is None:
            return self.tables[table].iloc[:0]
        for key, value in keys.items():
            rows = rows[rows[key] == value]
        return rows

    def evaluated(self, table: str, measured: Measurement, arm: Arm, training: bool = False) -> pd.DataFrame:
        """Rows of the deterministic or epsilon-greedy policy, of the sampled one where there is no other; or
        those of values in training."""
        rows = self.rows(table, measured, arm)
        rows = rows[(rows.protocol == "training") == training]
        chosen = rows[rows.protocol != "sampled"]
        return rows if chosen.empty else chosen

    def ordered(self, table: str) -> pd.DataFrame:
        """A table in the plan's order: environment, metric, algorithm, implementation, those against
        references before those against plain configurations, the primary endpoint first."""
        frame = self.tables[table]
        known = {
            "environment": list(self.plan["environments"]),
            "metric": [one.metric.name for one in self.measurements],
            "algorithm": list(self.plan["algorithms"]),
            "implementation": self.implementations,
            "reference": [row.reference for row in frame.itertuples() if by_reference(row)]
            if "reference" in frame
            else [],
            "endpoint": list(ENDPOINTS),
        }
        by = [column for column in known if column in frame]
        places = pd.DataFrame(
            {column: frame[column].map(_place(known[column])) for column in by}, dtype=float
        )
        return frame.loc[places.sort_values(by, kind="stable").index]

    def threshold(self, measured: Measurement) -> float:
        """The value at which the environment counts as solved, by its first metric; NaN if there is none."""
        value = plans.threshold(self.plan, measured.environment, measured.metric)
        return math.nan if value is None else float(value)

    def floor(self, measured: Measurement) -> float:
        """The value of what has learned nothing: a constant, or the mean final value of a configuration;
        NaN where the suite does not have that configuration."""
        arm = plans.floor(measured.metric)
        if arm is None:
            return float(measured.metric.floor)
        return float(self.rows("scores", measured, arm, endpoint="final").value.astype(float).mean())


def _place(names: Sequence[str]) -> Callable[[Any], int]:
    places = {name: place for place, name in enumerate(dict.fromkeys(names))}
    return lambda name: places.get(name, len(places))


def by_reference(row: Any) -> bool:
    """Whether a row is judged against another implementation, and not against a configuration of its own."""
    return bool(row.reference.partition("/")[0] != row.implementation)


def slug(environment: str) -> str:
    """An environment id as part of a file name: "ALE/Pong-v5" becomes "ALE_Pong-v5"."""
    return re.sub(r"[^\w.-]", "_", path_name(environment))
