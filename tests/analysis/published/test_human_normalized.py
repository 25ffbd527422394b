"""Human-normalised scores: worked by hand, aggregated as rliable does, and only where there are games."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from synthetic import PUBLISHED

from rlparity.analysis import tables
from rlparity.analysis.published import human_normalized
from rlparity.errors import UserError

pytestmark = pytest.mark.paper

KNOWN = pd.DataFrame(
    {"random": [0.0, -10.0, 0.0], "human": [10.0, 90.0, 1.0], "citation": "a set"},
    index=["Pong", "Breakout", "Enduro"],
)
NAN = float("nan")


def normalised(
    returns: Mapping[str, Sequence[float]], budgets: Mapping[str, int] | None = None
) -> pd.DataFrame:
    """The table of one arm with these final returns by environment."""
    arm = {"implementation": "scratch", "algorithm": "ppo"}
    scores = [
        {**arm, "environment": name, "metric": "return", "seed": seed, "endpoint": "final", "value": value}
        for name, values in returns.items()
        for seed, value in enumerate(values)
    ]
    cells = [{**arm, "environment": name, "budget": (budgets or {}).get(name, 1000)} for name in returns]
    plan: dict[str, Any] = {"environments": dict.fromkeys(returns), "cells": cells}
    return human_normalized.human_normalised(tables.frame("scores", scores), plan, KNOWN)


def estimates(rows: pd.DataFrame, environment: str) -> dict[str, float]:
    return rows[rows.environment == environment].set_index("statistic")["estimate"].to_dict()


GAMES = {
    "ALE/Pong-v5@nature": [1.0, 3.0],  # 0.1 and 0.3
    "ALE/Breakout-v5@nature": [40.0, 80.0],  # 0.5 and 0.9
    "ALE/Enduro-v5@nature": [0.0, 0.2],
}


def test_a_game_is_normalised_by_its_random_and_human_returns() -> None:
    rows = normalised(GAMES)
    assert estimates(rows, "ALE/Breakout-v5@nature") == pytest.approx(
        {"iqm": 0.7, "mean": 0.7, "median": 0.7}
    )
    row = rows[rows.environment == "ALE/Breakout-v5@nature"].iloc[0]
    assert (row.random, row.human, row.citation, row.games, row.seeds) == (-10.0, 90.0, "a set", 1, 2)


def test_over_games_as_rliable_aggregates() -> None:
    """IQM of 0, 0.1, 0.2, 0.3, 0.5, 0.9 without the ends; means of games are 0.2, 0.7, 0.1."""
    rows = normalised(GAMES)
    over = estimates(rows, "ALE/*-v5@nature")
    assert over == pytest.approx({"iqm": 0.275, "mean": 1 / 3, "median": 0.2})
    row = rows[rows.environment == "ALE/*-v5@nature"].iloc[0]
    assert (row.games, row.seeds, row.budget, row.failed_seeds) == (3, 2, 1000, "")
    assert np.isnan(row.random) and row.citation == "a set"


def test_seeds_are_resampled_within_their_game() -> None:
    """Games far apart, no spread over seeds: nothing to resample. Below ten seeds there is no interval."""
    rows = normalised({"ALE/Pong-v5@nature": [1.0] * 10, "ALE/Breakout-v5@nature": [80.0] * 10})
    over = rows[rows.environment == "ALE/*-v5@nature"].set_index("statistic")
    assert (over.ci_high - over.ci_low).abs().max() == pytest.approx(0.0)
    assert over.estimate["mean"] == pytest.approx(0.5)
    few = normalised(GAMES).set_index(["environment", "statistic"]).loc[("ALE/*-v5@nature", "mean")]
    assert np.isnan([few.ci_low, few.ci_high]).all()
    many = normalised({game: values * 5 for game, values in GAMES.items()})
    spread = many.set_index(["environment", "statistic"]).loc[("ALE/*-v5@nature", "mean")]
    # means of ten resampled seeds are 0.1 to 0.3, 0.5 to 0.9 and 0 to 0.2
    assert 0.2 <= spread.ci_low < spread.estimate < spread.ci_high < 0.47


def test_presets_are_not_pooled_and_one_game_is_no_aggregate() -> None:
    rows = normalised(GAMES | {"ALE/Pong-v5@machado": [1.0, 3.0]})
    assert not rows.environment.eq("ALE/*-v5@machado").any()
    assert rows[rows.environment == "ALE/*-v5@nature"].games.eq(3).all()
    assert len(rows) == 3 * 5  # four games and one aggregate


def test_a_failed_seed_is_named_and_a_game_without_any_score_leaves_no_aggregate() -> None:
    rows = normalised(GAMES | {"ALE/Pong-v5@nature": [1.0, NAN, 3.0]})
    over = rows[rows.environment == "ALE/*-v5@nature"].iloc[0]
    assert (over.failed_seeds, over.seeds) == ("Pong 1", 2)
    rows = normalised(GAMES | {"ALE/Pong-v5@nature": [NAN, NAN]})
    over = rows[rows.environment == "ALE/*-v5@nature"]
    assert over.estimate.isna().all() and over.seeds.eq(0).all()
    assert estimates(rows, "ALE/Enduro-v5@nature")["mean"] == pytest.approx(0.1)


def test_one_seed_has_no_interval_and_unequal_budgets_no_common_one() -> None:
    one = {name: values[:1] for name, values in GAMES.items()}
    over = normalised(one, {"ALE/Pong-v5@nature": 2000}).set_index("environment").loc["ALE/*-v5@nature"]
    assert over.estimate.tolist() == pytest.approx([0.2, 0.2, 0.1])  # of 0.1, 0.5 and 0
    assert over.ci_low.isna().all() and over.budget.isna().all()


def test_what_is_no_rated_game_is_left_out() -> None:
    assert normalised({"CartPole-v1": [1.0], "ALE/Adventure-v5@nature": [1.0]}).empty


def test_the_shipped_set_is_that_of_57_games() -> None:
    known = human_normalized.references(PUBLISHED)
    assert len(known) == 57 and (known.human > known.random).all()
    assert known.loc["Pong", ["random", "human"]].tolist() == [-20.7, 14.6]
    assert known.loc["VideoPinball", "random"] == 16256.9  # 0 in some papers
    assert known.citation.str.contains("dqn_zoo").all()


def test_a_set_that_is_not_there_is_one_line(tmp_path) -> None:
    with pytest.raises(UserError, match=r"atari_human_random\.csv: missing"):
        human_normalized.references(tmp_path)
    rows = pd.read_csv(PUBLISHED / human_normalized.FILE, dtype=str)
    rows[rows.algorithm == "human"].to_csv(tmp_path / human_normalized.FILE, index=False)
    with pytest.raises(UserError, match=r"^[^\n]*has no random and human scores of dqn_zoo_atari57_noop$"):
        human_normalized.references(tmp_path)
