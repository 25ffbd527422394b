"""The tables of a suite's page, a function for each section."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from rlparity.analysis import plans
from rlparity.analysis.decisions import families
from rlparity.analysis.decisions.families import PRIMARY
from rlparity.analysis.verdicts import NEITHER
from rlparity.arms import Arm
from rlparity.metrics import RETURN
from rlparity.reporting import candidate_settings
from rlparity.reporting.formatting import (
    NONE,
    SHORT,
    endpoint_title,
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
from rlparity.reporting.report_folder import Folder, Measurement, by_reference


def verdicts(folder: Folder, role: str = PRIMARY) -> Table:
    """A row per environment, metric, algorithm and endpoint of a role: the headline, or secondary endpoints.

    The verdict is in the third column, so that a phone shows it.
    """
    place, *metric = _where(folder)
    head = [place, "algorithm", "verdict", *metric, "endpoint", "equivalent within", "difference [95 % CI]"]
    fixed = not plans.looks(folder.plan)
    head += ["seeds", *["seeds needed", "p (Holm)"] * fixed, "family"]
    rows = []
    for row in of_role(folder, role).itertuples(index=False):
        place, *metric = _where(folder, row)
        cells = [place, folder.called(row), badge(row._asdict()), *metric]
        cells += [SHORT.get(row.endpoint, row.endpoint), percent(row.smallest_margin)]
        cells += [interval(row.difference, row.ci95_low, row.ci95_high)]
        cells += [f"{whole(row.seeds_implementation)} / {whole(row.seeds_reference)}"]
        cells += [whole(row.seeds_needed), p_value(row.p_holm)] * fixed
        rows.append([*cells, whole(_size(row) or None)])
    return Table(head, rows, "verdicts.csv", _last(head, 6 if fixed else 4))


def family(folder: Folder, role: str = PRIMARY) -> str:
    """What Holm's correction runs over, in a sentence; empty where there is no row of that role."""
    rows = of_role(folder, role)
    if rows.empty:
        return ""
    if plans.looks(folder.plan):
        return _error_of_looks(folder, max(map(_size, rows.itertuples())))
    if plans.family(folder.plan) == families.ROW:
        return "The p value of each row is not adjusted: the suite declares every row a family of its own."
    size, out = max(map(_size, rows.itertuples())), sum(not _size(row) for row in rows.itertuples())
    text = f"Holm's correction runs over a family of {whole(size)} of these {len(rows)} rows"
    if len(rows) == 1:
        text = f"Holm's correction runs over a family of {whole(size)}, this row" if size else ""
    return f"{text}{f'; {out} cannot be decided and do not count' * bool(out and size)}." if text else ""


def _error_of_looks(folder: Folder, size: int) -> str:
    """What a suite whose seeds grow controls, in a sentence."""
    alone = size < 2 or plans.family(folder.plan) == families.ROW
    who = "each row" if alone else f"all of the {size} rows together"
    return (
        f"The looks at {who} are designed for at most 5 % of false differences, and of false equivalences; "
        "how often they err was measured (report calibration). No p is adjusted: each look has boundaries."
    )


def looks(folder: Folder) -> Table:
    """A row for each look at a pair, by the primary endpoint, where a suite's seeds grow."""
    place, *metric = _where(folder)
    head = [place, "algorithm", "look", "verdict", *metric, "seeds", "information"]
    head += ["Z of the difference", "boundary", "Z of equivalence", "boundary"]
    total, rows = len(plans.looks(folder.plan)), []
    for row in folder.ordered("looks").itertuples(index=False):
        place, *metric = _where(folder, row)
        word = Badge(row.verdict) if isinstance(row.verdict, str) and row.verdict else NONE
        cells = [place, folder.called(row), f"{row.look} of {total}", word, *metric]
        cells += [
            f"{whole(row.seeds_implementation)} / {whole(row.seeds_reference)}",
            percent(row.information),
        ]
        cells += [number(row.z_difference), f"\N{PLUS-MINUS SIGN}{number(row.boundary_difference)}"]
        rows.append([*cells, number(row.z_equivalence), number(row.boundary_equivalence)])
    return Table(head, rows, "looks.csv", _last(head, 6))


def _size(row: Any) -> int:
    """The size of a row's family, 0 if it is in none; not known of older versions."""
    size = getattr(row, "family_size", 0)
    return 0 if pd.isna(size) else int(size)


