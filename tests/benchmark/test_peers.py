"""Peers: their settings, environments and scripts, with invented ones in place of real."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from rlparity import project_files
from rlparity.arms import PEERS
from rlparity.benchmark import peers, plan, throughput
from rlparity.errors import UserError

ROOT = project_files.PROJECT
ECHO = """
import json, os, sys
asked = json.loads(sys.argv[1])
threads = os.environ["OMP_NUM_THREADS"], os.environ["XLA_FLAGS"]
print("a line of the library's own")
print(json.dumps({"steps_per_second": 40.0, "compile_s": 3.0, "versions": {"jax": "1"}, "asked": asked,
                  "threads": threads, "path": sys.path, "pythonpath": os.environ.get("PYTHONPATH")}))
"""


def script(folder: Path, text: str, name: str = "rejax.py") -> Path:
    (folder / name).write_text(text)
    return folder / name


def ours(algorithm: str = "ppo", sizes: tuple[int, ...] = (1, 10)):
    return plan.cells(algorithm, "CartPole-v1", sizes)[1:]


def test_a_script_gets_all_hyper_parameters_and_one_thread(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/of/ours")
    (cell,) = peers.cells("rejax", ours(sizes=(10,)))
    found = peers.run(Path(sys.executable), script(tmp_path, ECHO), cell)
    asked = found["asked"]
    assert (asked["agent"], asked["seeds"], asked["budget"], asked["n_envs"]) == ("ppo", 10, 32_768, 8)
    assert asked["hyperparameters"]["gae_lambda"] == 0.8  # of the environment
    assert asked["hyperparameters"]["max_grad_norm"] == 0.5  # a default
    assert found["threads"] == ["1", peers.ONE_THREAD["XLA_FLAGS"]]
    assert str(tmp_path) not in found["path"] and found["pythonpath"] is None  # `import rejax` is the library


def test_seeds_are_trained_at_once_where_the_library_can():
    assert [len(cell.seeds) for cell in peers.cells("rejax", ours())] == [1, 10]
    assert [len(cell.seeds) for cell in peers.cells("sbx", ours())] == [1]
    assert peers.cells("sbx", ours(sizes=(10,)))[0].seeds == (0,)
    assert peers.cells("sbx", ours("a2c")) == []


def test_peers_are_measured_in_the_same_alternation(monkeypatch):
    order = []

    def run(rate, cell):
        order.append((cell.implementation, cell.algorithm, len(cell.seeds)))
        return {"steps_per_second": rate, "compile_s": 20.0, "versions": {"jax": "0.10.2", "numpy": "2"}}

    def child(cell):
        return {**run(10.0, cell), "versions": None, "peak_memory_mib": 7.0, "kernel": "numba 1"}

    monkeypatch.setattr(throughput, "_child", child)
    other = throughput.Other(lambda cells: peers.cells("sbx", cells), lambda cell: run(25.0, cell))
    rows = throughput.measure(["ppo", "a2c"], "CartPole-v1", [10], rounds=2, others={"sbx": other})
    reference, ours, theirs = ("sb3", "ppo", 1), ("scratch", "ppo", 10), ("sbx", "ppo", 1)
    rounds = [reference, ours, theirs, reference, theirs, ours]  # the second one backwards
    assert order == rounds + [("sb3", "a2c", 1), ("scratch", "a2c", 10)] * 2
    row = rows[2]
    assert (row["implementation"], row["seeds"], row["ratio_to_reference"]) == ("sbx", 1, 2.5)
    assert (row["versions"], row["compile_s"], row["peak_memory_mib"]) == ("jax 0.10.2, numpy 2", 20.0, "")
    assert [row["kernel"] for row in rows[:3]] == ["numba 1", "numba 1", ""]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("raise SystemExit('no such device')", "no such device"),
        ("print('done')", "done"),
        ("import nothing_of_that_name", "ModuleNotFoundError"),
        ("print('{\"steps_per_second\": 0}')", "steps_per_second"),
        ("", "list index out of range"),
    ],
)
def test_a_script_that_measures_nothing_is_one_line(tmp_path, text, told):
    with pytest.raises(UserError, match=r"bench: rejax\.py measured nothing: ") as caught:
        peers.run(Path(sys.executable), script(tmp_path, text), ours()[0])
    assert told in str(caught.value) and "\n" not in str(caught.value)


def test_an_environment_is_made_once_for_each_set_of_requirements(tmp_path, monkeypatch):
    made = []

    def make(name, requirements, folder):
        made.append(requirements.read_text())
        (folder / "bin").mkdir()
        (folder / "bin" / "python").touch()

    monkeypatch.setattr(peers, "_make", make)
    file = tmp_path / "rejax.txt"
    found = []
    for text in ("jax==1\n", "jax==1\n", "jax==2\n"):
        file.write_text(text)
        found.append(peers.environment("rejax", file, tmp_path / "results"))
    assert made == ["jax==1\n", "jax==2\n"] and found[0] == found[1] != found[2]
    assert all(python.exists() and python.parents[2].name == ".envs" for python in found)
    assert len(list((tmp_path / "results" / ".envs").iterdir())) == 2  # nothing half made is left


@pytest.mark.whole
def test_an_environment_that_cannot_be_made_is_one_line_and_leaves_nothing(tmp_path):
    file = tmp_path / "rejax.txt"
    file.write_text(f"{tmp_path}/no-such-package.whl\n")
    with pytest.raises(UserError, match=r"environment of rejax cannot be made \(rejax\.txt\): ") as caught:
        peers.environment("rejax", file, tmp_path)
    assert "\n" not in str(caught.value) and list((tmp_path / ".envs").iterdir()) == []


@pytest.mark.parametrize("name", PEERS)
def test_a_peer_has_pinned_requirements_and_a_short_script(name):
    lines = (ROOT / "workflow" / "envs" / f"{name}.txt").read_text().splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert pins and all(line.count("==") == 1 for line in pins)
    assert any(line.startswith(("rejax==", "sbx-rl==")) for line in pins)
    assert len((ROOT / "workflow" / "peers" / f"{name}.py").read_text().splitlines()) <= 90


def test_names_of_peers():
    assert peers.chosen("rejax,sbx,rejax") == ["rejax", "sbx"]
    with pytest.raises(UserError, match=r"--peers 'brax'; allowed are sbx, rejax"):
        peers.chosen("sbx,brax")


@pytest.mark.whole
@pytest.mark.parametrize("name", PEERS)
@pytest.mark.parametrize("algorithm", ["ppo", "dqn"])
def test_a_peer_is_measured_for_real(name, algorithm):
    """Only where `rlparity bench --peers` has made the environment."""
    if not list((ROOT / "results" / peers.ENVIRONMENTS).glob(f"{name}-*/bin/python")):
        pytest.skip(f"no environment of {name}: rlparity bench --peers {name} makes it")
    (cell,) = peers.cells(name, ours(algorithm, (2,)))
    found = peers.other(name, ROOT / "results").run(throughput.replace(cell, budget=2_048))
    assert found["steps_per_second"] > 50 and found["compile_s"] > 0
    assert json.dumps(found["versions"]).count("jax") >= 2
