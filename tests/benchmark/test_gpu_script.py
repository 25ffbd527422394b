"""`rlparity dev gpu`: blocks within their limits, resumed after a kill, and what comes of the archive.

Blocks are small programs here; the real ones run once, on the CPU, with tiny budgets.
"""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import json
import os
import random
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from rlparity import project_files
from rlparity.__main__ import main
from rlparity.benchmark import pinning, table
from rlparity.benchmark import plan as bench_plan
from rlparity.benchmark.gpu import archive, blocks, process, script
from rlparity.benchmark.gpu.blocks import Block, Options
from rlparity.environments import metadata
from rlparity.errors import UserError
from rlparity.runs import pending
from rlparity.suites import memory_needs, suite

SUITE = """\
name: tiny
title: Tiny
environments: [CartPole-v1]
algorithms: [ppo]
implementations: [scratch]
seeds: [0]
budgets: {default: 512}
evaluation: {points: 1, episodes: 1, final_episodes: 1}
device: auto
"""
SLEEPER = """
import os, pathlib, subprocess, sys, time
work = pathlib.Path(sys.argv[1])
inner = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(60)"])
(work / "pids").write_text(f"{os.getpid()} {inner.pid}")
try:
    time.sleep(0 if (work / "saved").exists() else 60)
except KeyboardInterrupt:
    (work / "saved").write_text("")
    sys.exit(130)
inner.kill()
"""
DEAF = "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); time.sleep(60)"


def block(name: str, code: str, limit_s: float = 20, **options: Any) -> Block:
    """A block that runs a Python program, which is given the work folder."""
    order = options.pop("order", {})
    run = [sys.executable, "-S", "-c", code]
    return Block(name, limit_s, order, lambda work: [*run, str(work)], **options)


def append(text: str) -> str:
    """A program that adds a line to the file `ran`."""
    return f"import sys, pathlib; pathlib.Path(sys.argv[1], 'ran').open('a').write('{text}\\n')"


class Calls:
    """Calls of the script in one folder, each of which reads its state anew."""

    def __init__(self, work: Path):
        self.work, self.kept = work, list[dict[str, Any]]()

    def __call__(self, *asked: Block, minutes: float = 9) -> tuple[bool, list[str]]:
        lines: list[str] = []
        made = script.Script(self.work, lines.append, lambda ran: self.kept.append(ran.copy()))
        return made.run(asked, minutes, time.monotonic()), lines

    @property
    def ran(self) -> list[str]:
        return (self.work / "ran").read_text().splitlines()


@pytest.fixture
def call(tmp_path: Path) -> Calls:
    return Calls(tmp_path / "work")


def gone(pid: int) -> bool:
    """Whether a process ends within some seconds; one that nobody has waited for counts as ended."""
    for _ in range(200):
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.05)
    return False


def test_every_block_runs_once_in_order(call: Calls) -> None:
    two = block("one", append("one")), block("two", append("two"))
    whole, lines = call(*two)
    assert whole and call.ran == ["one", "two"]
    assert [line.split(" in ")[0] for line in lines] == [
        "one: starts, limit 20 s", "one: done", "two: starts, limit 20 s", "two: done",
    ]  # fmt: skip
    assert call(*two) == (True, ["one: skipped: done before", "two: skipped: done before"])
    assert call.ran == ["one", "two"]
    assert [list(state) for state in call.kept[:3]] == [[], ["one"], ["one", "two"]]


def test_a_block_that_fails_stops_no_other_and_is_tried_again(call: Calls) -> None:
    bad, good = block("bad", "import sys; print('why'); sys.exit(3)"), block("good", append("good"))
    whole, lines = call(bad, good)
    assert not whole and call.ran == ["good"]
    log = call.work / "logs" / "bad.log"
    assert lines[1].startswith("bad: failed in ") and lines[1].endswith(f"exit status 3: why ({log})")
    assert lines[-1] == "not done: bad (failed); the same command goes on with them"
    assert call(replace(bad, command=block("bad", append("bad")).command), good)[0]
    assert call.ran == ["good", "bad"]


