"""What a command that must fail prints, and how random input is drawn."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

from rlparity.__main__ import main

NARROW = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What a command that must fail says."""
    capsys.readouterr()
    try:
        status = main(list(arguments))
    except SystemExit as ended:  # argparse
        status = int(ended.code or 0)
    said = capsys.readouterr().err
    assert status not in (0, None)
    assert said.strip() and "Traceback" not in said
    assert all(len(line) < 2000 for line in said.splitlines())
    return said
