"""`rlparity train`: its answer, that nothing is trained twice, and what it is compared with."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from answered import answer
from validating import described

from rlparity.__main__ import main
from rlparity.cell import Cell
from rlparity.cli import pipeline
from rlparity.cli.train import single
from rlparity.records import write, write_bytes
from rlparity.runs import run_cell

pytestmark = pytest.mark.usefixtures("in_checkout")
STEPS = 8192
Train = Callable[..., int]


def record(cell: Cell, folder: Path, top: float) -> dict[str, Any]:
    """Records whose values rise from about 20 to about `top`, a random agent's not."""
    rows, top = [], 20 if cell.agent == "random" else top
    names = {name: getattr(cell, name) for name in ("implementation", "algorithm", "environment")}
    for seed in cell.seeds:
        rng = np.random.default_rng([seed, len(cell.implementation)])
        for i in range(cell.evaluation.points + 1):
            value = 20 + (top - 20) * i / cell.evaluation.points + rng.normal(0, 2)
            row = {**names, "seed": seed, "env_step": i * cell.budget // cell.evaluation.points, "episode": 0}
            shown = {"metric": "return", "value": float(value), "size": 9}
            rows += [{**row, **shown, "protocol": mode} for mode in cell.evaluation.modes]
    write(folder, "episodes", [])
    write(folder, "progress", [])
    write(folder, "evaluations", rows)
    run = described(cell, folder) | {
        "steps_per_second": 1000.0,
        "training_time_s": 1.0,
        "evaluation_time_s": 1.0,
    }
    write_bytes(folder / "run.json", json.dumps(run).encode())
    return run


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Blocks of seeds that were trained; a training is invented."""
    blocks: list[tuple[int, ...]] = []

    def run(cell: Cell, folder: Path, **_: Any) -> dict[str, Any]:
        blocks.append(cell.seeds)
        return record(cell, folder, 60 if cell.hyperparameters.get("gamma") == 0.5 else 200)

    monkeypatch.setattr(run_cell, "run_cell", run)
    monkeypatch.setattr(pipeline, "draw", lambda chosen, rest: None)
    return blocks


@pytest.fixture
def train(tmp_path: Path, trained: list[tuple[int, ...]]) -> Train:
    folders = ["--results", str(tmp_path / "results"), "--reports", str(tmp_path / "reports")]

    def run(*options: str) -> int:
        return main(["train", "ppo", "CartPole-v1", "--steps", "8192", *options, *folders])

    return run


def ship(tmp_path: Path, **values: Any) -> None:
    """Records of the reference and the random agent at the same settings in a report."""
    wanted = single.Wanted("ppo", "CartPole-v1", ["0"], STEPS, values=values)
    for cell in single.compared(wanted, ()).cells:
        record(cell, tmp_path / "reports" / "other" / "records" / Path(*cell.folder.parts[1:]), 200)


def test_the_answer_is_the_same_again_and_nothing_is_trained(
    train: Train, trained: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ship(tmp_path)
    assert train("--seeds", "0-4") == 0
    first = capsys.readouterr().out.splitlines()
    assert trained == [(0, 1, 2, 3, 4)] and first[0].endswith("done, 1,000 steps/s")
    assert first[1].startswith("final return: mean ") and ", 95 % interval " in first[1]
    assert first[1].endswith(", 5 seeds")
    assert first[2].startswith("beside sb3/ppo: EQUIVALENT by auc (equivalent within ")
    assert first[2].endswith("5 seeds beside 5 of sb3/ppo)")
    assert first[3].startswith("beside sb3/ppo: EQUIVALENT by final ") and len(first) == 4
    assert train("--seeds", "0,1,2", "3-4", "--budget", "8k") == 0  # 8,000 steps are others
    assert len(trained) == 2
    assert train("--seeds", "[0,1,2,3,4]") == 0
    again = capsys.readouterr().out.splitlines()
    assert len(trained) == 2 and again[-4].endswith("trained before, nothing to train")
    assert again[-3:] == first[1:]


def test_seeds_that_are_added_are_trained_alone(train: Train, trained: list[Any], tmp_path: Path) -> None:
    assert train("--seeds", "2-3") == train("--seeds", "0-5") == 0
    assert trained == [(2, 3), (0, 1), (4, 5)]
    assert train("--seeds", "0-1", "5") == 0  # a part of a block is taken from it, by `regroup`
    assert trained[3:] == [(5,)]


def test_where_nothing_is_shipped_it_says_so(
    train: Train, trained: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ship(tmp_path, gamma=0.9)
    assert train() == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("no comparison with sb3/ppo: sb3/ppo in CartPole-v1, seeds 0, 1, 2, 3, 4: ")
    assert "gamma" in last and last.endswith("; --against sb3/ppo trains it, too")
    assert not (tmp_path / "reports" / "train").exists()
    assert main(["train", "reinforce", "CartPole-v1", "--results", str(tmp_path / "results")]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("final return: mean ")


@pytest.mark.parametrize(("gamma", "status", "word"), [("0.9", 0, "EQUIVALENT"), ("0.5", 1, "WORSE")])
def test_against_a_reference_it_judges_and_writes_a_report(
    gamma: str,
    status: int,
    word: str,
    train: Train,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    ship(tmp_path, gamma=float(gamma))
    assert train("--seeds", "0-5", "--set", f"gamma={gamma}", "--against", "sb3/ppo") == status
    lines = capsys.readouterr().out.splitlines()
    assert f"beside sb3/ppo: {word} by auc" in lines[-3]
    page = Path(lines[-1].removeprefix("report: "))
    assert page.name == "index.html" and "ppo in CartPole-v1 against sb3/ppo" in page.read_text()
    assert word in (page.parent / "README.md").read_text()


def test_a_setting_that_the_reference_has_not_is_a_reason(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = ["--results", str(tmp_path / "results"), "--reports", str(tmp_path / "reports")]
    words = ["train", "dqn", "CartPole-v1", "--steps", "8k", "--set", "dueling=true", *folders]
    assert main(words) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert "no comparison with sb3/dqn: " in last and "Stable-Baselines3 has no dueling = True" in last
    assert main([*words, "--against", "sb3/dqn"]) == 4


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--steps", "1,5k"), "train: --steps 1,5k: write a whole number"),
        (("--seeds", "4-0"), "train: --seeds 4-0: write ranges"),
        (("--seeds", "1", "1"), "train: --seeds: seed 1 is there twice"),
        (("--against", "sb3/reinforce"), "--against: unknown configuration 'reinforce'"),
        (("--against", "sb3/ppo", "--implementation", "sb3"), "leave --implementation out"),
        (("--set", "gamma"), "--set gamma: write KEY=VALUE"),
    ],
)
def test_mistakes_are_one_line(
    options: tuple[str, ...],
    expected: str,
    train: Train,
    trained: list[Any],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert train(*options) == 4
    message = capsys.readouterr().err
    assert expected in message and message.count("\n") == 1 and not trained


def test_the_answer_as_json(train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ship(tmp_path)
    assert train("--seeds", "0-4", "--json") == 0
    found = answer(capsys.readouterr().out, "train")
    assert found["final"][0]["seeds"] == 5 and found["cells"][0]["trained"] is True
    assert [row["verdict"] for row in found["verdicts"]] == ["EQUIVALENT", "EQUIVALENT"]
    assert found["not_compared"] is None and found["steps"] == STEPS


@pytest.mark.probes
def test_a_training_that_is_real(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train", "actor-critic", "CartPole-v1", "--steps", "1k", "--results", str(tmp_path)]
    assert main(words) == 0
    first = capsys.readouterr().out.splitlines()
    assert main(words) == 0
    again = capsys.readouterr().out.splitlines()
    assert "trained before" in again[0] and again[1:] == first[1:] and first[1].endswith(", 1 seed")
