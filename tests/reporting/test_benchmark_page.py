"""The benchmark's page from an invented throughput.csv."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from html_pages import Page

from rlparity.analysis import schemas, tables
from rlparity.benchmark import table
from rlparity.errors import UserError
from rlparity.reporting.figures.throughput import algorithm_look
from rlparity.reporting.formatting import NONE
from rlparity.reporting.pages import benchmark, benchmark_tables
from rlparity.reporting.pages.suite import report

REFERENCE = {"ppo": 3_800.0, "a2c": 8_000.0, "dqn": 760.0}
SPEED_UP = {1: 2.0, 2: 3.5, 5: 6.0, 10: 8.0, 20: 10.0, 50: 12.0}  # seeds -> ratio of PPO
BESIDE = {"ppo": 1.0, "a2c": 1.1, "dqn": 0.5}  # ratio of an algorithm, PPO's being 1


def invented(folder: Path, sizes: tuple[int, ...] = tuple(SPEED_UP), **changes: Any) -> Path:
    """Write `folder/throughput.csv`; returns `folder`."""
    rows = []
    for algorithm, rate in REFERENCE.items():
        about = {"algorithm": algorithm, "environment": "CartPole-v1", "threads": 1, "device": "cpu"}
        about |= {
            "hardware": "Invented CPU, 2 cores",
            "rounds": 3,
            "budget": 16_384,
            "commit": "0123456789abcdef",
        }
        about["configuration"] = json.dumps({"n_envs": 8, "gamma": 0.98, "net_arch": [64, 64]})
        about |= {"versions": "torch 2.13.0, stable-baselines3 2.9.2", "reference_steps_per_second": rate}
        ours = [
            ("scratch", size, SPEED_UP[size] * {"ppo": 1.0, "a2c": 1.1, "dqn": 0.5}[algorithm])
            for size in sizes
        ]
        for who, seeds, ratio in [("sb3", 1, 1.0), *ours]:
            measured = {"implementation": who, "seeds": seeds, "steps_per_second": ratio * rate}
            ends = {"ratio_min": 0.9 * ratio, "ratio_max": 1.2 * ratio, "ratio_to_reference": ratio}
            rows.append(about | measured | ends | {"peak_memory_mib": 300.0 + 4 * seeds} | changes)
    folder.mkdir(parents=True, exist_ok=True)
    tables.write_csv(folder, "throughput", tables.frame("throughput", rows))
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = invented(tmp_path_factory.mktemp("reports") / "benchmark")
    benchmark.render(folder)
    return folder


def words(page: str) -> str:
    return " ".join("".join(Page(page).words).split())


def test_the_measuring_half_writes_the_columns_that_this_half_declares() -> None:
    assert list(table.COLUMNS) == list(schemas.TABLES["throughput"])


def test_headline_is_the_ratios_of_one_seed_and_of_ten(folder: Path) -> None:
    lines = benchmark.render(folder).splitlines()
    assert re.split("  +", lines[0])[:2] == [
        "algorithm",
        "1 seed, \N{MULTIPLICATION SIGN} reference [min, max]",
    ]
    found = {line.split()[0]: re.split("  +", line)[1:] for line in lines[1:4]}
    assert found == {
        "ppo": ["2 [1.8, 2.4]", "8 [7.2, 9.6]", "340 MiB", "3", "3,800"],
        "a2c": ["2.2 [1.98, 2.64]", "8.8 [7.92, 10.6]", "340 MiB", "3", "8,000"],
        "dqn": ["1 [0.9, 1.2]", "4 [3.6, 4.8]", "340 MiB", "3", "760"],
    }
    assert "takes 8 times (ppo), 8.8 times (a2c) and 4 times (dqn) as many environment steps" in lines[4]
    assert lines[-1] == f"report: {folder / 'index.html'}"


def test_cost_of_a_block_counts_trainings_of_one_seed(folder: Path) -> None:
    rows = tables.read(folder / "throughput.csv")
    rows = rows.assign(cost=benchmark._cost(rows))
    ours = rows[(rows.algorithm == "ppo") & (rows.implementation == "scratch")].set_index("seeds").cost
    assert ours[1] == 1
    assert ours[10] == pytest.approx(2.5)  # ten seeds at four times the rate of one
    assert ours[50] == pytest.approx(50 * 2 / 12)
    assert benchmark._cost(rows[rows.seeds > 1]).isna().all()


def test_page_and_twin_hold_all_measurements_and_how_they_were_made(folder: Path) -> None:
    page, twin = (folder / "index.html").read_text(), (folder / "README.md").read_text()
    parsed = Page(page)
    assert parsed.open == [] and len(parsed.ids) == len(set(parsed.ids))
    assert not {"script", "link", "img", "iframe"} & set(parsed.tags)
    local = [link for link in parsed.targets if not link.startswith(("#", "..", "https://"))]
    assert set(local) == {"throughput.csv", "figures/scaling.svg", "README.md"}
    assert all((folder / link).exists() for link in local)
    for text in (words(page), twin):
        for wanted in ("Invented CPU, 2 cores", "stable-baselines3 2.9.2", "0123456789ab", "rlparity bench"):
            assert wanted in text
        assert "Left out are evaluation" in text and "net" in text
    rows = [line for line in twin.splitlines() if line.startswith("| CartPole-v1 |")]
    assert len(rows) == 3 * 7
    cells = "from scratch | 50 | 45,600 | 12 \\[10.8, 14.4\\] | 3,800 | 8.33 | 500 MiB | 3 | 16,384"
    assert rows[6] == f"| CartPole-v1 | ppo | {cells} |"
    assert "\n\n\n" not in twin


def changed(folder: Path, **rates: float | None) -> Path:
    """A benchmark whose rows of ours with so many seeds have these rates of the reference in their rounds."""
    rows = tables.read(invented(folder) / "throughput.csv")
    for seeds, rate in rates.items():
        ours = (rows.implementation == "scratch") & (rows.seeds == int(seeds.removeprefix("of_")))
        rows.loc[ours, "reference_steps_per_second"] = rate
    tables.write_csv(folder, "throughput", rows)
    return folder


def last_column(folder: Path) -> list[str]:
    lines = benchmark.render(folder).splitlines()[:4]
    assert lines[0].endswith("Stable-Baselines3 in these rounds, steps/s")
    return [re.split("  +", line)[-1] for line in lines[1:]]


def test_ratios_stand_beside_the_rate_of_the_reference_in_the_same_rounds(tmp_path: Path) -> None:
    other = changed(tmp_path / "other", of_1=3_000.0, of_10=3_500.0)
    assert last_column(other) == ["3,000 (1 seed), 3,500 (10 seeds)"] * 3
    rows = [line for line in (other / "README.md").read_text().splitlines() if line.startswith("| CartPole")]
    assert "| from scratch | 10 | 30,400 | 8 \\[7.2, 9.6\\] | 3,500 | 2.5 |" in rows[4]
    assert f"| Stable-Baselines3 | 1 | 3,800 | {NONE} | {NONE} | 1 |" in rows[0]
    assert last_column(changed(tmp_path / "one", of_1=3_000.0, of_10=None)) == ["3,000"] * 3
    old = last_column(changed(tmp_path / "old", of_1=None, of_10=None))
    assert old == [f"{rate}, rounds unknown" for rate in ("3,800", "8,000", "760")]


def test_the_reference_has_the_name_of_its_implementation(tmp_path: Path) -> None:
    rows = tables.read(invented(tmp_path) / "throughput.csv")
    rows["implementation"] = rows.implementation.replace("sb3", "exact")
    tables.write_csv(tmp_path, "throughput", rows)
    text = benchmark.render(tmp_path)
    page, twin = (tmp_path / "index.html").read_text(), (tmp_path / "README.md").read_text()
    for found in (text, page, twin, (tmp_path / "figures" / "scaling.svg").read_text()):
        assert "exact" in found and "Stable-Baselines3" not in found


def test_a_block_without_a_ratio_is_no_answer(tmp_path: Path) -> None:
    file = invented(tmp_path) / "throughput.csv"
    rows = tables.read(file)
    rows.loc[(rows.algorithm == "ppo") & (rows.seeds == 10), "ratio_to_reference"] = None
    tables.write_csv(tmp_path, "throughput", rows)
    assert "takes 8.8 times (a2c) and 4 times (dqn) as many" in benchmark.render(tmp_path)


def test_figure_has_a_line_per_algorithm_and_the_reference_dashed(folder: Path) -> None:
    panels = re.findall(r'<svg class="panel".*?</svg>', (folder / "index.html").read_text(), flags=re.DOTALL)
    assert len(panels) == 2
    for paint in ("var(--own)", "var(--spare-0)", "var(--spare-1)"):
        assert all(f"stroke: {paint}" in panel for panel in panels)
        styles = [re.findall(rf'style="([^"]*stroke: {re.escape(paint)}[^"]*)"', panel) for panel in panels]
        assert [any("dasharray" in style for style in found) for found in styles] == [True, False]
    assert ">50<" in panels[0]


def with_peers(folder: Path) -> Path:
    """A benchmark in which rejax has PPO's rate of half of ours, sbx is measured with one seed, and the
    agents of another commit are as quick as ours."""
    rows = tables.read(invented(folder, (1, 10), core=1, kernel="numba 0.68.1") / "throughput.csv")
    ours = rows[(rows.algorithm == "ppo") & (rows.implementation == "scratch")]
    told = {"compile_s": 21.0, "versions": "jax 0.10.2, numpy 2.4.6", "kernel": None}
    half = {name: ours[name] / 2 for name in ("steps_per_second", "ratio_to_reference")}
    rejax = ours.assign(implementation="rejax", **told, **half)
    sbx = ours[ours.seeds == 1].assign(implementation="sbx", **told)
    before = ours.assign(implementation="scratch@ce92d32")
    rows.loc[rows.implementation == "sb3", "kernel"] = None
    tables.write_csv(folder, "throughput", tables.frame("throughput", pd.concat([rows, rejax, sbx, before])))
    return folder


def test_peers_stand_beside_ours_with_what_differs(tmp_path: Path) -> None:
    assert "as many environment steps per second as Stable-Baselines3." in benchmark.render(
        with_peers(tmp_path)
    )
    page, twin = (tmp_path / "index.html").read_text(), (tmp_path / "README.md").read_text()
    section = twin.split("## Beside other libraries")[1].split("##")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ppo")]
    assert lines == [
        "| ppo | 1 | 7,600 | rejax | 1 | 3,800 | 2 | 21 s |",
        "| ppo | 10 | 30,400 | rejax | 10 | 15,200 | 2 | 21 s |",
        "| ppo | 1 | 7,600 | sbx | 1 | 7,600 | 1 | 21 s |",
        "| ppo | 10 | 30,400 | sbx | 1 | 7,600 | 4 | 21 s |",
        f"| ppo | 1 | 7,600 | from scratch at ce92d32 | 1 | 7,600 | 1 | {NONE} |",
        f"| ppo | 10 | 30,400 | from scratch at ce92d32 | 10 | 30,400 | 1 | {NONE} |",
    ]
    for text in (words(page), twin):
        assert "gymnax" in text and "another commit" in text and "compiled by two updates" in text
        assert "every run was kept on core 1" in text and "numba 0.68.1" in text
        assert "rejax: jax 0.10.2, numpy 2.4.6" in text
        assert text.count("torch 2.13.0") == 1
    assert Page(page).open == []


def test_peers_have_lines_of_their_own(folder: Path, tmp_path: Path) -> None:
    benchmark.render(with_peers(tmp_path))
    plain, more = (
        re.findall(r'<svg class="panel".*?</svg>', (one / "index.html").read_text(), flags=re.DOTALL)[0]
        for one in (folder, tmp_path)
    )
    assert more.count("stroke-dasharray") >= plain.count("stroke-dasharray") + 3
    assert ">rejax<" in (tmp_path / "figures" / "scaling.svg").read_text()


def test_no_two_algorithms_look_alike() -> None:
    rows = pd.DataFrame({"algorithm": [f"a{k}" for k in range(20)]})
    assert len({algorithm_look(rows, name) for name in rows.algorithm}) == 20


def test_a_long_key_takes_several_rows_above_the_panels(tmp_path: Path) -> None:
    rows = tables.read(invented(tmp_path, (1,)) / "throughput.csv")
    many = [rows.assign(algorithm=rows.algorithm + f" by another name {k}") for k in range(3)]
    tables.write_csv(tmp_path, "throughput", tables.frame("throughput", pd.concat(many)))
    benchmark.render(tmp_path)
    svg = (tmp_path / "figures" / "scaling.svg").read_text()
    found = re.search(r'data-header="([\d.]+)"', svg)
    assert found and float(found[1]) > 44
    assert (tmp_path / "index.html").read_text().count('class="panel"') == 2


def test_a_table_of_an_older_version_is_read(folder: Path, tmp_path: Path) -> None:
    later = ["kernel", "core", "compile_s"]
    old = pd.read_csv(folder / "throughput.csv").drop(columns=later)
    old.to_csv(tmp_path / "throughput.csv", index=False)
    rows = tables.read(tmp_path / "throughput.csv")
    assert list(rows) == list(schemas.TABLES["throughput"]) and rows[later].isna().all().all()
    benchmark.render(tmp_path)
    assert "not kept on one core" in (tmp_path / "README.md").read_text()


def test_same_table_same_bytes(folder: Path, tmp_path: Path) -> None:
    again = invented(tmp_path / "benchmark")
    benchmark.render(again)
    for name in ("index.html", "README.md", "figures/scaling.svg"):
        assert (again / name).read_bytes() == (folder / name).read_bytes()


def test_part_of_a_benchmark_is_shown_too(tmp_path: Path) -> None:
    folder = invented(tmp_path / "benchmark", sizes=(2,), rounds=1, reference_steps_per_second=None)
    text = benchmark.render(folder)
    assert "No block of 10 seeds has been measured." in text
    twin = (tmp_path / "benchmark" / "README.md").read_text()
    assert f"| CartPole-v1 | ppo | from scratch | 2 | 13,300 | 3.5 | {NONE} | 308 MiB | 1 | 16,384 |" in twin
    assert "nan" not in (tmp_path / "benchmark" / "index.html").read_text().lower()


def test_other_hardware_gets_panels_of_its_own(tmp_path: Path) -> None:
    first = pd.read_csv(invented(tmp_path / "a") / "throughput.csv")
    second = pd.read_csv(invented(tmp_path / "b", hardware="Another CPU, 8 cores") / "throughput.csv")
    rows = tables.frame("throughput", pd.concat([first, second]))
    tables.write_csv(tmp_path / "a", "throughput", rows)
    text = benchmark.render(tmp_path / "a")
    assert "CartPole-v1, Another CPU, 8 cores" in text
    assert (tmp_path / "a" / "index.html").read_text().count('class="panel"') == 4


def test_the_index_links_it_by_its_title(folder: Path) -> None:
    text = report.render_index(folder.parent).read_text()
    assert '<a href="benchmark/index.html">Throughput</a>' in text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"throughput\.csv: missing"),
        ("a,b\n1,2\n", r"throughput\.csv: not a table of throughput"),
        (",".join(table.COLUMNS) + "\n", r"throughput\.csv: holds no measurement"),
    ],
)
def test_bad_tables_are_one_line(tmp_path: Path, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / "throughput.csv").write_text(content)
    with pytest.raises(UserError, match=message) as caught:
        benchmark.render(tmp_path)
    assert "\n" not in str(caught.value)


def test_ratios_to_a_peer_are_taken_within_rounds() -> None:
    """A reference that was slow in one round does not make the ratio of two others."""
    ours, other = (
        pd.Series({"rates": rates, "ratio_to_reference": ratio})
        for rates, ratio in [("[10.0, 40.0, 30.0]", 1.5), ("[5.0, 10.0, 10.0]", 1.2)]
    )
    assert benchmark_tables._times(ours, other) == "3 [2, 4]"
    unknown = pd.Series({"rates": None, "ratio_to_reference": 0.5})
    assert benchmark_tables._times(ours, unknown) == "3"
    once = pd.Series({"rates": "[5.0]", "ratio_to_reference": 1.0})
    assert benchmark_tables._times(once, once) == "1"
