"""Clocks that go forward at once where a test would have to wait."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from rlparity.candidates import process_group


def jump_once_there(monkeypatch: pytest.MonkeyPatch, sign: Path, seconds: float) -> None:
    """As soon as the file `sign` exists, whoever watches a program finds that so much time has passed."""
    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + seconds * sign.exists())
    monkeypatch.setattr(process_group, "time", clock)
