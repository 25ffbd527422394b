"""Logs as users of other programs reported trouble with, each with its right outcome.

Every case is seeds of a known run, written in another program's format or damaged as it happens: it is read
with the known numbers, or refused in one line that names the cause. Issues are those of the named projects.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from judging import judge
from known_runs import (
    CARTPOLE,
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
    pong,
    sub_environments,
)

from rlparity.log_readers.checks import Expected

SEEDS = (0, 3)
KNOWN = float(np.mean([area(cartpole(seed), CARTPOLE) for seed in SEEDS]))
KNOWN_PONG = float(np.mean([area(pong(seed), PONG) for seed in (0, 1)]))
CAR = Expected("MountainCar-v0", budget=100_000, n_envs=16, points=20, time_limit=200)
STEP_RETURN = {"env_step": "Step", "episode_return": "Value"}
Build = Callable[[Path, int, Run], Any]  # writes one seed into its folder


class Case(NamedTuple):
    """How a seed is written, and what must come of it."""

    build: Build
    outcome: str | float  # a part of the refusal's line, or the mean that is read
    note: str = ""  # a part of a note
    returns: dict[str, Any] = {}  # noqa: RUF012 (never changed)
    logs: str = "."
    expected: Expected = CARTPOLE


def plain(folder: Path, seed: int, run: Run) -> None:
    csv(folder / "log.csv", run)


def side_by_side(folder: Path, seed: int, run: Run) -> None:
    for i, part in enumerate(sub_environments(run)):
        monitor(folder / f"{i}.monitor.csv", part)


def no_header(folder: Path, seed: int, run: Run) -> None:
    folder.mkdir(parents=True)
    lines = monitor_text(run).splitlines(keepends=True)
    (folder / "monitor.csv").write_text("".join(lines[2:]))


def appended(folder: Path, seed: int, run: Run) -> None:
    """The clock of the resumed run starts again; there is no other header."""
    folder.mkdir(parents=True)
    half = len(run.step) // 2
    later = Run(run.step[half:] - run.step[half - 1], run.value[half:], run.length[half:])
    first, second = monitor_text(run.rows(slice(half))), monitor_text(later)
    (folder / "monitor.csv").write_text(first + "".join(second.splitlines(keepends=True)[2:]))


def in_turn(folder: Path, seed: int, run: Run) -> None:
    half = len(run.step) // 2
    later = Run(run.step[half:] - run.step[half - 1], run.value[half:], run.length[half:])
    monitor(folder / "first.monitor.csv", run.rows(slice(half)))
    monitor(folder / "second.monitor.csv", later)


def evaluated_beside(folder: Path, seed: int, run: Run) -> None:
    monitor(folder / "monitor.csv", run)
    monitor(folder / "eval.monitor.csv", run.rows(slice(100, None)))


def evaluated_within(folder: Path, seed: int, run: Run) -> None:
    order = np.sort(np.r_[np.arange(len(run.step)), np.arange(len(run.step) // 3, len(run.step))])
    monitor(folder / "monitor.csv", run.rows(order))


def line(change: Callable[[list[str]], list[str]]) -> Build:
    """A monitor file whose lines are changed."""

    def build(folder: Path, seed: int, run: Run) -> None:
        folder.mkdir(parents=True)
        lines = monitor_text(run).splitlines(keepends=True)
        (folder / "monitor.csv").write_text("".join(change(lines)), newline="")

    return build


def glued(lines: list[str]) -> list[str]:
    return [*lines[:116], lines[116][:-1] + lines[117][3:], *lines[118:]]


def crlf(lines: list[str]) -> list[str]:
    return [text.replace("\n", "\r\n") for text in lines]


def progress(
    name: str, late: bool = False, delimiter: str = ",", header: tuple[str, str] | None = None
) -> Build:
    """A row for every 4,000 steps, with the mean over the last 100 episodes."""

    def build(folder: Path, seed: int, run: Run) -> None:
        folder.mkdir(parents=True)
        rows = [delimiter.join(header or ("timesteps_total", "episode_reward_mean"))]
        for i, at in enumerate(range(4000, 100_001, 4000)):
            before = run.value[run.step <= at][-100:]
            rows.append(f"{at}{delimiter}{'nan' if late and not i else before.mean()}")
        (folder / name).write_text("\n".join(rows) + "\n")

    return build


def evaluated(**arrays: Any) -> Build:
    """EvalCallback's file with other arrays; a number is the number of episodes, 0 a mean at each point."""

    def build(folder: Path, seed: int, run: Run) -> None:
        known = np.tile(np.linspace(100, 500, 20)[:, None], 5)
        shape = arrays.get("shape", "plain")
        results = {"plain": known, "three": known[..., None], "flat": known.mean(axis=1)}[shape]
        lengths = {"ep_lengths": known.astype(int)} if shape != "flat" else {}
        folder.mkdir(parents=True)
        steps = 5000 * np.arange(1, 21)
        np.savez(folder / "evaluations.npz", timesteps=steps, results=results, **lengths)
        if "other" in arrays:
            np.savez(folder / "obs_stats.npz", mean=np.zeros(4), var=np.ones(4))

    return build


