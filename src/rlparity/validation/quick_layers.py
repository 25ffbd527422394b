"""The layers that take seconds: contract and update parity. A candidate's code runs in another process."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rlparity.candidates import entry_point as candidate
from rlparity.candidates import process_group
from rlparity.candidates.command import expected
from rlparity.candidates.environments import Misbehaved
from rlparity.candidates.isolated import absolute
from rlparity.candidates.protocol import Factory
from rlparity.cell import Cell
from rlparity.environments import metadata
from rlparity.errors import UserError
from rlparity.log_readers import convert as logs
from rlparity.log_readers import seeds
from rlparity.log_readers.series import Reading, Refused
from rlparity.validation.checks import TIME_LIMIT_S, Check, NotRun, duplicates, not_looked_at

LAYER_LIMIT_S, LIMIT_FACTOR = 600.0, 10  # a layer may take the first, or this many times `time_limit_s`


def check_entry_point(layer: str, cell: Cell) -> list[Check]:
    """Run contract or parity of a Python candidate in a separate process.

    Raises NotRun if the contract's first training raises, hangs or crashes. If parity crashes or hangs, its
    only check has failed.
    """
    if layer == "parity" and metadata.probe(cell.environment).image is not None:
        raise NotRun(f"updates are compared with vectors, and {cell.environment} shows images")
    base = Path(cell.candidate.get("folder", ".")).resolve()
    limit = float(cell.candidate.get("time_limit_s", TIME_LIMIT_S))
    request = {
        "layer": layer,
        "entry": absolute(cell.candidate["entry"], base),
        "environment": cell.environment,
        "algorithm": cell.algorithm,
        "time_limit_s": limit,
    }
    started = time.perf_counter()
    with process_group.folder() as private, process_group.folder() as work:
        into = private / "checks.json"
        words = [sys.executable, "-m", "rlparity", "dev", "layer"]
        words += ["--request", json.dumps(request), "--into", str(into)]
        variables = process_group.environment(base)
        try:
            process_group.run(
                words, work, private / "log", max(LAYER_LIMIT_S, LIMIT_FACTOR * limit), variables, None
            )
            result = json.loads(into.read_text(encoding="utf-8"))
        except process_group.Stopped as stopped:
            return [_broken(layer, str(stopped), started)]
        except (OSError, ValueError):
            return [_broken(layer, "ended without a result", started)]
    if "error" in result:
        raise NotRun(result["error"])
    checks = [Check(*values) for values in result["checks"]]
    if broken := [check for check in checks if not check.ran]:
        raise NotRun(broken[0].detail)
    return checks


def _broken(layer: str, problem: str, started: float) -> Check:
    if layer == "contract" or problem.startswith(process_group.UNSTARTED):
        raise NotRun(f"its process {problem}")
    return Check(layer, "comes to an end", False, f"its process {problem}", time.perf_counter() - started)


def write_checks(
    layer: str, entry: str, environment: str, algorithm: str, time_limit_s: float, into: Path
) -> None:
    """Run one layer on a candidate and write its checks to a file; called in the separate process."""
    from rlparity.candidates.importing import load
    from rlparity.validation.contract import check as contract

    try:
        factory = load(entry)
        if layer == "parity":
            checks = check_parity(factory, environment, algorithm)
        else:
            checks = contract.check(factory, environment, algorithm, time_limit_s=time_limit_s)
        result: dict[str, object] = {"checks": [list(check) for check in checks]}
    except UserError as error:
        result = {"error": str(error)}
    into.write_text(json.dumps(result), encoding="utf-8")


def check_parity(factory: Factory, environment: str, algorithm: str) -> list[Check]:
    """Compare a candidate's updates, and what it makes of a rollout, in the cases that fit a named
    configuration and an environment; what cannot be looked at is named by a check of its own.

    Returns no checks if it offers neither. Raises UserError if it cannot be built there and so offers none.
    """
    from rlparity.validation.contract import check as contract
    from rlparity.validation.parity import candidate_cases, candidates
    from rlparity.validation.parity import candidate_checks as parity

    compared = candidate_cases.of(algorithm, metadata.probe(environment).actions)
    cell = contract.brief_cell(environment, algorithm, {}, TIME_LIMIT_S)
    made: Any
    try:
        made = candidate.build(cell, factory)
    except Misbehaved as problem:
        made = factory  # a class has its methods without being built
        if not (candidates.offered(made) or candidates.offers_prepare(made)):
            raise UserError(str(problem)) from None
    return parity.check(factory, compared, candidates.offered(made), candidates.offers_prepare(made))


def check_logs(cells: Sequence[Cell]) -> list[Check]:
    """Contract of finished logs, environment by environment; one without any that can be read was not looked
    at. NotRun if that is so of all."""
    found: list[Check] = []
    unread: dict[str, str] = {}
    for place in dict.fromkeys(cell.environment for cell in cells):
        try:
            found += _check_logs([cell for cell in cells if cell.environment == place])
        except NotRun as problem:
            unread[place] = str(problem)
    if not found:
        raise NotRun(next(iter(unread.values())))
    return found + [not_looked_at("contract", f"logs of {place}", text) for place, text in unread.items()]


def _check_logs(cells: list[Cell]) -> list[Check]:
    """One cell for each seed of an environment: all readable, and none a copy."""
    started = time.perf_counter()
    candidate, environment = cells[0].candidate, cells[0].environment
    how, base = Reading.of(candidate.get("returns", {})), Path(candidate.get("folder", ".")).resolve()
    found = seeds.of(candidate, environment, base)
    logged: dict[int, logs.Logged] = {}
    problems = []
    for cell in cells:
        seed = cell.seeds[0]
        try:
            logged[seed] = logs.read(found.files[seed], how, expected(cell, how), cell.evaluation.modes, seed)
        except Refused as refused:
            problems.append(f"seed {seed}: {refused}")
    if not logged:
        raise NotRun(problems[0])
    returns = sum(len(one.episodes) + len(one.evaluations) for one in logged.values())
    detail = "; ".join(problems) or f"{len(logged)} seeds, {returns:,} returns"
    seconds = time.perf_counter() - started
    name = f"logs of {environment} can be compared"
    first = Check("contract", name, not problems, detail, seconds, ran=not problems)
    rows = {seed: (one.episodes, one.evaluations) for seed, one in logged.items()}
    bounded = {seed: value for seed, one in logged.items() if (value := _constant(one)) is not None}
    copies = duplicates({seed: content for seed, content in rows.items() if seed not in bounded})
    checked = [first, Check("contract", f"seeds of {environment} differ", not copies, copies, ran=not copies)]
    if duplicates({seed: rows[seed] for seed in bounded}):
        named = ", ".join(f"{value:g}" for value in sorted(set(bounded.values())))
        which = f"copies among seeds {', '.join(map(str, bounded))}, all of whose returns are {named},"
        checked.append(not_looked_at("contract", which, "different runs have equal rows there"))
    return checked


def _constant(logged: logs.Logged) -> float | None:
    """The one value of all returns, as of runs that stay at a bound; None if there are several."""
    rows = [row["value"] for row in logged.evaluations] or [row["episode_return"] for row in logged.episodes]
    return float(rows[0]) if len(set(rows)) == 1 and not (logged.evaluations and _vary(logged)) else None


def _vary(logged: logs.Logged) -> bool:
    """Whether returns in training differ from each other, too."""
    return len({row["episode_return"] for row in logged.episodes}) > 1
