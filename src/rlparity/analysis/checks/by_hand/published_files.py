"""Files of published numbers, human-normalised scores, and the table of DQN's first paper."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pandas as pd

from rlparity.analysis import tables
from rlparity.analysis.checks import distributions as exact
from rlparity.analysis.checks.check import Group, inside, missing, near, refused, row, same
from rlparity.analysis.checks.made_up import NAN, only, scores
from rlparity.analysis.published import dqn2013_table, human_normalized, numbers

CHECKS = Group()
HEAD = ",".join(numbers.NEEDED)
LINES = """s,DQN,Pong,average total reward,18.9,1.3,sd,3,4000,a protocol,a paper,primary
s,DQN,Breakout,average total reward,-4.5,3664..6574,ci95,,,,a paper,primary
s,Another,Pong,average total reward,1,,none,,,,a paper,primary
t,DQN,Seaquest,error,0.25,,none,7,100,,another,secondary"""
PONG, BREAKOUT, ENDURO = (f"ALE/{name}-v5@nature" for name in ("Pong", "Breakout", "Enduro"))
KNOWN = pd.DataFrame(
    {"random": [0.0, -10.0, 5.0], "human": [10.0, 90.0, 6.0], "citation": "a set"},
    index=["Pong", "Breakout", "Enduro"],
)
FINAL = {PONG: [1.0, 3.0, NAN], BREAKOUT: [40.0, 80.0, -10.0], ENDURO: [5.0, 5.2, 5.7]}
NORMAL = {PONG: [0.1, 0.3], BREAKOUT: [0.5, 0.9, 0.0], ENDURO: [0.0, 0.2, 0.7]}


def _folder(name: str) -> Path:
    folder = Path(name)
    (folder / "a.csv").write_text(f"{HEAD}\n{LINES}\n")
    (folder / "configurations.csv").write_text(
        "source_id,algorithm,configuration\ns,DQN,dqn\nt,DQN,dqn-double\n"
    )
    (folder / "atari.csv").write_text("source_id,preset,counted,evidence\ns,nature,frames,why\n")
    return folder


@CHECKS
def files() -> None:
    """Published numbers are read with their configuration and preset, and an interval as its ends."""
    with tempfile.TemporaryDirectory() as name:
        found = numbers.published(_folder(name))
        same("rows", list(found["environment"]), ["Pong", "Breakout", "Seaquest"])
        near("values", found["value"], [18.9, -4.5, 0.25])
        near("spreads", found["spread"], [1.3, NAN, NAN])
        near("ends", found[["low", "high"]], [[NAN, NAN], [3664, 6574], [NAN, NAN]])
        near("seeds", found["seeds"], [3, NAN, 7])
        same("configurations", list(found["configuration"]), ["dqn", "dqn", "dqn-double"])
        same("presets", list(found["preset"].fillna("")), ["nature", "nature", ""])
        same("words", [numbers.measured(word) for word in found["metric"]], ["return", "return", "error"])
        (Path(name) / "b.csv").write_text(f"{HEAD}\ns,DQN,Pong,average return,,1,sd,3,4,,a,primary\n")
        refused("a row without a value", lambda: numbers.published(Path(name)))
        (Path(name) / "b.csv").write_text("source_id,value\ns,1\n")
        refused("a file without columns", lambda: numbers.published(Path(name)))


def _games() -> tuple[pd.DataFrame, dict[str, Any]]:
    arm = {"implementation": "scratch", "algorithm": "ppo"}
    rows = [
        line for name, values in FINAL.items() for line in scores({("scratch", "ppo"): values}, "final", name)
    ]
    rows += [line for name in FINAL for line in scores({("scratch", "ppo"): [999.0] * 3}, "auc", name)]
    cells = [{**arm, "environment": name, "budget": 1000} for name in FINAL]
    return tables.frame("scores", rows), {"environments": dict.fromkeys(FINAL), "cells": cells}


@CHECKS
def human_normalised() -> None:
    """0 is the random agent, 1 the human; over games as Agarwal et al. aggregate seeds."""
    table, about = _games()
    found = human_normalized.human_normalised(table, about, KNOWN)
    for name, values in NORMAL.items():
        line = only(found, environment=name, statistic="mean")
        row(
            name,
            line,
            estimate=sum(values) / len(values),
            seeds=len(values),
            games=1,
            budget=1000.0,
            citation="a set",
        )
        ordered = sorted(values)
        middle = (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2
        near(f"median of {name}", only(found, environment=name, statistic="median")["estimate"], middle)
        near(
            f"IQM of {name}",
            only(found, environment=name, statistic="iqm")["estimate"],
            sum(values) / len(values),
        )
    row("reference", line, random=5.0, human=6.0)
    every = sorted(value for values in NORMAL.values() for value in values)
    means = [0.2, 1.4 / 3, 0.3]
    over = {"iqm": sum(every[2:-2]) / 4, "mean": sum(means) / 3, "median": 0.3}
    for statistic, wanted in over.items():
        line = only(found, environment="ALE/*-v5@nature", statistic=statistic)
        row(statistic, line, estimate=wanted, games=3, seeds=2, failed_seeds="Pong 2", random=None)
    same("rows", len(found), 12)
    table.loc[table.environment == PONG, "value"] = NAN
    found = human_normalized.human_normalised(table, about, KNOWN)
    missing("over games, one without a score", *found[found.environment == "ALE/*-v5@nature"].estimate)
    known = KNOWN.drop("Enduro")
    found = human_normalized.human_normalised(_games()[0], about, known)
    same("games with a human score", set(found[found.environment == "ALE/*-v5@nature"].games), {2})


@CHECKS
def between_seeds() -> None:
    """Over games, seeds are resampled within their game: without a spread over seeds there is no interval."""
    table, about = _games()
    for name, value in {PONG: 1.0, BREAKOUT: 80.0, ENDURO: 5.5}.items():
        table.loc[table.environment == name, "value"] = value
    found = human_normalized.human_normalised(table, about, KNOWN)
    for statistic, wanted in {"mean": 0.5, "median": 0.5}.items():
        line = only(found, environment="ALE/*-v5@nature", statistic=statistic)
        near(statistic, line["estimate"], wanted)
        if line["ci_low"] == line["ci_low"]:
            inside("lower end", line["ci_low"], wanted - 1e-9, wanted)
            inside("upper end", line["ci_high"], wanted, wanted + 1e-9)


@CHECKS
def first_paper() -> None:
    """Below the printed rows of the suite's games stand our mean final returns with Student's interval."""
    about = ["source_id", "algorithm", "environment", "value", "frames_or_steps", "reference", "metric"]
    rows = [
        ("mnih2013_table1", "DQN", name, value, 5e7, "a paper", "average total reward")
        for name, value in (("Pong", 20.0), ("Breakout", 168.0), ("Qbert", 1952.0))
    ]
    paper = pd.DataFrame(rows, columns=about)
    table, plan = _games()
    found = dqn2013_table.dqn2013(table, plan, paper)
    same("games", list(found.game), ["Pong", "Breakout", "Pong", "Breakout"])
    near("values", found["value"], [20.0, 168.0, 2.0, 110 / 3])
    near("seeds", found["seeds"], [NAN, NAN, 2, 3])
    half = exact.t_quantile(0.975, 2) * (exact.variance([40.0, 80.0, -10.0]) / 3) ** 0.5
    near("interval", found[["ci_low", "ci_high"]].iloc[3], [110 / 3 - half, 110 / 3 + half], 1e-7)
    same("failed", list(found["failed_seeds"].fillna("")), ["", "", "2", ""])


@CHECKS
def human_references() -> None:
    """Human and random returns come from one source."""
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / human_normalized.FILE
        line = "{},{},{},mean episode return,{},,none,,,,a paper,primary"
        rows = [
            (human_normalized.SOURCE, "random", "Pong", -20.7),
            (human_normalized.SOURCE, "human", "Pong", 14.6),
        ]
        rows += [("another", "random", "Pong", 1.0), ("another", "human", "Pong", 2.0)]
        file.write_text("\n".join([HEAD, *(line.format(*one) for one in rows)]) + "\n")
        found = human_normalized.references(Path(name)).loc["Pong"]
        near("of Pong", [found["random"], found["human"]], [-20.7, 14.6])
        file.write_text("\n".join([HEAD, *(line.format(*one) for one in rows[2:])]) + "\n")
        refused("another source", lambda: human_normalized.references(Path(name)))
