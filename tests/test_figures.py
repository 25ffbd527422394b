"""Figures from invented tables: what is drawn, that it is reproducible, and that thin suites do not break it.

`fake_report` invents a report folder; the tests of the report and of the comparison use it too.
"""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from rlparity import figures
from rlparity.errors import UserError

TITLES = {"random": "Random agent", "reinforce": "REINFORCE", "a2c": "A2C", "ppo": "PPO", "dqn": "DQN"}
VERDICTS = {"ppo": ("EQUIVALENT", 0.07, 3), "a2c": ("INCONCLUSIVE", 0.41, 14), "dqn": ("WORSE", 0.63, 21)}
KEYS = ["implementation", "algorithm", "environment"]


def fake_report(
    path: Path,
    algorithms: tuple[str, ...] = ("random", "reinforce", "a2c", "ppo", "dqn"),
    environments: tuple[str, ...] = ("CartPole-v1",),
    implementations: tuple[str, ...] = ("scratch", "sb3"),
    seeds: int = 5,
    budget: int = 100_000,
    titles: dict[str, str] = TITLES,
) -> Path:
    """Write a report folder's plan, tables and run records, all invented; returns `path`."""
    path.mkdir(parents=True)
    arms = [
        (who, name, environment)
        for environment in environments
        for name in algorithms
        for who in implementations
        if who != "sb3" or name.split("-")[0] in VERDICTS
    ]
    plan = {
        "name": path.name,
        "title": "An invented suite",
        "description": "Numbers drawn for the tests.",
        "margin": 0.2,
        "references": "train",
        "algorithms": {
            name: {
                "title": titles.get(name, name),
                "agent": name.split("-")[0],
                "reference": name if name.split("-")[0] in VERDICTS else None,
                "options": {},
            }
            for name in algorithms
        },
        "environments": {
            environment: {
                "threshold": 475.0,
                "time_limit": 500,
                "algorithms": list(algorithms),
                "settings": {name.split("-")[0]: settings(name) for name in algorithms},
            }
            for environment in environments
        },
        "cells": [cell(path.name, *arm, tuple(range(seeds)), budget) for arm in arms],
    }
    (path / "plan.json").write_text(json.dumps(plan))
    write_tables(path, arms, seeds, budget)
    for one in plan["cells"]:
        write_run(path, one)
    return path


def settings(algorithm: str) -> dict[str, Any]:
    """One agent's block of hyper-parameters as the plan has it."""
    return {
        "source": f"RL Zoo 22e3ff2, {algorithm}",
        "differs": "vf_coef 0.5 -> 0.25",
        "n_envs": 8,
        "normalize": False,
        "hyperparameters": {"gamma": 0.98},
    }


def cell(
    suite: str, who: str, algorithm: str, environment: str, seeds: tuple[int, ...], budget: int
) -> dict[str, Any]:
    """A cell as `asdict` gives it."""
    return {
        "suite": suite,
        "environment": environment,
        "implementation": who,
        "algorithm": algorithm,
        "agent": algorithm.split("-")[0],
        "seeds": list(seeds),
        "budget": budget,
        "n_envs": 8,
        "normalize": False,
        "hyperparameters": {},
        "fingerprint": f"{who}-{algorithm}",
    }


