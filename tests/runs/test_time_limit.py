"""A cell that hangs is stopped at its time limit, in Python and in an extension module alike."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.whole

HANGS = {
    "in a loop": "while True: pass",
    "in an extension that holds the interpreter": "import ctypes; ctypes.PyDLL(None).sleep(30)",
    "deaf to SIGTERM": "import signal; signal.signal(signal.SIGTERM, lambda *_: None)\n    while True: pass",
}
PROGRAM = """
from pathlib import Path
from rlparity.runs import time_limit
time_limit.GRACE_S = 0.5
with time_limit.limited({seconds}, Path("results/cell")):
    {work}
print("done")
"""


def run(work: str, seconds: float) -> subprocess.CompletedProcess[str]:
    program = PROGRAM.format(seconds=seconds, work=work)
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=25)


@pytest.mark.parametrize("work", HANGS.values(), ids=HANGS)
def test_what_hangs_is_stopped(work: str) -> None:
    started = time.monotonic()
    ended = run(work, 0.2)
    assert time.monotonic() - started < 20
    assert ended.returncode in (1, -15) and "done" not in ended.stdout
    assert "time limit of 0.2 s is over" in ended.stderr or "Timeout" in ended.stderr


@pytest.mark.parametrize("seconds", [0, 20])
def test_what_ends_in_time_is_left_alone(seconds: float) -> None:
    ended = run("import time; time.sleep(0.2)", seconds)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "done\n", "")
