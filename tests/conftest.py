"""Fixtures that tests of several packages use."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from rlparity import project_files

ROOT = Path(__file__).resolve().parents[1]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let processes that share the files begin with those that take long, so that all end together."""
    if hasattr(config, "workerinput"):
        rings = ("whole", "probes")
        long = {ring: {item.path for item in items if item.get_closest_marker(ring)} for ring in rings}
        items.sort(key=lambda item: [item.path not in long[ring] for ring in rings])


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs a GPU where there is none."""
    if item.get_closest_marker("cuda"):
        import torch

        if not torch.cuda.is_available():
            pytest.skip("PyTorch finds no CUDA device here")


@pytest.fixture(autouse=True)
def apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take over no records of this checkout's reports but where a test names that folder, and forget the
    folders that commands put on the path."""
    monkeypatch.setattr(project_files, "REPORTS", project_files.PROJECT / "no reports")
    monkeypatch.setattr(sys, "path", [*sys.path])


@pytest.fixture
def in_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in the root of this checkout."""
    monkeypatch.chdir(ROOT)


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """The file of a suite for `rlparity validate`."""
    from validating import SUITE

    path = tmp_path / "tiny.yaml"
    path.write_text(SUITE)
    return path
