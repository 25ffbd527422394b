"""A candidate that comes as finished logs: nothing is run."""

from __future__ import annotations

import os
from pathlib import Path

from rlparity.candidates.command import expected, fill
from rlparity.cell import Cell
from rlparity.log_readers import convert as logs
from rlparity.log_readers import seeds
from rlparity.log_readers.series import Reading, Refused
from rlparity.training.recorder import Recorder


def run(cell: Cell, folder: Path, rows: Recorder) -> tuple[str, ...]:
    """Fill `rows` with what the logs say of the one seed of a cell; returns notes. What cannot be used is the
    reason why the seed failed."""
    assert len(cell.seeds) == 1, "logs are read seed by seed"
    seed, base = cell.seeds[0], Path(cell.candidate.get("folder", ".")).resolve()
    how = Reading.of(cell.candidate.get("returns", {}))
    rows.finish()
    try:
        found = seeds.of(cell.candidate, cell.environment, base)
        if seed not in found.files:
            raise Refused(f"{cell.candidate['logs']}: no run of seed {seed}")
        logged = logs.read(found.files[seed], how, expected(cell, how), cell.evaluation.modes, seed)
    except Refused as refused:
        rows.failed[seed] = str(refused)
        return ()
    fill(rows, logged)
    root = os.path.commonpath([file.parent for file in found.files[seed]])
    return (*found.notes, *(note.replace(f"{root}/", "") for note in logged.notes))