def write_run(path: Path, one: dict[str, Any], **changes: Any) -> Path:
    """A run.json below `path/records`."""
    run = {
        "status": "done",
        "failed_seeds": {},
        "cell": one,
        "config": {"gamma": 0.98, "learning_rate": 0.001, "net_arch": [64, 64]},
        "departures": ["advantages are normalised per minibatch"],
        "versions": {"python": "3.11.2", "torch": "2.13.0", "gymnasium": "1.4.0"},
        "hardware": {"cpu": "Invented CPU", "gpu": None, "cores": 2, "threads": 1, "machine": "x86_64"},
        "git": {"commit": "0123456789abcdef0123456789abcdef01234567", "dirty": False},
        "source_hash": "ab" * 32,
        "fingerprint": one["fingerprint"],
        "started": "2025-11-21T09:00:00+00:00",
        "startup_time_s": 1.5,
        "training_time_s": 30.0,
        "evaluation_time_s": 5.0,
        "wall_time_s": 36.5,
        "steps_per_second": 21_000.0,
        "peak_memory_mib": 410.0,
        "times_resumed": 0,
        "hashes": {"episodes.parquet": "cd" * 32, "evaluations.parquet": "ef" * 32},
    } | changes
    block = f"seeds-{one['seeds'][0]}-{one['seeds'][-1]}"
    folder = (
        path / "records" / figures.slug(one["environment"]) / one["implementation"] / one["algorithm"] / block
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.json").write_text(json.dumps(run))
    return folder / "run.json"


def write_tables(path: Path, arms: list[tuple[str, str, str]], seeds: int, budget: int) -> None:
    """Every CSV of a report folder, from learning curves that rise to a level of their own."""
    rng = np.random.default_rng(0)
    steps = np.linspace(0, budget, 21).astype(int)
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in figures.COLUMNS}
    for number, arm in enumerate(arms):
        keys = dict(zip(KEYS, arm, strict=True))
        rate = 0.0 if arm[1] == "random" else 0.15 + 0.1 * (number % 5)
        rates = rate * rng.uniform(0.5, 1.5, (seeds, 1))
        values = np.clip(
            22 + 480 * (1 - np.exp(-rates * np.arange(21))) + rng.normal(0, 12, (seeds, 21)), 9, 500
        )
        arm_rows(rows, keys, values, steps)
        cost = {"seeds": seeds, "steps_per_second": 21_000 / (1 + 4 * (arm[0] == "sb3"))}
        times = ("training_time_per_seed_s", "evaluation_time_per_seed_s", "wall_time_per_seed_s")
        rows["cost"].append(keys | cost | dict.fromkeys(times, 6.1) | {"peak_memory_mib": 410.0})
        if arm[0] == "scratch" and ("sb3", *arm[1:]) in arms:
            verdict_rows(rows, keys, seeds)
    for name, columns in figures.COLUMNS.items():
        pd.DataFrame(rows[name], columns=columns.split()).to_csv(path / f"{name}.csv", index=False)


def arm_rows(
    rows: dict[str, list[dict[str, Any]]], keys: dict[str, str], values: np.ndarray, steps: np.ndarray
) -> None:
    """Curves, scores, summary, profile and threshold of one arm; `values` is (seeds, evaluations)."""
    seeds = len(values)
    protocol = {"protocol": "sampled" if keys["algorithm"] == "random" else "deterministic"}
    for step, column in zip(steps, values.T, strict=True):
        low, high = np.quantile(column, [0.1, 0.9])
        points = {"env_step": step, "iqm": np.median(column), "ci_low": low, "ci_high": high}
        rows["curves"].append(keys | protocol | points | {"mean": column.mean(), "seeds": seeds})
    for seed, line in enumerate(values):
        rows["seed_curves"] += [
            keys | protocol | {"seed": seed, "env_step": step, "value": value}
            for step, value in zip(steps, line, strict=True)
        ]
        reached = steps[line >= 475]
        ends = {
            "auc": line.mean(),
            "final": line[-1],
            "time_to_threshold": reached[0] if len(reached) else None,
        }
        rows["scores"] += [
            keys | {"seed": seed, "endpoint": end, "value": value} for end, value in ends.items()
        ]
    for endpoint, sample in (("auc", values.mean(1)), ("final", values[:, -1])):
        for statistic, estimate in (
            ("iqm", np.median(sample)),
            ("mean", sample.mean()),
            ("median", np.median(sample)),
        ):
            interval = {"estimate": estimate, "ci_low": sample.min(), "ci_high": sample.max(), "seeds": seeds}
            rows["summary"].append(keys | {"endpoint": endpoint, "statistic": statistic} | interval)
    for tau in np.linspace(0, 500, 26):
        share = (values[:, -1] > tau).mean()
        bounds = {"ci_low": max(share - 0.2, 0), "ci_high": min(share + 0.2, 1)}
        rows["profiles"].append(keys | {"tau": tau, "fraction": share} | bounds)
    count = int((values.max(1) >= 475).sum())
    median = 40_000 if 2 * count > seeds else None
    found = {"threshold": 475.0, "reached": count, "seeds": seeds, "median_env_step": median}
    rows["thresholds"].append(keys | found)


