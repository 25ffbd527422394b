"""What a command that must fail prints, and how random input is drawn."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

from rlparity.__main__ import main

NARROW = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What a command prints to stderr; it must fail."""
    capsys.readouterr()
    status = main(list(arguments))
    printed = capsys.readouterr().err
    assert status not in (0, None)
    assert printed.strip() and "Traceback" not in printed
    assert all(len(line) < 2000 for line in printed.splitlines())
    return printed
