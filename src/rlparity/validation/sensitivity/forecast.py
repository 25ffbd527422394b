"""The number of trials and the processor time of a sensitivity suite, before it is run."""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean

from rlparity.validation.sensitivity.plan import Plan


def lines(plan: Plan, reports: Path) -> Iterator[str]:
    """Trials and processor time by layer: from the suite's report if it exists, else the limits."""
    seconds = _measured(reports / plan.name / "trials.csv")
    trials = Counter(trial.layer for trial in plan.trials())
    yield f"suite {plan.name}: {plan.title}"
    yield f"  {len(plan.mutations)} mutations, {trials.total():,} trials, baselines included"
    for layer in plan.layers:
        each, limit = seconds.get(layer, []), plan.time_limits[layer]
        basis = f"at most {limit * trials[layer] / 3600:,.1f} core-hours, not measured yet"
        if each:
            hours = fmean(each) * trials[layer] / 3600
            basis = f"about {hours:,.1f} core-hours, measured by {len(each)} trials"
        yield f"  {layer:<11} {trials[layer]:>5,} trials, {basis}"


def _measured(file: Path) -> dict[str, list[float]]:
    """Seconds of processor time of all trials by layer; a trial that was not run took none."""
    found: dict[str, list[float]] = defaultdict(list)
    try:
        with file.open(encoding="utf-8", newline="") as rows:
            for row in csv.DictReader(rows):
                found[row["layer"]].append(float(row["seconds"] or 0))
    except (OSError, KeyError, ValueError):
        return {}
    return found
