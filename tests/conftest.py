"""Fixtures that tests of several packages use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rlparity import settings

ROOT = Path(__file__).parents[1]


@pytest.fixture
def in_checkout(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Work in the root of this checkout, with its settings; what was read elsewhere is forgotten."""
    monkeypatch.chdir(ROOT)
    for cached in (settings.root, settings.library):
        cached.cache_clear()
    yield
    for cached in (settings.root, settings.library):
        cached.cache_clear()


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """The file of a suite for `rlparity validate`."""
    from validating import SUITE

    path = tmp_path / "tiny.yaml"
    path.write_text(SUITE)
    return path
