"""The tables of a report, as its reader sees them: a function per section of the page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from rlparity.reporting.formatting import (
    NONE,
    interval,
    join,
    label,
    number,
    p_value,
    percent,
    seconds,
    setting,
    whole,
)
from rlparity.reporting.pages.elements import Badge, Table
from rlparity.reporting.pages.suite.published import Published, section
from rlparity.reporting.report_folder import ENDPOINTS, SHORT, Folder, by_reference

UNDECIDED = "neither equivalence nor a difference is shown"  # the reason of an ordinary INCONCLUSIVE


def verdicts(folder: Folder) -> Table:
    """The headline: a row per environment, algorithm and endpoint."""
    head = ["environment", "algorithm", "verdict", "endpoint", "equivalent within", "difference [95 % CI]"]
    head += ["seeds", "seeds needed", "p (Holm)"]
    rows = []
    for row in folder.ordered("verdicts").itertuples(index=False):
        cells = [row.environment, folder.called(row), badge(row._asdict())]
        cells += [SHORT.get(row.endpoint, row.endpoint), percent(row.smallest_margin)]
        cells += [interval(row.difference, row.ci95_low, row.ci95_high)]
        cells += [f"{whole(row.seeds_implementation)} / {whole(row.seeds_reference)}"]
        rows.append([*cells, whole(row.seeds_needed), p_value(row.p_holm)])
    return Table(head, rows, "verdicts.csv", frozenset({4, 5, 6, 7, 8}))


def badge(row: Mapping[str, Any]) -> Badge:
    """The verdict of a row; what stands in its way goes with it, unless it is merely the spread."""
    verdict, reason = Badge(row["verdict"]), row.get("reason")
    if verdict.note or not isinstance(reason, str) or reason == UNDECIDED:
        return verdict
    return Badge(f"{row['verdict']} ({reason})")


def estimates(folder: Folder, environment: str) -> Table:
    """IQM, mean and median with their intervals, an arm per row."""
    sampled = folder.tables["curves"]
    sampled = sampled[(sampled.environment == environment) & (sampled.protocol == "sampled")]
    sampled = sampled[~sampled.algorithm.isin(folder.random)].sort_values("env_step")
    head = ["algorithm", "implementation", "final IQM", "final mean", "final median"]
    head += ["area IQM", "area mean", "area median", "seeds"] + (
        ["final IQM, sampled policy"] if len(sampled) else []
    )
    rows = []
    for algorithm, who in _arms(folder, environment, "summary"):
        found = folder.rows("summary", environment, (who, algorithm))
        found = found.drop_duplicates(["endpoint", "statistic"]).set_index(["endpoint", "statistic"])
        cells = [algorithm, label(who)]
        for key in [(end, how) for end in ("final", "auc") for how in ("iqm", "mean", "median")]:
            one = found.loc[key] if key in found.index else None
            cells.append(NONE if one is None else interval(one.estimate, one.ci_low, one.ci_high))
        cells.append(whole(found.seeds.max()))
        if len(sampled):
            last = sampled[(sampled.algorithm == algorithm) & (sampled.implementation == who)].tail(1)
            last = last if found.seeds.max() > 0 else last.iloc[:0]  # before the end it is not final
            cells.append(
                interval(last.iqm.item(), last.ci_low.item(), last.ci_high.item()) if len(last) else NONE
            )
        rows.append(cells)
    return Table(head, rows, "summary.csv", frozenset(range(2, len(head))))


def _arms(folder: Folder, environment: str, table: str) -> list[tuple[str, str]]:
    """(algorithm, implementation) of a table in one environment, in the order of plan and implementations."""
    frame = folder.tables[table]
    here = frame[frame.environment == environment]
    present = set(zip(here.algorithm, here.implementation, strict=True))
    known = [*folder.plan["algorithms"], *sorted(set(here.algorithm) - set(folder.plan["algorithms"]))]
    return [(name, who) for name in known for who in folder.implementations if (name, who) in present]


def thresholds(folder: Folder) -> Table:
    """How many seeds reached the threshold, and when the median seed did."""
    rows = []
    for row in folder.ordered("thresholds").itertuples(index=False):
        if row.algorithm not in folder.random and not pd.isna(row.threshold):
            cells = [row.environment, row.algorithm, label(row.implementation), number(row.threshold)]
            reached = f"{whole(row.reached)} of {whole(row.seeds)}"
            rows.append([*cells, reached, whole(row.median_env_step)])
    head = "environment, algorithm, implementation, threshold, seeds that reached it, median steps"
    return Table(head.split(", "), rows, "thresholds.csv", frozenset({3, 4, 5}))


def improvement(folder: Folder) -> Table:
    """How often a seed of ours beats a seed of the reference."""
    rows = []
    for row in folder.ordered("improvement").itertuples(index=False):
        cells = [row.environment, folder.called(row), ENDPOINTS.get(row.endpoint, row.endpoint)]
        rows.append([*cells, interval(row.probability, row.ci_low, row.ci_high)])
    head = "environment, algorithm, endpoint, probability [95 % CI]"
    return Table(head.split(", "), rows, "improvement.csv", frozenset({3}))


def paper(folder: Folder) -> Published:
    """Published numbers beside ours."""
    return section(folder.ordered("paper").to_dict("records"))


def cost(folder: Folder) -> Table:
    head = [
        "environment",
        "algorithm",
        "implementation",
        "steps/s",
        "\N{MULTIPLICATION SIGN} reference",
        "training, per seed",
    ]
    head += ["evaluation, per seed", "wall time, per seed", "peak memory", "seeds"]
    rows = []
    frame = folder.ordered("cost")
    speeds = {
        (row.environment, row.algorithm, row.implementation): row.steps_per_second
        for row in frame.itertuples()
    }
    for row in frame.itertuples(index=False):
        judge = folder.plan["algorithms"].get(row.algorithm, {}).get("reference")
        other = speeds.get((row.environment, judge, "sb3")) if row.implementation != "sb3" else None
        ratio = f"{row.steps_per_second / other:.1f} \N{MULTIPLICATION SIGN}" if other and other > 0 else NONE
        cells = [row.environment, row.algorithm, label(row.implementation)]
        cells += [number(row.steps_per_second), ratio, seconds(row.training_time_per_seed_s)]
        cells += [seconds(row.evaluation_time_per_seed_s), seconds(row.wall_time_per_seed_s)]
        peak = f"{number(row.peak_memory_mib)} MiB" if pd.notna(row.peak_memory_mib) else NONE
        rows.append([*cells, peak, whole(row.seeds)])
    return Table(head, rows, "cost.csv", frozenset(range(3, 10)))


def settings(folder: Folder, environment: str) -> list[dict[str, Any]]:
    """Per algorithm: the hyper-parameters of all implementations side by side, source, departures."""
    blocks = []
    about = folder.plan["environments"][environment]
    for name in about.get("algorithms") or folder.plan["algorithms"]:
        judge = folder.plan["algorithms"].get(name, {}).get("reference") or name
        arms = {("sb3", judge), *((who, name) for who in folder.implementations if who != "sb3")}
        runs = [
            run
            for run in folder.runs
            if run["cell"]["environment"] == environment
            and (run["cell"]["implementation"], run["cell"]["algorithm"]) in arms
        ]
        agent = folder.plan["algorithms"].get(name, {}).get("agent", name)
        chosen = about.get("settings", {}).get(agent, {})
        columns: dict[str, dict[str, Any]] = {}
        departures: dict[str, list[str]] = {}
        for run in runs:
            who, cell = run["cell"]["implementation"], run["cell"]
            own = {
                "budget": cell.get("budget"),
                "n_envs": cell.get("n_envs"),
                "normalize": cell.get("normalize"),
            }
            columns.setdefault(who, own | run.get("config", {}))
            departures.setdefault(label(who), list(run.get("departures", [])))
        if not columns:
            columns["suite"] = dict(chosen.get("hyperparameters", {}))
        keys = list(dict.fromkeys(key for values in columns.values() for key in values))
        rows = [[key, *(setting(values.get(key, NONE)) for values in columns.values())] for key in keys]
        table = Table(["hyper-parameter", *(label(who) for who in columns)], rows)
        block = {"name": name, "title": folder.title(name), "table": table, "departures": departures}
        blocks.append(block | {key: str(chosen.get(key) or "") for key in ("source", "differs")})
    return blocks


def notes(folder: Folder) -> list[str]:
    """What had to be assumed or repaired to read the returns of candidates, each said once with its seeds."""
    said: dict[tuple[str, str, str], list[int]] = {}
    for run in folder.runs:
        for note in run.get("notes", ()):
            who = (run["cell"]["implementation"], run["cell"]["environment"], note)
            said.setdefault(who, []).extend(run["cell"]["seeds"])
    return [
        f"{name} on {environment}, seed{'s' * (len(seeds) > 1)} {join(map(str, seeds), 8)}: {note}"
        for (name, environment, note), seeds in said.items()
    ]


def primary(folder: Folder, plain: bool = False) -> pd.DataFrame:
    """The verdicts on the primary endpoint of each pair: the area, or the mean of logged training returns.

    Those against the references, or, `plain`, those against plain configurations.
    """
    pair = ["environment", "algorithm", "implementation"]
    rows = folder.ordered("verdicts")
    return rows[rows.reference.map(by_reference).astype(bool) != plain].drop_duplicates(pair)