def test_a_block_over_its_limit_is_asked_to_end_and_goes_on_in_the_next_call(call: Calls) -> None:
    slow = block("slow", SLEEPER, limit_s=4)
    started = time.monotonic()
    whole, lines = call(slow, block("next", append("next")))
    assert not whole and call.ran == ["next"] and time.monotonic() - started < 20
    assert lines[1] == "slow: stopped at its limit of 4 s; the next call goes on with it"
    assert (call.work / "saved").exists()
    assert all(gone(int(pid)) for pid in (call.work / "pids").read_text().split())
    whole, lines = call(slow, minutes=1)
    limit = int(lines[0].removeprefix("slow: starts, limit ").removesuffix(" s"))
    assert whole and 40 <= limit <= 55  # the time that is left, since it was stopped before


def test_a_block_that_does_not_heed_is_killed(call: Calls) -> None:
    started = time.monotonic()
    whole, lines = call(block("deaf", DEAF, limit_s=1))
    assert not whole and "stopped at its limit of 1 s" in lines[1]
    assert time.monotonic() - started < 20


def test_a_block_that_does_not_fit_is_skipped_and_what_is_left_over_is_used(call: Calls) -> None:
    long, short = block("long", append("long"), limit_s=50), block("short", append("short"), limit_s=20)
    last = block("last", append("last"), limit_s=10, takes_spare=True)
    minutes = (45 + script.RESERVE_S) / 60
    whole, lines = call(long, short, last, minutes=minutes)
    assert not whole and call.ran == ["short", "last"]
    needs, left = lines[0].split(", ")
    assert needs == "long: skipped: needs 50 s" and left.endswith(f" s are left of {minutes:g} min")
    limit = int(lines[3].removeprefix("last: starts, limit ").removesuffix(" s"))
    assert 30 <= limit <= 45
    assert lines[-1] == "not done: long (not begun); the same command goes on with them"


def test_another_order_is_run_again_from_nothing(call: Calls) -> None:
    make = "import sys, pathlib; pathlib.Path(sys.argv[1], 'made').mkdir(); "
    first = block("made", make + append("made"), order={"sources": "a"})
    assert call(first)[0] and (call.work / "made").is_dir()
    assert call(replace(first, order={"sources": "b"}))[0]
    assert call.ran == ["made", "made"]


def test_what_a_block_left_counts_only_with_the_order_that_made_it(call: Calls) -> None:
    """A damaged state is forgotten, and with it the rows that other sources may have measured."""
    made = call.work / "made" / "rows"
    made.parent.mkdir(parents=True)
    made.write_text("of sources that nobody knows")
    (call.work / "state.json").write_text("{")
    assert call(block("made", append("made"), order={"sources": "b"}))[0]
    assert call.ran == ["made"] and not made.exists()


def test_a_second_interruption_leaves_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(asked: subprocess.Popen[bytes], patience_s: float) -> None:
        pids.append(asked.pid)
        raise KeyboardInterrupt

    pids = list[int]()
    monkeypatch.setattr(process, "_ask", interrupted)
    asleep = [sys.executable, "-S", "-c", "import time; time.sleep(60)"]
    with pytest.raises(KeyboardInterrupt):
        process.run(asleep, tmp_path, tmp_path / "log", 0.5, dict(os.environ))
    assert gone(pids[0])


def test_a_state_of_another_format_is_not_used(call: Calls) -> None:
    call.work.mkdir()
    for text in ("[]", "{", '{"format": 99, "blocks": {"one": {"outcome": "done", "order": {}}}}'):
        (call.work / "state.json").write_text(text)
        assert call(block("one", append(text[0])))[0]
    assert call.ran == ["[", "{", "{"]


RUNNER = """
import pathlib, sys, time
from rlparity.benchmark.gpu import script
from rlparity.benchmark.gpu.blocks import Block
work, code = pathlib.Path(sys.argv[1]), sys.argv[2]
block = Block("slow", 60, {}, lambda work: [sys.executable, "-S", "-c", code, str(work)])
script.Script(work, print, lambda ran: None).run([block], 9, time.monotonic())
"""