def sparse(folder: Path, seed: int, run: Run) -> None:
    folder.mkdir(parents=True)
    rows = ["time/total_timesteps,rollout/ep_rew_mean,eval/mean_reward,train/loss"]
    for i in range(1, 21):
        rows += [f"{5000 * i - 1000},33.4,,0.1", f"{5000 * i},,{100 + 20 * i},0.1"]
    (folder / "progress.csv").write_text("\n".join(rows) + "\n")


def resumed(kind: str) -> Build:
    """Two or three event files in CleanRL's folder."""

    def build(folder: Path, seed: int, run: Run) -> None:
        here = folder / f"CartPole-v1__ppo__{seed}__170"
        other = cartpole(1)
        if kind == "chain":
            for i, (a, b) in enumerate(((0, 30_000), (30_000, 70_000), (70_000, 100_000))):
                events(here, run.rows((run.step > a) & (run.step <= b)), begun=1.7e9 + i)
            return
        begun_again = {"overlap": 40_000, "purged": 40_000}.get(kind, 0)
        before = run.rows(run.step <= begun_again)
        until = {"overlap": 60_000, "purged": 60_000, "anew": 20_000, "false-start": 136}[kind]
        abandoned = other.rows((other.step > begun_again) & (other.step <= until))
        first = Run(*(np.concatenate(pair) for pair in zip(before, abandoned, strict=True)))
        events(here, first)
        purge = 40_001 if kind == "purged" else None
        events(here, run.rows(run.step > begun_again), begun=1.7e9 + 100, purge=purge)

    return build


def atari(environment: str, factor: int) -> Build:
    def build(folder: Path, seed: int, run: Run) -> None:
        for i, part in enumerate(sub_environments(run)):
            monitor(folder / f"{i}.monitor.csv", part, environment=environment, factor=factor)

    return build


def atari_events(environment: str, factor: int = 1) -> Build:
    def build(folder: Path, seed: int, run: Run) -> None:
        events(folder, Run(run.step, run.value, run.length * factor), environment=environment)

    return build


def zoo(folder: Path, seed: int, run: Run) -> None:
    for name in ("CartPole-v1", "Acrobot-v1"):
        here = folder.parent / f"{name}_{seed + 1}"
        monitor(here / "0.monitor.csv", run, environment=name)
        evaluations(here / "evaluations.npz", seed=seed)
        (here / name).mkdir()
        (here / name / "args.yml").write_text(f"env: {name}\n")


def dialect(change: Callable[[str], bytes]) -> Build:
    def build(folder: Path, seed: int, run: Run) -> None:
        path = csv(folder / "log.csv", run)
        path.write_bytes(change(path.read_text()))

    return build


def numbered(text: str) -> bytes:
    """With pandas' index."""
    head, *rows = text.splitlines()
    return "\n".join([f",{head}", *(f"{i},{row}" for i, row in enumerate(rows))]).encode()


def thousands(text: str) -> bytes:
    head, *rows = text.splitlines()
    cells = [row.split(",") for row in rows]
    return "\n".join([head, *(f'"{int(a):,}",{b},{c}' for a, b, c in cells)]).encode()


def of_tensorboard(folder: Path, seed: int, run: Run) -> None:
    path = folder.parent / f"run-CartPole-v1__ppo__{seed}__17-tag-charts_episodic_return.csv"
    rows = [f"{1.7e9 + step},{step:.0f},{value}" for step, value in zip(run.step, run.value, strict=True)]
    path.write_text("\n".join(["Wall time,Step,Value", *rows]) + "\n")


