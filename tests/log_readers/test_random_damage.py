"""A known run in every format: with random harmless damage it is read with the same numbers, with random
harmful damage it is refused in one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from judging import MODES, one_line
from known_runs import EVENTS, Run, csv, dopamine, events, monitor, monitor_text, parquet

from rlparity.log_readers import convert
from rlparity.log_readers.checks import Expected
from rlparity.log_readers.series import Reading, Refused

N, LIMIT, BUDGET = 4, 100, 12_000
EXPECTED = Expected("CartPole-v1", BUDGET, N, points=6, time_limit=LIMIT)
SOME = settings(
    max_examples=6, deadline=None, suppress_health_check=list(HealthCheck)
)  # each was tried with 200
Rows = list[tuple[float, float]]  # environment steps and returns
Random = np.random.Generator


def a_run(rng: Random, budget: int = BUDGET) -> Run:
    """Episodes of four sub-environments that step together, longer from time to time."""
    ended, rows = np.zeros(N), []
    while True:
        i = int(ended.argmin())
        length = int(rng.integers(10, 20 + 80 * min(1.0, ended[i] * N / budget)))
        ended[i] += length
        if ended[i] * N > budget:
            break
        rows.append((ended[i] * N, float(length - 2 * (len(rows) % 3)), float(length)))
    return Run(*np.array(sorted(rows)).T)


def read(folder: Path, expected: Expected = EXPECTED, **returns: Any) -> Rows:
    files = tuple(sorted(path for path in folder.rglob("*") if path.is_file()))
    logged = convert.read(files, Reading(**returns), expected, MODES, 0)
    assert not any("\n" in note for note in logged.notes)
    rows = logged.episodes or [
        {"env_step": r["env_step"], "episode_return": r["value"]} for r in logged.evaluations
    ]
    return [(row["env_step"], row["episode_return"]) for row in rows]


def pairs(run: Run) -> Rows:
    return sorted(zip(run.step.tolist(), run.value.tolist(), strict=True))


# --- harmless


def text_damage(content: str, rng: Random) -> bytes:
    """A way in which other programs and disks write the same text."""
    lines = content.splitlines()
    at = int(rng.integers(2, len(lines)))
    fields = lines[-1].split(",")
    ways: list[Callable[[], bytes]] = [
        lambda: content.encode("utf-8-sig"),
        lambda: content.replace("\n", "\r\n").encode(),
        lambda: "\n".join([*lines[:at], "", "", *lines[at:], ""]).encode(),
        lambda: content.encode() + bytes(int(rng.integers(1, 600))),
        lambda: "\n".join([*lines[:at], "# a comment", *lines[at:], ""]).encode(),
        lambda: "\n".join([*lines, fields[0][: int(rng.integers(1, len(fields[0]) + 1))]]).encode(),
        lambda: "\n".join([*lines, ",".join(fields[:2])]).encode(),
        lambda: "\n".join(lines).encode(),
    ]
    return ways[int(rng.integers(len(ways)))]()


def damaged_csv(folder: Path, run: Run, rng: Random) -> None:
    path = csv(folder / "log.csv", run)
    content = path.read_text()
    if rng.random() < 0.3:
        content = content.replace(",", "\t;|"[int(rng.integers(3))])
        path.write_text(content)
        return
    path.write_bytes(text_damage(content, rng))


def shuffled_csv(folder: Path, run: Run, rng: Random) -> None:
    csv(folder / "log.csv", run.rows(rng.permutation(len(run.step))))


def resumed_csv(folder: Path, run: Run, rng: Random) -> None:
    """With rows of an abandoned branch, in one file or in two."""
    first, second = with_branch(run, rng)
    csv(folder / "log.csv", first)
    other = csv(folder / "log-2.csv", second)
    if rng.random() < 0.5:
        rows = other.read_text().splitlines()[1:]
        (folder / "log.csv").write_text((folder / "log.csv").read_text() + "\n".join(rows) + "\n")
        other.unlink()


def with_branch(run: Run, rng: Random) -> tuple[Run, Run]:
    """Rows up to a crash, and those from the checkpoint before it on."""
    checkpoint = float(rng.uniform(0.2, 0.6)) * BUDGET
    crash = checkpoint + float(rng.uniform(0.1, 0.3)) * BUDGET
    after = run.rows(run.step > checkpoint)
    branch = run.rows((run.step >= after.step[0]) & (run.step <= crash))
    lost = Run(branch.step, branch.value + 1, branch.length)
    before = run.rows(run.step < after.step[0])
    return Run(*(np.concatenate(pair) for pair in zip(before, lost, strict=True))), after


def damaged_monitor(folder: Path, run: Run, rng: Random) -> None:
    folder.mkdir(exist_ok=True)
    content = monitor_text(run)
    if rng.random() < 0.2:
        lines = content.splitlines()
        at = int(rng.integers(10, len(lines) - 10))
        content = "\n".join([*lines[:at], *lines[:2], *lines[at:], ""])
        (folder / "monitor.csv").write_text(content)
        return
    (folder / "monitor.csv").write_bytes(text_damage(content, rng))


def resumed_events(folder: Path, run: Run, rng: Random) -> None:
    first, second = with_branch(run, rng)
    events(folder, first)
    events(folder, second, begun=1.7e9 + 60, purge=int(second.step[0]) if rng.random() < 0.5 else None)


def cut_events(folder: Path, run: Run, rng: Random) -> None:
    """The last record is incomplete."""
    path = events(folder, run)
    whole = path.read_bytes()
    extra = Run(run.step[-1:] + 1, run.value[-1:], run.length[-1:])
    other = events(folder / "x", extra, environment=None).read_bytes()
    path.write_bytes(whole + other[: int(rng.integers(len(other) - 60, len(other) - 50))][28:])
    (folder / "x" / EVENTS.format("1700000000.00")).unlink()


def with_neighbours(folder: Path, run: Run, rng: Random) -> None:
    csv(folder / "log.csv", run)
    names = ("x.npz", "config.json", "losses.csv", "summary.json", "x.parquet", "events.out.tfevents.1.x.1.0")
    for name in names:
        (folder / name).write_bytes(rng.bytes(int(rng.integers(0, 60))))


HARMLESS = {
    "csv": damaged_csv,
    "csv in no order": shuffled_csv,
    "csv of a resumed run": resumed_csv,
    "csv beside others": with_neighbours,
    "parquet": lambda folder, run, rng: parquet(
        folder / "log.parquet", run.rows(rng.permutation(len(run.step)))
    ),
    "monitor": damaged_monitor,
    "event files of a resumed run": resumed_events,
    "event file without its end": cut_events,
}


@pytest.mark.parametrize("write", HARMLESS.values(), ids=HARMLESS)
@given(seed=st.integers(0, 2**32 - 1))
@SOME
def test_harmless_damage(write: Any, seed: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    rng, folder = np.random.default_rng(seed), tmp_path_factory.mktemp("logs")
    run = a_run(rng)
    write(folder, run, rng)
    assert sorted(read(folder)) == pairs(run)


@given(seed=st.integers(0, 2**32 - 1))
@SOME
def test_harmless_shapes_of_evaluations(seed: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    rng, folder = np.random.default_rng(seed), tmp_path_factory.mktemp("logs")
    results = rng.integers(10, 100, (6, int(rng.integers(1, 5)))).astype(float)
    steps = 2000 * np.arange(1, 7)
    shape = (..., None) if rng.random() < 0.5 else (...,)
    np.savez(
        folder / "evaluations.npz",
        timesteps=steps[:, None] if rng.random() < 0.5 else steps,
        results=results[shape],
    )
    known = [(int(step), value) for step, row in zip(steps, results, strict=True) for value in row]
    assert read(folder) == known


@given(seed=st.integers(0, 2**32 - 1))
@SOME
def test_harmless_order_of_iterations(seed: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    rng, folder = np.random.default_rng(seed), tmp_path_factory.mktemp("logs")
    values = rng.normal(0, 9, (2, 6))
    dopamine(folder / "runs.json", values.tolist(), by_iteration=bool(rng.integers(2)))
    known = [(2000 * (i + 1), value) for i, value in enumerate(values[0])]
    assert read(folder, iteration_steps=2000) == known


# --- harmful


def without_middle(run: Run, rng: Random) -> Run:
    start = float(rng.uniform(0.1, 0.5)) * BUDGET
    return run.rows((run.step < start) | (run.step > start + 0.3 * BUDGET))


def without_beginning(run: Run, rng: Random) -> Run:
    return run.rows(run.step > float(rng.uniform(0.3, 0.8)) * BUDGET)


def without_end(run: Run, rng: Random) -> Run:
    return run.rows(run.step < float(rng.uniform(0.2, 0.7)) * BUDGET)


def thinned(run: Run, rng: Random) -> Run:
    return run.rows(slice(int(rng.integers(3)), None, int(rng.integers(3, 12))))


def in_frames(run: Run, rng: Random) -> Run:
    return Run(run.step, run.value, 4 * run.length)


def per_sub_environment(run: Run, rng: Random) -> Run:
    return Run(run.step / N, run.value, run.length)


def with_another(run: Run, rng: Random) -> Run:
    """A second run, or the games of an evaluation, among the rows."""
    other = a_run(rng)
    order = np.argsort(np.r_[run.step, other.step + 1], kind="stable")
    both = (
        np.r_[run.step, other.step + 1],
        np.r_[run.value, other.value + 0.0],
        np.r_[run.length, other.length],
    )
    return Run(*(column[order] for column in both))


def much_longer(run: Run, rng: Random) -> Run:
    return a_run(rng, budget=int(rng.integers(2, 6)) * BUDGET)


HARMFUL_ROWS = [without_middle, without_beginning, without_end, thinned, in_frames, with_another]
OF_CLOCKS = [*HARMFUL_ROWS, per_sub_environment]
BY_FORMAT: dict[str, tuple[Callable[[Path, Run], Any], list[Any]]] = {
    "csv": (lambda folder, run: csv(folder / "log.csv", run), OF_CLOCKS),
    "parquet": (lambda folder, run: parquet(folder / "log.parquet", run), OF_CLOCKS),
    "events": (events, OF_CLOCKS),
    "monitor": (lambda folder, run: monitor(folder / "monitor.csv", run), [*HARMFUL_ROWS, much_longer]),
}


@pytest.mark.parametrize(("write", "ways"), BY_FORMAT.values(), ids=BY_FORMAT)
@given(seed=st.integers(0, 2**32 - 1))
@SOME
def test_harmful_rows(
    write: Callable[[Path, Run], Any], ways: list[Any], seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    rng, folder = np.random.default_rng(seed), tmp_path_factory.mktemp("logs")
    damage = ways[int(rng.integers(len(ways)))]
    write(folder, damage(a_run(rng), rng))
    with pytest.raises(Refused) as caught:
        pytest.fail(f"{damage.__name__} is read: {len(read(folder))} rows")
    one_line(caught.value)


def harmful_text(content: str, rng: Random) -> str:
    lines = content.splitlines()
    at = int(rng.integers(3, len(lines) - 2))
    fields = lines[at].split(",")
    which = int(rng.integers(2))
    changed = [
        ",".join([*fields, "9"]),
        ",".join(fields[:2]),
        lines[at] + lines[at + 1],
        ",".join("high" if i == which else field for i, field in enumerate(fields)),
        ",".join("nan" if i == which else field for i, field in enumerate(fields)),
        ",".join("inf" if i == which else field for i, field in enumerate(fields)),
        ",".join("-9" if field == fields[which] else "1_000" for field in fields),
    ][int(rng.integers(7))]
    return "\n".join([*lines[:at], changed, *lines[at + 1 :], ""])


@pytest.mark.parametrize("name", ["log.csv", "monitor.csv"])
@given(seed=st.integers(0, 2**32 - 1))
@SOME
def test_harmful_text_names_its_line(name: str, seed: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    rng, folder = np.random.default_rng(seed), tmp_path_factory.mktemp("logs")
    path = folder / name
    csv(path, a_run(rng)) if name == "log.csv" else monitor(path, a_run(rng))
    path.write_text(harmful_text(path.read_text(), rng))
    with pytest.raises(Refused) as caught:
        read(folder)
    assert "line " in one_line(caught.value)


@pytest.mark.parametrize("environment", ["CartPole-v1", "Walker-v0"])
@pytest.mark.parametrize(("every", "width"), [(1, 10), (1, 30), (1, 100), (5, 30), (20, 100)])
def test_means_are_recognised_by_their_data(every: int, width: int, environment: str, tmp_path: Path) -> None:
    """Of a window row by row, or of as many episodes as there were since the last row."""
    for seed in range(5):
        run = a_run(np.random.default_rng(seed))
        at = np.arange(every - 1, len(run.step), every)
        means = np.array([run.value[max(0, i - width) : i + 1].mean() for i in at])
        csv(tmp_path / "log.csv", Run(run.step[at], means, means), ("env_step", "episode_return"))
        with pytest.raises(Refused) as caught:
            read(tmp_path, EXPECTED._replace(environment=environment))
        assert "mean" in one_line(caught.value)
