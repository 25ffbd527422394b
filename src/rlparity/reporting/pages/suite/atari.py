"""Sections for reports on Atari games: human-normalised scores, and Table 1 of DQN (2013) with ours."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from rlparity.analysis.published.dqn2013_table import PUBLISHED
from rlparity.environments.atari_ids import FRAMES, game
from rlparity.metrics import RETURN
from rlparity.reporting.formatting import NONE, interval, label, number, whole
from rlparity.reporting.pages.elements import Badge, Table
from rlparity.reporting.pages.suite.atari_budgets import as_printed, budget
from rlparity.reporting.report_folder import Folder


@dataclass(frozen=True)
class Human:
    """The section: over games, per game, and the source of the scores that count as 0 and 1."""

    over: Table
    games: Table
    source: str


def human(folder: Folder) -> Human:
    """Human-normalised scores; tables without rows where the suite has no rated game."""
    frame = folder.ordered("human_normalised")
    over = frame[frame.environment.str.contains("*", regex=False)] if len(frame) else frame
    presets = over.assign(environment=over.environment.map(_preset)).rename(columns={"environment": "preset"})
    source = str(frame.citation.iloc[0]) if len(frame) else ""
    return Human(
        _normalised(presets, {"iqm": "IQM", "mean": "mean", "median": "median"}, ["games"]),
        _normalised(frame.drop(over.index), {"iqm": "IQM", "mean": "mean"}, ["random", "human"]),
        source,
    )


def _normalised(frame: pd.DataFrame, statistics: Mapping[str, str], further: Sequence[str]) -> Table:
    """An arm per row: its statistics, further columns, seeds and budget; those without a score, if any."""
    lost = bool(frame.failed_seeds.notna().any())
    rows = []
    keys = ["preset" if "preset" in frame else "environment", "algorithm", "implementation"]
    for (where, algorithm, who), part in frame.groupby(keys, sort=False):
        first, by = part.iloc[0], part.set_index("statistic")[["estimate", "ci_low", "ci_high"]].round(3)
        cells = [where, algorithm, label(who), *(interval(*by.loc[name]) for name in statistics)]
        cells += [*(number(first[name], 6) for name in further), whole(first.seeds), budget(first.budget)]
        rows.append(cells + [str(first.failed_seeds) if pd.notna(first.failed_seeds) else NONE] * lost)
    head = [*keys, *statistics.values(), *further, "seeds", "budget"]
    numeric = frozenset(range(3, len(head) - 1))
    return Table(head + ["seeds without a score"] * lost, rows, "human_normalised.csv", numeric)


def dqn2013(folder: Folder) -> Table:
    """The paper's Table 1 for the suite's games: a column per game, the printed agents, then ours."""
    frame = folder.tables["dqn2013"]
    games = list(dict.fromkeys(frame.game))
    there = frame[frame.implementation == PUBLISHED]
    here = folder.ordered("dqn2013").drop(there.index)
    rows: list[list[str | Badge]] = [
        [name, as_printed(part.published_frames.iloc[0]), _metric(part), *_values(part, games), NONE, NONE]
        for name, part in there.groupby("algorithm", sort=False)
    ]
    presets = here.environment.map(_preset)
    keys = ["algorithm", "implementation", "preset", "budget"]
    for (name, who, preset, steps), part in here.assign(preset=presets).groupby(keys, sort=False):
        agent = f"{name}, {label(who)}" + f", {preset}" * (presets.nunique() > 1)
        values = [budget(steps), _metric(part), *_values(part, games), _seeds(part)]
        rows.append([agent, *values, _beside(steps, there.published_frames.max())])
    metric = next((one.metric.name for one in folder.measurements if game(one.environment)), RETURN.name)
    head = ["agent", "budget", metric, *games, "seeds", "beside those printed"]
    return Table(head, rows, "dqn2013.csv", frozenset(range(3, len(head) - 1)))


def _beside(steps: float, printed: float) -> Badge:
    """Why ours is not comparable: no return of ours is by the paper's protocol, and the budget may differ."""
    fewer = (
        "fewer frames, " if FRAMES * steps < printed else "perhaps fewer frames, " if steps < printed else ""
    )
    return Badge(f"NOT COMPARABLE ({fewer}start and evaluation protocol)")


def _metric(part: pd.DataFrame) -> str:
    """The kind of the return, in few words: `average`, `best episode`."""
    return re.sub(" (total reward|final return|return)$", "", str(part.metric.iloc[0]))


def _preset(environment: str) -> str:
    return environment.partition("@")[2]


def _seeds(part: pd.DataFrame) -> str:
    low, high = part.seeds.min(), part.seeds.max()
    return whole(low) if low == high else f"{whole(low)} to {whole(high)}"


def _values(part: pd.DataFrame, games: Iterable[str]) -> list[str]:
    """A return per game, with its interval where there is one."""
    by = {row.game: interval(row.value, row.ci_low, row.ci_high) for row in part.itertuples(index=False)}
    return [by.get(name, NONE) for name in games]