def with_others(folder: Path, seed: int, run: Run) -> None:
    events(folder, run)
    (folder / "config.json").write_text(json.dumps({"seed": seed}))
    inner = folder / "wandb" / "run-1"
    inner.mkdir(parents=True)
    (inner / "wandb-summary.json").write_text(json.dumps({"global_step": 100_000}))


def with_losses(folder: Path, seed: int, run: Run) -> None:
    plain(folder, seed, run)
    (folder / "losses.csv").write_text("update,policy_loss\n1,0.2\n")


def mean_tag(folder: Path, seed: int, run: Run) -> None:
    at = np.arange(2000, 100_001, 2000)
    means = [run.value[run.step <= step][-100:].mean() for step in at]
    events(folder, Run(at.astype(float), np.array(means), at * 0.0), tags=["Train/mean_reward"])


def rows(which: Callable[[Run], Any]) -> Build:
    def build(folder: Path, seed: int, run: Run) -> None:
        csv(folder / "log.csv", run.rows(which(run)))

    return build


def last_of_each_step(run: Run) -> Any:
    return np.flatnonzero(np.diff(run.step, append=np.inf) > 0)


def longer(folder: Path, seed: int, run: Run) -> None:
    thrice = [Run(run.step + i * 100_000, run.value, run.length) for i in range(3)]
    csv(folder / "log.csv", Run(*(np.concatenate(columns) for columns in zip(*thrice, strict=True))))


def other_unit(per: str) -> Build:
    def build(folder: Path, seed: int, run: Run) -> None:
        step = run.step / 8 if per == "vec" else np.arange(1.0, len(run.step) + 1)
        csv(folder / "log.csv", Run(step, run.value, run.length))

    return build


def floor(folder: Path, seed: int, run: Run) -> None:
    folder.mkdir(parents=True)
    steps = 5000 * np.arange(1, 21)
    np.savez(folder / "evaluations.npz", timesteps=steps, results=np.full((20, 5), -200.0))


def some_evaluated(folder: Path, seed: int, run: Run) -> None:
    monitor(folder / "monitor.csv", run)
    if seed == 0:
        evaluations(folder / "evaluations.npz")


