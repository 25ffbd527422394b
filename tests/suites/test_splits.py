"""The key `split`: what becomes of blocks, and which split is chosen."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from resolved import BASE, resolve

from rlparity.__main__ import main
from rlparity.cell import Cell
from rlparity.errors import UserError
from rlparity.suites import memory_needs, splitting
from rlparity.suites import suite as suites
from rlparity.suites.costs import cost, speeds, splits
from rlparity.suites.costs.speeds import Speeds

pytestmark = pytest.mark.usefixtures("in_checkout")
HEAD = "implementation,algorithm,environment,seeds,device,settings,steps_per_second"
MEASURED = {1: 20_000, 5: 40_000, 10: 50_000}  # PPO's steps per second on CartPole by seeds, all together
ONE_ARM: dict[str, Any] = {
    "algorithms": ["ppo"],
    "implementations": ["scratch"],
    "seeds": ["0-9"],
    "budgets": {"default": 5_000_000},
}


def rates(reports: Path, measured: dict[int, int] = MEASURED) -> Path:
    rows = [f"scratch,ppo,CartPole-v1,{n},cpu,,{rate}" for n, rate in measured.items()]
    (reports / "benchmark").mkdir(parents=True)
    (reports / speeds.THROUGHPUT).write_text("\n".join([HEAD, *rows]) + "\n")
    return reports


def blocks(suite: suites.Suite, implementation: str = "scratch") -> list[str]:
    return [cell.block for cell in suite.cells if cell.implementation == implementation]


@given(st.integers(0, 50), st.integers(1, 40), st.integers(1, 50))
def test_parts_are_consecutive_and_of_like_size(first: int, length: int, n: int) -> None:
    block = tuple(range(first, first + length))
    parts = splitting.parts(block, n)
    assert sum(parts, ()) == block and len(parts) == min(n, length)
    sizes = [len(part) for part in parts]
    assert sizes == sorted(sizes, reverse=True) and sizes[0] - sizes[-1] <= 1


def test_ours_are_divided_and_nothing_else_changes() -> None:
    whole, split = resolve(algorithms=["ppo"]), resolve(algorithms=["ppo"], split=2)
    assert blocks(split) == ["seeds-0-0", "seeds-1-1", "seeds-2-3", "seeds-4-4"]
    assert blocks(split, "sb3") == blocks(whole, "sb3")
    assert blocks(resolve(algorithms=["ppo"], split=99)) == [f"seeds-{seed}-{seed}" for seed in range(5)]
    mine, theirs = split.plan(), whole.plan()
    assert mine.pop("split") == 2 and "split" not in theirs  # so that plans of whole blocks stay as they were
    mine.pop("cells"), theirs.pop("cells")
    assert mine == theirs
    same = {cell.folder: cell.fingerprint for cell in resolve(algorithms=["ppo"], split=1).cells}
    assert same == {cell.folder: cell.fingerprint for cell in whole.cells}
    assert len({cell.fingerprint for cell in split.cells}) == len(split.cells)


def test_config_replaces_the_suites_split_and_blocks_keep_their_names() -> None:
    narrowed = resolve({"split": 5, "seeds": ["2-4"]}, algorithms=["ppo"], split=2)
    assert blocks(narrowed) == ["seeds-2-2", "seeds-3-3", "seeds-4-4"]
    assert "seeds 2-4" in narrowed.plan()["description"] and "split" not in narrowed.plan()["description"]


@pytest.mark.parametrize("value", [0, -1, 2.5, True, "all", "2", "", None, [2], {"n": 2}])
def test_what_is_no_split_is_refused_in_a_line(value: Any) -> None:
    with pytest.raises(UserError, match=r"(?s)Bad suite:\n  - split: [^\n]+$"):
        resolve(split=value)
    with pytest.raises(UserError, match=r"--config split: expected auto or a whole number from 1, got .+$"):
        resolve({"split": value})


def test_the_memory_that_counts_is_that_of_a_part(monkeypatch: pytest.MonkeyPatch) -> None:
    dqn = {"algorithms": ["dqn"], "implementations": ["scratch"], "seeds": ["0-9"]}
    (block,) = resolve(**dqn).cells
    needed = memory_needs.memory_bytes(block, resolve(**dqn).environments["CartPole-v1"].info)
    monkeypatch.setattr(memory_needs, "machine_bytes", lambda: needed // 2)
    with pytest.raises(UserError, match="a block of 10 seeds"):
        resolve(**dqn)
    assert len(resolve(split=2, **dqn).cells) == 2


def seconds(found: Sequence[splits.Outcome]) -> dict[int, float]:
    return {one.n: one.seconds for one in found}


def test_the_time_of_a_split_is_that_of_its_last_cell(tmp_path: Path) -> None:
    known, (block,) = Speeds(rates(tmp_path)), resolve(**ONE_ARM).cells
    five, one = (cost.seconds(replace(block, seeds=tuple(range(n))), known) for n in (5, 1))
    on_two = seconds(splits.outcomes([block], 2, known))
    assert list(on_two) == [1, 2, 5, 10] and on_two[1] == pytest.approx(cost.seconds(block, known))
    assert on_two[2] == pytest.approx(five) and on_two[10] == pytest.approx(5 * one)
    assert seconds(splits.outcomes([block], 10, known))[10] == pytest.approx(one)
    assert seconds(splits.outcomes([block], 4, known))[10] == pytest.approx(3 * one)
    assert 4 in seconds(splits.outcomes([block], 4, known))  # what fills the cores
    assert 3 in seconds(splits.outcomes([block, replace(block, algorithm="a2c")], 6, known))


@pytest.mark.parametrize(("cores", "n"), [(1, 1), (2, 2), (4, 4), (5, 5), (10, 10), (64, 10)])
def test_auto_fills_cores_that_have_nothing_to_do(cores: int, n: int, tmp_path: Path) -> None:
    assert splits.chosen(resolve(**ONE_ARM), cores, Speeds(rates(tmp_path))) == n


def test_auto_keeps_blocks_whole_where_cores_have_enough_to_do(tmp_path: Path) -> None:
    """As many cells as cores, whatever the rates; seconds are not worth it; nor is a GPU."""
    flat = Speeds(rates(tmp_path, {1: 10_000}))
    arms = {**ONE_ARM, "seeds": ["0-9", "10-19"]}
    assert splits.chosen(resolve(**arms), 4, flat) == 2
    assert splits.chosen(resolve(**arms), 2, flat) == 1
    assert splits.chosen(resolve(**{**arms, "budgets": {"default": 10_000}}), 8, flat) == 1
    assert splits.chosen(resolve(**{**ONE_ARM, "implementations": ["scratch", "sb3"]}), 4, flat) == 1
    gpu = suites.resolve({**BASE, **ONE_ARM, "device": "cuda"}, "Bad suite", elsewhere=True)
    assert splits.chosen(gpu, 64, flat) == 1


@pytest.mark.parametrize("n", [2, 3, 5, 10, 40])
@pytest.mark.parametrize("algorithms", [["ppo"], ["random", "ppo", "dqn", "a2c"]])
def test_auto_is_never_slower_than_whole_blocks(n: int, algorithms: list[str], tmp_path: Path) -> None:
    """Each part has a core of its own, so that no rate can make it later than its block."""
    suite = resolve(**{**ONE_ARM, "algorithms": algorithms})
    for measured in (MEASURED, {1: 1_000, 10: 10_000}, {5: 40_000}):
        known = Speeds(rates(tmp_path / str(measured[min(measured)]), measured))
        chosen = splits.chosen(suite, n, known)
        cells = splits.divided(suite.cells, chosen)
        assert chosen == 1 or len(cells) <= n
        assert max(cost.seconds(c, known) for c in cells) <= max(cost.seconds(c, known) for c in suite.cells)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A suite file, and rates in `reports` beside it."""
    rates(tmp_path / "reports")
    path = tmp_path / "made-up.yaml"
    path.write_text(yaml.safe_dump({**BASE, **ONE_ARM}))
    return path


