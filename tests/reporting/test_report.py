"""The page, its Markdown twin, the index and the last words on the terminal, from invented reports."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from html_pages import Page
from invented import cell, fake_report, write_run
from synthetic import Suite

from rlparity.analysis import tables
from rlparity.analysis.verdicts import NEITHER
from rlparity.cell import Protocol
from rlparity.errors import UserError
from rlparity.provenance import fingerprint
from rlparity.reporting.figures import draw as figures
from rlparity.reporting.formatting import NONE
from rlparity.reporting.pages.suite import report
from rlparity.reporting.pages.suite import tables as suite_tables
from rlparity.reporting.report_files import TABLES
from rlparity.reporting.report_folder import Folder
from rlparity.reporting.style import PAINT


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = fake_report(tmp_path_factory.mktemp("reports") / "invented")
    figures.draw(folder)
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
    assert "1 of 3 pairs of implementation and environment is shown to match the reference" in text
    assert "within the margin of 20 %, by the area under the curve: PPO on CartPole-v1." in text
    assert "Significantly worse: DQN on CartPole-v1." in text
    assert (
        "Not decided: A2C on CartPole-v1 (about 14 seeds per arm would decide if there is no difference)."
        in text
    )
    assert "Of 3 published numbers: 3 not comparable." in text


def test_page_carries_caption_provenance_and_settings(page: str, suite: Path) -> None:
    text = " ".join("".join(Page(page).words).split())
    digest = hashlib.sha256((suite / "verdicts.csv").read_bytes()).hexdigest()
    for wanted in (
        "CartPole-v1, 5 seeds each. Line: interquartile mean (IQM)",
        "95 % interval of the IQM, where one holds with so few seeds",
        "Coverage measured on the pools of CartPole-v1",
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
    figures.draw(folder)
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
    start = "| CartPole-v1 | ppo | ≈ **EQUIVALENT** |"
    for endpoint in ("area", "final"):
        dash = "\N{EN DASH}"
        assert f"{start} {endpoint} | 7 % | {difference} | 5 / 5 | {dash} | 0.040 | {dash} |" in rows
    assert text.index("| area |") < text.index("### Secondary: final return") < text.index("| final |")
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
    verdicts["reason"] = verdicts.algorithm.map({"a2c": NEITHER, "ppo": "fewer than 5 seeds"})
    verdicts.to_csv(folder / "verdicts.csv", index=False)
    summary = report.render(folder).splitlines()
    assert summary[1].endswith("why")
    assert sum(line.endswith("fewer than 5 seeds") for line in summary) == 2
    assert not any(NEITHER in line for line in summary)
    text = (folder / "README.md").read_text()
    assert "None of 2 pairs of implementation and environment is shown to match" in text
    assert "Not decided, fewer than 5 seeds: PPO on CartPole-v1." in text
    looks = "fewer than 5 seeds: looks WORSE; 6 seeds would decide"
    verdicts["reason"] = verdicts.algorithm.map({"a2c": NEITHER, "ppo": looks})
    verdicts.to_csv(folder / "verdicts.csv", index=False)
    report.render(folder)
    text = (folder / "README.md").read_text()
    assert f"Not decided: PPO on CartPole-v1 ({looks})." in text
    assert f"? **INCONCLUSIVE** ({looks}) | area |" in text


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
    figures.draw(folder)
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


def test_the_index_lists_the_algorithms_that_have_records(tmp_path: Path) -> None:
    folder = fake_report(tmp_path / "part", algorithms=("random", "ppo", "dqn"), seeds=2)
    for file in folder.glob("records/**/dqn/**/run.json"):
        file.unlink()
    facts = report.render_index(tmp_path).read_text()
    assert "<dt>Algorithms</dt><dd>PPO</dd>" in facts
    for file in folder.glob("records/**/run.json"):
        file.unlink()
    assert "<dt>Algorithms</dt><dd>PPO and DQN</dd>" in report.render_index(tmp_path).read_text()


def test_backticks_are_code_on_every_page(tmp_path: Path) -> None:
    folder = fake_report(tmp_path / "code", algorithms=("random", "ppo"), seeds=2)
    plan = json.loads((folder / "plan.json").read_text())
    plan["description"] = "Run `rlparity run x_y` & `a <b>`."
    (folder / "plan.json").write_text(json.dumps(plan))
    report.render(folder)
    index = report.render_index(tmp_path)
    for page in (folder / "index.html", index):
        assert "Run <code>rlparity run x_y</code> &amp; `a &lt;b&gt;`." in page.read_text()
    assert "Run `rlparity run x_y` &amp; \\`a &lt;b&gt;\\`." in (folder / "README.md").read_text()


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


def test_speeds_of_other_processors_are_no_ratio(tmp_path: Path) -> None:
    folder = fake_report(tmp_path / "invented")

    def ratios() -> set[str]:
        return {row[4] for row in suite_tables.cost(Folder(folder)).rows if row[2] == "from scratch"}

    assert "5.0 \N{MULTIPLICATION SIGN}" in ratios()
    for file in folder.glob("records/*/sb3/**/run.json"):
        file.write_text(file.read_text().replace("Invented CPU", "Another CPU"))
    assert ratios() == {NONE}


def test_an_update_that_differs_stands_in_the_answer(tmp_path: Path) -> None:
    folder = fake_report(tmp_path / "invented")

    def answer(result: str) -> list[str]:
        rows = f"parity,losses,pass,equal,1.0\nparity,advantages: time limits,{result},by 0.45,1.0\n"
        (folder / "validation.csv").write_text(f"layer,check,result,evidence,seconds\n{rows}")
        report.render(folder)
        page, twin = (folder / "index.html").read_text(), (folder / "README.md").read_text()
        box = page[page.index('<div class="answer">') : page.index('<dl class="facts">')]
        return [box, twin.split("| | |")[0]]

    words = "differs from the reference's in 1 check of parity"
    for result, there in (("pass", False), ("not looked at", False), ("differs", True), ("FAIL", True)):
        texts = [text.replace("&#39;", "'") for text in answer(result)]
        assert [words in text for text in texts] == [there, there], result
