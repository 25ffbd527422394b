"""What changed between two report folders, as text: verdicts, scores, settings, records."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from rlparity.metrics import RETURN
from rlparity.reporting.formatting import endpoint_title, interval, percent
from rlparity.reporting.pages.provenance import cell_name, commits, dates, failed_seeds, sha256
from rlparity.reporting.report_files import TABLES
from rlparity.reporting.report_folder import Folder, by_reference

ABSENT = "absent"
Values = dict[str, Any]  # name of a row -> what is compared of it


def compare(a: Path, b: Path) -> str:
    """What changed from report `a` to report `b` as text, under a heading per kind; see `changes`."""
    text = [f"A: {a} ({dates(Folder(a))})", f"B: {b} ({dates(Folder(b))})"]
    found = changes(a, b)
    for heading, lines in found.items():
        text += ["", heading, *(f"  {line}" for line in lines)]
    return "\n".join(text if found else [*text, "", "No differences."])


def changes(a: Path, b: Path) -> dict[str, list[str]]:
    """What changed from report `a` to report `b`, one change a line, by kind; kinds without any are left out.

    A score is listed where either estimate is outside the other's 95 % interval. Raises UserError where a
    folder is no report.
    """
    old, new = Folder(a), Folder(b)
    sections: dict[str, Callable[[Folder, Folder], Iterable[str]]] = {
        "Suite": _suite,
        "Cells": _cells,
        "Verdicts": _verdicts,
        "Scores beyond their 95 % intervals": _scores,
        "Published numbers": _papers,
        "Hyper-parameters and departures": _settings,
        "Commits, versions and hardware": _origins,
        "Records": _records,
        "Tables": _tables,
    }
    found = {heading: list(lines(old, new)) for heading, lines in sections.items()}
    return {heading: lines for heading, lines in found.items() if lines}


def _changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterable[tuple[str, Any, Any]]:
    """Names whose values differ, in the order of `old`, then what only `new` has."""
    for name in dict.fromkeys([*old, *new]):
        before, after = old.get(name, ABSENT), new.get(name, ABSENT)
        if before != after:
            yield name, before, after


def _arrows(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    return [f"{name}: {before} -> {after}" for name, before, after in _changes(old, new)]


def _suite(old: Folder, new: Folder) -> list[str]:
    def about(folder: Folder) -> Values:
        plan = folder.plan
        facts = {key: plan.get(key, ABSENT) for key in ("name", "margin", "references")}
        lists = {key: ", ".join(plan[key]) for key in ("environments", "algorithms")}
        return facts | lists

    return _arrows(about(old), about(new))


def _cells(old: Folder, new: Folder) -> list[str]:
    def there(folder: Folder) -> Values:
        return {cell_name(run["cell"]): "" for run in folder.runs}

    lines = [
        f"{'added' if before == ABSENT else 'removed'}: {name}"
        for name, before, _ in _changes(there(old), there(new))
    ]
    broken = dict.fromkeys(failed_seeds(old), "failed"), dict.fromkeys(failed_seeds(new), "failed")
    lines += [
        f"{'failed now' if before == ABSENT else 'failed before'}: {name}"
        for name, before, _ in _changes(*broken)
    ]
    return lines


def _named(row: Any) -> str:
    endpoint = endpoint_title(row.endpoint, row.metric)
    metric = f" ({row.metric})" * (row.metric != RETURN.name)
    plain = hasattr(row, "reference") and not by_reference(row)
    against = f" against our {row.reference.partition('/')[2]}" if plain else ""
    return f"{row.environment}{metric} {row.implementation} {row.algorithm}{against}, {endpoint}"


def _verdicts(old: Folder, new: Folder) -> list[str]:
    def judged(folder: Folder) -> Values:
        return {_named(row): row for row in folder.tables["verdicts"].itertuples(index=False)}

    before, after = judged(old), judged(new)
    lines = []
    for name in dict.fromkeys([*before, *after]):
        pair = before.get(name), after.get(name)
        words = [ABSENT if row is None else row.verdict for row in pair]
        if words[0] != words[1]:
            within = [ABSENT if row is None else percent(row.smallest_margin) for row in pair]
            lines.append(f"{name}: {words[0]} -> {words[1]} (equivalent within {within[0]} -> {within[1]})")
    return lines


def _scores(old: Folder, new: Folder) -> list[str]:
    def known(folder: Folder) -> Values:
        rows = folder.tables["summary"]
        return {_named(row): row for row in rows[rows.statistic == "iqm"].itertuples(index=False)}

    before, after = known(old), known(new)
    return [
        f"{name}, IQM: {_estimate(before[name])} -> {_estimate(after[name])}"
        for name in before
        if name in after and (_outside(before[name], after[name]) or _outside(after[name], before[name]))
    ]


def _outside(row: Any, other: Any) -> bool:
    """Whether the estimate of `row` is outside the interval of `other`, or only one of them exists."""
    if pd.isna(row.estimate) or pd.isna(other.ci_low) or pd.isna(other.ci_high):
        return bool(pd.isna(row.estimate) != pd.isna(other.estimate))
    return not other.ci_low <= row.estimate <= other.ci_high


def _estimate(row: Any) -> str:
    return f"{interval(row.estimate, row.ci_low, row.ci_high)} ({row.seeds} seeds)"


def _papers(old: Folder, new: Folder) -> list[str]:
    def judged(folder: Folder) -> Values:
        found = {}
        for row in folder.tables["paper"].itertuples(index=False):
            where = row.environment + f" ({row.metric})" * (row.metric != RETURN.name)
            found[f"{where} {row.algorithm}, {row.source} ({row.published:g})"] = row.verdict
        return found

    return _arrows(judged(old), judged(new))


def _settings(old: Folder, new: Folder) -> list[str]:
    """Per arm that both reports have: each hyper-parameter changed, each departure declared or withdrawn."""
    before, after = _by_arm(old), _by_arm(new)
    lines = []
    for arm in before:
        if arm in after:
            lines += [f"{arm}, {line}" for line in _arrows(before[arm][0], after[arm][0])]
            for name, was, _ in _changes(
                dict.fromkeys(before[arm][1], True), dict.fromkeys(after[arm][1], True)
            ):
                lines.append(f"{arm}, departure {'declared' if was == ABSENT else 'withdrawn'}: {name}")
    return lines


def _by_arm(folder: Folder) -> dict[str, tuple[Values, list[str]]]:
    arms: dict[str, tuple[Values, list[str]]] = {}
    for run in folder.runs:
        cell = run["cell"]
        name = f"{cell['environment']} {cell['implementation']} {cell['algorithm']}"
        keys = (
            ("budget", "evaluation")
            if cell.get("candidate")
            else ("budget", "n_envs", "normalize", "evaluation")
        )
        own = {key: cell.get(key) for key in keys}
        arms.setdefault(name, (own | run.get("config", {}), list(run.get("departures", []))))
    return arms


def _origins(old: Folder, new: Folder) -> list[str]:
    def origin(folder: Folder) -> Values:
        seen: dict[str, list[str]] = {"commit": commits(folder)}
        for run in folder.runs:
            brought = f"{run['cell']['implementation']}: " if run["cell"].get("candidate") else ""
            facts = {
                **{f"{brought}{name}": value for name, value in run.get("versions", {}).items()},
                **{f"hardware, {k}": v for k, v in run.get("hardware", {}).items()},
            }
            for name, value in facts.items():
                if str(value) not in seen.setdefault(name, []):
                    seen[name].append(str(value))
        return {name: ", ".join(values) or ABSENT for name, values in seen.items()}

    return _arrows(origin(old), origin(new))


def _records(old: Folder, new: Folder) -> list[str]:
    """Cells whose episodes or evaluations are no longer the same bytes, and how many are."""

    def hashes(folder: Folder) -> dict[str, Values]:
        return {cell_name(run["cell"]): run.get("hashes", {}) for run in folder.runs}

    before, after = hashes(old), hashes(new)
    both = [name for name in before if name in after]
    lines = []
    for name in both:
        files = [file for file, _, _ in _changes(before[name], after[name])]
        if files:
            lines.append(f"{name}: other {' and '.join(files)}")
    return (
        [*lines, f"{len(both) - len(lines)} of {len(both)} common cells are byte-identical"] if lines else []
    )


def _tables(old: Folder, new: Folder) -> list[str]:
    def digests(folder: Folder) -> Values:
        return {f"{name}.csv": sha256(folder.path / f"{name}.csv")[:12] or ABSENT for name in TABLES}

    return _arrows(digests(old), digests(new))
