"""Human-normalised scores of Atari games, (x - random) / (human - random), of each game and over games.

Over games as in Agarwal et al. 2021 (arXiv 2108.13264): the inter-quartile mean of all seeds of all games,
and mean and median over games of the mean over seeds. The intervals are those of `intervals.rule`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rlparity.analysis import attainable, tables
from rlparity.analysis import statistics as stats
from rlparity.analysis.intervals import rule
from rlparity.analysis.published.numbers import NEEDED, read
from rlparity.analysis.scores import Quantity, Scores
from rlparity.arms import Arm
from rlparity.environments.atari_ids import Game, games
from rlparity.errors import UserError
from rlparity.metrics import RETURN

FILE = "atari_human_random.csv"
SOURCE = "dqn_zoo_atari57_noop"  # 57 games, no-op starts, by which most papers after Nature's normalise


def of_means(statistic: Callable[..., stats.Array]) -> Callable[..., stats.Array]:
    """The statistic over games of the mean over seeds: strata (..., seeds) of each game -> (...)."""
    return lambda *strata, axis=-1: statistic(np.stack([x.mean(axis) for x in strata]), axis=0)


ACROSS: dict[str, Callable[..., stats.Array]] = {  # games, as rliable aggregates them
    "iqm": stats.pooled(stats.iqm),
    "mean": of_means(np.mean),
    "median": of_means(np.median),
}


def references(folder: Path) -> pd.DataFrame:
    """Returns `random` and `human` and their `citation`, by game. Raises UserError where they are missing."""
    rows = read(folder / FILE, NEEDED)
    rows = rows[rows.source_id == SOURCE]
    if set(rows.algorithm) != {"random", "human"}:
        raise UserError(f"{folder / FILE}: has no random and human scores of {SOURCE}")
    known = rows.pivot(index="environment", columns="algorithm", values="value")
    return known.assign(citation=rows.groupby("environment")["reference"].first())


def human_normalised(scores: pd.DataFrame, plan: Mapping[str, Any], known: pd.DataFrame) -> pd.DataFrame:
    """Table `human_normalised` from the final returns; `known` is what `references` read.

    A game without a human score is left out. An arm without a score in one of its games has no estimate over
    games.
    """
    found = games(plan["environments"])
    rated = {name: game for name, game in found.items() if game.name in known.index}
    arms, rows = Scores(scores), []
    for (arm, preset), played in _arms(plan, rated).items():
        who = arm._asdict()
        strata, lost = [], []
        for environment, budget in played.items():
            reference = known.loc[rated[environment].name]
            final = Quantity(environment, RETURN, "final")
            low, high = attainable.values(environment, RETURN)
            x, *bounds = (
                (returns - reference.random) / (reference.human - reference.random)
                for returns in (arms(final, arm), low, high)
            )
            failed = arms.failed(final, arm)
            about = {"environment": environment, "failed_seeds": failed, "budget": budget}
            rows += [who | about | reference.to_dict() | row for row in _of_a_game(x, (bounds[0], bounds[1]))]
            strata.append(x)
            lost += [f"{rated[environment].name} {failed}"] * bool(failed)
        if len(strata) > 1:
            budgets = set(played.values())
            about = {"environment": f"ALE/*-v5@{preset}", "failed_seeds": "; ".join(lost)}
            about |= {"budget": budgets.pop() if len(budgets) == 1 else np.nan}
            about |= {"citation": known.citation.iloc[0]}
            rows += [who | about | row for row in _over_games(strata)]
    return tables.frame("human_normalised", rows)


def _arms(plan: Mapping[str, Any], rated: Mapping[str, Game]) -> dict[tuple[Arm, str], dict[str, int]]:
    """(arm, preset) -> the environments of its cells, each with its budget."""
    arms: dict[tuple[Arm, str], dict[str, int]] = {}
    for cell in plan["cells"]:
        if game := rated.get(cell["environment"]):
            arm = Arm(cell["implementation"], cell["algorithm"])
            arms.setdefault((arm, game.preset), {})[cell["environment"]] = cell["budget"]
    return arms


def _of_a_game(x: stats.Array, bounds: tuple[float, float]) -> Iterator[dict[str, Any]]:
    """Each statistic of one game's seeds, with its interval; NaN without a score."""
    for name, statistic in stats.STATISTICS.items():
        low, high = rule.of_estimate(name, x, bounds)
        interval = {"ci_low": low, "ci_high": high, "games": 1, "seeds": len(x)}
        yield {"statistic": name, "estimate": statistic(x) if len(x) else np.nan, **interval}


def _over_games(strata: list[stats.Array]) -> Iterator[dict[str, Any]]:
    """Each statistic of the strata, a game's seeds each, with its interval; NaN where a game has no score."""
    seeds = min(len(x) for x in strata)
    for name, statistic in ACROSS.items():
        low, high = rule.over_games(statistic, *strata)
        estimate = statistic(*strata) if seeds else np.nan
        interval = {"ci_low": low, "ci_high": high, "games": len(strata), "seeds": seeds}
        yield {"statistic": name, "estimate": estimate, **interval}
