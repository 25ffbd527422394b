"""Our final returns against published numbers.

REPLICATED if the published value lies within the margin of our 95 % interval, NOT REPLICATED if outside,
NOT COMPARABLE where environment version, budget or evaluation protocol differ or cannot be told from the
source, and where we have no random agent, or fewer than five seeds: a wide interval would replicate
anything. The published value is the reference: the margin is the suite's fraction of its distance from the
random agent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rlparity import stats, table
from rlparity.errors import UserError
from rlparity.verdict import FEWEST, REFERENCE, Scores, random_agent

NAMES = (
    "configurations.csv"  # which named configuration a published algorithm is; the other files hold numbers
)
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
METRIC = "mean episode return"


def published(folder: Path) -> pd.DataFrame:
    """Published returns of the algorithms that have a named configuration, with that in `configuration`.

    Raises UserError where a file of `folder` lacks a column or a number.
    """
    names = _read(folder / NAMES, ("source_id", "algorithm", "configuration"))
    files = [file for file in sorted(folder.glob("*.csv")) if file.name != NAMES]
    rows = [_read(file, NEEDED)[list(NEEDED)] for file in files]
    known = pd.concat(rows) if rows else pd.DataFrame(columns=list(NEEDED))
    return known[known.metric == METRIC].merge(names, on=["source_id", "algorithm"])


def _read(file: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    numbers = ("value", "spread", "seeds", "frames_or_steps")
    if not file.is_file():
        raise UserError(f"{file}: missing")
    try:
        rows = pd.read_csv(file, dtype=str)
        missing = [name for name in columns if name not in rows.columns]
        if missing:
            raise UserError(f"{file}: lacks the column {', '.join(missing)}")
        return rows.astype({name: float for name in numbers if name in columns})
    except ValueError as error:
        raise UserError(f"{file}: not a table of published numbers ({error})") from None


def paper(scores: pd.DataFrame, plan: Mapping[str, Any], known: pd.DataFrame) -> pd.DataFrame:
    """Table `paper`: every published row about an environment and a configuration of the suite, against each
    implementation that is not itself a reference. `known` is what `published` read.
    """
    arms, random = Scores(scores), random_agent(plan)
    budgets = {(c["environment"], c["implementation"], c["algorithm"]): c["budget"] for c in plan["cells"]}
    modes = {
        (c["environment"], c["implementation"], c["algorithm"]): c["evaluation"]["modes"]
        for c in plan["cells"]
    }
    rows = []
    for environment, task in plan["environments"].items():
        here = known[known.environment.map(base) == base(environment)]
        for algorithm in task["algorithms"]:
            chance = arms(environment, "scratch", random, "final") if random else np.array([])
            for row in here[here.configuration == algorithm].to_dict("records"):
                for implementation in arms.implementations(environment, algorithm):
                    if implementation == REFERENCE:
                        continue
                    arm = (environment, implementation, algorithm)
                    ours = {
                        "algorithm": algorithm,
                        "environment": environment,
                        "implementation": implementation,
                        "budget": budgets[arm],
                        "failed_seeds": arms.failed(*arm, "final"),
                    }
                    differs = differences(row, environment, budgets[arm], modes[arm])
                    scored = arms(*arm, "final")
                    rows.append(
                        {**_source(row), **ours, **judge(row, scored, chance, plan["margin"], differs)}
                    )
    return table.frame("paper", rows)


def base(environment: str) -> str:
    """An environment id without namespace and version: "ALE/Pong-v5" becomes "Pong"."""
    return re.sub(r"-v\d+$", "", re.split(r"[/:]", environment)[-1])


def differences(row: Mapping[str, Any], environment: str, budget: int, modes: list[str]) -> list[str]:
    """What differs between a published row and ours; a budget or protocol that the source does not tell does.

    Our protocol is that of the agent at the end of its budget, acting deterministically over whole episodes;
    how many episodes and seeds were averaged is a matter of precision, not of protocol.
    """
    text = str(row["protocol"])
    same = "deterministic policy" in text and "deterministic" in modes
    return [
        *(["environment version"] if row["environment"] != environment else []),
        *(["budget"] if row["frames_or_steps"] != budget else []),
        *([] if same else ["evaluation protocol"]),
    ]


def judge(
    row: Mapping[str, Any], ours: stats.Array, random: stats.Array, margin: float, differs: list[str]
) -> dict[str, Any]:
    """Verdict on one published value: our final returns (n,), the random agent's (k,), the suite's margin."""
    low, high = stats.mean_interval(ours)
    tolerance = margin * abs(row["value"] - float(random.mean())) if len(random) else float("nan")
    if not len(random):
        differs = [*differs, "no random agent in the suite"]
    if len(ours) < FEWEST:
        differs = [*differs, f"fewer than {FEWEST} seeds"]
    within = low - tolerance <= row["value"] <= high + tolerance
    verdict = "NOT COMPARABLE" if differs else "REPLICATED" if within else "NOT REPLICATED"
    return {
        "ours": float(ours.mean()) if len(ours) else float("nan"),
        "ci_low": low,
        "ci_high": high,
        "verdict": verdict,
        "differs_in": ", ".join(differs),
        "seeds": len(ours),
        "margin": tolerance,
    }


def _source(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "source": row["source_id"],
        "published": row["value"],
        "published_spread": row["spread"],
        "published_algorithm": row["algorithm"],
        "published_environment": row["environment"],
        "published_budget": row["frames_or_steps"],
        "published_protocol": row["protocol"],
        "published_seeds": row["seeds"],
        "spread_kind": row["spread_kind"],
        "citation": row["reference"],
        "provenance": row["provenance"],
    }
