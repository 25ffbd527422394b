"""Our final returns against published numbers.

REPLICATED if the published value lies within the margin of our 95 % interval, NOT REPLICATED if outside,
NOT COMPARABLE where environment version, budget or evaluation protocol differ or cannot be told from the
source, and where we have no random agent, or fewer than five seeds: a wide interval would replicate
anything. The published value is the reference: the margin is the suite's fraction of its distance from the
random agent. What the sources' protocols are: docs/protocols.md.

Atari games agree in version where the source emulates them as our preset does, whatever it calls them; that,
and whether it counts steps or frames, stands in `atari.csv`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rlparity.analysis import statistics, tables
from rlparity.analysis.verdicts import FEWEST, REFERENCE, Scores, random_agent
from rlparity.environments.atari_ids import FRAMES, game
from rlparity.errors import UserError

NAMES = (
    "configurations.csv"  # which named configuration a published algorithm is; the other files hold numbers
)
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
AT_THE_END = (
    "mean episode return"  # of one agent; ours too, if the protocol says that it acts deterministically
)
BEST = "max average return"  # best of the evaluations during training, of the mean over seeds
METRICS = (  # returns; other metrics are left out
    AT_THE_END,
    BEST,
    "final average return",
    "average return",
    "average total reward",
)


def published(folder: Path) -> pd.DataFrame:
    """Published returns of the algorithms that have a named configuration, with that in `configuration`.

    A spread written as an interval ("3664..6574") stands in `low` and `high`, and `spread` is missing.
    `preset` and `counted` are what `atari.csv`, if there is one, says of the source.
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
    known = known[known.metric.isin(METRICS)].merge(names, on=["source_id", "algorithm"])
    return known.merge(atari[list(about)], on="source_id", how="left")


def read(file: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    """A file of published numbers, as text but for its numbers. Raises UserError where it lacks `columns`."""
    numbers = ("value", "spread", "low", "high", "seeds", "frames_or_steps")
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
        return rows.astype({name: float for name in numbers if name in rows.columns})
    except ValueError as error:
        raise UserError(f"{file}: not a table of published numbers ({error})") from None


def paper(
    scores: pd.DataFrame,
    plan: Mapping[str, Any],
    known: pd.DataFrame,
    curves: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Table `paper`: every published row about an environment and a configuration of the suite, against each
    implementation that is not itself a reference. `known` is what `published` read; with the table `curves`,
    ours also stands as a "max average return" beside the published ones.
    """
    arms, random = Scores(scores), random_agent(plan)
    cells = {(c["environment"], c["implementation"], c["algorithm"]): c for c in plan["cells"]}
    rows = []
    for environment, task in plan["environments"].items():
        here = known[known.environment.map(base) == base(environment)]
        chance = arms(environment, "scratch", random, "final") if random else np.array([])
        for algorithm in task["algorithms"]:
            for row in here[here.configuration == algorithm].to_dict("records"):
                for implementation in arms.implementations(environment, algorithm):
                    if implementation == REFERENCE:
                        continue
                    arm = (environment, implementation, algorithm)
                    budget, modes = cells[arm]["budget"], cells[arm]["evaluation"]["modes"]
                    differs = differences(row, environment, budget, modes)
                    whole = not arms.failed(*arm, "final")
                    ours = {
                        "algorithm": algorithm,
                        "environment": environment,
                        "implementation": implementation,
                        "budget": budget,
                        "failed_seeds": arms.failed(*arm, "final"),
                        "ours_same_protocol": best(curves, *arm)
                        if whole and row["metric"] == BEST
                        else np.nan,
                    }
                    judged = judge(row, arms(*arm, "final"), chance, plan["margin"], differs)
                    rows.append({**_source(row, environment), **ours, **judged})
    return tables.frame("paper", rows)


def best(curves: pd.DataFrame | None, environment: str, implementation: str, algorithm: str) -> float:
    """The "max average return" of an arm: the largest mean over seeds of a deterministic evaluation.

    NaN without such evaluations, and where their seeds differ: the mean of those that are left is another
    quantity.
    """
    if curves is None:
        return float("nan")
    arm = (curves.environment == environment) & (curves.implementation == implementation)
    points = curves[arm & (curves.algorithm == algorithm) & (curves.protocol == "deterministic")]
    return float(points["mean"].max()) if points["seeds"].nunique() == 1 else float("nan")


def base(environment: str) -> str:
    """An environment id without namespace, version and preset.

    "ALE/Pong-v5@nature" becomes "Pong", and so does Gym's "PongNoFrameskip-v4".
    """
    return re.sub(r"((NoFrameskip|Deterministic)?-v\d+)(@\w+)?$", "", re.split(r"[/:]", environment)[-1])


def steps_there(row: Mapping[str, Any], environment: str) -> float:
    """The budget of a published row in environment steps; NaN where it is not told."""
    if game(environment) is None or row.get("counted") == "steps":
        return float(row["frames_or_steps"])
    return float(row["frames_or_steps"]) / FRAMES if row.get("counted") == "frames" else float("nan")


def differences(row: Mapping[str, Any], environment: str, budget: int, modes: list[str]) -> list[str]:
    """What differs between a published row and ours; a budget or protocol that the source does not tell does.

    Our protocol is that of the agent at the end of its budget, acting deterministically over whole episodes;
    how many episodes and seeds were averaged is a matter of precision, not of protocol.
    """
    at_the_end = row["metric"] == AT_THE_END and "deterministic policy" in str(row["protocol"])
    same = at_the_end and "deterministic" in modes
    atari = game(environment)
    here, there = (atari.preset, row.get("preset")) if atari else (environment, row["environment"])
    return [
        *(["environment version"] if there != here else []),
        *(["budget"] if steps_there(row, environment) != budget else []),
        *([] if same else ["evaluation protocol"]),
    ]


def judge(
    row: Mapping[str, Any],
    ours: statistics.Array,
    random: statistics.Array,
    margin: float,
    differs: list[str],
) -> dict[str, Any]:
    """Verdict on one published value: our final returns (n,), the random agent's (k,), the suite's margin."""
    low, high = statistics.mean_interval(ours)
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


def _source(row: Mapping[str, Any], environment: str) -> dict[str, Any]:
    steps = steps_there(row, environment)
    atari = {
        "published_preset": row.get("preset"),
        "published_frames": row["frames_or_steps"] if np.isnan(steps) else FRAMES * steps,
    }
    return {
        "source": row["source_id"],
        "published": row["value"],
        "published_metric": row["metric"],
        "published_spread": row["spread"],
        "published_low": row["low"],
        "published_high": row["high"],
        "published_algorithm": row["algorithm"],
        "published_environment": row["environment"],
        "published_budget": steps,
        "published_protocol": row["protocol"],
        "published_seeds": row["seeds"],
        "spread_kind": row["spread_kind"],
        "citation": row["reference"],
        "provenance": row["provenance"],
        **(atari if game(environment) else {}),
    }
