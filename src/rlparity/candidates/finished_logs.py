"""Read a candidate from the logs of finished trainings; nothing is run."""

from __future__ import annotations

import os
from pathlib import Path

from rlparity.candidates import settings
from rlparity.candidates.command import expected, record
from rlparity.cell import Cell
from rlparity.log_readers import convert as logs
from rlparity.log_readers import seeds
from rlparity.log_readers.series import EVALUATION, TRAINING, Reading, Refused
from rlparity.log_readers.settings import read as stated_in
from rlparity.training.recorder import Recorder


def run(cell: Cell, folder: Path, recorder: Recorder) -> tuple[str, ...]:
    """Record what the logs contain of the one seed of a cell; returns notes.

    If they cannot be used, the seed has failed, with the reason.
    """
    assert len(cell.seeds) == 1, "logs are read seed by seed"
    seed, base = cell.seeds[0], Path(cell.candidate.get("folder", ".")).resolve()
    reading = Reading.of(cell.candidate.get("returns", {}))
    recorder.finish()
    settings.keep(cell, folder)
    try:
        found = seeds.of(cell.candidate, cell.environment, base)
        if seed not in found.files:
            raise Refused(f"{cell.candidate['logs']}: no run of seed {seed}")
        settings.keep(cell, folder, stated_in(found.files[seed], cell.environment))
        logged = logs.read(found.files[seed], reading, expected(cell, reading), cell.evaluation.modes, seed)
    except Refused as refused:
        recorder.failed[seed] = str(refused)
        return ()
    record(recorder, logged)
    root = os.path.commonpath([file.parent for file in found.files[seed]])
    notes = [note.replace(f"{root}/", "") for note in logged.notes]
    others = seeds.measures(found, cell.candidate)
    if not logged.evaluations and EVALUATION in others:
        notes.append("no evaluations, which others have: all are judged by their returns in training")
    if not logged.episodes and TRAINING in others:
        notes.append("no returns in training, which others have: all are judged by their evaluations")
    return (*found.notes, *notes)


def versions(cell: Cell) -> dict[str, str]:
    """Nothing: logs do not contain the versions of what wrote them."""
    return {}
