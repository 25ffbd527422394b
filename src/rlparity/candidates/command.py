"""Train a candidate that is a command: run it for each seed, without a shell, and read its logs."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rlparity.candidates import process_group, settings
from rlparity.cell import Cell
from rlparity.environments import metadata
from rlparity.errors import UserError
from rlparity.log_readers import convert as logs
from rlparity.log_readers.checks import Expected
from rlparity.log_readers.discover import files
from rlparity.log_readers.series import Reading, Refused
from rlparity.log_readers.settings import read as stated_in
from rlparity.provenance import interpreters
from rlparity.provenance.candidate_files import bad_command, missing_module
from rlparity.runs import row_checks
from rlparity.seeding import Streams
from rlparity.training.recorder import Recorder

WROTE = "wrote no"  # the reason begins so if there are no returns
STEPS_PER_S, START_S = 50, 120.0  # of the slowest program within the default time limit


def arguments(cell: Cell, base: Path, output: Path, exchange: Path = Path()) -> list[str]:
    """The program and its arguments, with placeholders replaced; `exchange` is the folder of the files that
    `{settings}` and `{answer}` name.

    It runs in another folder, so paths relative to `base` become absolute: the program, and the first
    argument that names a file. Later ones stay, because they may name files that the program writes. Links
    are not followed: the interpreter of a virtual environment is one.
    """
    if problem := bad_command(cell.candidate["command"]):
        raise UserError(f"candidate {cell.implementation!r}: command: {problem}")
    values = {
        "environment": cell.environment.partition("@")[0],
        "algorithm": cell.algorithm,
        "seed": cell.seeds[0],
        "wide_seed": Streams(cell).integers("command")[0] // 2,
        "budget": cell.budget,
        "n_envs": cell.n_envs,
        "output": output,
        "settings": exchange / settings.GIVEN,
        "answer": exchange / settings.ANSWER,
    }
    found = [word.format_map(values) for word in shlex.split(cell.candidate["command"])]
    there = [i for i, word in enumerate(found) if not os.path.isabs(word) and os.path.isfile(base / word)]
    program, others = [i for i in there if i == 0], [i for i in there if i > 0]
    for i in program + others[:1]:
        found[i] = os.path.abspath(base / found[i])
    return found


def time_limit_s(candidate: Mapping[str, Any], budget: int) -> float:
    """Time limit of one seed, seconds."""
    return float(candidate.get("time_limit_s", START_S + budget / STEPS_PER_S))


def run(cell: Cell, folder: Path, recorder: Recorder) -> tuple[str, ...]:
    """Run the command for the one seed of a cell and record what it logged; returns notes.

    An error fails the seed and raises nothing. Output of the command goes to `candidate.log`.
    """
    assert len(cell.seeds) == 1, "candidates are trained seed by seed"
    seed, base = cell.seeds[0], Path(cell.candidate.get("folder", ".")).resolve()
    limit = time_limit_s(cell.candidate, cell.budget)
    problem = ""
    recorder.start()
    kept = process_group.kept(cell, folder)
    with process_group.folder(kept) as work, process_group.folder() as exchange:
        settings.hand_over(cell, exchange)
        command = arguments(cell, base, work, exchange)
        variables = process_group.environment(base)
        try:
            process_group.run(command, work, folder / "candidate.log", limit, variables, None)
        except process_group.Stopped as stopped:
            problem = str(stopped) + _hint(str(stopped), command[0], variables, base)
        recorder.finish()
        unclear = _keep_settings(cell, folder, work, exchange)
        try:
            logged = _read(cell, work)
        except Refused as refused:
            reason = str(refused).replace(f"{work}/", "").replace(str(work), "its folder")
            recorder.failed[seed] = "; ".join(filter(None, (problem, reason)))
            return unclear
    if problem:
        recorder.failed[seed] = problem
    record(recorder, logged)
    notes = (note.replace(f"{work}/", "").replace(str(work), "its folder") for note in logged.notes)
    return (*notes, *unclear)


def _keep_settings(cell: Cell, folder: Path, work: Path, exchange: Path) -> tuple[str, ...]:
    """Keep what the program's logs and its answer state of its settings; returns what is not understood."""
    written = files(work, Reading.of(cell.candidate.get("returns", {})).files, deep=True)
    answer, unread = settings.read_answer(exchange / settings.ANSWER)
    return (*unread, *settings.keep(cell, folder, stated_in(written, cell.environment), answer))


def versions(cell: Cell) -> dict[str, str]:
    """Versions of what the program runs with, read by its own interpreter; {} where that is not known."""
    base = Path(cell.candidate.get("folder", ".")).resolve()
    variables = process_group.environment(base)
    interpreter = interpreters.of_command(arguments(cell, base, Path(os.sep), Path(os.sep)), variables)
    return interpreters.versions(interpreter, variables) if interpreter else {}


def _hint(problem: str, program: str, variables: Mapping[str, str], base: Path) -> str:
    """If a module is missing, which interpreter looked for it, and where the candidate's own are found."""
    if "No module named" not in problem:
        return ""
    return missing_module(shutil.which(program, path=variables["PATH"]) or program, base)


def _read(cell: Cell, work: Path) -> logs.Logged:
    reading = Reading.of(cell.candidate.get("returns", {}))
    written = files(work, reading.files, deep=True)
    if not written:
        there = sorted(str(path.relative_to(work)) for path in work.rglob("*") if path.is_file())
        named = f"no {reading.files}" if reading.files else "no returns"
        raise Refused(f"wrote {named}, only {', '.join(there[:5])}" if there else "wrote nothing")
    return logs.read(written, reading, expected(cell, reading), cell.evaluation.modes, cell.seeds[0])


def expected(cell: Cell, reading: Reading) -> Expected:
    """What the logs of a cell must agree with."""
    limit = metadata.probe(cell.environment).time_limit
    n_envs = reading.n_envs or cell.n_envs
    return Expected(cell.environment, cell.budget, n_envs, cell.evaluation.points, limit)


def record(recorder: Recorder, logged: logs.Logged) -> None:
    """Add what was logged to the rows of the cell's one seed, which fails if they cannot be the cell's."""
    cell = recorder.cell
    arm = {name: getattr(cell, name) for name in ("implementation", "algorithm", "environment")}
    recorder.episodes += [{**arm, "seed": cell.seeds[0], **row} for row in logged.episodes]
    recorder.evaluations += [{**arm, "seed": cell.seeds[0], **row} for row in logged.evaluations]
    row_checks.check(recorder)
