"""An invented report folder: the plan, tables and run records of a suite that nobody ran.

Where `synthetic` makes up what a suite leaves behind, this makes up what the stages after it have written.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from rlparity.analysis.schemas import required
from rlparity.metrics import RETURN, Metric
from rlparity.reporting.report_files import BY_METRIC, TABLES
from rlparity.reporting.report_folder import slug

TITLES = {"random": "Random agent", "reinforce": "REINFORCE", "a2c": "A2C", "ppo": "PPO", "dqn": "DQN"}
VERDICTS = {"ppo": ("EQUIVALENT", 0.07, ""), "a2c": ("INCONCLUSIVE", 0.41, "14"), "dqn": ("WORSE", 0.63, "")}
KEYS = ["implementation", "algorithm", "environment"]
Metrics = Mapping[str, tuple[Metric, ...]]  # environment -> what is measured; none: the return


def fake_report(
    path: Path,
    algorithms: tuple[str, ...] = ("random", "reinforce", "a2c", "ppo", "dqn"),
    environments: tuple[str, ...] = ("CartPole-v1",),
    implementations: tuple[str, ...] = ("scratch", "sb3"),
    seeds: int = 5,
    budget: int = 100_000,
    titles: dict[str, str] = TITLES,
    metrics: Metrics = MappingProxyType({}),
) -> Path:
    """Write a report folder's plan, tables and run records, all invented; returns `path`.

    Without `metrics` they are those of an older version, which knew returns alone.
    """
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
                "threshold": threshold(metrics.get(environment, (RETURN,))[0]),
                "time_limit": 500,
                "algorithms": list(algorithms),
                "settings": {name.split("-")[0]: settings(name) for name in algorithms},
                **({"metrics": [asdict(one) for one in metrics[environment]]} if metrics else {}),
            }
            for environment in environments
        },
        "cells": [cell(path.name, *arm, tuple(range(seeds)), budget) for arm in arms],
    }
    (path / "plan.json").write_text(json.dumps(plan))
    write_tables(path, arms, seeds, budget, metrics)
    for one in plan["cells"]:
        write_run(path, one)
    return path


def threshold(metric: Metric) -> float:
    """The invented value that counts as solved: return 475, or an error of 0.05."""
    return 475.0 if metric.better > 0 else 0.05


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
    folder = path / "records" / slug(one["environment"]) / one["implementation"] / one["algorithm"] / block
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.json").write_text(json.dumps(run))
    return folder / "run.json"


def write_tables(
    path: Path, arms: list[tuple[str, str, str]], seeds: int, budget: int, metrics: Metrics
) -> None:
    """Every CSV of a report folder, from learning curves that rise to a level of their own; of a metric that
    is better the lower it is, they fall from 0.9 towards 0."""
    rng = np.random.default_rng(0)
    steps = np.linspace(0, budget, 21).astype(int)
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in TABLES}
    for number, arm in enumerate(arms):
        keys = dict(zip(KEYS, arm, strict=True))
        rate = 0.0 if arm[1] == "random" else 0.15 + 0.1 * (number % 5)
        rates = rate * rng.uniform(0.5, 1.5, (seeds, 1))
        values = np.clip(
            22 + 480 * (1 - np.exp(-rates * np.arange(21))) + rng.normal(0, 12, (seeds, 21)), 9, 500
        )
        cost = {"seeds": seeds, "steps_per_second": 21_000 / (1 + 4 * (arm[0] == "sb3"))}
        times = ("training_time_per_seed_s", "evaluation_time_per_seed_s", "wall_time_per_seed_s")
        rows["cost"].append(keys | cost | dict.fromkeys(times, 6.1) | {"peak_memory_mib": 410.0})
        for metric in metrics.get(arm[2], (RETURN,)):
            own = keys | {"metric": metric.name}
            arm_rows(rows, own, values if metric.better > 0 else 0.9 * (1 - values / 500), steps, metric)
            if arm[0] == "scratch" and ("sb3", *arm[1:]) in arms:
                verdict_rows(rows, own, seeds, metric)
    for name in TABLES:
        columns = required(name) + ["metric"] * bool(metrics and name in BY_METRIC)
        pd.DataFrame(rows[name], columns=columns).to_csv(path / f"{name}.csv", index=False)


def arm_rows(
    rows: dict[str, list[dict[str, Any]]],
    keys: dict[str, str],
    values: np.ndarray,
    steps: np.ndarray,
    metric: Metric,
) -> None:
    """Curves, scores, summary, profile and threshold of one arm; `values` is (seeds, evaluations)."""
    seeds, better = len(values), metric.better
    good = better * values >= better * threshold(metric)
    protocol = {"protocol": "sampled" if keys["algorithm"] == "random" else "deterministic"}
    for step, column in zip(steps, values.T, strict=True):
        low, high = np.quantile(column, [0.1, 0.9])
        points = {"env_step": step, "iqm": np.median(column), "ci_low": low, "ci_high": high}
        rows["curves"].append(keys | protocol | points | {"mean": column.mean(), "seeds": seeds})
    for seed, (line, solved) in enumerate(zip(values, good, strict=True)):
        rows["seed_curves"] += [
            keys | protocol | {"seed": seed, "env_step": step, "value": value}
            for step, value in zip(steps, line, strict=True)
        ]
        reached = steps[solved]
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
    for tau in np.linspace(0, 500, 26) if better > 0 else np.linspace(0.9, 0, 26):
        share = (better * values[:, -1] > better * tau).mean()
        bounds = {"ci_low": max(share - 0.2, 0), "ci_high": min(share + 0.2, 1)}
        rows["profiles"].append(keys | {"tau": tau, "fraction": share} | bounds)
    count = int(good.any(1).sum())
    median = 40_000 if 2 * count > seeds else None
    found = {"threshold": threshold(metric), "reached": count, "seeds": seeds, "median_env_step": median}
    rows["thresholds"].append(keys | found)


def verdict_rows(
    rows: dict[str, list[dict[str, Any]]], keys: dict[str, str], seeds: int, metric: Metric
) -> None:
    """Verdicts, improvement and a published number for an algorithm that has a reference."""
    word, smallest, needed = VERDICTS[keys["algorithm"].split("-")[0]]
    distance, judge = 450.0 if metric.better > 0 else 0.9, f"sb3/{keys['algorithm']}"
    high = {"EQUIVALENT": 0.05, "INCONCLUSIVE": 0.2, "WORSE": -0.2}[word] * distance
    low = -smallest * distance
    low, high = (low, high) if metric.better > 0 else (-high, -low)
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
            | {"endpoint": endpoint, "reference": judge, "verdict": word, "difference": middle, "margin": 0.2}
            | bounds
            | {"smallest_margin": smallest, "p_difference": 0.011, "p_holm": 0.04, "p_equivalence": 0.02}
            | {"seeds_implementation": seeds, "seeds_reference": seeds, "seeds_needed": needed}
        )
        chance = {"probability": 0.44, "ci_low": 0.21, "ci_high": 0.7}
        rows["improvement"].append(keys | {"reference": judge, "endpoint": endpoint} | chance)
    rows["paper"].append(
        keys
        | {"source": "RL Zoo benchmark.md", "published": 500.0, "published_spread": 0.0, "ours": 492.5}
        | {"ci_low": 470.0, "ci_high": 500.0, "verdict": "NOT COMPARABLE", "differs_in": "budget; one seed"}
    )
