"""A cell that is killed, at any moment, and run again leaves the records of an uninterrupted run to the byte.

The children are forked from a server that has imported everything, so that a kill costs no start-up. They run
`rlparity dev cell`, and die by SIGKILL at a place that was told them.
"""

from __future__ import annotations

import errno
import itertools
import json
import multiprocessing
import multiprocessing.forkserver as forkserver
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium.envs.box2d
import gymnasium.envs.mujoco  # noqa: F401
import pytest
from small import Protocol, cell

from rlparity import __main__, records
from rlparity.cell import Cell
from rlparity.runs import progress, saved_policies
from rlparity.training import checkpoint_files, evaluation, object_state

pytestmark = pytest.mark.whole

SERVER = multiprocessing.get_context("forkserver")
SHORT = Protocol(points=3, episodes=1, final_episodes=2)
COMMON: dict[str, Any] = {"budget": 400, "checkpoint_every": 60, "evaluation": SHORT}
ON_POLICY = {"n_steps": 24, "batch_size": 24, "n_epochs": 2, "net_arch": [32, 32]}  # never full at 60
OFF_POLICY = {"learning_starts": 40, "train_freq": 2, "net_arch": [32, 32], "buffer_size": 150}  # falls over

CELLS = {
    "ppo": cell("ppo", (3, 4), environment="Hopper-v5", n_envs=2, hyperparameters=ON_POLICY, **COMMON),
    "sac": cell("sac", (3, 4), environment="Hopper-v5", hyperparameters=OFF_POLICY, **COMMON),
    "dqn, CartPole": cell("dqn", (3, 4), n_envs=2, hyperparameters=OFF_POLICY, **COMMON),
    "ppo, LunarLander": cell(
        "ppo", (3, 4), environment="LunarLander-v3", n_envs=2, hyperparameters=ON_POLICY, **COMMON
    ),
    "sac, Ant": cell(
        "sac",
        (3,),
        environment="Ant-v5",
        hyperparameters=OFF_POLICY,
        **{**COMMON, "budget": 160, "evaluation": Protocol(points=1, episodes=1, final_episodes=1)},
    ),
}
assert CELLS["ppo"].normalize


# --- what a child does


