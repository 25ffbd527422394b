"""What is recorded of the machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from rlparity.provenance import host

X86 = "processor\t: 0\nmodel name\t: AMD EPYC\nflags\t\t: fpu sse2 fma avx avx2 avx512f avx512_vnni\n\n"
ARM = "processor\t: 0\nBogoMIPS\t: 243.75\nFeatures\t: fp asimd sve\n"


@pytest.fixture
def cpuinfo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "cpuinfo"
    monkeypatch.setattr(host, "CPUINFO", file)
    monkeypatch.setattr(sys, "platform", "linux")
    for name in [name for name in os.environ if name.startswith(host.STEERING)]:
        monkeypatch.delenv(name)
    return file


def test_instructions_tell_processors_of_one_name_apart(cpuinfo: Path) -> None:
    cpuinfo.write_text(X86 + X86)
    newer = host.hardware()
    cpuinfo.write_text(X86.replace(" avx512f avx512_vnni", ""))
    older = host.hardware()
    assert newer["cpu"] == older["cpu"] == "AMD EPYC"
    assert newer["instructions"].split()[1:] == ["avx2", "fma", "avx512f", "avx512_vnni"]
    assert older["instructions"].split()[1:] == ["avx2", "fma"]


def test_arm_lists_features(cpuinfo: Path) -> None:
    cpuinfo.write_text(ARM)
    assert (host.instructions() or "").split()[1:] == ["asimd", "sve"]


def test_variables_that_limit_instructions_are_named(cpuinfo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cpuinfo.write_text(X86)
    monkeypatch.setenv("MKL_ENABLE_INSTRUCTIONS", "AVX2")
    assert (host.instructions() or "").endswith("avx512_vnni MKL_ENABLE_INSTRUCTIONS=AVX2")


@pytest.mark.whole
@pytest.mark.skipif(sys.platform != "linux", reason="names kernels on Linux only")
def test_the_choice_of_pytorch_comes_first() -> None:
    code = "from rlparity.provenance import host; import json; print(json.dumps(host.hardware()))"
    variables = {
        **{name: value for name, value in os.environ.items() if not name.startswith(host.STEERING)},
        "ATEN_CPU_CAPABILITY": "default",
        "PYTHONPATH": ":".join(filter(None, sys.path)),
    }
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=variables)
    first, *rest = json.loads(done.stdout)["instructions"].split()
    assert first in ("DEFAULT", "NO AVX") and rest[-1] == "ATEN_CPU_CAPABILITY=default"


def test_other_systems_have_none(cpuinfo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    found = host.hardware()
    assert found["instructions"] is None and found["cpu"]


def test_rounding_depends_on_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    on = host.rounding(host.hardware())
    monkeypatch.setenv("RLPARITY_KERNEL", "off")
    off = host.rounding(host.hardware())
    assert on != off and off.endswith("; off") and "numba" in on
    assert host.rounding({}) == "an unknown processor"


def test_peak_memory_has_one_unit_on_all_systems(monkeypatch: pytest.MonkeyPatch) -> None:
    """getrusage(2): KiB on Linux, bytes on macOS."""
    monkeypatch.setattr(host.resource, "getrusage", lambda _: SimpleNamespace(ru_maxrss=3 * 2**20))
    monkeypatch.setattr(sys, "platform", "linux")
    assert host.peak_memory_mib() == 3 * 2**10
    monkeypatch.setattr(sys, "platform", "darwin")
    assert host.peak_memory_mib() == 3


def test_cores_are_those_of_the_machine_where_processes_cannot_be_pinned(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert host.cores() == len(os.sched_getaffinity(0))
    monkeypatch.delattr(os, "sched_getaffinity")  # macOS has none
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    assert host.cores() == 7


def test_the_commit_is_that_of_these_sources_and_of_no_other_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the package is installed in a virtual environment inside of somebody's repository."""

    def git(*words: str) -> None:
        own = ("-c", "user.name=a", "-c", "user.email=a@b")
        subprocess.run(["git", "-C", str(tmp_path), *own, *words], check=True, capture_output=True)

    git("init")
    git("commit", "--allow-empty", "--message", "theirs")
    inside = tmp_path / ".venv" / "rlparity" / "project"
    inside.mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(host, "PROJECT", inside)
    assert host.git() == {"commit": None, "dirty": None}
    monkeypatch.setattr(host, "PROJECT", tmp_path)
    assert host.git()["commit"] and host.git()["dirty"] is False
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "new.py").touch()
    assert host.git()["dirty"] is True
