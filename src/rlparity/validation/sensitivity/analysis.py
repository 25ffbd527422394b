"""Trials of mutations of the analysis: its own checks, run on each, without any training.

All is imported once; each mutation is planted in a forked process. There is nothing to resume: all trials
together take minutes.
"""

from __future__ import annotations

import json
import os
import resource
import time
from collections.abc import Iterable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from rlparity.errors import UserError, unknown
from rlparity.provenance import host
from rlparity.records import write_bytes
from rlparity.validation.checks import Say
from rlparity.validation.mutations.corpus import ANALYSIS
from rlparity.validation.mutations.mutation import Mutation, Patch
from rlparity.validation.sensitivity.process import read
from rlparity.validation.sensitivity.trial import Outcome, done, judged, not_run

LAYER = "analysis"
CHECKS = "rlparity.analysis.checks.run"
LIMIT_S = 300  # seconds of processor time of a trial, unless the suite has another limit
OUTCOMES = "analysis.json"  # of all mutations, from which the page is rendered
FIELDS = ("kind", "title", "source", "hides")


def run(
    results: Path, limit: int, say: Say, mutations: Iterable[Mutation] = ANALYSIS
) -> list[dict[str, Any]]:
    """Run the checks on the unchanged code and on every mutation; returns a row for each mutation.

    `limit` is in seconds of processor time. Writes `results/OUTCOMES`. Raises UserError where the checks fail
    on the unchanged code: then alarms would mean nothing.
    """
    import_module(CHECKS)
    made = {"versions": host.versions(), "hardware": host.hardware(), "git": host.git()}
    baseline = _trial(None, results / "trials" / "baseline" / f"{LAYER}.json", limit)
    if baseline["caught"]:
        raise UserError(f"{LAYER}: alarms without a mutation: {baseline['evidence']}")
    say(f"baseline {LAYER}: silent ({baseline['seconds']:.0f} s)")
    rows = []
    for mutation in mutations:
        slug = mutation.id.lower().replace(" ", "-")
        outcome = _trial(mutation, results / "trials" / slug / f"{LAYER}.json", limit)
        rows.append({"bug": mutation.id, **{name: getattr(mutation, name) for name in FIELDS}, **outcome})
        word = {True: "caught", False: "silent", None: outcome["reason"]}[outcome["caught"]]
        say(f"{mutation.id} {LAYER}: {word} ({outcome['seconds'] or 0:.0f} s)")
    write_bytes(results / OUTCOMES, json.dumps(made | {"trials": rows}, indent=1).encode())
    return rows


def chosen(ids: Sequence[str]) -> list[Mutation]:
    """The mutations of the analysis with these ids, or all. Raises UserError for an unknown one."""
    known = {mutation.id: mutation for mutation in ANALYSIS}
    for id in ids:
        if id not in known:
            raise unknown("mutation of the analysis", id, list(known), "sensitivity --analysis")
    return [known[id] for id in ids or known]


def _trial(mutation: Mutation | None, file: Path, limit: int) -> Outcome:
    """The outcome of the checks in a forked process; one that ends without an outcome has raised an alarm."""
    file.unlink(missing_ok=True)
    process = os.fork()
    if not process:
        try:
            resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 5))
            write_bytes(file, json.dumps(_checked(mutation), indent=1).encode())
        finally:
            os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    return read(file) or done(True, limit, f"the process ended with status {status}")


def _checked(mutation: Mutation | None) -> Outcome:
    module: Any = import_module(CHECKS)
    if mutation is None:
        return judged(module.check, time.process_time)
    patch = Patch()
    try:
        mutation.plant(patch)
    except Exception as error:
        return not_run(f"cannot be planted: {type(error).__name__}: {error}")
    return judged(lambda: module.check(until_failure=True), time.process_time)
