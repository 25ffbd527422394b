"""Suites, and what the committed reports found."""

from __future__ import annotations

import csv
import json
import subprocess
from pathlib import Path

import yaml

from blocks.markdown import ROOT, code, escaped, table
from blocks.package import Folder, brought, counts, tables

WAYS = {  # in which a user brings an implementation
    "entry-update": "as an entry point with `update` and `prepare`",
    "parity": "by parity of `update` and `prepare` alone",
    "entry": "as one without (contract alone)",
    "command": "as a command (contract alone)",
    "logs": "as finished logs (statistics of five seeds)",
}
SUITES, REPORTS = ROOT / "workflow" / "suites", ROOT / "reports"
SHOWN = (  # verdicts in the README: report, environment, algorithm, endpoint
    ("pool", "CartPole-v1", "ppo", "auc"),
    ("pendulum", "Pendulum-v1", "sac", "final"),
    ("mujoco-small", "InvertedDoublePendulum-v5", "trpo", "auc"),
    ("mujoco-small", "Hopper-v5", "td3", "auc"),
    ("pendulum", "Pendulum-v1", "a2c", "auc"),
)


def suites() -> str:
    """The suites that come with the project."""
    rows = []
    for file in sorted(SUITES.glob("*.yaml")):
        suite = yaml.safe_load(file.read_text(encoding="utf-8"))
        if "environments" in suite:
            places = [each if isinstance(each, str) else each["id"] for each in suite["environments"]]
            budget = suite["budgets"].get("default", "")
            rows.append(
                (code(suite["name"]), ", ".join(places), f"{budget:,}", escaped(suite["description"]))
            )
    return table("suite | environments | steps per seed: | what it is for", rows)


def committed(name: str) -> list[Path]:
    """The files `reports/*/<name>` that git tracks; all there are where this is no checkout of git."""
    command = ["git", "-C", str(ROOT), "ls-files", f"reports/*/{name}"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    except (OSError, subprocess.CalledProcessError):
        return sorted(REPORTS.glob(f"*/{name}"))
    return sorted(ROOT / line for line in found if line.count("/") == 2)


def read(report: Path, name: str) -> list[dict[str, str]]:
    """The rows of a CSV file of a report."""
    with (report / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def reports() -> str:
    """The committed reports of suites, with the verdicts counted as in the headlines of the reports."""
    rows = []
    words = ("EQUIVALENT", "BETTER", "WORSE", "INCONCLUSIVE")
    for file in committed("plan.json"):
        plan = json.loads(file.read_text(encoding="utf-8"))
        costs = read(file.parent, "cost")
        learners = [row for row in costs if plan["algorithms"][row["algorithm"]]["agent"] != "random"]
        seeds = sorted({int(row["seeds"]) for row in learners})
        hours = sum(int(row["seeds"]) * float(row["wall_time_per_seed_s"]) for row in costs) / 3600
        found = {verdict.word: count for verdict, count in counts(Folder(file.parent))}
        name = f"[{plan['name']}](reports/{plan['name']}/README.md)" + " (unfinished)" * bool(
            plan.get("interim")
        )
        span = "-".join(str(seed) for seed in dict.fromkeys((seeds[0], seeds[-1])))
        rows.append(
            (name, ", ".join(plan["environments"]), span, f"{hours:.1f}", *(found.get(w, 0) for w in words))
        )
    return table(
        f"report | environments | seeds: | hours: | {' | '.join(f'{word}:' for word in words)}", rows
    )


def ways() -> str:
    """How many planted bugs are caught where a user brings them."""
    found = tables.read(REPORTS / "sensitivity" / "candidates.csv")
    counted = {way: brought(found, way, "bug") for way in WAYS}
    said = [f"{one.caught} of {one.tried} {WAYS[way]}" for way, one in counted.items() if one.tried]
    waiting = {way: one.waiting for way, one in counted.items() if one.waiting}
    left = [f"{n} {WAYS[way]}" for way, n in waiting.items()]
    total = max(one.tried + one.waiting for one in counted.values())
    text = [f"Of the {total} planted bugs in training code, brought as your code would be:"]
    text += [f"caught are {'; '.join(said)}."] if said else []
    text += [f"Not tried yet are {'; '.join(left)}."] if left else []
    return " ".join(text)


def verdicts() -> str:
    """The verdicts of `SHOWN`, as the reports have them."""
    rows = []
    for report, *wanted in SHOWN:
        found = read(REPORTS / report, "verdicts")
        keys = ("environment", "algorithm", "endpoint")
        (row,) = (row for row in found if [row[key] for key in keys] == wanted and "sb3/" in row["reference"])
        margin = f"{100 * float(row['smallest_margin']):.0f} %" if row["smallest_margin"] else "-"
        seeds = f"{row['seeds_implementation']} / {row['seeds_reference']}"
        numbers = (f"**{row['verdict']}**", margin, seeds, row["seeds_needed"])
        rows.append((row["environment"], row["algorithm"], row["reference"], row["endpoint"], *numbers))
    return table(
        "environment | ours | against | endpoint | verdict | equivalent within: | seeds: | seeds needed:",
        rows,
    )
