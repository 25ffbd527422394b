"""Table 1 of Mnih et al. 2013 (arXiv 1312.5602), seven Atari games, with our mean final returns below it.

Nothing here is judged: in the paper agents act epsilon-greedily for a fixed number of steps, and the rows of
the lower half are single best episodes. Comparable numbers are in the table `paper`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from rlparity.analysis import attainable, tables
from rlparity.analysis.intervals import rule
from rlparity.analysis.published.numbers import NEEDED, read
from rlparity.analysis.scores import Quantity, Scores
from rlparity.arms import Arm
from rlparity.environments.atari_ids import games
from rlparity.metrics import RETURN

FILE = "dqn2013.csv"
SOURCE = "mnih2013_table1"
PUBLISHED = "published"  # the implementation of a printed row


def printed(folder: Path) -> pd.DataFrame:
    """The rows of Table 1 in the paper's order. Raises UserError where `folder` lacks them."""
    rows = read(folder / FILE, NEEDED)
    return rows[rows.source_id == SOURCE]


def dqn2013(scores: pd.DataFrame, plan: Mapping[str, Any], paper: pd.DataFrame) -> pd.DataFrame:
    """Table `dqn2013`: the printed rows of the suite's games, then ours; empty if it has none of the seven.

    `paper` is what `printed` read. Ours carry the 95 % interval of the mean, over seeds.
    """
    arms = Scores(scores)
    ours = {
        name: game
        for name, game in games(plan["environments"]).items()
        if game.name in set(paper.environment)
    }
    played = {game.name for game in ours.values()}
    rows = [_printed(row) for row in paper[paper.environment.isin(played)].to_dict("records")]
    cells = {(c["implementation"], c["algorithm"], c["environment"]): c["budget"] for c in plan["cells"]}
    for (implementation, algorithm, environment), budget in cells.items():
        if environment in ours:
            final, arm = Quantity(environment, RETURN, "final"), Arm(implementation, algorithm)
            x = arms(final, arm)
            low, high = rule.of_estimate("mean", x, attainable.values(environment, RETURN))
            who = {"implementation": implementation, "algorithm": algorithm, "environment": environment}
            score = {"value": x.mean() if len(x) else None, "ci_low": low, "ci_high": high}
            about = {"game": ours[environment].name, "metric": "mean final return", "budget": budget}
            lost = {"seeds": len(x), "failed_seeds": arms.failed(final, arm)}
            rows.append(who | about | score | lost)
    return tables.frame("dqn2013", rows)


def _printed(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "implementation": PUBLISHED,
        "algorithm": row["algorithm"],
        "environment": row["environment"],
        "game": row["environment"],
        "metric": row["metric"],
        "value": row["value"],
        "published_frames": row["frames_or_steps"],
        "citation": row["reference"],
    }
