"""Freed memory stays with the process, where the C library is glibc."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

COUNT = """
import ctypes, resource
from rlparity.runs.malloc import MMAP_THRESHOLD, TRIM_THRESHOLD, keep_freed_memory
for name in (MMAP_THRESHOLD, TRIM_THRESHOLD):
    ctypes.CDLL(None).mallopt(name, 2**17)  # as a process starts
{call}
def block():
    parts = [bytearray(b"1") * 2**18 for _ in range(12)]
for _ in range(10):
    block()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    block()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(call: str) -> int:
    """Page faults while twelve blocks of 256 KiB come and go ten times, after ten times before."""
    done = subprocess.run([sys.executable, "-c", COUNT.format(call=call)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_freed_memory_is_reused():
    assert faults("assert keep_freed_memory()") < 100 < faults("pass")


def test_other_systems_are_left_alone(monkeypatch: pytest.MonkeyPatch):
    from rlparity.runs import malloc

    monkeypatch.setattr(sys, "platform", "darwin")
    assert not malloc.keep_freed_memory()
