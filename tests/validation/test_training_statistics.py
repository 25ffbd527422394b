"""Which cells the statistics layer trains."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from rlparity.cell import Cell
from rlparity.environments.probing import request
from rlparity.environments.probing.request import Finding
from rlparity.validation import statistics

pytestmark = pytest.mark.probes


def test_a_cell_that_waits_is_trained_once_also_without_checkpoints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where an environment cannot be resumed, its cells lose their checkpoints before they are trained."""
    trained: list[Cell] = []

    def train(cell: Cell, results: Path) -> tuple[str, float]:
        trained.append(cell)
        return "", 0.0

    first = Cell("suite", "CartPole-v1", "theirs", "ppo", "ppo", (0,), 1000, candidate={"entry": "json:load"})
    first = dataclasses.replace(first, checkpoint_every=100)
    cells = [first, dataclasses.replace(first, seeds=(1,))]
    monkeypatch.setattr(request, "probe", lambda names, *_: [Finding("CartPole-v1", resumes=False)])
    monkeypatch.setattr(statistics, "_failed", lambda cell, results: True)
    monkeypatch.setattr(statistics, "_train", train)
    statistics.train(cells, tmp_path, 1, lambda line: None)
    assert [(cell.seeds, cell.checkpoint_every) for cell in trained] == [((0,), 0), ((1,), 0)]
