"""The layers that take seconds; a candidate's own code runs in another process."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from rlparity.candidates import entry_point as candidate
from rlparity.candidates import process_group
from rlparity.candidates.command import expected
from rlparity.candidates.entry_point import Factory
from rlparity.candidates.environments import Misbehaved
from rlparity.candidates.isolated import absolute
from rlparity.cell import Cell
from rlparity.environments import metadata
from rlparity.errors import UserError
from rlparity.log_readers import convert as logs
from rlparity.log_readers import seeds
from rlparity.log_readers.series import Reading, Refused
from rlparity.validation.checks import TIME_LIMIT_S, Check, NotRun, duplicates

WHOLE_S, TIMES = 600.0, 10  # for a whole layer: at least so long, and so many times that limit


def of_entry(layer: str, cell: Cell) -> list[Check]:
    """Contract or parity of a Python candidate, in a process of its own: a crash or a hang of it is a failed
    check. Raises NotRun."""
    if layer == "parity" and metadata.probe(cell.environment).frame_bytes is not None:
        raise NotRun(f"updates are compared with vectors, and {cell.environment} shows images")
    base = Path(cell.candidate.get("folder", ".")).resolve()
    limit = float(cell.candidate.get("time_limit_s", TIME_LIMIT_S))
    asked = {
        "layer": layer,
        "entry": absolute(cell.candidate["entry"], base),
        "environment": cell.environment,
        "algorithm": cell.algorithm,
        "time_limit_s": limit,
    }
    started = time.perf_counter()
    with process_group.folder() as books, process_group.folder() as work:
        into = books / "checks.json"
        words = [sys.executable, "-m", "rlparity", "layer", "--asked", json.dumps(asked), "--into", str(into)]
        variables = process_group.environment(base)
        try:
            process_group.run(words, work, books / "log", max(WHOLE_S, TIMES * limit), variables, None)
            told = json.loads(into.read_text(encoding="utf-8"))
        except process_group.Stopped as stopped:
            return [_broken(layer, str(stopped), started)]
        except (OSError, ValueError):
            return [_broken(layer, "ended without a result", started)]
    if "error" in told:
        raise NotRun(told["error"])
    return [Check(*values) for values in told["checks"]]


def _broken(layer: str, problem: str, started: float) -> Check:
    if problem.startswith(process_group.UNSTARTED):
        raise NotRun(problem)
    return Check(layer, "comes to an end", False, f"its process {problem}", time.perf_counter() - started)


def look(layer: str, entry: str, environment: str, algorithm: str, time_limit_s: float, into: Path) -> None:
    """The other process: look at a candidate, and write the checks."""
    from rlparity.candidates.importing import load
    from rlparity.validation.contract import check as contract

    try:
        factory = load(entry)
        if layer == "parity":
            checks = parity_of(factory, environment, algorithm)
        else:
            checks = contract.check(factory, environment, algorithm, time_limit_s=time_limit_s)
        told: dict[str, object] = {"checks": [list(check) for check in checks]}
    except UserError as error:
        told = {"error": str(error)}
    into.write_text(json.dumps(told), encoding="utf-8")


def parity_of(factory: Factory, environment: str, algorithm: str) -> list[Check]:
    """Parity in the case of a named configuration that fits an environment; no checks if the candidate offers
    no update there. UserError if that cannot be told, because it is not built there."""
    from rlparity.validation.contract import check as contract
    from rlparity.validation.parity import candidates, cases
    from rlparity.validation.parity import compare as parity

    agent, case = cases.for_candidate(algorithm, metadata.probe(environment).actions)
    cell = contract.brief_cell(environment, algorithm, {}, TIME_LIMIT_S)
    try:
        offered = candidates.offered(candidate.build(cell, factory))
    except Misbehaved as problem:
        if not (offered := candidates.offered(factory)):  # a class shows it unbuilt
            raise UserError(str(problem)) from None
    return parity.check_candidate(factory, agent, (case,)) if offered else []


def of_logs(cells: list[Cell]) -> list[Check]:
    """Contract of finished logs, cells of one environment: all can be compared, and none is a copy."""
    started = time.perf_counter()
    candidate, environment = cells[0].candidate, cells[0].environment
    how, base = Reading.of(candidate.get("returns", {})), Path(candidate.get("folder", ".")).resolve()
    found = seeds.of(candidate, environment, base)
    read: dict[int, logs.Logged] = {}
    problems = []
    for cell in cells:
        seed = cell.seeds[0]
        try:
            read[seed] = logs.read(found.files[seed], how, expected(cell, how), cell.evaluation.modes, seed)
        except Refused as refused:
            problems.append(f"seed {seed}: {refused}")
    if not read:
        raise NotRun(problems[0])
    games = sum(len(one.episodes) + len(one.evaluations) for one in read.values())
    detail = "; ".join(problems) or f"{len(read)} seeds, {games:,} returns"
    seconds = time.perf_counter() - started
    first = Check("contract", f"logs of {environment} can be compared", not problems, detail, seconds)
    copies = duplicates({seed: (one.episodes, one.evaluations) for seed, one in read.items()})
    return [first, Check("contract", f"seeds of {environment} differ", not copies, copies)]