CASES = {
    "00 runs": Case(plain, KNOWN),
    "00 mon": Case(side_by_side, KNOWN, "sums of the lengths"),
    "01 (SB3#2282: Monitor that does not override writes no header)": Case(no_header, "not a monitor file"),
    "02 runs (SB3#1035)": Case(appended, KNOWN, "one run that was resumed there"),
    "02 split (SB3#1037)": Case(in_turn, KNOWN, "first.monitor.csv, then second.monitor.csv"),
    "03 runs (SB3#852)": Case(evaluated_beside, KNOWN, "eval.monitor.csv: of evaluations, by its name"),
    "03 mixed (SB3#852)": Case(evaluated_within, "about twice, so an evaluation"),
    "04 runs (baselines#1100)": Case(line(glued), "line 117 has 5 fields, the columns are 3"),
    "04 six": Case(
        line(lambda lines: [*lines[:99], lines[99][:-1] + "," + lines[100], *lines[101:]]),
        "line 100 has 6 fields",
    ),
    "04 cut": Case(line(lambda lines: [*lines, "500."]), KNOWN, "incomplete last line"),
    "04 crlf": Case(line(crlf), KNOWN),
    "05 (ray#45284)": Case(
        progress("progress.csv"),
        "RLlib's mean over the last 100 episodes",
        "",
        {"columns": {"env_step": "timesteps_total", "episode_return": "episode_reward_mean"}},
    ),
    "05 without a map": Case(progress("progress.csv"), "episode_reward_mean is RLlib's mean"),
    "05 late (ray#10416)": Case(
        progress("progress.csv", late=True),
        "RLlib's mean over the last 100 episodes",
        "",
        {"columns": {"env_step": "timesteps_total", "episode_return": "episode_reward_mean"}},
    ),
    "07 three (gym-pybullet-drones#72)": Case(evaluated(shape="three"), 300.0),
    "07 flat": Case(evaluated(shape="flat"), 300.0, "taken as the mean of an evaluation"),
    "07 good": Case(evaluated(), 300.0),
    "08 (SB3#852)": Case(
        sparse,
        310.0,
        "20 rows without eval/mean_reward are no rows",
        {
            "columns": {"env_step": "time/total_timesteps", "episode_return": "eval/mean_reward"},
            "measure": "evaluation",
        },
    ),
    "09 overlap (SB3#433)": Case(
        resumed("overlap"), KNOWN, "that were abandoned when it was resumed dropped"
    ),
    "09 anew (SB2#1007)": Case(resumed("anew"), "begins anew, after 19,"),
    "09 purged (tensorboard#3732)": Case(resumed("purged"), KNOWN, "abandoned"),
    "09 chain": Case(resumed("chain"), KNOWN, "3 files, one after the other"),
    "09 false-start": Case(resumed("false-start"), KNOWN, "rows of a false start dropped"),
    "11 (Spinning Up)": Case(
        progress("progress.txt", delimiter="\t", header=("TotalEnvInteracts", "AverageEpRet")),
        "AverageEpRet is Spinning Up's mean over an epoch",
    ),
    "11 with a map": Case(
        progress("progress.txt", delimiter="\t", header=("TotalEnvInteracts", "AverageEpRet")),
        "Spinning Up's mean over an epoch",
        "",
        {"columns": {"env_step": "TotalEnvInteracts", "episode_return": "AverageEpRet"}},
    ),
    "12 sb3-v4 (rl-zoo#367)": Case(
        atari("PongNoFrameskip-v4", 4), KNOWN_PONG, "they count frames, divided by 4", expected=PONG
    ),
    "12 sb3-v5": Case(atari("ALE/Pong-v5", 4), KNOWN_PONG, "they count frames, divided by 4", expected=PONG),
    "12 steps-v5": Case(atari("ALE/Pong-v5", 1), KNOWN_PONG, "has sticky actions", expected=PONG),
    "13 v4 (gym#2454)": Case(
        atari_events("PongNoFrameskip-v4"),
        KNOWN_PONG,
        "PongNoFrameskip-v4 is ALE/Pong-v5@nature",
        expected=PONG,
    ),
    "13 v4, lengths in frames": Case(
        atari_events("PongNoFrameskip-v4", 4), KNOWN_PONG, "they count frames, divided by 4", expected=PONG
    ),
    "13 v5 (dopamine#187)": Case(
        atari_events("ALE/Pong-v5"), KNOWN_PONG, "plain ALE/Pong-v5 has sticky actions", expected=PONG
    ),
    "16 (rl-baselines3-zoo#491)": Case(zoo, KNOWN, "2 runs of Acrobot-v1 left out"),
    "19 bom": Case(dialect(lambda text: b"\xef\xbb\xbf" + text.encode()), KNOWN),
    "19 index": Case(dialect(numbered), KNOWN),
    "19 semicolon": Case(dialect(lambda text: text.replace(",", ";").replace(".", ",").encode()), KNOWN),
    "19 latin": Case(
        dialect(lambda text: text.replace("episode_return", "Rückgabe").encode("latin-1")),
        KNOWN,
        "Latin-1",
        {"columns": {"episode_return": "Rückgabe"}},
    ),
    "19 thousand": Case(dialect(thousands), "not a number; remove thousands separators"),
    "19 footer": Case(dialect(lambda text: f"{text}# done\n".encode()), KNOWN, "1 line of comments left out"),
    "19 tbcsv": Case(of_tensorboard, KNOWN, "", {"columns": STEP_RETURN}),
    "21 npz (panda_mujoco_gym#4)": Case(
        evaluated(other=True), 300.0, "obs_stats.npz: no array timesteps, results"
    ),
    "21 csv": Case(with_losses, KNOWN, "losses.csv: no column env_step"),
    "21 tb": Case(with_others, KNOWN),
    "21 tb, all folders": Case(with_others, KNOWN, "wandb-summary.json", logs="{seed}"),
    "22 (UniLab#441)": Case(mean_tag, "a mean over several episodes", "", {"tag": "Train/mean_reward"}),
    "23 late (hill-a#563)": Case(rows(lambda run: slice(-100, None)), "the beginning is missing"),
    "23 tenth (cleanrl#508)": Case(rows(lambda run: slice(None, None, 10)), "only some episodes are logged"),
    "23 last (ray#9104)": Case(rows(last_of_each_step), KNOWN, "begin where none ended"),
    "24 (dopamine#187)": Case(longer, KNOWN, "3 times as long as the budget: its first part is judged"),
    "25 vec (baselines#397)": Case(other_unit("vec"), "counted for each of 8 sub-environments"),
    "25 game": Case(other_unit("game"), "its steps count episodes"),
    "26 (MountainCar)": Case(floor, -200.0, expected=CAR),
    "27 (SB3#852)": Case(some_evaluated, KNOWN),
    "29 (Gymnasium#936)": Case(
        lambda folder, seed, run: monitor(folder / "monitor.csv", run, environment="Hopper-v4"),
        "made in Hopper-v4, not in Hopper-v5",
        expected=Expected("Hopper-v5", 100_000, 1, 20, 1000),
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_case_has_its_right_outcome(case: Case, tmp_path: Path) -> None:
    seeds = (0, 1) if case.expected is PONG else SEEDS
    for seed in seeds:
        case.build(tmp_path / str(seed), seed, pong(seed) if case.expected is PONG else cartpole(seed))
    found = judge(tmp_path, case.logs, case.expected, **case.returns)
    if isinstance(case.outcome, str):
        assert not found.seeds and all(case.outcome in reason for reason in found.refused.values()), found
        return
    assert not found.refused and len(found.seeds) == len(seeds)
    mean = found.training if not np.isnan(found.training) else found.evaluated
    assert mean == pytest.approx(case.outcome, abs=0.2 if "begin where none" in case.note else 0.01)
    assert case.note in found.notes, found.notes


def test_dopamine_names_its_game_in_its_file(tmp_path: Path) -> None:
    """google/dopamine's baselines/atari/data: a file for each game, and one of Vega beside."""
    values = [[-20.0, -19.0, -18.0, -17.0], [-20.5, -19.5, -18.5, -17.5]]
    dopamine(tmp_path / "pong.json", values, by_iteration=False)
    dopamine(tmp_path / "breakout.json", [[1.0, 2.0, 3.0, 4.0]] * 2)
    (tmp_path / "pong.vg.json").write_text(json.dumps({"$schema": "vega", "data": []}))
    found = judge(tmp_path, ".", PONG, iteration_steps=10_240)
    at = 10_240.0 * np.arange(1, 5)
    known = np.mean([area(Run(at, np.array(one), at * 0), PONG) for one in values])
    assert found.seeds == [0, 1] and found.training == pytest.approx(known, abs=0.001)
    assert "made in ALE/Breakout-v5" in found.notes and "pong.vg.json: not Dopamine's" in found.notes


def test_dopamine_lacks_an_iteration_of_a_run(tmp_path: Path) -> None:
    rows = [{"Iteration": i, "Value": -20.0, "Agent": "PPO"} for i in (0, 0, 1, 2, 2, 3, 3)]
    (tmp_path / "pong.json").write_text(json.dumps(rows))
    found = judge(tmp_path, ".", PONG, iteration_steps=10_240)
    assert "iteration 1 has 1 rows, others 2" in found.refused[0]


@pytest.mark.parametrize("logs", ["machine-*.csv", "."])
def test_shards_with_a_column_of_seeds(tmp_path: Path, logs: str) -> None:
    """marl-eval and openrlbenchmark: long tables, one file for each machine."""
    for name, seeds in (("a", (0, 1, 2)), ("b", (3, 4))):
        parts = [
            csv(tmp_path / "x" / f"{seed}.csv", cartpole(seed)).read_text().splitlines() for seed in seeds
        ]
        rows = [f"{row},{seed}" for seed, part in zip(seeds, parts, strict=True) for row in part[1:]]
        (tmp_path / f"machine-{name}.csv").write_text("\n".join([f"{parts[0][0]},seed", *rows]) + "\n")
        for seed in seeds:
            (tmp_path / "x" / f"{seed}.csv").unlink()
    found = judge(tmp_path, logs)
    assert found.seeds == [0, 1, 2, 3, 4] and found.training == pytest.approx(435.43, abs=0.01)


def test_a_run_that_was_stopped_is_named(tmp_path: Path) -> None:
    last = {}
    for seed in range(3):
        run = cartpole(seed)
        run = run.rows(run.step < (60_000 if seed == 1 else 100_000))
        csv(tmp_path / str(seed) / "log.csv", run)
        last[seed] = run.step[-1]
    found = judge(tmp_path)
    assert found.seeds == [0, 2] and f"trained {last[1]:,.0f} of 100,000" in found.refused[1]
