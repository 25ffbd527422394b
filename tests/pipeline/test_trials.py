"""The trials that disturb real runs take too long for every change: their records are committed."""

from __future__ import annotations

import json
import re
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("script", ["faults", "slurm"])
def test_every_trial_was_made_and_passed(script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "tests" / "trials")
    module = import_module(script)
    wanted = {*module.TRIALS, getattr(module, "SMOKE", next(iter(module.TRIALS)))}
    record = json.loads((ROOT / "reports" / script / "record.json").read_text())["trials"]
    assert {trial["trial"] for trial in record} == wanted
    assert [trial["trial"] for trial in record if not trial["passed"]] == []
    assert all(re.fullmatch("[0-9a-f]{40}", trial["commit"]) for trial in record)
