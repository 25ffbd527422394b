"""A report folder, read: its plan, tables and run records, as figures, pages and comparisons need them."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from rlparity.errors import UserError
from rlparity.reporting.style import COLOURS, LABELS, SPARE

COLUMNS = {  # what each table must have to be drawn; a table that a suite does not make counts as empty
    "verdicts": "algorithm environment endpoint implementation reference verdict difference ci90_low "
    "ci90_high ci95_low ci95_high margin smallest_margin p_difference p_holm p_equivalence "
    "seeds_implementation seeds_reference seeds_needed",
    "summary": "implementation algorithm environment endpoint statistic estimate ci_low ci_high seeds",
    "scores": "implementation algorithm environment seed endpoint value",
    "paper": "algorithm environment source published published_spread ours ci_low ci_high verdict differs_in",
    "human_normalised": "implementation algorithm environment statistic estimate ci_low ci_high games seeds "
    "failed_seeds budget random human citation",
    "dqn2013": "implementation algorithm environment game metric value ci_low ci_high seeds failed_seeds "
    "budget published_frames citation",
    "curves": "implementation algorithm environment protocol env_step iqm ci_low ci_high mean seeds",
    "seed_curves": "implementation algorithm environment protocol seed env_step value",
    "profiles": "implementation algorithm environment tau fraction ci_low ci_high",
    "improvement": "algorithm environment implementation reference endpoint probability ci_low ci_high",
    "thresholds": "implementation algorithm environment threshold reached seeds median_env_step",
    "cost": "implementation algorithm environment seeds steps_per_second training_time_per_seed_s "
    "evaluation_time_per_seed_s wall_time_per_seed_s peak_memory_mib",
}
WORDS = (  # columns of text, even where all of them look like numbers
    "implementation algorithm environment endpoint statistic protocol verdict reference seeds_needed "
    "reason source differs_in citation failed_seeds"
)
ENDPOINTS = {  # in this order: the first that a pair has is its primary one
    "auc": "area under the curve",
    "final": "final return",
    "training_auc": "mean training return",
    "training_final": "final training return",
    "time_to_threshold": "time to threshold",
}
SHORT = {  # endpoints where there is little room
    "auc": "area",
    "final": "final",
    "training_auc": "training mean",
    "training_final": "training end",
}
Arm = tuple[str, str]  # (implementation, algorithm)


@dataclass(frozen=True)
class Folder:
    """A report folder: `reports/<suite>/`."""

    path: Path

    @cached_property
    def plan(self) -> dict[str, Any]:
        """The resolved suite. Raises UserError where there is none or it cannot be read."""
        file = self.path / "plan.json"
        if not file.is_file():
            raise UserError(f"{self.path}: not a report folder, it has no plan.json")
        try:
            plan: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        except ValueError as error:
            raise UserError(f"{file}: not JSON ({error})") from None
        missing = [key for key in ("name", "algorithms", "environments") if key not in plan]
        if missing:
            raise UserError(f"{file}: lacks {', '.join(missing)}")
        for about in plan["algorithms"].values():
            if isinstance(about.get("reference"), dict):
                about["reference"] = about["reference"]["algorithm"]
        return plan

    @cached_property
    def tables(self) -> dict[str, pd.DataFrame]:
        """Every table by name; empty, with its columns, where the suite made none."""
        return {name: self._table(name, columns.split()) for name, columns in COLUMNS.items()}

    def _table(self, name: str, columns: list[str]) -> pd.DataFrame:
        file = self.path / f"{name}.csv"
        if not file.is_file():
            return pd.DataFrame(columns=columns)
        try:
            table = pd.read_csv(file, dtype=dict.fromkeys(WORDS.split(), str))
        except pd.errors.EmptyDataError:
            return pd.DataFrame(columns=columns)
        except (pd.errors.ParserError, UnicodeDecodeError) as error:
            raise UserError(f"{file}: not a table ({str(error).strip()})") from None
        missing = [column for column in columns if column not in table.columns]
        if missing:
            raise UserError(f"{file}: lacks the column {', '.join(missing)}")
        return table

    @cached_property
    def runs(self) -> list[dict[str, Any]]:
        """run.json of the plan's cells, in its order of environments and algorithms.

        A folder may hold records of others: of another part of the suite, from an earlier run.
        """
        runs, planned = [], {_who(cell) for cell in self.plan.get("cells", [])}
        for file in sorted(self.path.glob("records/**/run.json")):
            try:
                run = json.loads(file.read_text(encoding="utf-8"))
                if not planned or _who(run["cell"]) in planned:
                    runs.append((self._rank(run["cell"]), run))
            except (ValueError, KeyError, TypeError):
                raise UserError(f"{file}: not the record of a run") from None
        return [run for _, run in sorted(runs, key=lambda pair: pair[0])]

    def _rank(self, cell: dict[str, Any]) -> tuple[Any, ...]:
        places = [list(self.plan["environments"]), list(self.plan["algorithms"]), self.implementations]
        names = [cell["environment"], cell["algorithm"], cell["implementation"]]
        order = [
            where.index(name) if name in where else len(where)
            for where, name in zip(places, names, strict=True)
        ]
        return (*order, *names, list(cell["seeds"]))

    @cached_property
    def implementations(self) -> list[str]:
        """Those that left numbers, `scratch` and `sb3` first."""
        seen = {*self.tables["scores"].implementation, *self.tables["curves"].implementation}
        known = [name for name in LABELS if name in seen]
        return known + sorted(seen - set(known))

    @cached_property
    def random(self) -> set[str]:
        """Configurations of the random agent: the baseline, not a contender."""
        return {
            name for name, about in self.plan["algorithms"].items() if about.get("agent", name) == "random"
        }

    def algorithms(self, environment: str) -> list[str]:
        """Configurations of an environment, without the random baseline if there are others."""
        names = self.plan["environments"][environment].get("algorithms") or list(self.plan["algorithms"])
        return [name for name in names if name not in self.random] or list(names)

    @cached_property
    def _parts(self) -> dict[str, dict[tuple[str, str, str], pd.DataFrame]]:
        """Tables taken apart: name -> (environment, implementation, algorithm) -> rows."""
        keys = ["environment", "implementation", "algorithm"]
        arms = {name: table for name, table in self.tables.items() if name != "paper"}
        return {name: dict(iter(table.groupby(keys, sort=False))) for name, table in arms.items()}

    def title(self, algorithm: str) -> str:
        """How figures and sentences call a configuration."""
        return str(self.plan["algorithms"].get(algorithm, {}).get("title") or algorithm)

    def called(self, row: Any, algorithm: str = "") -> str:
        """The configuration of a row of `verdicts` or `improvement`, or `algorithm` as another name for it,
        with its implementation where there are several and the plain configuration if it is judged by that.
        """
        several = self.tables["verdicts"].implementation.nunique() > 1
        who = f" ({LABELS.get(row.implementation, row.implementation)})" if several else ""
        plain = "" if by_reference(row.reference) else f" against our {row.reference.partition('/')[2]}"
        return f"{algorithm or row.algorithm}{who}{plain}"

    def plain(self, algorithm: str) -> Arm | None:
        """The arm that this configuration of ours differs from only in how it computes, if there is one."""
        name = self.plan["algorithms"].get(algorithm, {}).get("plain")
        return ("scratch", name) if name else None

    def arms(self, environment: str, algorithm: str) -> list[Arm]:
        """Who shares a panel: every implementation of the configuration, and the one it is judged against."""
        reference = self.plan["algorithms"].get(algorithm, {}).get("reference") or algorithm
        arms = [(who, reference if who == "sb3" else algorithm) for who in self.implementations]
        seen = self._parts["curves"].keys() | self._parts["scores"].keys()
        return [arm for arm in arms if (environment, *arm) in seen]

    @cached_property
    def colours(self) -> dict[str, str]:
        """Implementation -> its colour, the same wherever it is drawn."""
        others = [name for name in self.implementations if name not in COLOURS]
        spare = {name: SPARE[place % len(SPARE)] for place, name in enumerate(others)}
        return {name: COLOURS.get(name) or spare[name] for name in self.implementations}

    def rows(self, table: str, environment: str, arm: Arm, **keys: str) -> pd.DataFrame:
        """Rows of one arm in one environment, narrowed by further columns."""
        rows = self._parts[table].get((environment, *arm))
        if rows is None:
            return self.tables[table].iloc[:0]
        for key, value in keys.items():
            rows = rows[rows[key] == value]
        return rows

    def evaluated(self, table: str, environment: str, arm: Arm, training: bool = False) -> pd.DataFrame:
        """Rows of the deterministic or epsilon-greedy policy, of the sampled one where there is no other; or
        those of returns in training."""
        rows = self.rows(table, environment, arm)
        rows = rows[(rows.protocol == "training") == training]
        chosen = rows[rows.protocol != "sampled"]
        return rows if chosen.empty else chosen

    def ordered(self, table: str) -> pd.DataFrame:
        """A table in the plan's order: environment, algorithm, implementation, those against references
        before those against plain configurations, the primary endpoint first."""
        frame = self.tables[table]
        known = {
            "environment": list(self.plan["environments"]),
            "algorithm": list(self.plan["algorithms"]),
            "implementation": self.implementations,
            "reference": [judge for judge in frame.get("reference", ()) if by_reference(judge)],
            "endpoint": list(ENDPOINTS),
        }
        by = [column for column in known if column in frame]
        places = pd.DataFrame(
            {column: frame[column].map(_place(known[column])) for column in by}, dtype=float
        )
        return frame.loc[places.sort_values(by, kind="stable").index]

    def random_return(self, environment: str) -> float:
        """Mean final return of the random agent; NaN where the suite has none."""
        frame = self.tables["scores"]
        keep = (
            (frame.environment == environment)
            & (frame.endpoint == "final")
            & frame.algorithm.isin(self.random)
        )
        return float(frame[keep].value.astype(float).mean()) if keep.any() else math.nan


def _who(cell: dict[str, Any]) -> tuple[Any, ...]:
    return (cell["environment"], cell["implementation"], cell["algorithm"], *cell["seeds"])


def _place(names: Sequence[str]) -> Callable[[Any], int]:
    places = {name: place for place, name in enumerate(dict.fromkeys(names))}
    return lambda name: places.get(name, len(places))


def by_reference(judge: str) -> bool:
    """Whether a row is judged against Stable-Baselines3, and not against a configuration of ours."""
    return judge.startswith("sb3/")


def slug(environment: str) -> str:
    """An environment id as part of a file name: "ALE/Pong-v5" becomes "ALE_Pong-v5"."""
    return re.sub(r"[^\w.-]", "_", environment)