def verdict_rows(rows: dict[str, list[dict[str, Any]]], keys: dict[str, str], seeds: int) -> None:
    """Verdicts, improvement and a published number for an algorithm that has a reference."""
    word, smallest, needed = VERDICTS[keys["algorithm"].split("-")[0]]
    distance = 450.0
    high = {"EQUIVALENT": 0.05, "INCONCLUSIVE": 0.2, "WORSE": -0.2}[word] * distance
    low = -smallest * distance
    middle, spread = (low + high) / 2, (high - low) / 2
    bounds = {
        "ci90_low": low,
        "ci90_high": high,
        "ci95_low": middle - 1.2 * spread,
        "ci95_high": middle + 1.2 * spread,
    }
    for endpoint in ("auc", "final"):
        rows["verdicts"].append(
            keys
            | {"endpoint": endpoint, "reference": "sb3", "verdict": word, "difference": middle, "margin": 0.2}
            | bounds
            | {"smallest_margin": smallest, "p_difference": 0.011, "p_holm": 0.04, "p_equivalence": 0.02}
            | {"seeds_implementation": seeds, "seeds_reference": seeds, "seeds_needed": needed}
        )
        chance = {"probability": 0.44, "ci_low": 0.21, "ci_high": 0.7}
        rows["improvement"].append(keys | {"reference": "sb3", "endpoint": endpoint} | chance)
    rows["paper"].append(
        keys
        | {"source": "RL Zoo benchmark.md", "published": 500.0, "published_spread": 0.0, "ours": 492.5}
        | {"ci_low": 470.0, "ci_high": 500.0, "verdict": "NOT COMPARABLE", "differs_in": "budget; one seed"}
    )


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
    panels = [group for group in root.iter() if (group.get("id") or "").startswith("panel-")]
    titles = [[node.text for node in panel.iter() if node.tag.endswith("text")] for panel in panels]
    assert [next(name for name in TITLES.values() if name in texts) for texts in titles] == [
        "REINFORCE",
        "A2C",
        "PPO",
        "DQN",
    ]
    colours = [
        {colour for colour in figures.COLOURS.values() if colour in ET.tostring(p).decode()} for p in panels
    ]
    scratch, sb3 = figures.COLOURS["scratch"], figures.COLOURS["sb3"]
    assert colours == [{scratch}, {scratch, sb3}, {scratch, sb3}, {scratch, sb3}]


def test_a_reference_of_another_name_shares_the_panel(tmp_path: Path) -> None:
    folder = fake_report(tmp_path / "invented", algorithms=("ppo", "a2c"))
    plan = json.loads((folder / "plan.json").read_text())
    plan["algorithms"]["ppo"]["reference"] = "a2c"
    (folder / "plan.json").write_text(json.dumps(plan))
    assert figures.Folder(folder).arms("CartPole-v1", "ppo") == [("scratch", "ppo"), ("sb3", "a2c")]


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
    for name in figures.COLUMNS.keys() - keep:
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
    assert figures.scale(row) == pytest.approx(450)
    assert np.isnan(figures.scale(row.replace(0.1, np.nan)))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "plan.json").unlink(), r"not a report folder, it has no plan\.json"),
        (lambda folder: (folder / "plan.json").write_text("{"), r"plan\.json: not JSON"),
        (lambda folder: (folder / "plan.json").write_text("{}"), r"lacks name, algorithms, environments"),
        (
            lambda folder: (folder / "curves.csv").write_text("a,b\n1,2\n"),
            r"curves\.csv: lacks the column impl",
        ),
        (lambda folder: (folder / "curves.csv").write_text('a,b\n"1,2\n'), r"curves\.csv: not a table"),
    ],
)
def test_a_bad_folder_is_one_line(tmp_path: Path, spoil: Any, message: str) -> None:
    folder = fake_report(tmp_path / "bad", algorithms=("ppo",), seeds=2)
    spoil(folder)
    with pytest.raises(UserError, match=message) as caught:
        figures.draw(folder)
    assert "\n" not in str(caught.value)


def test_steps_are_short() -> None:
    assert [figures._steps(value) for value in (0, 250, 50_000, 1_500_000, -200)] == [
        "0",
        "250",
        "50k",
        "1.5M",
        "-200",
    ]