@pytest.mark.whole
def test_a_script_that_is_killed_takes_its_block_with_it_and_is_resumed(call: Calls) -> None:
    call.work.mkdir()
    running = subprocess.Popen([sys.executable, "-c", RUNNER, str(call.work), SLEEPER])
    try:
        while not (call.work / "pids").exists() or not (call.work / "pids").read_text():
            assert running.poll() is None
            time.sleep(0.05)
    finally:
        running.kill()
        running.wait()
    leader, _ = map(int, (call.work / "pids").read_text().split())
    assert gone(leader)
    state = json.loads((call.work / "state.json").read_text())
    assert state["blocks"]["slow"]["outcome"] == script.STOPPED
    (call.work / "saved").touch()
    assert call(block("slow", SLEEPER))[0]


def test_two_calls_at_once_are_refused(tmp_path: Path) -> None:
    work, refused = tmp_path / "work", "another rlparity dev gpu is running there"
    with script.alone(work), pytest.raises(UserError, match=refused), script.alone(work):
        pass
    with script.alone(work):
        pass


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(SUITE)
    return path


def test_the_limits_fit_into_the_minutes() -> None:
    found = blocks.plan(Options("cuda", blocks.SIZES, None, suite.find("gpu")))
    names = [one.name for one in found.blocks]
    games = [f"cells-ALE_{game}-v5@nature" for game in ("Pong", "Breakout")]
    benches = [f"bench-{name}" for name in ("ppo", "dqn", "sac", "td3", "pong")]
    assert names == ["facts", "tests", *benches, *games, "cells-HalfCheetah-v5", "cells-Ant-v5"]
    assert sum(one.limit_s for one in found.blocks) <= 60 * blocks.MINUTES - script.RESERVE_S - 5
    assert (found.about["suite"], found.about["device"]) == ("gpu", "cuda")


def test_a_bench_asks_for_the_sizes_that_are_not_measured_yet(tiny: Path, tmp_path: Path) -> None:
    found = {one.name: one for one in blocks.plan(Options("cuda", (1, 10), 300, tiny)).blocks}
    bench = found["bench-sac"]

    def seeds() -> str:
        command = bench.command(tmp_path)
        assert command is not None and command[-2:] == ["--budget", "300"]
        return command[command.index("--seeds") + 1]

    assert seeds() == "1,10"
    for implementation, n_seeds in (("sb3", 1), ("sb3", 10), ("scratch", 1)):
        rows = [row(implementation=implementation, seeds=n_seeds)]
        table.save(tmp_path / "bench-sac" / blocks.TABLE, rows)
    assert seeds() == "10"
    table.save(tmp_path / "bench-sac" / blocks.TABLE, [row(implementation="scratch", seeds=10)])
    assert bench.command(tmp_path) is None


@pytest.mark.parametrize("name", blocks.BENCHES)
def test_fifty_seeds_fit_into_a_small_gpu(name: str) -> None:
    """A replay memory on a GPU is allocated whole: no larger than what is written."""
    algorithm, environment, only, _ = blocks.BENCHES[name]
    cells = bench_plan.cells(algorithm, environment, only or blocks.SIZES, device="cuda")
    for cell in cells:
        assert memory_needs.memory_bytes(cell, metadata.probe(environment)) < 2**30


def test_cells_are_trained_in_the_blocks_that_are_asked_for(tmp_path: Path) -> None:
    """The pipeline would divide blocks by the cores: then the files that are named would be nobody's."""
    for split, n in ((None, 1), (2, 2)):
        path = tmp_path / "ten.yaml"
        raw = {**yaml.safe_load(SUITE), "seeds": ["0-9"], "budgets": {"default": 5_000_000}}
        path.write_text(yaml.safe_dump(raw if split is None else {**raw, "split": split}))
        asked = blocks.plan(Options("cpu", (1,), None, path)).blocks[-1].command(tmp_path)
        assert asked is not None
        targets = [word for word in asked if word.endswith("run.json")]
        assert len(targets) == n and f"split={n}" in asked


