"""One core for all that is timed."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from rlparity.benchmark import pinning
from rlparity.errors import UserError

ASK = [sys.executable, "-c", "import os; print(sorted(os.sched_getaffinity(0)))"]


@pytest.mark.skipif(not pinning.allowed(), reason="this system keeps no process to a core")
def test_processes_started_meanwhile_are_kept_on_the_core_and_others_are_not():
    before = os.sched_getaffinity(0)
    core = pinning.choose()
    assert core == max(before)
    with pinning.pinned(core):
        assert subprocess.check_output(ASK, text=True).strip() == f"[{core}]"
    assert os.sched_getaffinity(0) == before


@pytest.mark.skipif(not pinning.allowed(), reason="this system keeps no process to a core")
def test_the_cores_come_back_after_an_error():
    before = os.sched_getaffinity(0)
    with pytest.raises(ZeroDivisionError), pinning.pinned(min(before)):
        1 / 0  # noqa: B018
    assert os.sched_getaffinity(0) == before


def test_a_core_that_is_not_allowed_is_one_line(monkeypatch):
    monkeypatch.setattr(pinning, "allowed", lambda: [2, 5])
    assert (pinning.choose(), pinning.choose(2)) == (5, 2)
    with pytest.raises(UserError, match=r"^bench: --core 3; allowed are 2, 5$"):
        pinning.choose(3)


def test_where_no_process_can_be_kept_to_a_core_none_is(monkeypatch):
    monkeypatch.setattr(pinning, "allowed", lambda: [])
    assert pinning.choose() is None
    with pinning.pinned(None):
        pass
    with pytest.raises(UserError, match="no process to a core"):
        pinning.choose(0)
