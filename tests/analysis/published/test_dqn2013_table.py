"""Table 1 of DQN 2013 with ours below: the paper's rows in its order, the games that a suite has."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from synthetic import PUBLISHED

from rlparity.analysis import tables
from rlparity.analysis.published import dqn2013_table

pytestmark = pytest.mark.paper

AGENTS = ["Random", "Sarsa", "Contingency", "DQN", "Human", "HNeat Best", "HNeat Pixel", "DQN Best"]


def made(*environments: str, returns: tuple[float, ...] = (1.0, 2.0, 3.0)) -> pd.DataFrame:
    arm = {"implementation": "scratch", "algorithm": "dqn-2013"}
    scores = [
        {**arm, "environment": name, "metric": "return", "seed": seed, "endpoint": "final", "value": value}
        for name in environments
        for seed, value in enumerate(returns)
    ]
    cells = [{**arm, "environment": name, "budget": 2_500_000} for name in environments]
    plan: dict[str, Any] = {"environments": dict.fromkeys(environments), "cells": cells}
    return dqn2013_table.dqn2013(tables.frame("scores", scores), plan, dqn2013_table.printed(PUBLISHED))


def test_the_printed_rows_are_the_papers() -> None:
    paper = dqn2013_table.printed(PUBLISHED).pivot(index="algorithm", columns="environment", values="value")
    assert paper.shape == (8, 7)
    games = ["BeamRider", "Breakout", "Enduro", "Pong", "Qbert", "Seaquest", "SpaceInvaders"]
    assert paper.loc["DQN", games].tolist() == [4092, 168, 470, 20, 1952, 1705, 581]
    assert paper.loc["HNeat Best", games].tolist() == [3616, 52, 106, 19, 1800, 920, 1720]


def test_ours_stand_below_the_papers_rows_of_the_same_games() -> None:
    """Mean 2 with Student's t for two degrees of freedom, 4.3027 / sqrt(3)."""
    rows = made("ALE/Pong-v5@nature", "ALE/Breakout-v5@machado", "ALE/Alien-v5@nature", "CartPole-v1")
    assert set(rows.game) == {"Pong", "Breakout"}
    printed = rows[rows.implementation == dqn2013_table.PUBLISHED]
    assert printed[printed.game == "Pong"].algorithm.tolist() == AGENTS
    assert printed[printed.game == "Pong"].value.tolist() == [-20.4, -19, -17, 20, -3, 19, -16, 21]
    assert printed.published_frames.dropna().unique().tolist() == [10_000_000]
    ours = rows[len(printed) :]
    assert ours.environment.tolist() == ["ALE/Pong-v5@nature", "ALE/Breakout-v5@machado"]
    assert ours.value.tolist() == [2.0, 2.0] and ours.budget.tolist() == [2_500_000] * 2
    assert ours.ci_high.tolist() == pytest.approx([2 + 4.302653 / 3**0.5] * 2)


def test_without_one_of_the_seven_there_is_no_table() -> None:
    assert made("ALE/Alien-v5@nature", "Pong-v5").empty


def test_an_arm_whose_seeds_all_failed_has_no_value() -> None:
    row = made("ALE/Pong-v5@nature", returns=(np.nan, np.nan)).iloc[-1]
    assert np.isnan(row.value) and (row.seeds, row.failed_seeds) == (0, "0, 1")