def test_cells_share_a_gpu_by_cores_and_memory() -> None:
    gib = 2**30
    assert blocks.at_once(16, 139 * gib) == blocks.MOST_AT_ONCE == 8
    assert blocks.at_once(4, 139 * gib) == 2
    assert blocks.at_once(16, 12 * gib) == 3
    assert blocks.at_once(1, 0) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--minutes", "0"], "gpu: --minutes 0; at least 1"),
        (["--budget", "0"], "gpu: --budget 0; at least 1"),
        (["--seeds", "many"], "gpu: --seeds 'many'; numbers of seeds, such as 1,10"),
        (["--device", "cpu", "--only", "fact"], "did you mean 'facts'?"),
        (["--device", "cpu", "--suite", "nowhere"], "unknown suite 'nowhere'"),
        (["--device", "cpu", "--archive", "/"], "gpu: --archive /; a file, not a folder"),
        (["--device", "cpu", "--archive", "/etc/passwd/a"], "/etc/passwd: cannot be written to"),
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["dev", "gpu", *arguments, "--results", str(tmp_path)]) == 4
    error = capsys.readouterr().err
    assert message in error and error.count("rlparity: ") == 1 and list(tmp_path.iterdir()) == []


def test_a_machine_without_a_gpu_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("rlparity.suites.devices._cuda", lambda: False)
    assert main(["dev", "gpu", "--results", str(tmp_path)]) == 4
    expected = "rlparity: gpu: PyTorch finds no CUDA device here; --device cpu tries the script\n"
    assert capsys.readouterr().err == expected


# --- archives


def row(**values: Any) -> dict[str, Any]:
    """A row of throughput.csv."""
    blank = dict.fromkeys(table.COLUMNS, "")
    known = {"algorithm": "ppo", "environment": "CartPole-v1", "settings": bench_plan.TUNED}
    known |= {"implementation": "scratch", "seeds": 1, "threads": 1, "device": "cuda"}
    measured = {
        "hardware": "Invented GPU, Invented CPU",
        "steps_per_second": 100.0,
        "rounds": 1,
        "budget": 512,
    }
    return {**blank, **known, **measured, "ratio_to_reference": 1.0, **values}


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


MANIFEST = {"format": archive.FORMAT, "rlparity": "0.1.0", "suite": "tiny", "device": "cpu", "blocks": {}}


def packed(path: Path, files: dict[str, str], links: dict[str, str] | None = None) -> Path:
    with tarfile.open(path, "w:gz") as made:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            made.addfile(member, io.BytesIO(text.encode()))
        for name, target in (links or {}).items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, target
            made.addfile(member)
    return path


def with_manifest(**changes: Any) -> dict[str, str]:
    return {"gpu.json": json.dumps({**MANIFEST, **changes})}


def without(key: str) -> dict[str, str]:
    return {"gpu.json": json.dumps({name: value for name, value in MANIFEST.items() if name != key})}


def truncated(path: Path) -> None:
    packed(path, with_manifest())
    path.write_bytes(path.read_bytes()[:60])


