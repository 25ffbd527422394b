"""A candidate that comes as a command: run without a shell for each seed, its returns read from its logs."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rlparity.candidates import process_group
from rlparity.cell import Cell
from rlparity.environments import metadata
from rlparity.errors import UserError
from rlparity.log_readers import convert as logs
from rlparity.log_readers.checks import Expected
from rlparity.log_readers.discover import files
from rlparity.log_readers.series import Reading, Refused
from rlparity.provenance.candidate_files import bad_command
from rlparity.seeding import Streams
from rlparity.training.recorder import Recorder

STEPS_PER_S = 50  # slower than that by default is too slow
START_S = 120.0


def words(cell: Cell, base: Path, output: Path) -> list[str]:
    """The command as it is run, from a working folder elsewhere: its program, and the first other word that
    names a file, become absolute if they are relative to `base`.

    Links stay, because the interpreter of a virtual environment is one; so do further words, which may name
    files that the program writes."""
    if problem := bad_command(cell.candidate["command"]):
        raise UserError(f"candidate {cell.implementation!r}: command: {problem}")
    values = {
        "environment": cell.environment.partition("@")[0],
        "seed": cell.seeds[0],
        "wide_seed": Streams(cell).integers("command")[0] // 2,
        "budget": cell.budget,
        "n_envs": cell.n_envs,
        "output": output,
    }
    found = [word.format_map(values) for word in shlex.split(cell.candidate["command"])]
    there = [i for i, word in enumerate(found) if not os.path.isabs(word) and os.path.isfile(base / word)]
    program, others = [i for i in there if i == 0], [i for i in there if i > 0]
    for i in program + others[:1]:
        found[i] = os.path.abspath(base / found[i])
    return found


def time_limit_s(candidate: Mapping[str, Any], budget: int) -> float:
    """Seconds for one seed."""
    return float(candidate.get("time_limit_s", START_S + budget / STEPS_PER_S))


def run(cell: Cell, folder: Path, rows: Recorder) -> tuple[str, ...]:
    """Run the command for the one seed of a cell and fill `rows` with what it logged; returns notes.

    What goes wrong is the reason why the seed failed, never an exception. Its output is in `candidate.log`.
    """
    assert len(cell.seeds) == 1, "a candidate has no axis of seeds"
    seed, base = cell.seeds[0], Path(cell.candidate.get("folder", ".")).resolve()
    limit = time_limit_s(cell.candidate, cell.budget)
    problem = ""
    rows.start()
    with process_group.folder() as work:
        command = words(cell, base, work)
        variables = process_group.environment(base)
        try:
            process_group.run(command, work, folder / "candidate.log", limit, variables, None)
        except process_group.Stopped as stopped:
            problem = str(stopped)
        rows.finish()
        try:
            logged = _read(cell, work)
        except Refused as refused:
            reason = str(refused).replace(f"{work}/", "").replace(str(work), "its folder")
            rows.failed[seed] = "; ".join(filter(None, (problem, reason)))
            return ()
    if problem:
        rows.failed[seed] = problem
    fill(rows, logged)
    return tuple(note.replace(f"{work}/", "").replace(str(work), "its folder") for note in logged.notes)


def _read(cell: Cell, work: Path) -> logs.Logged:
    how = Reading.of(cell.candidate.get("returns", {}))
    written = files(work, how.files, deep=True)
    if not written:
        there = sorted(str(path.relative_to(work)) for path in work.rglob("*") if path.is_file())
        named = f"no {how.files}" if how.files else "no returns"
        raise Refused(f"wrote {named}, only {', '.join(there[:5])}" if there else "wrote nothing")
    return logs.read(written, how, expected(cell, how), cell.evaluation.modes, cell.seeds[0])


def expected(cell: Cell, how: Reading) -> Expected:
    """What the logs of a cell have to fit."""
    limit = metadata.probe(cell.environment).time_limit
    n_envs = how.n_envs or cell.n_envs
    return Expected(cell.environment, cell.budget, n_envs, cell.evaluation.points, limit)


def fill(rows: Recorder, logged: logs.Logged) -> None:
    """Book what was logged as rows of the cell's one seed."""
    cell = rows.cell
    who = {name: getattr(cell, name) for name in ("implementation", "algorithm", "environment")}
    rows.episodes += [{**who, "seed": cell.seeds[0], **row} for row in logged.episodes]
    rows.evaluations += [{**who, "seed": cell.seeds[0], **row} for row in logged.evaluations]