def of_role(folder: Folder, role: str) -> pd.DataFrame:
    """The verdicts by primary, or by secondary, endpoints."""
    rows = folder.ordered("verdicts")
    return rows[rows.role == role]


def _where(folder: Folder, row: Any = None) -> list[Any]:
    """The head of the first columns, or their cells in a row: the environment, and the metric where a suite
    has others than the return."""
    several = folder.quantity != RETURN.name
    if row is None:
        return ["environment", *["metric"] * several]
    metric = folder.measurement(row).metric
    return [row.environment, *[metric.name + " (lower is better)" * (metric.better < 0)] * several]


def _last(head: Sequence[str], count: int) -> frozenset[int]:
    """The last columns of a table, which hold numbers."""
    return frozenset(range(len(head) - count, len(head)))


def badge(row: Mapping[str, Any]) -> Badge:
    """The verdict of a row with its reason, unless that is only that the spread is too large."""
    verdict, reason = Badge(row["verdict"]), row.get("reason")
    if verdict.note or not isinstance(reason, str) or reason == NEITHER:
        return verdict
    return Badge(f"{row['verdict']} ({reason})")


def estimates(folder: Folder, measured: Measurement) -> Table:
    """IQM, mean and median with their intervals, an arm per row."""
    sampled = folder.here("curves", measured)
    sampled = sampled[sampled.protocol == "sampled"]
    sampled = sampled[~sampled.algorithm.isin(folder.baselines)]
    head = ["algorithm", "implementation", "final IQM", "final mean", "final median"]
    head += ["area IQM", "area mean", "area median", "seeds"] + (
        ["final IQM, sampled policy"] if len(sampled) else []
    )
    rows = []
    for arm in _arms(folder, measured):
        found = folder.rows("summary", measured, arm)
        found = found.drop_duplicates(["endpoint", "statistic"]).set_index(["endpoint", "statistic"])
        cells = [arm.algorithm, label(arm.implementation)]
        for key in [(end, how) for end in ("final", "auc") for how in ("iqm", "mean", "median")]:
            one = found.loc[key] if key in found.index else None
            cells.append(NONE if one is None else interval(one.estimate, one.ci_low, one.ci_high))
        cells.append(whole(found.seeds.max()))
        if len(sampled):
            last = folder.rows("curves", measured, arm, protocol="sampled").sort_values("env_step").tail(1)
            ended = found.seeds.max() > 0  # before the end it is not final
            last = last if ended and arm.algorithm not in folder.baselines else last.iloc[:0]
            cells.append(
                interval(last.iqm.item(), last.ci_low.item(), last.ci_high.item()) if len(last) else NONE
            )
        rows.append(cells)
    return Table(head, rows, "summary.csv", frozenset(range(2, len(head))))


def _arms(folder: Folder, measured: Measurement) -> list[Arm]:
    """The arms in the summary of one measurement, in the plan's order of algorithms."""
    here = folder.here("summary", measured)
    present = {Arm(*pair) for pair in zip(here.implementation, here.algorithm, strict=True)}
    known = [*folder.plan["algorithms"], *sorted(set(here.algorithm) - set(folder.plan["algorithms"]))]
    arms = (Arm(who, name) for name in known for who in folder.implementations)
    return [arm for arm in arms if arm in present]


def thresholds(folder: Folder) -> Table:
    """How many seeds reached the threshold, and when the median seed did."""
    rows = []
    for row in folder.ordered("thresholds").itertuples(index=False):
        if row.algorithm not in folder.baselines and not pd.isna(row.threshold):
            cells = [*_where(folder, row), row.algorithm, label(row.implementation), number(row.threshold)]
            reached = f"{whole(row.reached)} of {whole(row.seeds)}"
            rows.append([*cells, reached, whole(row.median_env_step)])
    head = [*_where(folder), "algorithm", "implementation"]
    head += ["threshold", "seeds that reached it", "median steps"]
    return Table(head, rows, "thresholds.csv", _last(head, 3))


def improvement(folder: Folder) -> Table:
    """How often a seed of ours is better than a seed of the reference."""
    rows = []
    for row in folder.ordered("improvement").itertuples(index=False):
        cells = [*_where(folder, row), folder.called(row), endpoint_title(row.endpoint, row.metric)]
        rows.append([*cells, interval(row.probability, row.ci_low, row.ci_high)])
    head = [*_where(folder), "algorithm", "endpoint", "probability [95 % CI]"]
    return Table(head, rows, "improvement.csv", _last(head, 1))