def as_csv(*made: dict[str, Any]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, table.COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(made)
    return text.getvalue()


NOT = ": not an archive of rlparity dev gpu ("
EVIL = {**with_manifest(), "../evil": "x"}
FOREIGN = {**with_manifest(), "throughput/bench-a.csv": "a,b\n1,2\n"}
DEEP = "[" * 100_000
NEWER = with_manifest(format=9, rlparity="9.9")


def with_row(**values: Any) -> dict[str, str]:
    return {**with_manifest(), "throughput/bench-a.csv": as_csv(row(**values))}


def special(path: Path, name: str = "a", kind: bytes = tarfile.REGTYPE, **fields: Any) -> None:
    """An archive whose second member is made by hand."""
    packed(path, with_manifest())
    content = gzip.decompress(path.read_bytes())[:1024]
    member = tarfile.TarInfo(name)
    member.type = kind
    for field, value in fields.items():
        setattr(member, field, value)
    path.write_bytes(gzip.compress(content + member.tobuf(tarfile.GNU_FORMAT) + bytes(1024)))


PLAIN = "is not a file with a plain name"
NO_TABLE = "bench-a.csv is no table of speeds (ValueError: "
ABOVE = f"{NO_TABLE}a speed or one of seeds, threads, rounds, budget is not above 0"
BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "none": (lambda path: None, ": no such file"),
    "text": (lambda path: path.write_text("text"), f"{NOT}BadGzipFile: Not a gzip"),
    "empty": (lambda path: path.write_bytes(b""), NOT),
    "truncated": (truncated, NOT),
    "a folder": (lambda path: path.mkdir(), ": cannot be unpacked (Is a directory)"),
    "another tar": (lambda path: packed(path, {"a": "b"}), f"{NOT}gpu.json: FileNotFoundError"),
    "no JSON": (lambda path: packed(path, {"gpu.json": "{"}), f"{NOT}gpu.json: JSONDecodeError"),
    "deep": (lambda path: packed(path, {"gpu.json": DEEP}), f"{NOT}gpu.json: RecursionError"),
    "a list": (lambda path: packed(path, {"gpu.json": "[]"}), f"{NOT}gpu.json: TypeError"),
    "no device": (lambda path: packed(path, without("device")), f"{NOT}gpu.json: KeyError: 'device'"),
    "blocks": (lambda path: packed(path, with_manifest(blocks=3)), "its blocks or its device are not known"),
    "a block": (lambda path: packed(path, with_manifest(blocks={"a": 3})), f"{NOT}gpu.json: TypeError"),
    "format": (lambda path: packed(path, NEWER), "of format 9, expected 1; take it with rlparity 9.9, which"),
    "suite": (lambda path: packed(path, with_manifest(suite="other")), "'other'; name it with --suite"),
    "escapes": (lambda path: packed(path, with_manifest(blocks={"\x1b[2J": {"outcome": "done"}})), "printed"),
    "outside": (lambda path: packed(path, EVIL), f": not taken: '../evil' {PLAIN}"),
    "absolute": (lambda path: special(path, "/evil"), f": not taken: '/evil' {PLAIN}"),
    "up": (lambda path: special(path, "a/../../evil"), PLAIN),
    "here": (lambda path: special(path, "./gpu.json"), PLAIN),
    "a name": (lambda path: special(path, "a\x1b[2Jb"), f"'a\\x1b[2Jb' {PLAIN}"),
    "a link": (lambda path: packed(path, with_manifest(), {"a": "gpu.json"}), f": not taken: 'a' {PLAIN}"),
    "a hard link": (lambda path: special(path, kind=tarfile.LNKTYPE, linkname="b"), f"'a' {PLAIN}"),
    "a pipe": (lambda path: special(path, kind=tarfile.FIFOTYPE), f"'a' {PLAIN}"),
    "a size": (lambda path: special(path, size=-512), PLAIN),
    "columns": (lambda path: packed(path, FOREIGN), f"{NO_TABLE}its col"),
    "speed": (lambda path: packed(path, with_row(steps_per_second=0)), ABOVE),
    "endless": (lambda path: packed(path, with_row(steps_per_second="inf")), ABOVE),
    "budget": (lambda path: packed(path, with_row(budget="")), f"{NO_TABLE}invalid literal"),
    "ratio": (lambda path: packed(path, with_row(ratio_to_reference="x")), f"{NO_TABLE}could not convert"),
    "size": (lambda path: packed(path, with_row(gflops="nan")), f"{NO_TABLE}gflops is 'nan'"),
    "settings": (lambda path: packed(path, with_row(configuration="[]")), f"{NO_TABLE}configuration is '[]'"),
    "rates": (
        lambda path: packed(path, with_row(rates=DEEP)),
        "bench-a.csv is no table of speeds (Recursion",
    ),
    "environment": (lambda path: packed(path, with_row(environment="")), "hardware is missing"),
    "a cell": (lambda path: packed(path, with_row(environment="a\x1b[2J")), "environment has characters"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_archive_is_one_line_and_nothing_is_taken(
    kind: str, tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make, message = BAD[kind]
    path, into = tmp_path / "gpu.tar.gz", tmp_path / "into"
    make(path)
    before = sorted(tmp_path.rglob("*"))
    arguments = ["--suite", str(tiny), "--results", str(into / "results"), "--reports", str(into / "reports")]
    assert main(["dev", "gpu", "--take", str(path), *arguments]) == 4
    error = capsys.readouterr().err
    assert error.startswith(f"rlparity: {path}: ") and message in error and error.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_an_archive_that_unpacks_to_much_is_refused(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "LARGEST", 1000)
    path = packed(tmp_path / "gpu.tar.gz", {**with_manifest(), "logs/a.log": 2000 * " "})
    with pytest.raises(UserError, match="unpacked it has more than"):
        archive.take(path, tiny, tmp_path / "results", tmp_path / "reports")
    monkeypatch.setattr(archive, "MOST", 1)
    packed(path, {**with_manifest(), "logs/a.log": ""})
    with pytest.raises(UserError, match="more than 1 files or 0 MiB"):
        archive.take(path, tiny, tmp_path / "results", tmp_path / "reports")


def test_an_archive_that_was_cut_or_changed_anywhere_is_refused_or_read(tmp_path: Path) -> None:
    """No damage is an error of another kind; half of an archive is never read."""
    path = packed(tmp_path / "whole.tar.gz", {**with_manifest(), "throughput/bench-a.csv": as_csv(row())})
    whole, damaged = path.read_bytes(), tmp_path / "gpu.tar.gz"
    for end in (*range(0, len(whole), 29), *range(len(whole) - 12, len(whole))):
        damaged.write_bytes(whole[:end])
        with pytest.raises(UserError), archive._unpacked(damaged):
            pass
    for place in (*range(30, len(whole), 29), *range(len(whole) - 8, len(whole))):
        damaged.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(UserError), archive._unpacked(damaged):
            pass
    content, chance, read = gzip.decompress(whole)[:2560], random.Random(0), 0
    for _ in range(150):
        changed = bytearray(content)
        for _ in range(chance.choice((1, 2, 5))):
            changed[chance.randrange(512)] = chance.randrange(256)
        checksum = 256 + sum(changed[:148]) + sum(changed[156:512])  # a header is refused by it, so made anew
        changed[148:156] = b"%06o\0 " % checksum
        damaged.write_bytes(gzip.compress(bytes(changed), 1))
        with contextlib.suppress(UserError), archive._unpacked(damaged):
            read += 1
    assert 0 < read < 150


def test_a_record_of_an_archive_that_is_none_is_not_taken(tiny: Path, tmp_path: Path) -> None:
    place = "tiny/records/CartPole-v1/scratch/ppo/seeds-0-0/run.json"
    for text in ('{"cell": null}', '{"cell": {"seeds": [[0]]}}', DEEP, "[]"):
        path = packed(tmp_path / "gpu.tar.gz", {**with_manifest(), place: text})
        found = archive.take(path, tiny, tmp_path / "results", tmp_path / "reports")
        assert found.lines[-1] == "0 restored, 0 there already, 0 stale, 1 not shipped"


def test_rows_are_added_to_those_that_are_there(tiny: Path, tmp_path: Path) -> None:
    there = tmp_path / "reports" / blocks.TABLE
    table.save(there, [row(device="cpu", hardware="Invented CPU"), row(steps_per_second=50.0)])
    files = {**with_manifest(), "throughput/bench-ppo.csv": as_csv(row(), row(seeds=10))}
    files["throughput/bench-sac.csv"] = as_csv(row(algorithm="sac"))
    path = packed(tmp_path / "gpu.tar.gz", files)
    found = archive.take(path, tiny, tmp_path / "results", tmp_path / "reports")
    assert found.rows == 3 and found.device == "cpu"
    kept = {(r["algorithm"], r["seeds"], r["device"]): float(r["steps_per_second"]) for r in rows(there)}
    assert kept == {
        ("ppo", "1", "cpu"): 100.0, ("ppo", "1", "cuda"): 100.0, ("ppo", "10", "cuda"): 100.0,
        ("sac", "1", "cuda"): 100.0,
    }  # fmt: skip


@pytest.mark.parametrize(("same", "dirty"), [(True, False), (True, True), (False, False)])
def test_rows_without_a_commit_get_this_one_where_the_sources_are_the_same(
    same: bool, dirty: bool, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive.host, "git", lambda: {"commit": "abc", "dirty": dirty})
    """The sources are those that the block ran: others of the archive may have run those of now."""
    here = blocks.sources()
    ran = {
        "bench-ppo": {"outcome": "done", "order": {"sources": here if same else "others"}},
        "bench-sac": {"outcome": "done", "order": {"sources": here}},
    }
    made = as_csv(row(), row(seeds=10, commit="known"))
    files = {**with_manifest(sources=here, blocks=ran), "throughput/bench-ppo.csv": made}
    path = packed(tmp_path / "gpu.tar.gz", files)
    archive.take(path, tiny, tmp_path / "results", tmp_path / "reports")
    found = {r["seeds"]: r["commit"] for r in rows(tmp_path / "reports" / blocks.TABLE)}
    assert found == {"1": "abc" if same and not dirty else "", "10": "known"}


# --- from end to end


PATIENT = """
import sys
from rlparity.__main__ import main
from rlparity.benchmark.gpu import blocks
blocks.FACTS_S = blocks.CELLS_S = 300
blocks.BENCHES["ppo"] = ("ppo", "CartPole-v1", (), 300)
sys.exit(main())
"""


@pytest.mark.whole
def test_the_script_is_killed_goes_on_and_its_archive_is_taken_elsewhere(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Limits are those of a slow machine."""
    monkeypatch.setattr(blocks, "FACTS_S", 300)
    monkeypatch.setattr(blocks, "CELLS_S", 300)
    monkeypatch.setitem(blocks.BENCHES, "ppo", ("ppo", "CartPole-v1", (), 300))
    results, there = tmp_path / "results", tmp_path / "there"
    asked = [
        "dev",
        "gpu",
        "--device",
        "cpu",
        "--suite",
        str(tiny),
        "--only",
        "facts,bench-ppo,cells-CartPole-v1",
    ]
    asked += ["--seeds", "1", "--budget", "256", "--minutes", "30", "--results", str(results)]
    work, path = results / ".gpu", results / "gpu.tar.gz"
    command = [sys.executable, "-c", PATIENT, *asked]
    killed = subprocess.Popen(command, cwd=project_files.PROJECT, stdout=subprocess.PIPE, text=True)
    assert killed.stdout is not None
    printed = []
    while not printed or printed[-1] != "bench-ppo: starts, limit 300 s\n":
        printed.append(killed.stdout.readline())
        assert printed[-1]
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    killed.stdout.close()
    assert printed[0].startswith("facts: starts") and path.is_file()  # also of a script that was killed

    assert main(asked) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["facts: skipped: done before", "bench-ppo: starts, limit 300 s"]
    assert lines[-1].startswith(f"archive: {path} (")
    assert main(asked) == 0 and capsys.readouterr().out.count("skipped: done before") == 3
    reference, ours = rows(work / "bench-ppo" / blocks.TABLE)
    assert (reference["implementation"], ours["implementation"]) == ("sb3", "scratch")
    assert (reference["kernel"], ours["kernel"][:6]) == ("", "numba ")
    assert reference["core"] == ours["core"] == str(max(pinning.allowed(), default=""))
    assert float(reference["machine_gflops"]) > 0 < float(ours["machine_gflops"])
    rate, ratio = float(reference["steps_per_second"]), float(ours["ratio_to_reference"])
    assert float(ours["reference_steps_per_second"]) == rate > 0
    assert ratio == pytest.approx(float(ours["steps_per_second"]) / rate, abs=0.01)
    assert path.stat().st_size < 2**17

    folders = ["--results", str(there / "results"), "--reports", str(there / "reports")]
    assert main(["dev", "gpu", "--take", str(path), "--suite", str(tiny), *folders]) == 0
    told = capsys.readouterr().out
    assert "2 rows of throughput.csv" in told and "1 restored, 0 there already" in told
    assert "blocks: facts done, bench-ppo done, cells-CartPole-v1 done" in told
    assert [r["budget"] for r in rows(there / "reports" / blocks.TABLE)] == ["256", "256"]
    assert (there / "reports" / "benchmark" / "index.html").is_file()
    taken = json.loads((there / "reports" / "benchmark" / "gpu.json").read_text())
    assert taken["facts"]["versions"] and taken["blocks"]["facts"]["outcome"] == "done"
    (cell,) = suite.load(tiny, {"device": "cpu"}).cells
    assert pending.up_to_date(cell, there / "results" / cell.folder)
    trained, copied = (
        (folder / cell.folder / "episodes.parquet").read_bytes()
        for folder in (work / "results", there / "results")
    )
    assert trained == copied
    facts = taken["facts"]
    assert facts["gpu"] is None and set(facts["product_tflops"]) == {"float32", "bfloat16"}
    assert facts["small_operation_us"] > 0 < facts["small_operation_read_us"]
