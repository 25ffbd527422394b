"""Figures from invented tables: what is drawn, that it is reproducible, that thin suites do not break it."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from invented import TITLES, fake_report

from rlparity.reporting.figures import draw as figures
from rlparity.reporting.figures import marks, panels
from rlparity.reporting.figures.throughput import algorithm_look
from rlparity.reporting.report_files import TABLES
from rlparity.reporting.style import OWN_COLOUR, REFERENCE_COLOUR, looks

pytestmark = pytest.mark.probes


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = fake_report(tmp_path_factory.mktemp("reports") / "invented", seeds=4)
    figures.draw(folder)
    return folder


def test_one_figure_per_question(report: Path) -> None:
    drawn = {file.stem for file in (report / "figures").iterdir()}
    per_environment = {f"{kind}-CartPole-v1" for kind in ("curves", "intervals", "seeds", "profiles")}
    assert drawn == per_environment | {"verdicts", "improvement", "cost"}


def test_same_tables_same_bytes_and_no_date(report: Path, tmp_path: Path) -> None:
    before = {file.name: file.read_bytes() for file in (report / "figures").iterdir()}
    fake_report(tmp_path / "invented", seeds=4)
    np.random.seed(7)
    with mpl.rc_context({"lines.solid_capstyle": "butt", "font.size": 20, "svg.hashsalt": None}):
        again = {file.name: file.read_bytes() for file in figures.draw(tmp_path / "invented")}
    assert again == before
    assert not any(b"dc:date" in text or b"Matplotlib" in text for text in again.values())


def test_curves_hold_every_algorithm_and_tell_arms_apart(report: Path) -> None:
    text = (report / "figures" / "curves-CartPole-v1.svg").read_text()
    root = ET.fromstring(text)
    groups = [group for group in root.iter() if (group.get("id") or "").startswith("panel-")]
    titles = [[node.text for node in panel.iter() if node.tag.endswith("text")] for panel in groups]
    assert [next(name for name in TITLES.values() if name in texts) for texts in titles] == [
        "REINFORCE",
        "A2C",
        "PPO",
        "DQN",
    ]
    both = {OWN_COLOUR, REFERENCE_COLOUR}
    colours = [{colour for colour in both if colour in ET.tostring(panel).decode()} for panel in groups]
    assert colours == [{OWN_COLOUR}, both, both, both]


def test_text_stays_text_and_is_escaped(tmp_path: Path) -> None:
    folder = fake_report(
        tmp_path / "odd", algorithms=("ppo",), titles={"ppo": "<script>alert(1)</script> $x^2$"}
    )
    figures.draw(folder)
    text = (folder / "figures" / "curves-CartPole-v1.svg").read_text()
    assert "<script" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt; $x^2$" in text


@pytest.mark.parametrize(
    ("keep", "drawn"),
    [
        ({"curves", "seed_curves"}, {"curves-CartPole-v1"}),
        ({"scores"}, {"seeds-CartPole-v1"}),
        ({"verdicts"}, {"verdicts"}),
        (set(), set()),
    ],
)
def test_missing_tables_leave_figures_out(tmp_path: Path, keep: set[str], drawn: set[str]) -> None:
    folder = fake_report(tmp_path / "thin", algorithms=("random", "ppo"), seeds=2)
    for name in set(TABLES) - keep:
        (folder / f"{name}.csv").unlink()
    assert {file.stem for file in figures.draw(folder)} == drawn


def test_draws_without_references_without_random_and_with_random_alone(tmp_path: Path) -> None:
    alone = fake_report(
        tmp_path / "alone", implementations=("scratch",), algorithms=("reinforce", "ppo"), seeds=2
    )
    assert "verdicts" not in {file.stem for file in figures.draw(alone)}
    random = fake_report(tmp_path / "random", implementations=("scratch",), algorithms=("random",), seeds=2)
    assert "curves-CartPole-v1" in {file.stem for file in figures.draw(random)}


def test_failed_seeds_and_thresholds_never_reached(tmp_path: Path) -> None:
    folder = fake_report(tmp_path / "failed", algorithms=("random", "ppo"), seeds=3)
    scores = pd.read_csv(folder / "scores.csv")
    scores.loc[(scores.seed == 1) & (scores.implementation == "scratch"), "value"] = None
    scores.loc[scores.endpoint == "time_to_threshold", "value"] = None
    scores.to_csv(folder / "scores.csv", index=False)
    figures.draw(folder)
    text = (folder / "figures" / "seeds-CartPole-v1.svg").read_text()
    assert ">never<" in text and "nan" not in text.lower()


def test_old_figures_go(report: Path, tmp_path: Path) -> None:
    folder = fake_report(tmp_path / "again", algorithms=("ppo",), seeds=2)
    (folder / "figures").mkdir()
    (folder / "figures" / "curves-Gone-v0.svg").write_text("<svg/>")
    assert "curves-Gone-v0" not in {file.stem for file in figures.draw(folder)}
    assert not (folder / "figures" / "curves-Gone-v0.svg").exists()


def test_scale_undoes_the_smallest_margin() -> None:
    row = pd.Series({"ci90_low": -45.0, "ci90_high": 9.0, "smallest_margin": 0.1})
    assert marks.scale(row) == pytest.approx(450)
    assert np.isnan(marks.scale(row.replace(0.1, np.nan)))


def test_steps_are_short() -> None:
    assert [panels.short(value) for value in (0, 250, 50_000, 1_500_000, -200)] == [
        "0",
        "250",
        "50k",
        "1.5M",
        "-200",
    ]


def test_an_algorithm_that_an_environment_lacks_takes_no_place_there():
    assert [len(panels.spread(count)) for count in (0, 1, 2, 3)] == [0, 1, 2, 3]
    assert panels.spread(1) == [0.0]


def forest(
    difference: float, half: float, more: dict[str, float] | None = None
) -> tuple[list[tuple[str, float]], list[str]]:
    """Marks and numbers of a row of verdicts with distance 100, on an axis that ends at 60."""
    low, high = difference - half, difference + half
    row = {"verdict": "WORSE", "difference": difference, "ci90_low": low, "ci90_high": high}
    row |= {"ci95_low": low, "ci95_high": high, "smallest_margin": max(abs(low), abs(high)) / 100}
    with panels.styled():
        (axes,) = panels.Panels("A forest plot", 1, 1, (300, 100)).axes
        marks.difference(axes, 0, pd.Series(row | (more or {})), 60)
    drawn = [(line.get_marker(), line.get_xdata()[0]) for line in axes.lines if line.get_marker() != "None"]
    return drawn, [text.get_text() for text in axes.texts]


@pytest.mark.parametrize(
    ("difference", "half", "drawn", "numbers"),
    [
        (-20, 10, [("o", -20)], []),
        (-50, 30, [("o", -50), ("<", -60)], []),
        (-83.4, 10, [("<", -60)], ["\N{MINUS SIGN}83 %"]),
        (1234, 2000, [("<", -60), (">", 60)], ["1,234 %"]),
    ],
)
def test_no_dot_stands_where_the_difference_is_not(
    difference: float, half: float, drawn: list[tuple[str, float]], numbers: list[str]
) -> None:
    assert forest(difference, half) == (drawn, ["worse", *numbers])


@pytest.mark.parametrize(("difference", "drawn"), [(-20.0, [("o", -20.0)]), (-83.4, [("<", -60.0)])])
def test_a_difference_without_an_interval_is_drawn_where_it_is(
    difference: float, drawn: list[tuple[str, float]]
) -> None:
    found, texts = forest(difference, np.nan, {"distance": 100.0})
    assert found == drawn and ("no interval" in texts) == (difference > -60)
    assert forest(difference, np.nan) == ([], ["worse", "no interval"])  # a table without the distance


def test_no_two_rows_of_a_key_have_the_same_mark() -> None:
    names = ["scratch", "sb3", *(f"candidate{number}" for number in range(12)), "sb3_contrib"]
    found = looks(names, ["sb3", "sb3_contrib"])
    assert len({(look.colour, look.marker) for look in found.values()}) == len(names)
    for kind in (lambda look: (look.colour, str(look.dash)), lambda look: (look.colour, look.svg_dash)):
        assert len({kind(look) for look in found.values()}) == len(names)
    few = list(found.values())[:6]
    assert len({look.marker for look in few}) == len({look.svg_dash for look in few}) == 6
    rows = pd.DataFrame({"algorithm": [f"agent{number}" for number in range(20)]})
    assert len({algorithm_look(rows, name) for name in rows.algorithm}) == 20
    assert len({algorithm_look(rows, name)[1] for name in rows.algorithm[:8]}) == 8
