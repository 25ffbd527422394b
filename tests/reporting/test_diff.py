"""What `diff` says of two invented reports."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from invented import fake_report, write_run

from rlparity.errors import UserError
from rlparity.reporting.diff import compare


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    a = fake_report(tmp_path / "a" / "invented", algorithms=("random", "ppo"), seeds=3)
    b = tmp_path / "b" / "invented"
    shutil.copytree(a, b)
    return a, b


def edit(file: Path, change: Callable[[pd.DataFrame], None]) -> None:
    table = pd.read_csv(file)
    change(table)
    table.to_csv(file, index=False)


def section(text: str, heading: str) -> list[str]:
    lines = text.splitlines()
    start = lines.index(heading) + 1
    stop = lines.index("", start) if "" in lines[start:] else len(lines)
    return [line.strip() for line in lines[start:stop]]


def test_equal_reports_differ_in_nothing(pair: tuple[Path, Path]) -> None:
    assert compare(*pair).splitlines()[2:] == ["", "No differences."]


def test_a_verdict_that_changed(pair: tuple[Path, Path]) -> None:
    def change(verdicts: pd.DataFrame) -> None:
        verdicts.loc[verdicts.endpoint == "auc", ["verdict", "smallest_margin"]] = "INCONCLUSIVE", 0.31

    edit(pair[1] / "verdicts.csv", change)
    text = compare(*pair)
    line = "CartPole-v1 scratch ppo, area under the curve: EQUIVALENT -> INCONCLUSIVE"
    assert section(text, "Verdicts") == [f"{line} (equivalent within 7 % -> 31 %)"]
    assert [name.split(":")[0] for name in section(text, "Tables")] == ["verdicts.csv"]


def test_a_score_is_listed_only_beyond_an_interval(pair: tuple[Path, Path]) -> None:
    def change(a: float, b: float) -> str:
        for folder, estimate in zip(pair, (a, b), strict=True):

            def write(summary: pd.DataFrame, estimate: float = estimate) -> None:
                row = (
                    (summary.statistic == "iqm")
                    & (summary.implementation == "sb3")
                    & (summary.endpoint == "final")
                )
                summary.loc[row, ["estimate", "ci_low", "ci_high"]] = estimate, estimate - 10, estimate + 10

            edit(folder / "summary.csv", write)
        return compare(*pair)

    assert "Scores beyond" not in change(400.0, 409.0)
    line = "CartPole-v1 sb3 ppo, final return, IQM: 400 [390, 410] (3 seeds) -> 411 [401, 421] (3 seeds)"
    assert section(change(400.0, 411.0), "Scores beyond their 95 % intervals") == [line]


def test_cells_records_settings_and_origins(pair: tuple[Path, Path]) -> None:
    a, b = pair
    plan = json.loads((b / "plan.json").read_text())
    random, ours, _ = plan["cells"]
    write_run(
        b,
        ours,
        config={"gamma": 0.99, "learning_rate": 0.001, "net_arch": [64, 64]},
        departures=[],
        versions={"python": "3.11.2", "torch": "2.14.0", "gymnasium": "1.4.0"},
        git={"commit": "f" * 40, "dirty": True},
        hashes={"episodes.parquet": "00" * 32, "evaluations.parquet": "ef" * 32},
        failed_seeds={"2": "loss became NaN"},
    )
    shutil.rmtree(b / "records" / "CartPole-v1" / "sb3")
    plan["cells"].append(random | {"seeds": [7]})
    (b / "plan.json").write_text(json.dumps(plan))
    write_run(b, plan["cells"][-1])
    text = compare(a, b)
    assert section(text, "Cells") == [
        "removed: sb3 ppo on CartPole-v1, seeds 0 to 2",
        "added: scratch random on CartPole-v1, seed 7",
        "failed now: scratch ppo on CartPole-v1, seed 2: loss became NaN",
    ]
    assert section(text, "Hyper-parameters and departures") == [
        "CartPole-v1 scratch ppo, gamma: 0.98 -> 0.99",
        "CartPole-v1 scratch ppo, departure withdrawn: advantages are normalised per minibatch",
    ]
    assert section(text, "Commits, versions and hardware") == [
        "commit: 0123456789ab -> 0123456789ab, ffffffffffff + uncommitted changes",
        "torch: 2.13.0 -> 2.13.0, 2.14.0",
    ]
    assert section(text, "Records") == [
        "scratch ppo on CartPole-v1, seeds 0 to 2: other episodes.parquet",
        "1 of 2 common cells are byte-identical",
    ]


def test_a_folder_that_is_no_report_is_one_line(pair: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere: not a report folder") as caught:
        compare(pair[0], tmp_path / "nowhere")
    assert "\n" not in str(caught.value)