def load(file: Path, cores: int = 10, narrow: dict[str, Any] | None = None) -> suites.Suite:
    folder = file.parent
    return splits.load(file, narrow or {}, True, folder / "reports", folder / "results", cores)


def test_the_choice_is_kept_where_something_is_trained(file: Path) -> None:
    chosen = load(file)
    assert len(chosen.cells) == 10 and dict(chosen.narrowed) == {"split": 10}
    assert len(load(file, 1).cells) == 1  # nothing is noted yet
    splits.keep(chosen, file.parent / "results")
    assert len(load(file, 1).cells) == 10
    assert len(load(file, 1, {"split": 5}).cells) == 5
    assert len(load(file, 1, {"seeds": ["0-9"]}).cells) == 10
    splits.keep(load(file, 1, {"split": 1}), file.parent / "results")
    assert len(load(file).cells) == 1


def test_whole_blocks_that_are_trained_or_shipped_stay_whole(file: Path) -> None:
    trained = file.parent / "results" / "made-up" / "CartPole-v1" / "scratch" / "ppo" / "seeds-0-9"
    trained.mkdir(parents=True)
    (trained / "cell.json").touch()
    assert len(load(file).cells) == 10  # planned, and no more
    (trained / "checkpoint").mkdir()
    assert len(load(file).cells) == 1
    (trained / "checkpoint").rmdir()
    plan = file.parent / "reports" / "made-up" / "plan.json"
    plan.parent.mkdir()
    for content, n in (({}, 1), ({"split": 5}, 5)):
        plan.write_text(json.dumps(content))
        assert len(load(file).cells) == n
    plan.write_text("[")
    assert len(load(file).cells) == 10


