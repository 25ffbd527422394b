"""Atari on the page of a suite: budgets in frames, human-normalised scores, the table of DQN (2013)."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from html_pages import Page
from synthetic import Suite, finish

from rlparity.cell import Protocol
from rlparity.reporting.pages.suite import report


@pytest.fixture(scope="module")
def atari(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three games at two presets, ten million frames; a seed of scratch's DQN failed."""
    levels = {"ALE/Pong-v5@nature": (-20.7, 10.0), "ALE/Breakout-v5@nature": (1.7, 60.0)}
    levels |= {"ALE/Pong-v5@machado": (-20.7, 5.0)}
    suite = Suite(
        algorithms=("dqn",),
        variants=("dqn-2013",),
        environments=tuple(levels),
        levels=levels,
        spread=2.0,
        budget=2_500_000,
        protocol=Protocol(points=2, episodes=2, final_episodes=3),
        failed={("scratch", "dqn"): {3: "the loss was not finite"}},
    )
    folder = finish(suite, tmp_path_factory.mktemp("atari"))
    report.render(folder)
    return folder


def rows_of(text: str, start: str) -> list[list[str]]:
    return [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith(start)]


def test_published_atari_rows_carry_budgets_in_steps_and_frames(atari: Path) -> None:
    text = (atari / "README.md").read_text()
    here = "2.5 M steps (10 M frames)"
    rows = {row[5]: row for row in rows_of(text, "| dqn") if row[3:4] == [here]}
    nature = rows["DQN: Mnih et al. 2015, Human-level control, Nature 518:529, Extended Data Table 2"]
    assert nature[4] == "50 M steps (200 M frames), 20 \N{MULTIPLICATION SIGN} ours"
    printed = rows["DQN: Mnih et al. 2013, Playing Atari with Deep RL, Table 1"]
    assert printed[4] == "10 M frames as printed, the emulator's or the agent's"
    assert printed[6:8] == [
        "starts not stated",
        "epsilon-greedy with epsilon=0.05 for a fixed number of steps",
    ]
    quoted = rows["DQN, quoted by Mnih et al. 2016 (A3C), Table S3"]
    assert (quoted[4], *quoted[6:8]) == ("not stated", "human starts", "human starts")
    zoo = [row for row in rows_of(text, "| dqn") if row[5:6] == ["dqn: RL Baselines3 Zoo benchmark.md"]]
    assert [row[6] for row in zoo] == ["same", "same", "no sticky actions"]  # the last is under machado
    assert {row[7] for row in zoo} == {"stochastic policy"}


def test_human_normalised_scores_stand_on_the_page_with_their_source(atari: Path) -> None:
    page, text = (atari / "index.html").read_text(), (atari / "README.md").read_text()
    parsed = Page(page)
    assert parsed.open == [] and "human" in parsed.ids and "#human" in parsed.targets
    assert "both as given by DQN Zoo (Quan &amp; Ostrovski 2020)" in page
    over = {(row[1], row[2]): row for row in rows_of(text, "| nature")}
    assert set(over) == {
        ("random", "from scratch"),
        ("dqn-2013", "from scratch"),
        ("dqn", "from scratch"),
        ("dqn", "Stable-Baselines3"),
    }
    assert over["dqn", "from scratch"][6:] == ["2", "4", "2.5 M steps (10 M frames)", "Pong 3; Breakout 3"]
    numbers = re.findall(r"\d*\.\d+", " ".join(" ".join(row[3:6]) for row in over.values()))
    assert numbers and all(len(number.partition(".")[2]) <= 3 for number in numbers)
    games = rows_of(text, "| ALE/Breakout-v5@nature | dqn | from scratch")
    normalised = [row for row in games if row[5:7] == ["1.7", "30.5"]]
    assert (
        len(normalised) == 1 and 1.5 < float(normalised[0][4].split()[0]) < 2.5
    )  # (60 - 1.7) / 28.8 is 2.02


def test_failed_seeds_have_a_column_only_where_there_are_any(atari: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(atari, tmp_path / "whole")
    rows = pd.read_csv(folder / "human_normalised.csv").assign(failed_seeds=None)
    rows.to_csv(folder / "human_normalised.csv", index=False)
    report.render(folder)
    head = "| preset | algorithm | implementation | IQM | mean | median | games | seeds | budget |"
    assert f"{head} seeds without a score |" in (atari / "README.md").read_text().splitlines()
    assert head in (folder / "README.md").read_text().splitlines()


def test_the_table_of_dqn_2013_has_a_column_per_game_and_ours_below(atari: Path) -> None:
    text = (atari / "README.md").read_text()
    head = "| agent | budget | return | Breakout | Pong | seeds | beside those printed |"
    block = text[text.index(head) :].split("\n\n")[0].splitlines()
    none, minus = "\N{EN DASH}", "\N{MINUS SIGN}"
    assert block[2] == f"| Random | {none} | average | 1.2 | {minus}20.4 | {none} | {none} |"
    assert block[5] == f"| DQN | 10 M frames as printed | average | 168 | 20 | {none} | {none} |"
    assert block[7] == f"| HNeat Best | {none} | best episode | 52 | 19 | {none} | {none} |"
    agents = [line.strip("| ").split(" | ") for line in block[10:]]
    names = ["random, from scratch", "dqn-2013, from scratch", "dqn, from scratch", "dqn, Stable-Baselines3"]
    presets = ["nature"] * 4 + ["machado"] * 4
    assert [row[0] for row in agents] == [
        f"{name}, {preset}" for name, preset in zip(names * 2, presets, strict=True)
    ]
    assert {row[1] for row in agents} == {"2.5 M steps (10 M frames)"}
    assert [row[3] == none for row in agents] == [False] * 4 + [
        True
    ] * 4  # Breakout under machado was not played
    assert agents[2][5] == "4" and "[" in agents[2][4]
    assert all(
        "**NOT COMPARABLE** (perhaps fewer frames, start and evaluation protocol)" in row[6] for row in agents
    )


def test_fewer_frames_than_the_paper_are_told_in_the_row(atari: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(atari, tmp_path / "short")
    rows = pd.read_csv(folder / "dqn2013.csv")
    rows.loc[rows.budget.notna() & (rows.algorithm == "dqn"), "budget"] = 2_000_000
    rows.to_csv(folder / "dqn2013.csv", index=False)
    report.render(folder)
    lines = [
        line for line in (folder / "README.md").read_text().splitlines() if "beside those printed" not in line
    ]
    short = [
        line for line in lines if line.startswith("| dqn, ") and "2 M steps (8 M frames) | mean |" in line
    ]
    assert len(short) == 4
    assert all("**NOT COMPARABLE** (fewer frames, start and evaluation protocol)" in line for line in short)
