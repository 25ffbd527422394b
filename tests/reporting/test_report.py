"""The page, its Markdown twin, the index and the last words on the terminal, from invented reports."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from html_page import Page
from invented import cell, fake_report, write_run
from synthetic import Suite, finish

from rlparity.analysis import tables
from rlparity.cell import Protocol
from rlparity.errors import UserError
from rlparity.provenance import fingerprint
from rlparity.reporting.figures import environment
from rlparity.reporting.pages.suite import report
from rlparity.reporting.pages.suite.tables import UNDECIDED
from rlparity.reporting.report_files import TABLES
from rlparity.reporting.style import PAINT


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = fake_report(tmp_path_factory.mktemp("reports") / "invented")
    environment.draw(folder)
    return folder


@pytest.fixture(scope="module")
def page(suite: Path) -> str:
    report.render(suite)
    return (suite / "index.html").read_text()


def test_page_is_well_formed_and_self_contained(page: str) -> None:
    parsed = Page(page)
    assert parsed.open == []
    assert len(parsed.ids) == len(set(parsed.ids))
    assert not {"script", "link", "img", "iframe"} & set(parsed.tags)
    inside = [target[1:] for target in parsed.targets if target.startswith("#")]
    assert inside and set(inside) <= set(parsed.ids)
    assert not re.findall(r"url\((?!#)|@import|xlink", page)
    used = set(re.findall(r"url\(#([^)]+)\)", page))
    assert used and used <= set(parsed.ids)


def test_links_lead_to_files_that_are_there(page: str, suite: Path) -> None:
    report.render_index(suite.parent)
    local = [link for link in Page(page).targets if not link.startswith(("#", "https://"))]
    assert {"verdicts.csv", "scores.csv", "README.md", "figures/curves-CartPole-v1.svg"} <= set(local)
    assert all((suite / link).exists() for link in local)


def test_answer_says_what_matches_what_does_not_and_what_is_open(page: str) -> None:
    text = " ".join("".join(Page(page).words).split())
    assert "1 of 3 implementations is shown to match the reference within the margin of 20 %" in text
    assert "by the area under the curve: PPO on CartPole-v1." in text
    assert "Significantly worse: DQN on CartPole-v1." in text
    assert "Not decided: A2C on CartPole-v1 (equivalence would take about 14 seeds per arm)." in text
    assert "Of 3 published numbers: 3 not comparable." in text


def test_page_carries_caption_provenance_and_settings(page: str, suite: Path) -> None:
    text = " ".join("".join(Page(page).words).split())
    digest = hashlib.sha256((suite / "verdicts.csv").read_bytes()).hexdigest()
    for wanted in (
        "CartPole-v1, 5 seeds each. Line: interquartile mean (IQM)",
        "95 % stratified bootstrap interval of the IQM",
        "0123456789ab",
        "Invented CPU",
        "2025-11-21",
        "learning_rate",
        "advantages are normalised per minibatch",
        "RL Zoo 22e3ff2, ppo",
        digest,
    ):
        assert wanted in text, wanted


def test_rendering_again_gives_the_same_bytes(page: str, suite: Path) -> None:
    twin = (suite / "README.md").read_bytes()
    report.render(suite)
    assert (suite / "index.html").read_text() == page
    assert (suite / "README.md").read_bytes() == twin


def test_panels_use_the_colours_of_the_page(page: str) -> None:
    panels = "".join(re.findall(r'<svg class="panel".*?</svg>', page, flags=re.DOTALL))
    assert "var(--own)" in panels and "var(--reference)" in panels and "var(--ink)" in panels
    assert not set(re.findall(r"#[0-9a-f]{6}\b", panels)) & set(PAINT)


def test_names_cannot_break_the_page(tmp_path: Path) -> None:
    evil = "<script>alert('x')</script>|`*_"
    folder = fake_report(tmp_path / "odd", algorithms=("ppo", evil), titles={evil: evil}, seeds=2)
    plan = json.loads((folder / "plan.json").read_text())
    plan["title"] = plan["description"] = evil
    (folder / "plan.json").write_text(json.dumps(plan))
    write_run(folder, plan["cells"][0], failed_seeds={"0": evil}, departures=[evil])
    environment.draw(folder)
    report.render(folder)
    text = (folder / "index.html").read_text()
    parsed = Page(text)
    assert parsed.open == [] and "script" not in parsed.tags
    assert evil in "".join(parsed.words)
    assert "<script" not in (folder / "README.md").read_text()
    report.render_index(tmp_path)
    assert "script" not in Page((tmp_path / "index.html").read_text()).tags


def test_twin_is_tables_and_relative_figures(suite: Path, page: str) -> None:
    text = (suite / "README.md").read_text()
    assert "![Learning curves](figures/curves-CartPole-v1.svg)" in text
    pictures = re.findall(r"!\[[^]]*\]\(([^)]+)\)", text)
    assert len(pictures) == 7 and all((suite / name).exists() for name in pictures)
    rows = [line for line in text.splitlines() if line.startswith("|")]
    difference = "-4.5 \\[-36.9, 27.9\\]".replace("-", "\N{MINUS SIGN}")
    assert f"| CartPole-v1 | ppo | ≈ **EQUIVALENT** | area | 7 % | {difference} | 5 / 5 | 3 | 0.040 |" in rows
    blocks = re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE)
    for block in blocks:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1
    assert "\n\n\n" not in text


def test_terminal_ends_with_verdicts_failures_and_the_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = fake_report(tmp_path / "small", algorithms=("random", "ppo"), seeds=2)
    one = cell("small", "scratch", "ppo", "CartPole-v1", (0, 1), 100_000)
    write_run(folder, one, status="failed", failed_seeds={"1": "loss became NaN"})
    returned = report.render(folder)
    lines = capsys.readouterr().out.rstrip("\n").splitlines()
    assert "\n".join(lines) == returned
    heads = ["environment", "algorithm", "verdict", "endpoint", "equivalent within"]
    assert re.split("  +", lines[1])[:5] == heads
    assert lines[2].split()[:6] == ["CartPole-v1", "ppo", "EQUIVALENT", "area", "7", "%"]
    assert lines[2].index("EQUIVALENT") == lines[1].index("verdict")
    assert lines[-2:] == [
        "failed: scratch ppo on CartPole-v1, seed 1: loss became NaN",
        f"report: {folder / 'index.html'}",
    ]
    assert "1 failed seed" in (folder / "index.html").read_text()


def test_a_reason_goes_with_its_verdict(tmp_path: Path) -> None:
    folder = fake_report(tmp_path / "reasons", algorithms=("random", "a2c", "ppo"), seeds=2)
    verdicts = pd.read_csv(folder / "verdicts.csv")
    verdicts["verdict"] = "INCONCLUSIVE"
    verdicts["reason"] = verdicts.algorithm.map({"a2c": UNDECIDED, "ppo": "fewer than 5 seeds"})
    verdicts.to_csv(folder / "verdicts.csv", index=False)
    summary = report.render(folder).splitlines()
    assert summary[1].endswith("why")
    assert sum(line.endswith("fewer than 5 seeds") for line in summary) == 2
    assert not any(UNDECIDED in line for line in summary)
    text = (folder / "README.md").read_text()
    assert "None of 2 implementations is shown to match" in text
    assert "Not decided, fewer than 5 seeds: PPO on CartPole-v1." in text


def test_cells_without_a_record_are_named(tmp_path: Path) -> None:
    folder = fake_report(tmp_path / "partial", algorithms=("ppo",), seeds=2)
    (folder / "records/CartPole-v1/sb3/ppo/seeds-0-1/run.json").unlink()
    assert "no record yet: sb3 ppo on CartPole-v1, seeds 0 to 1" in report.render(folder).splitlines()
    assert "No record yet of 1 cell of the suite" in (folder / "index.html").read_text()


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
    other = PUBLISHED | {"environment": "Reacher-v5", "differs_in": "budget", "published_budget": 2e6}
    text = with_papers(tmp_path / "papers", [*zoo, judged, other])
    assert "Of 11 published numbers: 1 replicated and 10 not comparable." in text
    assert "What differs, and in how many: environment version 9 and budget 1." in text
    source = "ppo: The Zoo, <https://zoo.example/table>"
    assert (
        f"| Reacher-v5 | ppo | ✓ **REPLICATED** | 2,500 ± 12.5 | 2,450 \\[2,400, 2,500\\] | {source} |"
        in text
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


def test_a_report_leaves_out_records_of_cells_that_are_not_in_its_plan(tmp_path: Path) -> None:
    """Of an earlier run of another part of the suite, an unfinished one included."""
    folder = fake_report(tmp_path / "part", algorithms=("random", "ppo"))
    stray = cell("part", "scratch", "dqn", "CartPole-v1", (0,), 100_000)
    write_run(folder, stray, status="unfinished", failed_seeds={"0": "unfinished: environment step 1 of 2"})
    report.render(folder)
    report.render_index(tmp_path)
    for text in ((folder / "README.md").read_text(), (tmp_path / "index.html").read_text()):
        assert "scratch dqn on" not in text and "nfinished" not in text


def test_the_page_and_the_index_are_headlined_as_unfinished(tmp_path: Path) -> None:
    folder = fake_report(tmp_path / "part", algorithms=("random", "ppo"))
    plan = json.loads((folder / "plan.json").read_text())
    (folder / "plan.json").write_text(json.dumps(plan | {"interim": True}))
    report.render(folder)
    report.render_index(tmp_path)
    for text in ((folder / "index.html").read_text(), (tmp_path / "index.html").read_text()):
        assert "An invented suite (unfinished)" in text


def test_a_suite_without_atari_says_nothing_of_it(page: str, suite: Path) -> None:
    for text in (page, (suite / "README.md").read_text()):
        assert "uman-normalised" not in text and "DQN (2013)" not in text and "frames" not in text


@pytest.mark.parametrize(
    ("device", "named"),
    [("cpu", "cpu (Invented CPU, 2 cores)"), ("cuda", "cuda (Invented GPU)")],
)
def test_device_and_hardware_stand_beside_the_facts(tmp_path: Path, device: str, named: str) -> None:
    folder = fake_report(tmp_path / "device", algorithms=("ppo",), implementations=("scratch",), seeds=2)
    one = json.loads((folder / "plan.json").read_text())["cells"][0] | {"device": device}
    hardware = {"cpu": "Invented CPU", "gpu": "Invented GPU", "cores": 2, "threads": 1, "machine": "x86_64"}
    write_run(folder, one, hardware=hardware)
    report.render(folder)
    text = (folder / "README.md").read_text()
    assert f"| Device | {named} |" in text
    assert f"- Hardware: {device}: Invented CPU, Invented GPU, x86\\_64, 2 cores" in text
    shutil.rmtree(folder / "records")
    report.render(folder)
    assert "| Device | cpu |" in (folder / "README.md").read_text()  # the plan's cells do not say


def test_records_of_another_device_never_meet_the_suites(tmp_path: Path) -> None:
    """The same cells, planned for the other device: their fingerprints differ, nothing is collected."""
    protocol = Protocol(points=4, episodes=2, final_episodes=3)
    suite = Suite(algorithms=("ppo",), variants=(), budget=80, seeds=2, protocol=protocol)
    planned = {}
    for device in ("cpu", "cuda"):
        cells = [replace(cell, device=device) for cell in suite.cells]
        planned[device] = [replace(cell, fingerprint=fingerprint.of(cell)) for cell in cells]
    suite.cells = planned["cpu"]
    suite.write(tmp_path)
    tables.collect(planned["cpu"], tmp_path, tmp_path / "reports", suite.plan)
    with pytest.raises(UserError, match=r"^[^\n]*fingerprint [^\n]* train it again$"):
        tables.collect(planned["cuda"], tmp_path, tmp_path / "reports", suite.plan)


def test_plan_alone_still_renders(tmp_path: Path) -> None:
    folder = fake_report(tmp_path / "empty", algorithms=("ppo",), seeds=2)
    for name in TABLES:
        (folder / f"{name}.csv").unlink(missing_ok=True)
    environment.draw(folder)
    assert report.render(folder).startswith("An invented suite: no verdicts")
    assert "gives no verdict" in (folder / "index.html").read_text()
    Page((folder / "index.html").read_text())


def test_index_counts_verdicts_and_links_other_reports(tmp_path: Path) -> None:
    fake_report(tmp_path / "one", seeds=2)
    (tmp_path / "benchmark").mkdir()
    (tmp_path / "benchmark" / "README.md").write_text("# Throughput\n")
    (tmp_path / "nothing").mkdir()
    text = report.render_index(tmp_path).read_text()
    parsed = Page(text)
    assert parsed.open == []
    assert {"one/index.html", "one/README.md", "benchmark/README.md"} <= set(parsed.targets)
    assert not any("nothing" in target for target in parsed.targets)
    words = " ".join("".join(parsed.words).split())
    assert "≈ EQUIVALENT 1" in words and "▼ WORSE 1" in words and "? INCONCLUSIVE 1" in words
    assert "0123456789ab" in words and "2025-11-21" in words
    with pytest.raises(UserError, match="no such folder"):
        report.render_index(tmp_path / "nowhere")


def test_bad_inputs_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has no plan\.json"):
        report.render(tmp_path)
    folder = fake_report(tmp_path / "bad", algorithms=("ppo",), seeds=2)
    (folder / "figures").mkdir()
    (folder / "figures" / "cost.svg").write_text("<svg/>")
    with pytest.raises(UserError, match=r"cost\.svg: not a figure of this report"):
        report.render(folder)
    (folder / "figures" / "cost.svg").unlink()
    (folder / "records/CartPole-v1/sb3/ppo/seeds-0-1/run.json").write_text("[]")
    with pytest.raises(UserError, match=r"run\.json: not the record of a run"):
        report.render(folder)