def cost(folder: Folder) -> Table:
    """Speed, times and memory, an arm per row, beside the speed of its reference."""
    head = ["environment", "algorithm", "implementation", "steps/s", "\N{MULTIPLICATION SIGN} reference"]
    head += ["training, per seed", "evaluation, per seed", "wall time, per seed", "peak memory", "seeds"]
    rows = []
    frame = folder.ordered("cost")
    speeds = {
        (row.environment, row.implementation, row.algorithm): row.steps_per_second
        for row in frame.itertuples()
    }
    processors = folder.processors
    for row in frame.itertuples(index=False):
        reference = folder.reference(row.algorithm)
        other = None
        here = processors.get((row.environment, row.implementation, row.algorithm))
        if (
            reference is not None
            and reference[0] != row.implementation
            and here == processors.get((row.environment, *reference))  # else it compares processors
        ):
            other = speeds.get((row.environment, *reference))
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
    brought = {one.arm: one for one in candidate_settings.of(folder) if one.environment == environment}
    about = folder.plan["environments"][environment]
    for name in about.get("algorithms") or folder.plan["algorithms"]:
        agent = folder.plan["algorithms"].get(name, {}).get("agent", name)
        chosen = about.get("settings", {}).get(agent, {})
        columns: dict[str, dict[str, Any]] = {}
        departures: dict[str, dict[str, Any]] = {}
        for run in folder.runs:
            who, cell = run["cell"]["implementation"], run["cell"]
            if cell["environment"] != environment or (who, cell["algorithm"]) not in folder.sharing(name):
                continue
            if (one := brought.get((who, cell["algorithm"]))) is not None:
                names = [*one.reference, *one.values]
                columns.setdefault(who, {"budget": cell.get("budget")} | {n: one.shown(n) for n in names})
                empty = candidate_settings.UNKNOWN if one.departures is None else "none declared"
                departures.setdefault(label(who), {"points": one.departures or [], "empty": empty})
                continue
            own = {key: cell.get(key) for key in ("budget", "n_envs", "normalize")}
            columns.setdefault(who, own | run.get("config", {}))
            points = list(run.get("departures", []))
            departures.setdefault(label(who), {"points": points, "empty": "none declared"})
        if not columns:
            columns["suite"] = dict(chosen.get("hyperparameters", {}))
        keys = list(dict.fromkeys(key for values in columns.values() for key in values))
        rows = [[key, *(setting(values.get(key, NONE)) for values in columns.values())] for key in keys]
        table = Table(["hyper-parameter", *(label(who) for who in columns)], rows)
        block = {"name": name, "title": folder.title(name), "table": table, "departures": departures}
        blocks.append(block | {key: str(chosen.get(key) or "") for key in ("source", "differs")})
    return blocks


def ran(folder: Folder) -> Table:
    """The settings of candidates that differ from their references'."""
    head = ["environment", "implementation", "setting", "reference", "ran with", "known from"]
    found = candidate_settings.of(folder)
    rows = [[one.environment, one.name, *unlike] for one in found for unlike in one.differences]
    return Table(head, rows)


def notes(folder: Folder) -> list[str]:
    """Assumptions and repairs by which the returns of candidates were read, each once with its seeds."""
    found: dict[tuple[str, str, str], list[int]] = {}
    for run in folder.runs:
        for note in run.get("notes", ()):
            who = (run["cell"]["implementation"], run["cell"]["environment"], note)
            found.setdefault(who, []).extend(run["cell"]["seeds"])
    return [
        f"{name} on {environment}, seed{'s' * (len(seeds) > 1)} {join(map(str, seeds), 8)}: {note}"
        for (name, environment, note), seeds in found.items()
    ]


def primary(folder: Folder, plain: bool = False) -> pd.DataFrame:
    """The verdicts on the primary endpoint of each pair and metric: the area, or the mean of logged training
    returns. Those against the references, or, `plain`, those against plain configurations.
    """
    rows = of_role(folder, PRIMARY)
    wanted = pd.Series([by_reference(row) != plain for row in rows.itertuples()], rows.index, dtype=bool)
    return rows[wanted]
