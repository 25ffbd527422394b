"""Published numbers on the page of a suite: judged in front, grouped by task, each with what differs."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from html_pages import Page
from invented import fake_report

from rlparity.reporting.pages.suite import report

PUBLISHED = {
    "algorithm": "ppo",
    "environment": "Hopper-v5",
    "implementation": "scratch",
    "source": "zoo",
    "published": 2500.0,
    "published_spread": 12.5,
    "ours": 2450.0,
    "ci_low": 2400.0,
    "ci_high": 2500.0,
    "verdict": "NOT COMPARABLE",
    "differs_in": "environment version",
    "published_algorithm": "ppo",
    "published_environment": "Hopper-v3",
    "published_budget": 1_000_000,
    "published_protocol": "one agent, 151 episodes; deterministic policy",
    "published_metric": "mean episode return",
    "spread_kind": "sd",
    "citation": "The Zoo, https://zoo.example/table",
    "provenance": "primary",
}
BEST = {
    "published_environment": "Hopper-v1",
    "published_protocol": "max average return: best of the evaluations, 10 seeds",
    "published_metric": "max average return",
    "differs_in": "environment version, evaluation protocol, fewer than 5 seeds",
    "published_low": 607.0,
    "published_high": 2370.0,
    "published_spread": None,
    "ours_same_protocol": 2475.0,
}
QUOTED = {
    "published_algorithm": "PPO: PPO paper",
    "published_environment": "Hopper",
    "published_budget": None,
    "differs_in": "environment version, budget",
    "provenance": "secondary",
}


def with_papers(path: Path, rows: list[dict[str, object]]) -> str:
    """The Markdown of a report with these published numbers; the page is rendered, too."""
    folder = fake_report(
        path, algorithms=("random", "ppo"), environments=("Hopper-v5", "Reacher-v5"), seeds=2
    )
    pd.DataFrame(rows).to_csv(folder / "paper.csv", index=False)
    report.render(folder)
    return (folder / "README.md").read_text()


def test_published_numbers_are_judged_in_front_and_grouped_by_task(tmp_path: Path) -> None:
    zoo = [
        PUBLISHED | {"published_protocol": f"one agent, {k} episodes; deterministic policy"} for k in range(9)
    ]
    judged = PUBLISHED | {"environment": "Reacher-v5", "verdict": "REPLICATED", "differs_in": None}
    judged |= {"difference": -50, "ci90_low": -90, "ci90_high": -10, "margin": 300}
    judged |= {"reason": "against the number"}
    other = PUBLISHED | {"environment": "Reacher-v5", "differs_in": "budget", "published_budget": 2e6}
    text = with_papers(tmp_path / "papers", [*zoo, judged, other])
    assert "Of 11 published numbers: 1 replicated and 10 not comparable." in text
    assert "What differs, and in how many: environment version 9 and budget 1." in text
    source, minus = "ppo: The Zoo, <https://zoo.example/table>", "\N{MINUS SIGN}"
    assert (
        "| Reacher-v5 | ppo | ✓ **REPLICATED** | 2,500 ± 12.5 | 2,450 \\[2,400, 2,500\\] "
        f"| {minus}50 \\[{minus}90, {minus}10\\], ± 300 | against the number | {source} |" in text
    )
    page = (tmp_path / "papers" / "index.html").read_text()
    assert Page(page).open == []
    long, short = "<summary>Hopper-v5 <small>9 numbers,", "<summary>Reacher-v5 <small>1 number,"
    assert f"<details>{long} not comparable" in page and f"<details open>{short} not comparable" in page
    assert (
        "| ppo | 2,500 ± 12.5 | 2,450 \\[2,400, 2,500\\] | ppo: The Zoo | same | 2,000,000 | same |" in text
    )
    assert "one agent, … episodes; deterministic policy | standard deviation | not stated |" in text
    assert text.count("not comparable</summary>") == 2


def test_another_protocol_is_told_and_ours_stands_beside_it(tmp_path: Path) -> None:
    text = with_papers(tmp_path / "papers", [PUBLISHED | QUOTED, PUBLISHED | BEST])
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| ppo | 2,500")]
    best, quoted = rows  # what is quoted comes last
    assert best[1:4] == ["2,500 \\[607, 2,370\\]", "2,450 \\[2,400, 2,500\\]", "2,475"]
    assert best[4:] == ["ppo: The Zoo", "v1", "same", "max average return", "fewer than 5 seeds |"]
    none = "\N{EN DASH}"
    assert quoted[3:5] == [none, "PPO: PPO paper, quoted by The Zoo"]
    assert quoted[5:] == ["not stated", "not stated", "same", f"{none} |"]