def die(*_: object, **__: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def at_call(nth: int, function: Callable[..., Any], instead: Callable[..., Any] = die) -> Callable[..., Any]:
    """The function, but for its nth call."""
    calls = itertools.count(1)
    return lambda *a, **k: (instead if next(calls) == nth else function)(*a, **k)


def half(path: Path, content: bytes) -> None:
    """As much of a write as a kill in its middle leaves."""
    path.parent.mkdir(exist_ok=True)
    path.with_name(f".{path.name}.0123").write_bytes(content[: len(content) // 2])
    die()


def full(path: Path, content: bytes) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def after(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *a, **k: (function(*a, **k), die())


def at_step(env_step: int, act: Callable[[], Any]) -> None:
    show = progress.Display.__call__

    def watch(self: progress.Display, reached: int, ended: Any) -> None:
        show(self, reached, ended)
        if reached == env_step:
            act()

    progress.Display.__call__ = watch  # type: ignore[method-assign]


def at_view(nth: int, act: Callable[..., Any]) -> None:
    """At the nth observation of this process's evaluations: within a game."""
    play = evaluation.play
    views = itertools.count(1)

    def playing(policy: Any, task: Any, view: Any, explore: Any) -> Any:
        return play(policy, task, lambda obs: (next(views) == nth and act()) or view(obs), explore)

    evaluation.play = playing  # type: ignore[assignment]


def arm(place: str, nth: int) -> None:
    """Let this process be killed at a place, when it comes there for the nth time."""
    match place:
        case "step":
            at_step(nth, die)
        case "evaluation":
            at_view(nth, die)
        case "fsync":
            os.fsync = at_call(nth, os.fsync)
        case "renamed":
            Path.replace = at_call(nth, Path.replace, after(Path.replace))  # type: ignore[method-assign]
        case "removing":  # a segment that has fallen out of the ring
            unlink, removing = Path.unlink, at_call(nth, Path.unlink)
            Path.unlink = lambda path, **how: (  # type: ignore[method-assign]
                removing if path.name.startswith(checkpoint_files.SEGMENT) else unlink
            )(path, **how)
        case "half written":
            checkpoint_files.write_bytes = at_call(nth, checkpoint_files.write_bytes, half)
        case "restoring":
            object_state.restore = at_call(nth, object_state.restore, after(object_state.restore))
        case "between records":
            records.write = at_call(nth, records.write)
        case "disk full":
            checkpoint_files.write_bytes = full
            at_step(nth, die)
        case "SIGINT":
            at_step(nth, lambda: os.kill(os.getpid(), signal.SIGINT))
        case "SIGTERM":  # a parent that dies sends several
            at_step(nth, lambda: [os.kill(os.getpid(), signal.SIGTERM) for _ in range(3)])
        case "SIGTERM in evaluation":
            at_view(nth, lambda: os.kill(os.getpid(), signal.SIGTERM))
        case "SIGINT twice":
            checkpoint_files.write_bytes = lambda *_: os.kill(os.getpid(), signal.SIGINT)
            at_step(nth, lambda: os.kill(os.getpid(), signal.SIGINT))


def child(folder: Path, place: str, nth: int) -> None:
    with (folder / "log").open("a") as log:
        os.dup2(log.fileno(), 2)
    progress.BEAT_S = 1e9  # no writes but those that count
    checkpoint_files.SEGMENT_BYTES = 3000  # several segments to a checkpoint
    arm(place, nth)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # jobs in the background ignore it
    os._exit(__main__.main(["dev", "cell", "--cell", str(folder / "cell.json")]))


def start(c: Cell, folder: Path, place: str = "", nth: int = 0) -> int:
    """Run a cell in a child; its exit status, or minus the signal that ended it."""
    folder.mkdir(exist_ok=True)
    (folder / "cell.json").write_text(c.to_json())
    process = SERVER.Process(target=child, args=(folder, place, nth))  # type: ignore[attr-defined]
    process.start()
    process.join()
    return int(process.exitcode)


def left_by(folder: Path) -> dict[str, Any]:
    """What must not depend on interruptions."""
    progress_rows = records.pq.read_table(folder / "progress.parquet").to_pylist()
    timed = [row for row in progress_rows if row["metric"] != "evaluation_time_s"]
    metrics = [(row["seed"], row["env_step"], row["metric"], str(row["value"])) for row in timed]
    weights = {name: x.tolist() for name, x in checkpoint_files.load(folder / "checkpoint").items()}
    parquet = [(folder / f"{kind}.parquet").read_bytes() for kind in ("episodes", "evaluations")]
    return {"records": parquet, "metrics": metrics, "weights": weights}


def run_of(folder: Path) -> dict[str, Any]:
    run: dict[str, Any] = json.loads((folder / "run.json").read_text())
    return run


@pytest.fixture(scope="module", autouse=True)
def server() -> None:
    """Start the process that children are forked from; it imports this file."""
    SERVER.set_forkserver_preload([__name__])
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PYTHONPATH", os.pathsep.join(sys.path))
        forkserver.ensure_running()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], dict[str, Any]]:
    """What a cell leaves without interruptions and without checkpoints."""
    made: dict[str, dict[str, Any]] = {}

    def make(name: str) -> dict[str, Any]:
        if name not in made:
            folder = tmp_path_factory.mktemp("whole") / "cell"
            assert start(CELLS[name], folder) == 0, (folder / "log").read_text()
            assert run_of(folder)["times_resumed"] == 0
            made[name] = left_by(folder)
        return made[name]

    return make


LONG = [  # in this order, each from where the last one came to; evaluations are at 0, 134, 267 and 400
    ("half written", 1), ("evaluation", 5), ("step", 110), ("fsync", 2), ("evaluation", 3), ("renamed", 1),
    ("restoring", 1), ("half written", 2), ("evaluation", 2), ("fsync", 4), ("step", 390), ("evaluation", 4),
    ("between records", 2),
]  # fmt: skip
REMOVING = [("removing", 1), ("removing", 2)]  # segments behind the ring
BRIEF = [("half written", 1), ("step", 150), ("evaluation", 5), ("between records", 3)]
CHAINS = {name: BRIEF for name in CELLS} | {"ppo": LONG, "sac": [*LONG[:8], *REMOVING, *LONG[8:]]}


@pytest.mark.parametrize("name", CELLS)
def test_a_cell_that_was_killed_goes_on_as_if_it_had_not_been(
    name: str, tmp_path: Path, undisturbed: Callable[[str], dict[str, Any]]
):
    for place, nth in CHAINS[name]:
        assert start(CELLS[name], tmp_path, place, nth) == -signal.SIGKILL, (place, nth)
        assert not (tmp_path / "run.json").exists()
    assert start(CELLS[name], tmp_path) == 0, (tmp_path / "log").read_text()
    assert left_by(tmp_path) == undisturbed(name)
    assert run_of(tmp_path)["times_resumed"] > 0
    kept = {saved_policies.FILES[policy] for policy in saved_policies.steps(CELLS[name])}
    assert {path.name for path in (tmp_path / "checkpoint").iterdir()} == kept


@pytest.mark.parametrize(
    ("place", "nth", "status", "reached"),
    [
        ("SIGINT", 100, 128 + signal.SIGINT, 100),
        ("SIGTERM", 130, 128 + signal.SIGTERM, 130),
        ("SIGTERM in evaluation", 3, 128 + signal.SIGTERM, 0),
    ],
)
def test_a_cell_that_is_asked_to_stop_saves_and_says_how_to_go_on(
    place: str, nth: int, status: int, reached: int, tmp_path: Path, undisturbed: Any
):
    assert start(CELLS["dqn, CartPole"], tmp_path, place, nth) == status
    assert (tmp_path / "log").read_text().splitlines() == [
        f"rlparity: {tmp_path}: stopped with a checkpoint at environment step {reached} of 400; "
        "the same command goes on from there"
    ]
    assert start(CELLS["dqn, CartPole"], tmp_path) == 0
    assert left_by(tmp_path) == undisturbed("dqn, CartPole")
    assert run_of(tmp_path)["times_resumed"] == 1


def test_a_second_interrupt_stops_at_once(tmp_path: Path):
    assert start(CELLS["dqn, CartPole"], tmp_path, "SIGINT twice", 50) == 130
    assert (tmp_path / "log").read_text() == "rlparity: interrupted\n"
    assert start(CELLS["dqn, CartPole"], tmp_path) == 0
    assert run_of(tmp_path)["times_resumed"] == 0


def test_a_full_disk_costs_a_line_and_the_checkpoint_before_stays(tmp_path: Path, undisturbed: Any):
    name = "dqn, CartPole"
    assert start(CELLS[name], tmp_path, "step", 100) == -signal.SIGKILL
    before = {path.name: path.read_bytes() for path in (tmp_path / "checkpoint").iterdir()}
    assert start(CELLS[name], tmp_path, "disk full", 300) == -signal.SIGKILL  # several due, none written
    assert (tmp_path / "log").read_text().splitlines() == [
        f"rlparity: {tmp_path / 'checkpoint'}: cannot be written (No space left on device); training goes on "
        "with a checkpoint at environment step 60 of 400",
        f"rlparity: {tmp_path / 'checkpoint'}: no film of the middle policy (No space left on device)",
    ]
    assert {path.name: path.read_bytes() for path in (tmp_path / "checkpoint").iterdir()} == before
    assert start(CELLS[name], tmp_path) == 0
    assert left_by(tmp_path) == undisturbed(name)
