"""A suite whose seeds grow until its pairs are decided, through Snakemake, on made-up records."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from checkouts import Checkout, copied
from forks import Server
from synthetic import Suite

from rlparity.__main__ import main
from rlparity.errors import UserError
from rlparity.runs import pending
from rlparity.suites import growth, suite

pytestmark = pytest.mark.whole
GROWING = """\
name: growing
title: Growing
environments: [CartPole-v1]
algorithms: [random, reinforce, ppo, a2c]
implementations: [scratch, sb3]
seeds: {first: 20, start: 5, step: 5, until: decided, at_most: 15}
reference_seeds: {ppo: [0-19], a2c: [0-19]}
budgets: {default: 1024}
evaluation: {points: 2, episodes: 2, final_episodes: 2}
"""
NARROW = Suite(spread=10.0)  # the seeds of PPO: equivalent at once
WIDE = Suite(shift={"a2c": 60.0, "ppo": 60.0}, spread=150.0)  # of A2C: these looks cannot decide


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server() as started:
        yield started


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory, server: Server) -> Checkout:
    path = tmp_path_factory.mktemp("growing") / "checkout"
    copied(path)
    (path / "growing.yaml").write_text(GROWING)
    return Checkout(path, server)


def loaded(checkout: Checkout) -> suite.Suite:
    return suite.load(checkout.path / "growing.yaml")


def blocks(cells: set[tuple[str, str, str]], implementation: str, algorithm: str) -> set[str]:
    return {seeds for who, name, seeds in cells if (who, name) == (implementation, algorithm)}


def planned(checkout: Checkout) -> set[tuple[str, str, str]]:
    done = checkout.snakemake("--dry-run", suites=("growing.yaml",))
    assert done.returncode == 0, done.stderr
    jobs = re.findall(r"implementation=(\S+), algorithm=(\S+), seeds=(\S+)", done.stderr)
    others = re.findall(r"^(?:local)?(?:rule|checkpoint) (\w+):", done.stderr, flags=re.MULTILINE)
    found = {(one, two, three) for one, two, three in jobs}
    return found | {(name, "", "") for name in others if name not in ("train", "all")}


def test_the_first_look_trains_its_seeds_and_all_of_references_and_floor(checkout: Checkout) -> None:
    cells = planned(checkout)
    assert blocks(cells, "scratch", "ppo") == blocks(cells, "scratch", "a2c") == {"seeds-20-24"}
    assert blocks(cells, "scratch", "reinforce") == {"seeds-20-24"}  # compared with nothing
    assert blocks(cells, "scratch", "random") == {"seeds-20-24", "seeds-25-29", "seeds-30-34"}
    assert len(blocks(cells, "sb3", "ppo")) == 20
    written = {path.parent.name for path in checkout.path.glob("results/growing/*/scratch/ppo/*/cell.json")}
    assert written == {"seeds-20-24"}


def test_snakemake_takes_looks_until_pairs_are_decided(checkout: Checkout) -> None:
    """All records there are, of looks that will not be asked for, too: only those asked for are reported."""
    results = checkout.path / "results"
    for cell in loaded(checkout).cells:
        pending.renew(cell, results / cell.folder)
        (WIDE if cell.algorithm == "a2c" else NARROW).write_cell(cell, results / cell.folder)
    pending.update(loaded(checkout).cells, results)
    done = checkout.snakemake("--cores", "1", suites=("growing.yaml",))
    assert done.returncode == 0, done.stderr
    first, second = (
        json.loads((results / "growing" / "looks" / f"{k}.json").read_text())["open"] for k in (1, 2)
    )
    assert first == second == [["CartPole-v1", "scratch", "a2c"]]
    report = checkout.path / "reports" / "growing"
    verdicts = pd.read_csv(report / "verdicts.csv").set_index(["algorithm", "endpoint"])
    assert verdicts.verdict["ppo", "auc"] == "EQUIVALENT" and verdicts.verdict["a2c", "auc"] == "INCONCLUSIVE"
    assert (
        verdicts.seeds_implementation["ppo", "auc"] == 5 and verdicts.seeds_implementation["a2c", "auc"] == 15
    )
    assert verdicts.reason["a2c", "auc"] == "not decided at the last of 3 looks"
    looks = pd.read_csv(report / "looks.csv")
    assert list(looks[looks.algorithm == "a2c"].seeds_implementation) == [5, 10, 15]
    shipped = {path.name for path in (report / "records" / "CartPole-v1" / "scratch" / "ppo").iterdir()}
    assert shipped == {"seeds-20-24"}
    page = (report / "README.md").read_text()
    assert "### Looks" in page and "EQUIVALENT is tested at 5 % for each row" not in page
    assert planned(checkout) == set()


def test_a_changed_record_takes_its_look_again(checkout: Checkout, tmp_path: Path) -> None:
    """PPO's first seeds scatter now: its pair is open, and its next block is planned where there is none."""
    shutil.copytree(checkout.path, tmp_path / "checkout")
    mine = Checkout(tmp_path / "checkout", checkout.server)
    results, made = mine.path / "results", loaded(mine)
    cell = next(one for one in made.cells if one.algorithm == "ppo" and one.block == "seeds-20-24")
    shutil.rmtree(results / cell.folder.parent / "seeds-25-29")
    WIDE.write_cell(cell, results / cell.folder)
    pending.update([cell], results)
    done = mine.snakemake("--cores", "1", "results/growing/looks/1.json", suites=("growing.yaml",))
    assert done.returncode == 0, done.stderr
    assert blocks(planned(mine), "scratch", "ppo") == {"seeds-25-29"}


def test_another_margin_takes_the_looks_again(checkout: Checkout, tmp_path: Path) -> None:
    """With a margin of 2 % PPO is not equivalent with five seeds: its next blocks are asked for."""
    shutil.copytree(checkout.path, tmp_path / "checkout")
    mine = Checkout(tmp_path / "checkout", checkout.server)
    (mine.path / "growing.yaml").write_text(GROWING + "margin: 0.02\n")
    assert ("look", "", "") in planned(mine)
    done = mine.snakemake("--cores", "1", "results/growing/looks/1.json", suites=("growing.yaml",))
    assert done.returncode == 0, done.stderr
    opened = json.loads((mine.path / "results" / "growing" / "looks" / "1.json").read_text())["open"]
    assert ["CartPole-v1", "scratch", "ppo"] in opened


def test_a_look_beyond_those_that_ask_for_more_is_refused(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(checkout.path)
    for look in ("0", "3"):
        assert main(["dev", "look", "growing.yaml", "--look", look]) == 4
        assert "not a look of suite 'growing' after which more follow" in capsys.readouterr().err


def test_the_file_of_a_look_that_is_none_is_named(checkout: Checkout, tmp_path: Path) -> None:
    bad = tmp_path / "1.json"
    bad.write_text("{}")
    with pytest.raises(UserError, match=r"1\.json: not the file of a look"):
        growth.still_open(bad)
