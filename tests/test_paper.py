"""Against published numbers: what is comparable, and what counts as replicated."""

from __future__ import annotations

import csv

import numpy as np
import pandas as pd
import pytest
from synthetic import PUBLISHED

from rlparity import paper, table
from rlparity.errors import UserError

ZOO = {
    "source_id": "zoo",
    "algorithm": "ppo",
    "environment": "CartPole-v1",
    "metric": "mean episode return",
    "value": 500.0,
    "spread": 0.0,
    "spread_kind": "sd",
    "seeds": 1,
    "frames_or_steps": 100000,
    "protocol": "one trained agent, 300 episodes; deterministic policy",
    "reference": "a document",
    "provenance": "primary",
}
MODES = ["deterministic", "sampled"]


def test_same_version_budget_and_protocol_is_comparable():
    assert paper.differences(ZOO, "CartPole-v1", 100000, MODES) == []


@pytest.mark.parametrize(
    ("change", "differs"),
    [
        ({"environment": "CartPole-v0"}, ["environment version"]),
        ({"frames_or_steps": 50000}, ["budget"]),
        ({"frames_or_steps": float("nan")}, ["budget"]),
        ({"protocol": "mean of the last 100 training episodes"}, ["evaluation protocol"]),
        ({"protocol": float("nan")}, ["evaluation protocol"]),
        ({"environment": "CartPole-v0", "frames_or_steps": 1}, ["environment version", "budget"]),
    ],
)
def test_what_differs_is_named(change, differs):
    assert paper.differences(ZOO | change, "CartPole-v1", 100000, MODES) == differs


def test_an_arm_that_never_acts_deterministically_is_another_protocol():
    assert paper.differences(ZOO, "CartPole-v1", 100000, ["sampled"]) == ["evaluation protocol"]


@pytest.mark.parametrize(("published", "word"), [(130.0, "REPLICATED"), (141.0, "NOT REPLICATED")])
def test_replicated_within_the_margin_of_the_interval(published, word):
    """Ours is 100 +- 2.776 x sqrt(2.5 / 5), random 0: up to 101.96 + 0.2 x 130 = 128, and 130 is 2 beyond.

    With margin 0.22 the first lies within 130.6, the second beyond 133.0.
    """
    ours = np.array([98.0, 99.0, 100.0, 101.0, 102.0])
    row = paper.judge(ZOO | {"value": published}, ours, np.zeros(5), 0.22, [])
    assert row["verdict"] == word
    assert row["ci_high"] == pytest.approx(100 + 2.776445 * 0.5**0.5)
    assert row["margin"] == pytest.approx(0.22 * published)
    assert paper.judge(ZOO | {"value": published}, ours, np.zeros(5), 0.2, [])["verdict"] == "NOT REPLICATED"


def test_replicated_on_either_side():
    """Random is -100: 80 is 18 below our interval, within its tolerance of 0.2 x 180; 60 is not."""
    ours, random = np.array([98.0, 99.0, 100.0, 101.0, 102.0]), np.full(5, -100.0)
    assert paper.judge(ZOO | {"value": 80.0}, ours, random, 0.2, [])["verdict"] == "REPLICATED"
    assert paper.judge(ZOO | {"value": 60.0}, ours, random, 0.2, [])["verdict"] == "NOT REPLICATED"


def test_too_few_seeds_or_no_random_agent_is_not_comparable():
    ours = np.full(5, 500.0)
    assert paper.judge(ZOO, ours, np.zeros(5), 0.2, [])["verdict"] == "REPLICATED"
    few = paper.judge(ZOO, ours[:4], np.zeros(5), 0.2, ["budget"])
    assert (few["verdict"], few["differs_in"]) == ("NOT COMPARABLE", "budget, fewer than 5 seeds")
    lone = paper.judge(ZOO, ours, np.array([]), 0.2, [])
    assert (lone["verdict"], lone["differs_in"]) == ("NOT COMPARABLE", "no random agent in the suite")
    assert paper.judge(ZOO, ours[:0], np.zeros(5), 0.2, [])["seeds"] == 0


def test_environments_are_matched_without_namespace_and_version():
    assert [paper.base(name) for name in ("ALE/Pong-v5", "LunarLander-v3", "mine:Grid-v0", "Alien")] == [
        "Pong",
        "LunarLander",
        "Grid",
        "Alien",
    ]


def test_the_shipped_numbers_are_read_and_lead_to_rows():
    """RL Zoo has PPO on LunarLander-v2 at 242.119 after a million steps: another version, another budget."""
    known = paper.published(PUBLISHED)
    assert set(known.configuration) == {"a2c", "dqn", "ppo"}
    arm = {"implementation": "scratch", "algorithm": "ppo", "environment": "LunarLander-v3"}
    scores = [{**arm, "seed": seed, "endpoint": "final", "value": 200.0 + seed} for seed in range(5)]
    scores += [{**row, "algorithm": "random", "value": -180.0} for row in scores]
    cell = {**arm, "budget": 200000, "evaluation": {"modes": MODES}}
    plan = {
        "margin": 0.2,
        "algorithms": {"random": {"agent": "random"}, "ppo": {"agent": "ppo", "reference": "ppo"}},
        "environments": {"LunarLander-v3": {"algorithms": ["random", "ppo"]}},
        "cells": [cell, cell | {"algorithm": "random"}],
    }
    (row,) = paper.paper(table.frame("scores", scores), plan, known).to_dict("records")
    assert (row["source"], row["published"], row["published_environment"]) == (
        "sb3_zoo_benchmark",
        242.119,
        "LunarLander-v2",
    )
    assert (row["verdict"], row["differs_in"]) == ("NOT COMPARABLE", "environment version, budget")
    assert (row["ours"], row["seeds"], row["implementation"]) == (202.0, 5, "scratch")


def test_only_returns_are_compared(tmp_path):
    (tmp_path / paper.NAMES).write_text("source_id,algorithm,configuration\nzoo,ppo,ppo\n")
    rows = [ZOO, ZOO | {"metric": "minutes", "value": 7.0}]
    pd.DataFrame(rows).to_csv(tmp_path / "zoo.csv", index=False)
    assert paper.published(tmp_path)["value"].tolist() == [500.0]


def test_every_named_algorithm_is_in_a_published_file():
    with (PUBLISHED / paper.NAMES).open(newline="") as file:
        named = {(row["source_id"], row["algorithm"]) for row in csv.DictReader(file)}
    rows = [row for path in PUBLISHED.glob("*.csv") for row in csv.DictReader(path.open(newline=""))]
    assert named <= {(row["source_id"], row["algorithm"]) for row in rows if "value" in row}


def test_a_bad_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"configurations\.csv: missing"):
        paper.published(tmp_path)
    (tmp_path / paper.NAMES).write_text("source_id,algorithm,configuration\n")
    (tmp_path / "mine.csv").write_text("source_id,algorithm\nx,ppo\n")
    with pytest.raises(UserError, match=r"mine\.csv: lacks the column environment, metric, value"):
        paper.published(tmp_path)
    header = ",".join(paper.NEEDED)
    (tmp_path / "mine.csv").write_text(f"{header}\nx,ppo,E-v0,m,many,,,,,,,\n")
    with pytest.raises(UserError, match=r"mine\.csv: not a table of published numbers"):
        paper.published(tmp_path)
