"""Reports of other metrics than the return: an error, for which lower is better, with a constant floor."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pandas as pd
import pytest
from html_pages import Page
from invented import fake_report

from rlparity.metrics import RETURN, Metric
from rlparity.reporting.diff import compare
from rlparity.reporting.figures import draw as figures
from rlparity.reporting.pages.suite import report
from rlparity.reporting.report_folder import Folder

pytestmark = pytest.mark.probes

ERROR = Metric("error", "fraction wrong", better=-1, floor=0.9)
KINDS = ("curves", "intervals", "seeds", "profiles")


@pytest.fixture(scope="module")
def errors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report whose one environment has an error alone."""
    folder = tmp_path_factory.mktemp("reports") / "errors"
    titles = {"random": "Guess", "ppo": "PPO", "dqn": "DQN"}
    names = tuple(titles)
    fake_report(folder, names, ("Digits-v0",), titles=titles, metrics={"Digits-v0": (ERROR,)})
    figures.draw(folder)
    report.render(folder)
    return folder


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of an environment with two metrics, and of one with the return."""
    folder = tmp_path_factory.mktemp("reports") / "mixed"
    metrics = {"Digits-v0": (ERROR, RETURN), "CartPole-v1": (RETURN,)}
    fake_report(folder, ("random", "ppo", "dqn"), tuple(metrics), metrics=metrics)
    figures.draw(folder)
    report.render(folder)
    return folder


def figure(folder: Path, name: str) -> list[str]:
    """The texts of a figure."""
    root = ET.fromstring((folder / "figures" / f"{name}.svg").read_text())
    return [node.text for node in root.iter() if node.tag.endswith("text") and node.text]


def words(folder: Path) -> str:
    return " ".join("".join(Page((folder / "index.html").read_text()).words).split())


def test_axes_have_name_unit_and_direction(errors: Path) -> None:
    assert {"error", "(lower is better)"} <= set(figure(errors, "curves-Digits-v0"))
    assert "error, fraction wrong (lower is better)" in figure(errors, "seeds-Digits-v0")
    assert "of the evaluation error, fraction wrong; band" in words(errors)
    assert "final error" in figure(errors, "intervals-Digits-v0")
    assert {"final error", "share of seeds below"} <= set(figure(errors, "profiles-Digits-v0"))
    assert "Final error" in figure(errors, "seeds-Digits-v0")
    distance = "difference, % of reference \N{MINUS SIGN} 0.9, lower is better"
    assert distance in figure(errors, "verdicts")


def test_a_constant_floor_is_drawn_and_defined(errors: Path) -> None:
    folder = Folder(errors)
    assert folder.floor(folder.measurements[0]) == 0.9
    key = figure(errors, "curves-Digits-v0")
    assert "floor" in key and "random agent" not in key
    text = words(errors)
    assert "FloorThe value of what has learned nothing: 0.9 for error on Digits-v0." in text
    assert "the environment's threshold and the floor" in text
    assert "per cent of the distance from the floor to the reference" in text


def test_no_page_of_an_error_names_the_return(errors: Path) -> None:
    folder = Folder(errors)
    pages = [(errors / "README.md").read_text(), words(errors)]
    pages += [" ".join(figure(errors, path.stem)) for path in (errors / "figures").iterdir()]
    assert len(pages) == 2 + len(KINDS) + 3
    assert not [text for text in pages if re.search(r"\breturns?\b|random agent", text.casefold())]
    assert folder.quantity == "error"
    assert "Secondary: final error" in pages[1]
    assert "Share of seeds whose final error is below the value on the axis" in pages[1]
    assert "| Digits-v0 | ppo | ≈ **EQUIVALENT** | error (lower is better) | area |" in pages[0]


def test_curves_of_an_error_fall_and_its_threshold_is_reached_from_above(errors: Path) -> None:
    folder = Folder(errors)
    (measured,) = folder.measurements
    rows = folder.evaluated("curves", measured, ("scratch", "ppo"))
    assert rows.iqm.iloc[0] > 0.7 > 0.2 > rows.iqm.iloc[-1]
    assert folder.threshold(measured) == 0.05


def test_every_metric_has_figures_sections_and_rows_of_its_own(mixed: Path) -> None:
    names = {path.stem for path in (mixed / "figures").iterdir()}
    places = ("Digits-v0.error", "Digits-v0.return", "CartPole-v1")
    assert names == {f"{kind}-{place}" for kind in KINDS for place in places} | {
        "verdicts",
        "improvement",
        "cost",
    }
    assert figure(mixed, "curves-Digits-v0.return") != figure(mixed, "curves-Digits-v0.error")
    assert "return" in figure(mixed, "curves-Digits-v0.return")
    twin = (mixed / "README.md").read_text()
    for heading in ("Digits-v0 (error)", "Digits-v0 (return)", "CartPole-v1"):
        assert f"\n### {heading}\n" in twin and f"\n### {heading}, estimates\n" in twin
    assert twin.count("\n### Digits-v0, settings\n") == 1
    rows = ("Digits-v0", "error (lower is better)"), ("Digits-v0", "return"), ("CartPole-v1", "return")
    for environment, metric in rows:
        assert f"| {environment} | ppo | ≈ **EQUIVALENT** | {metric} | area |" in twin
    panels = [text for text in figure(mixed, "verdicts") if text.startswith(("Digits", "CartPole"))]
    assert panels == ["Digits-v0 (error)", "Digits-v0 (return)", "CartPole-v1"]
    parsed = Page((mixed / "index.html").read_text())
    assert parsed.open == [] and len(parsed.ids) == len(set(parsed.ids))
    local = [link for link in parsed.targets if not link.startswith(("#", "https://", "../"))]
    assert all((mixed / link).exists() for link in local)


def test_the_answer_counts_comparisons_where_an_environment_has_several_metrics(mixed: Path) -> None:
    text = words(mixed)
    assert "3 of 6 comparisons are shown to match the reference" in text
    assert "PPO on Digits-v0 (error), Digits-v0 (return) and CartPole-v1." in text
    assert "Secondary: final value" in text


def test_the_threshold_is_of_the_first_metric(mixed: Path) -> None:
    keys = {place: figure(mixed, f"curves-{place}") for place in ("Digits-v0.error", "Digits-v0.return")}
    assert "threshold" in keys["Digits-v0.error"] and "threshold" not in keys["Digits-v0.return"]
    assert "floor" in keys["Digits-v0.error"] and "random agent" in keys["Digits-v0.return"]


def test_another_configuration_may_be_the_floor(tmp_path: Path) -> None:
    metric = Metric("accuracy", "fraction correct", floor="a2c")
    folder = fake_report(tmp_path / "x", ("a2c", "ppo"), ("Digits-v0",), metrics={"Digits-v0": (metric,)})
    read = Folder(folder)
    (measured,) = read.measurements
    scores = pd.read_csv(folder / "scores.csv")
    scores = scores[(scores.implementation == "scratch") & (scores.algorithm == "a2c")]
    final = scores[scores.endpoint == "final"].value.mean()
    assert read.floor(measured) == pytest.approx(final)
    assert read.baselines == {"a2c"} and read.algorithms("Digits-v0") == ["ppo"]


def test_rows_without_a_metric_are_returns(tmp_path: Path) -> None:
    folder = Folder(fake_report(tmp_path / "old", ("random", "ppo"), seeds=2))
    for name in ("scores", "verdicts", "curves", "paper", "improvement"):
        table = folder.tables[name]
        assert set(table.metric) == {"return"}
        assert list(table.columns).index("metric") == list(table.columns).index("environment") + 1
    assert [one.metric for one in folder.measurements] == [RETURN]


def test_a_comparison_of_reports_names_the_metric(mixed: Path, tmp_path: Path) -> None:
    other = fake_report(
        tmp_path / "mixed",
        ("random", "ppo", "dqn"),
        ("Digits-v0", "CartPole-v1"),
        metrics={"Digits-v0": (ERROR, RETURN), "CartPole-v1": (RETURN,)},
    )
    verdicts = pd.read_csv(other / "verdicts.csv")
    row = (verdicts.metric == "error") & (verdicts.algorithm == "ppo") & (verdicts.endpoint == "final")
    verdicts.loc[row, "verdict"] = "WORSE"
    verdicts.to_csv(other / "verdicts.csv", index=False)
    lines = compare(mixed, other).splitlines()
    assert "  Digits-v0 (error) scratch ppo, final error: EQUIVALENT -> WORSE" in " ".join(lines)
    assert sum("EQUIVALENT -> WORSE" in line for line in lines) == 1


def test_another_reference_than_stable_baselines3_has_its_name_and_the_look_of_a_reference(
    tmp_path: Path,
) -> None:
    folder = fake_report(tmp_path / "exact", ("random", "ppo"), seeds=2)
    plan = json.loads((folder / "plan.json").read_text())
    plan["algorithms"]["ppo"]["reference"] = {"implementation": "exact", "algorithm": "solver"}
    for one in plan["cells"]:
        if one["implementation"] == "sb3":
            one |= {"implementation": "exact", "algorithm": "solver", "fingerprint": ""}
    (folder / "plan.json").write_text(json.dumps(plan))
    for path in [*folder.glob("*.csv"), *folder.glob("records/**/sb3/**/run.json")]:
        text = path.read_text().replace("sb3/ppo", "exact/solver").replace("sb3,ppo", "exact,solver")
        text = text.replace('"sb3", "algorithm": "ppo"', '"exact", "algorithm": "solver"')
        path.write_text(text.replace("sb3-ppo", ""))
    figures.draw(folder)
    report.render(folder)
    read = Folder(folder)
    assert read.arms("CartPole-v1", "ppo") == [("scratch", "ppo"), ("exact", "solver")]
    assert read.looks["exact"] == Folder(fake_report(tmp_path / "sb3", ("ppo",), seeds=2)).looks["sb3"]
    page, twin = (folder / "index.html").read_text(), (folder / "README.md").read_text()
    for text in (page, twin):
        assert "exact" in text and "sb3" not in text and "Stable-Baselines3" not in text
    assert "The implementation is shown to match the reference" in twin
    ratio = next(
        line for line in twin.splitlines() if line.startswith("| CartPole-v1 | ppo | from scratch | 21")
    )
    assert "5.0 \N{MULTIPLICATION SIGN}" in ratio  # its speed, over that of its reference


def test_margins_of_their_own_are_in_the_answer(tmp_path: Path) -> None:
    folder = fake_report(tmp_path / "margins", ("random", "ppo", "dqn"), seeds=2)
    verdicts = pd.read_csv(folder / "verdicts.csv")
    verdicts.loc[verdicts.algorithm == "dqn", "margin"] = 0.1
    verdicts.to_csv(folder / "verdicts.csv", index=False)
    report.render(folder)
    assert "within the margin of 10 % and 20 %" in (folder / "README.md").read_text()


def test_no_verdict_is_a_verdict_of_its_own(tmp_path: Path) -> None:
    folder = fake_report(tmp_path / "ceiling", ("random", "ppo", "dqn"), seeds=5)
    verdicts = pd.read_csv(folder / "verdicts.csv")
    verdicts["reason"] = verdicts.algorithm.map({"ppo": "all at the ceiling, 5 and 5 seeds"})
    verdicts.loc[verdicts.algorithm == "ppo", "verdict"] = "NO VERDICT"
    verdicts.to_csv(folder / "verdicts.csv", index=False)
    report.render(folder)
    twin = (folder / "README.md").read_text()
    assert "Not decided, all at the ceiling, 5 and 5 seeds: PPO on CartPole-v1." in twin
    assert "\N{EN DASH} **NO VERDICT** 1" in twin