@pytest.mark.parametrize(
    "split", ["null", "0", "-3", "2.5", "true", "[1]", '"auto"', "[" * 100_000], ids=lambda text: text[:6]
)
def test_a_report_that_names_no_split_counts_as_none(split: str, file: Path) -> None:
    plan = file.parent / "reports" / "made-up" / "plan.json"
    plan.parent.mkdir()
    plan.write_text(f'{{"split": {split}}}')
    assert len(load(file).cells) == 10


@pytest.mark.parametrize("content", [b"", b"x", b"\xff", b"0", b"-2", b"2.5", b"9" * 5000], ids=repr)
def test_a_damaged_note_of_the_split_counts_as_none(content: bytes, file: Path) -> None:
    note = file.parent / "results" / "made-up" / splits.NOTE
    note.parent.mkdir(parents=True)
    note.write_bytes(content)
    assert len(load(file).cells) == 10
    splits.keep(load(file), file.parent / "results")
    assert note.read_text() == "10" and [path.name for path in note.parent.iterdir()] == [splits.NOTE]


def test_a_suite_on_a_gpu_stays_whole_whatever_split_its_cells_on_cpus_had(file: Path) -> None:
    splits.keep(load(file), file.parent / "results")
    assert len(load(file).cells) == 10
    on_gpu = load(file, narrow={"device": "cuda"})
    assert len(on_gpu.cells) == 1
    splits.keep(on_gpu, file.parent / "results")
    assert len(load(file, 1).cells) == 10
    assert len(load(file, narrow={"device": "cuda", "split": 5}).cells) == 5  # asked for by name


def test_more_cores_than_cells_take_no_memory(tmp_path: Path) -> None:
    known, (block,) = Speeds(rates(tmp_path)), resolve(**ONE_ARM).cells
    many = splits.outcomes([block], 10**30, known)
    assert many == splits.outcomes([block], 10, known)


def test_a_part_of_a_suite_is_divided_as_the_whole_is(file: Path) -> None:
    several = {**BASE, **ONE_ARM, "algorithms": ["ppo", "a2c", "dqn"]}
    file.write_text(yaml.safe_dump(several))
    assert Counter(cell.algorithm for cell in load(file, 6).cells) == {"ppo": 2, "a2c": 2, "dqn": 2}
    assert Counter(cell.algorithm for cell in load(file, 6, {"algorithms": ["ppo"]}).cells) == {"ppo": 2}


def plan(file: Path, capsys: pytest.CaptureFixture[str], *options: str) -> dict[str, str]:
    """The rows of `rlparity plan`, by name."""
    folders = ("--results", str(file.parent / "results"), "--reports", str(file.parent / "reports"))
    assert main(["plan", str(file), *folders, *options]) == 0
    lines = capsys.readouterr().out.splitlines()
    return dict(line.strip().partition("  ")[::2] for line in lines if line.startswith("  "))


def test_the_plan_says_which_split_is_done_first(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(yaml.safe_dump({**BASE, **ONE_ARM, "split": 1}))
    found = plan(file, capsys, "--cores", "10")["split"].strip()
    assert found.startswith("hours on 10 cores by cells per block: 1: 0.28, 2: ")
    assert found.endswith(f"; done first: 10, rlparity run {file} --config split=10")
    assert plan(file, capsys, "--cores", "1")["split"].endswith("; done first: 1, as it is here")
    again = plan(file, capsys, "--cores", "10", "--split", "10")
    assert again["split"].endswith("; done first: 10, as it is here")
    assert again["split"].split(";")[0].strip() == found.split(";")[0]  # of the same blocks
    assert again["jobs"].strip() == "10 of 1 seed"
    assert "split" not in plan(file, capsys, "--cores", "1", "--device", "cuda")
    spaced = file.rename(file.with_name("made up.yaml"))
    assert plan(spaced, capsys, "--cores", "10")["split"].endswith(f"run '{spaced}' --config split=10")
    spaced.rename(file)
    assert main(["plan", str(file), "--cores", "many"]) == 4
    assert main(["plan", str(file), "--cores", "0"]) == 4
    assert "plan: --cores 0; at least 1" in capsys.readouterr().err


def test_a_line_tells_of_cells_that_other_blocks_have() -> None:
    cells: list[Cell] = list(resolve(**ONE_ARM, split=2).cells)
    line = cost.describe(cells, cells, Path("nowhere"), cells[:1])
    assert line.startswith("2 cells, 1 to take from other blocks, 1 to train: 25,000,000 environment steps")
