"""More logs of the kinds that users reported, each through another path of the code: read with the known
numbers, or refused in one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from judging import judge
from known_runs import (
    CARTPOLE,
    EVENTS,
    PONG,
    Run,
    area,
    cartpole,
    csv,
    dopamine,
    evaluations,
    events,
    monitor,
    monitor_text,
    parquet,
    pong,
    sub_environments,
)

from rlparity.log_readers.checks import Expected

RUN = cartpole(0)
KNOWN = area(RUN, CARTPOLE)
HALF = len(RUN.step) // 2
MISSING = "the beginning is missing"
Write = Callable[[Path], Any]


def lines(run: Run = RUN, **how: Any) -> list[str]:
    return monitor_text(run, **how).splitlines()


def text(name: str, content: str | bytes | list[str]) -> Write:
    """A file of some lines."""

    def write(folder: Path) -> None:
        body = "\n".join(content) + "\n" if isinstance(content, list) else content
        (folder / name).write_bytes(body.encode() if isinstance(body, str) else body)

    return write


def table(run: Run = RUN, names: str = "env_step,episode_return,episode_length") -> list[str]:
    head = names.split(",")
    kinds = ["{:.0f}", "{:.1f}", "{:.0f}"]
    cells = (
        (kind.format(v) for kind, v in zip(kinds, row[: len(head)], strict=False))
        for row in zip(*run, strict=True)
    )
    return [names, *(",".join(row) for row in cells)]


def both(*writes: Write) -> Write:
    return lambda folder: [write(folder) for write in writes]


def later(run: Run, start: float) -> Run:
    return Run(run.step - start, run.value, run.length)


def in_parts(*names: str) -> Write:
    """Monitors of a run that was resumed, each with a clock of its own and all with one header."""

    def write(folder: Path) -> None:
        for name, which in zip(names, np.array_split(np.arange(len(RUN.step)), len(names)), strict=True):
            part = RUN.rows(which)
            monitor(folder / name, later(part, RUN.step[which[0] - 1] if which[0] else 0.0))

    return write


def workers(kind: Callable[[Path, Run], Any], name: str) -> Write:
    """A file for each of eight sub-environments."""

    def write(folder: Path) -> None:
        for i, part in enumerate(sub_environments(RUN)):
            kind(folder / name.format(i), part)

    return write


def cut(folder: Path) -> None:
    path = events(folder, RUN)
    path.write_bytes(path.read_bytes()[:-5])


def corrupt(folder: Path) -> None:
    path = events(folder, RUN)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(bytes(content))


def lengths_elsewhere(folder: Path) -> None:
    path = events(folder, RUN, tags=["charts/episodic_return"])
    events(
        folder, Run(RUN.step + 1, RUN.length, RUN.length), tags=["charts/episodic_length"], begun=1.7e9 + 1
    )
    other = folder / EVENTS.format("1700000001.00")
    path.write_bytes(path.read_bytes() + other.read_bytes())
    other.unlink()


def moving_average(width: int) -> Run:
    means = [RUN.value[max(0, i - width + 1) : i + 1].mean() for i in range(len(RUN.value))]
    return Run(RUN.step, np.array(means) * 1.0, RUN.length)


def of_one(run: Run = RUN) -> Run:
    """The same lengths, of one sub-environment."""
    step = np.cumsum(run.length)
    return Run(step, run.value, run.length).rows(step <= 100_000)


def one_monitor(folder: Path) -> None:
    """A step takes a millisecond, whichever sub-environment is stepped."""
    run = of_one()
    monitor(folder / "monitor.csv", Run(run.step * 8, run.value, run.length))


def shuffled(run: Run = RUN) -> Run:
    return run.rows(np.random.default_rng(0).permutation(len(run.step)))


def abandoned(run: Run = RUN) -> list[str]:
    """A table to which a resumed run appended, after 60,000 steps, from 40,000 on."""
    return table(run.rows(run.step < 60_000)) + table(run.rows(run.step > 40_000))[1:]


def frame(**columns: Any) -> Write:
    return lambda folder: pq.write_table(pa.table(columns), folder / "log.parquet")


def values(blank: int) -> list[float | None]:
    return [None if i == blank else float(value) for i, value in enumerate(RUN.value)]


READ: dict[str, tuple[Write, str, dict[str, Any]]] = {
    "a header again where a run was resumed": (
        text(
            "monitor.csv",
            lines(RUN.rows(slice(HALF))) + lines(later(RUN.rows(slice(HALF, None)), RUN.step[HALF - 1])),
        ),
        "another header at line",
        {},
    ),
    "the names of columns again, without JSON": (
        text("monitor.csv", [*lines()[:100], "r,l,t", *lines()[100:]]),
        "",
        {},
    ),
    "another column": (
        text("monitor.csv", [lines()[0], "r,l,t,is_success", *(f"{row},0.0" for row in lines()[2:])]),
        "",
        {},
    ),
    "empty lines": (text("monitor.csv", "\n\n".join(lines()) + "\n\n"), "", {}),
    "null bytes after a crash": (
        text("monitor.csv", "\n".join(lines()).encode() + b"\n" + bytes(512)),
        "null bytes at its end",
        {},
    ),
    "a monitor under another name": (
        text("train.csv", lines()),
        "8 sub-environments that share the file",
        {},
    ),
    "a monitor with a byte order mark": (
        text("monitor.csv", b"\xef\xbb\xbf" + "\n".join(lines()).encode()),
        "",
        {},
    ),
    "parts in the order of their times": (
        both(
            text("b.monitor.csv", lines(RUN.rows(slice(HALF)))),
            text("a.monitor.csv", lines(later(RUN.rows(slice(HALF, None)), RUN.step[HALF - 1]), start=1.8e9)),
        ),
        "b.monitor.csv, then a.monitor.csv, in the order of their times",
        {},
    ),
    "parts with numbers, the tenth after the second": (
        in_parts("monitor.csv", "monitor-2.csv", "monitor-10.csv"),
        "monitor.csv, then monitor-2.csv, then monitor-10.csv, in the order of their names",
        {},
    ),
    "eight monitors and one that cannot be read": (
        both(workers(monitor, "{}.monitor.csv"), text("old.monitor.csv", "?")),
        "old.monitor.csv: not a monitor",
        {},
    ),
    "tabs": (text("log.tsv", [row.replace(",", "\t") for row in table()]), "", {}),
    "blanks between columns": (text("log.csv", [row.replace(",", "  ") for row in table()]), "", {}),
    "a longer run without lengths, where returns say them": (
        lambda folder: csv(
            folder / "log.csv",
            Run(np.r_[RUN.step, RUN.step + 1e5], np.tile(RUN.value, 2), RUN.length),
            ("env_step", "episode_return"),
        ),
        "its first part is judged",
        {},
    ),
    "bars": (text("log.csv", [row.replace(",", "|") for row in table()]), "", {}),
    "a delimiter at the end of each row": (
        text("log.csv", [table()[0], *(f"{row}," for row in table()[1:])]),
        "",
        {},
    ),
    "row numbers without a name": (
        text("log.csv", [table()[0], *(f"{i},{row}" for i, row in enumerate(table()[1:], 1))]),
        "",
        {},
    ),
    "quotes around everything": (
        text("log.csv", ['"' + row.replace(",", '","') + '"' for row in table()]),
        "",
        {},
    ),
    "UTF-16": (text("log.csv", "\n".join(table()).encode("utf-16")), "", {}),
    "old Mac line breaks": (text("log.csv", "\r".join(table())), "", {}),
    "comments at the top": (text("log.csv", ["# made by a script", *table()]), "1 line of comments", {}),
    "a last row cut in its step": (text("log.csv", "\n".join([*table(), "998"])), "incomplete last line", {}),
    "a last row cut in its return": (
        text("log.csv", "\n".join([*table(RUN, "env_step,episode_return"), "99900,5"])),
        "incomplete last line",
        {},
    ),
    "blank returns": (
        text(
            "log.csv",
            [table()[0], *(row for full in table()[1:] for row in (full, full.partition(",")[0] + ",,"))],
        ),
        "344 rows without episode_return are no rows",
        {},
    ),
    "NaN before the first episode": (
        text("log.csv", [table()[0], "8,nan,0", "16,nan,0", *table()[1:]]),
        "2 rows from before the first episode",
        {},
    ),
    "two environments in a table": (
        text(
            "log.csv",
            [
                table()[0] + ",environment",
                *(f"{row},{name}" for name in ("CartPole-v1", "Acrobot-v1") for row in table()[1:]),
            ],
        ),
        "made in Acrobot-v1",
        {"columns": {"environment": "environment"}},
    ),
    "a table that a resumed run appended to": (text("log.csv", abandoned()), "abandoned rows dropped", {}),
    "two tables, one after the other": (
        both(
            lambda folder: csv(folder / "log.csv", RUN.rows(RUN.step < 50_000)),
            lambda folder: csv(folder / "log-resumed.csv", RUN.rows(RUN.step > 40_000)),
        ),
        "2 files, one after the other",
        {},
    ),
    "a table for each sub-environment": (workers(csv, "worker_{}.csv"), "sub-environments side by side", {}),
    "a table of evaluations beside": (
        both(text("log.csv", table()), lambda folder: csv(folder / "eval_log.csv", RUN)),
        "eval_log.csv: of evaluations, by its name",
        {},
    ),
    "Parquet": (lambda folder: parquet(folder / "log.parquet", RUN), "", {}),
    "Parquet with a null": (
        frame(env_step=[*RUN.step, 99_900.0], episode_return=[*RUN.value, None]),
        "1 rows without episode_return",
        {},
    ),
    "Parquet with numbers as text": (
        frame(env_step=[f"{v:.0f}" for v in RUN.step], episode_return=RUN.value.tolist()),
        "",
        {},
    ),
    "rows in no order": (lambda folder: csv(folder / "log.csv", shuffled()), "sorted", {}),
    "an event file without its end": (cut, "incomplete or damaged: read up to there", {}),
    "lengths at other steps than returns": (lengths_elsewhere, "has other steps", {}),
    "scalars of other tags": (
        both(
            lambda folder: events(folder, RUN),
            lambda folder: events(folder, RUN, tags=["rollout/ep_rew_mean"], begun=1.7e9 + 9),
        ),
        "rollout/ep_rew_mean: read is charts/episodic_return",
        {},
    ),
    "an event file whose folder names the environment": (
        lambda folder: events(folder / "CartPole-v1__ppo__0__1", RUN, environment=None),
        "",
        {},
    ),
    "something of no known format beside": (
        both(text("log.csv", table()), text("notes.md", "# notes\n")),
        "",
        {},
    ),
    "a longer run without lengths that is known to be one": (
        lambda folder: csv(
            folder / "log.csv",
            Run(np.r_[RUN.step, RUN.step + 1e5], np.tile(RUN.value, 2), RUN.length),
            ("env_step", "episode_return"),
        ),
        "its first part is judged",
        {"longer": True},
    ),
}


@pytest.mark.parametrize(("write", "note", "returns"), READ.values(), ids=READ)
def test_harmless(write: Write, note: str, returns: dict[str, Any], tmp_path: Path) -> None:
    write(tmp_path)
    found = judge(tmp_path, **returns)
    assert not found.refused and found.seeds == [0], found
    assert found.training == pytest.approx(KNOWN, abs=0.01)
    assert note in found.notes, found.notes


REFUSED: dict[str, tuple[Write, str, dict[str, Any]]] = {
    "a header of another environment": (
        text("monitor.csv", lines(RUN.rows(slice(HALF))) + lines(environment="Acrobot-v1")),
        "another run begins at line",
        {},
    ),
    "a clock that starts again and again": (
        text("monitor.csv", [*lines()[:2], *(f"20.0,20,{9 - i % 2 * 8}" for i in range(400))]),
        "did several processes write to it",
        {},
    ),
    "a monitor of eight that is cut short": (
        both(
            workers(monitor, "{}.monitor.csv"),
            text("3.monitor.csv", lines(sub_environments(RUN)[3].rows(slice(5)))),
        ),
        "one is cut short or of another run",
        {},
    ),
    "a monitor of eight that cannot be read": (
        both(workers(monitor, "{}.monitor.csv"), text("3.monitor.csv", "?")),
        "3.monitor.csv: not a monitor file",
        {},
    ),
    "two monitors whose names say nothing": (
        both(text("red.monitor.csv", lines()), text("blue.monitor.csv", lines())),
        "their names do not say",
        {},
    ),
    "monitors of two environments": (
        both(text("0.monitor.csv", lines()), text("1.monitor.csv", lines(environment="Pole-v0"))),
        "of several environments, CartPole-v1, Pole-v0",
        {},
    ),
    "nothing but evaluations": (text("eval.monitor.csv", lines()), "is of evaluations, by its name", {}),
    "an episode of no steps": (
        text("monitor.csv", [*lines()[:50], "9.0,0,0.1", *lines()[50:]]),
        "line 51: l is 0",
        {},
    ),
    "a return that is a word": (
        text("monitor.csv", [*lines()[:50], "high,9,0.1", *lines()[50:]]),
        "line 51: r is 'high', not a number",
        {},
    ),
    "a time that is blank": (
        text("monitor.csv", [*lines()[:50], "9.0,9,", *lines()[50:]]),
        "line 51: t is blank",
        {},
    ),
    "a longer run, by a clock of lengths": (
        text(
            "monitor.csv",
            lines(
                Run(
                    np.r_[RUN.step, RUN.step + 1e5, RUN.step + 2e5],
                    np.tile(RUN.value, 3),
                    np.tile(RUN.length, 3),
                )
            ),
        ),
        "longer=true judges its first part",
        {},
    ),
    "lengths in frames": (
        text("monitor.csv", lines(factor=4)),
        "four times, so one of both counts frames",
        {},
    ),
    "a row with a field too many": (
        text("log.csv", [*table()[:50], "9,9.0,9,9", *table()[50:]]),
        "line 51 has 4 fields, the columns are 3",
        {},
    ),
    "a column that is there twice": (
        text("log.csv", ["env_step,episode_return,episode_return", "1,2,3"]),
        "column 'episode_return' is there twice",
        {},
    ),
    "a field of 200,000 characters": (
        text("log.csv", [table()[0], "x" * 200_000]),
        "line 2: field larger",
        {},
    ),
    "a blank step": (
        text("log.csv", [*table()[:50], ",9.0,9", *table()[50:]]),
        "line 51: env_step is blank",
        {},
    ),
    "NaN after the first episode": (
        text("log.csv", [*table()[:50], "9000,nan,9", *table()[50:]]),
        "line 51: episode_return is nan",
        {},
    ),
    "an infinite return": (
        text("log.csv", [*table()[:50], "9000,-inf,9", *table()[50:]]),
        "line 51: episode_return is -inf",
        {},
    ),
    "two runs in two tables": (
        both(text("a.csv", table()), text("b.csv", table(cartpole(1)))),
        "several runs: ",
        {},
    ),
    "two runs in a table": (
        text("log.csv", table() + table(cartpole(1))[1:]),
        "several runs in one file",
        {},
    ),
    "a mean over 100 episodes, row by row": (
        lambda folder: csv(folder / "log.csv", moving_average(100), ("env_step", "episode_return")),
        "they are means over several episodes",
        {},
    ),
    "a smoothed curve of an environment with any rewards": (
        lambda folder: csv(folder / "log.csv", moving_average(100), ("env_step", "episode_return")),
        "a mean over a window",
        {"environment": "Hopper-v5"},
    ),
    "one row for every ten episodes": (
        lambda folder: csv(folder / "log.csv", RUN.rows(slice(9, None, 10)), ("env_step", "episode_return")),
        "so there were at least",
        {},
    ),
    "a row at every 1,000 steps": (
        lambda folder: csv(
            folder / "log.csv",
            Run(np.arange(1e3, 1e5 + 1, 1e3), np.random.default_rng(0).normal(0, 9, 100), np.zeros(100)),
            ("env_step", "episode_return"),
        ),
        "rows are at every 1,000 steps, where episodes do not end",
        {"environment": "Walker-v0"},
    ),
    "a window in the name of the column": (
        text("log.csv", table(names="env_step,return_rolling")),
        "a mean over a window, by its name",
        {"columns": {"episode_return": "return_rolling"}},
    ),
    "a hole in the middle": (
        lambda folder: csv(
            folder / "log.csv",
            RUN.rows((RUN.step < 20_000) | (RUN.step > 60_000)),
            ("env_step", "episode_return"),
        ),
        "has no rows between steps 19,",
        {"environment": "Walker-v0"},
    ),
    "two episodes of three, without lengths where returns say them": (
        lambda folder: csv(
            folder / "log.csv", RUN.rows(np.arange(len(RUN.step)) % 3 > 0), ("env_step", "episode_return")
        ),
        "only some episodes are logged",
        {},
    ),
    "complex results": (
        lambda folder: evaluations(folder / "evaluations.npz", results=np.full((20, 5), 1j)),
        "has complex numbers",
        {},
    ),
    "a hole in the middle, with lengths": (
        lambda folder: csv(folder / "log.csv", RUN.rows((RUN.step < 30_000) | (RUN.step > 50_000))),
        "rows are missing, or only some episodes are logged",
        {},
    ),
    "no beginning, without lengths": (
        lambda folder: csv(folder / "log.csv", RUN.rows(RUN.step > 40_000), ("env_step", "episode_return")),
        MISSING,
        {},
    ),
    "a longer run without lengths": (
        lambda folder: csv(
            folder / "log.csv",
            Run(np.r_[RUN.step, RUN.step + 1e5], np.tile(RUN.value, 2), RUN.length),
            ("env_step", "episode_return"),
        ),
        "2 times the budget of 100,000: about twice",
        {"environment": "Walker-v0"},
    ),
    "lengths four times the steps": (
        lambda folder: csv(folder / "log.csv", Run(RUN.step, RUN.value, 4 * RUN.length)),
        "four times",
        {},
    ),
    "a column of lists": (frame(env_step=[[1.0]], episode_return=[1.0]), "is of type list", {}),
    "an event file that is damaged half way": (corrupt, "trained ", {}),
    "two programs that write events at the same time": (
        both(
            lambda folder: events(folder, RUN), lambda folder: events(folder, cartpole(1), begun=1.7e9 + 0.05)
        ),
        "were written at the same time",
        {},
    ),
    "no such tag, but evaluations": (
        lambda folder: events(folder, RUN, tags=["eval/mean_reward"]),
        "evaluations can be read",
        {},
    ),
    "results that do not fit": (
        lambda folder: evaluations(folder / "evaluations.npz", results=np.zeros((19, 5))),
        "timesteps (20,) and results (19, 5) do not belong together",
        {},
    ),
    "results of four dimensions": (
        lambda folder: evaluations(folder / "evaluations.npz", results=np.zeros((20, 2, 3, 2))),
        "do not belong together",
        {},
    ),
    "no results": (
        lambda folder: evaluations(
            folder / "evaluations.npz", timesteps=np.zeros(0), results=np.zeros((0, 5))
        ),
        "do not belong together",
        {},
    ),
    "evaluations without their beginning": (
        lambda folder: evaluations(folder / "evaluations.npz", timesteps=50_000 + 2500 * np.arange(1, 21)),
        MISSING,
        {},
    ),
    "evaluations of two runs": (
        both(
            lambda folder: evaluations(folder / "evaluations.npz"),
            lambda folder: evaluations(folder / "evaluations-2.npz", seed=1),
        ),
        "several runs",
        {},
    ),
    "nothing of a known format": (text("progress.log", "x"), "contains no log files", {}),
}


@pytest.mark.parametrize(("write", "reason", "returns"), REFUSED.values(), ids=REFUSED)
def test_harmful(write: Write, reason: str, returns: dict[str, Any], tmp_path: Path) -> None:
    write(tmp_path)
    expected = CARTPOLE._replace(environment=returns.pop("environment", CARTPOLE.environment))
    expected = expected if expected.environment == "CartPole-v1" else expected._replace(time_limit=None)
    found = judge(tmp_path, expected=expected, **returns)
    assert not found.seeds and all(reason in line for line in found.refused.values()), found


def test_evaluations_of_a_resumed_run_are_joined(tmp_path: Path) -> None:
    """The abandoned points are those of the file before."""
    evaluations(tmp_path / "evaluations.npz", points=12, timesteps=5000 * np.arange(1, 13))
    second = 5000 * np.arange(9, 21)
    evaluations(tmp_path / "evaluations2.npz", points=12, timesteps=second, results=np.full((12, 5), 7.0))
    found = judge(tmp_path)
    assert "20 rows that were abandoned when it was resumed dropped" in found.notes
    assert found.evaluated < 150


def test_a_longer_run_is_judged_by_its_first_part_where_that_is_asked_for(tmp_path: Path) -> None:
    """Its clock is only that of episodes that have ended."""
    end = RUN.rows(RUN.step > 50_000)
    more = [Run(end.step + 50_000 * i, end.value, end.length) for i in (1, 2)]
    columns = (np.concatenate(each) for each in zip(RUN, *more, strict=True))
    monitor(tmp_path / "monitor.csv", Run(*columns))
    found = judge(tmp_path, longer=True)
    assert "its first part is judged" in found.notes and found.training == pytest.approx(KNOWN, rel=0.01)


def test_one_sub_environment_is_not_taken_for_eight(tmp_path: Path) -> None:
    one_monitor(tmp_path)
    found = judge(tmp_path)
    assert "sums of the lengths of episodes that have ended" in found.notes
    assert found.training == pytest.approx(area(of_one(), CARTPOLE), abs=0.01)


def test_an_evaluation_in_a_folder_of_its_own_is_left_out(tmp_path: Path) -> None:
    monitor(tmp_path / "seed-4" / "monitor.csv", RUN)
    monitor(tmp_path / "seed-4" / "eval" / "monitor.csv", RUN.rows(slice(200, None)))
    found = judge(tmp_path, "seed-{seed}")
    assert found.seeds == [4] and found.training == pytest.approx(KNOWN, abs=0.01)
    assert "eval/monitor.csv: of evaluations, by its name" in found.notes


@pytest.mark.parametrize(
    ("environment", "line"),
    [
        ("Pong-ramNoFrameskip-v4", "whose observations are the memory of the game"),
        ("Pong-v0", "whose steps last 2 to 4 frames at random"),
        ("Pong-v4", "whose steps last 2 to 4 frames at random"),
        ("BreakoutNoFrameskip-v4", "made in BreakoutNoFrameskip-v4, not in ALE/Pong-v5@nature"),
        ("CartPole-v1", "made in CartPole-v1, not in ALE/Pong-v5@nature"),
    ],
)
def test_other_games_and_ways_to_play_are_refused(environment: str, line: str, tmp_path: Path) -> None:
    events(tmp_path, pong(0), environment=environment)
    assert line in judge(tmp_path, ".", PONG).refused[0]


@pytest.mark.parametrize(
    ("environment", "note"),
    [
        ("ALE/Pong-v5@nature", ""),
        ("Pong-v5", "Pong-v5 does not say whether actions are sticky"),
        ("PongDeterministic-v4", "PongDeterministic-v4 is ALE/Pong-v5@nature"),
        ("PongNoFrameskip-v0", "PongNoFrameskip-v0 has sticky actions"),
        ("ale_py:ALE/Pong-v5", "ALE/Pong-v5 has sticky actions"),
    ],
)
def test_ids_of_the_same_game_are_read(environment: str, note: str, tmp_path: Path) -> None:
    events(tmp_path, pong(0), environment=environment)
    found = judge(tmp_path, ".", PONG)
    assert found.training == pytest.approx(area(pong(0), PONG), abs=0.01) and note in found.notes


@pytest.mark.parametrize("name", ["log.csv", "monitor.csv", "evaluations.npz"])
def test_folders_of_two_environments_are_told_apart(name: str, tmp_path: Path) -> None:
    """By RL Zoo's and CleanRL's names of folders, whatever lies in them."""
    for folder in ("CartPole-v1_7", "Acrobot-v1_7", "CartPole-v1_8", "Acrobot-v1_8"):
        here = tmp_path / folder
        if name == "log.csv":
            csv(here / name, RUN)
        elif name == "monitor.csv":
            monitor(here / name, RUN, environment=folder.partition("_")[0])
        else:
            evaluations(here / name)
    found = judge(tmp_path)
    assert found.seeds == [7, 8] and "2 runs of Acrobot-v1 left out" in found.notes


def test_a_seed_with_runs_of_two_environments_is_the_one_asked_for(tmp_path: Path) -> None:
    for name in ("CartPole-v1", "Acrobot-v1"):
        events(tmp_path / f"{name}__ppo__3__17", RUN, environment=name)
    found = judge(tmp_path, "*__ppo__{seed}__*")
    assert found.seeds == [3] and "1 runs of Acrobot-v1 left out" in found.notes


@pytest.mark.parametrize(
    ("rows", "line"),
    [
        ([{"Iteration": i, "Value": 1.0} for i in (0, 0, 1, 3, 3)], "iteration 2 is missing"),
        ([{"Iteration": i, "Value": 1.0} for i in (0, 1, 2, 2)], "iteration 0 has 1 rows, others 2"),
        ([{"Iteration": {}, "Value": 1.0}], "is not a number"),
        ([{"Iteration": 0, "Value": "x"}], "Value 1 is 'x', not a number"),
        ([{"Iteration": 0.5, "Value": 1.0}], "iteration 0 is missing"),
    ],
)
def test_iterations_that_do_not_add_up(rows: list[dict[str, Any]], line: str, tmp_path: Path) -> None:
    (tmp_path / "pong.json").write_text(json.dumps(rows))
    assert line in judge(tmp_path, "pong.json", PONG, iteration_steps=10_240).refused[0]


def test_a_run_of_iterations_that_ended_early_is_told_from_the_others(tmp_path: Path) -> None:
    """Run by run: the file says where one ends."""
    dopamine(tmp_path / "pong.json", [[-20.0] * 4, [-20.0] * 2], by_iteration=False)
    found = judge(tmp_path, "pong.json", PONG, iteration_steps=10_240)
    assert found.seeds == [0] and "trained 20,480 of 40,960" in found.refused[1]


def test_a_shard_without_seeds_is_not_mixed_with_others(tmp_path: Path) -> None:
    csv(tmp_path / "a.csv", RUN)
    rows = (tmp_path / "a.csv").read_text().splitlines()
    (tmp_path / "b.csv").write_text("\n".join([f"{rows[0]},seed", *(f"{row},1" for row in rows[1:])]) + "\n")
    assert "has no column of seeds, others have" in judge(tmp_path, "*.csv").refused[-1]


def test_a_shard_that_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    rows = table()
    (tmp_path / "a.csv").write_text("\n".join([f"{rows[0]},seed", *(f"{row},1" for row in rows[1:])]) + "\n")
    (tmp_path / "b.csv").write_text("env_step,episode_return,seed\n1,x,2\n")
    found = judge(tmp_path, "*.csv")
    assert (
        found.seeds == [1] and "left out: " in found.notes and "line 2: episode_return is 'x'" in found.notes
    )


def test_seeds_of_many_digits_are_no_seeds(tmp_path: Path) -> None:
    for name in ("run-99999999999999999999991", "run-99999999999999999999992"):
        csv(tmp_path / name / "log.csv", RUN)
    found = judge(tmp_path)
    assert found.seeds == [0, 1] and "numbered from 0" in found.notes
    assert "no file or folder of any seed" in judge(tmp_path, "run-{seed}").refused[-1]


def test_steps_of_a_run_in_hopper_have_no_time_limit_to_go_by(tmp_path: Path) -> None:
    """An environment without one: rows are still held against each other."""
    csv(tmp_path / "log.csv", RUN)
    expected = Expected("Walker-v0", 100_000, 8, 20, None)
    assert judge(tmp_path, expected=expected).training == pytest.approx(KNOWN, abs=0.01)
