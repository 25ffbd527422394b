"""Logs of other programs: every format is read; what cannot be compared is refused with the reason."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from monitor_logs import HEADER, monitor

from rlparity.log_readers import convert as logs
from rlparity.log_readers import seeds
from rlparity.log_readers.checks import Expected
from rlparity.log_readers.discover import find
from rlparity.log_readers.series import Reading, Refused

EXPECTED = Expected("CartPole-v1", budget=100, n_envs=1, points=4, time_limit=20)


def table(path: Path, **columns: Sequence[Any]) -> Path:
    content = pa.table({name: list(values) for name, values in columns.items()})
    if path.suffix == ".parquet":
        pq.write_table(content, path)
    else:
        lines = [
            ",".join(content.column_names),
            *(",".join(map(str, row.values())) for row in content.to_pylist()),
        ]
        path.write_text("\n".join(lines) + "\n")
    return path


def events(folder: Path, tag: str, points: Sequence[tuple[int, float]], text: str = "") -> Path:
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(folder)) as writer:
        if text:
            writer.add_text("hyperparameters", text)
        for step, value in points:
            writer.add_scalar(tag, value, step)
    return next(folder.glob("*tfevents*"))


def read(
    *files: Path,
    expected: Expected = EXPECTED,
    modes: Sequence[str] = ("deterministic",),
    seed: int = 0,
    **how: Any,
) -> logs.Logged:
    return logs.read(files, Reading(**how), expected, modes, seed)


def refused(*files: Path, **how: Any) -> str:
    with pytest.raises(Refused) as caught:
        read(*files, **how)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def pairs(logged: logs.Logged) -> list[tuple[int, float]]:
    return [(row["env_step"], row["episode_return"]) for row in logged.episodes]


# --- formats


def test_monitor_files_of_sub_environments_share_a_clock(tmp_path: Path) -> None:
    """Two of them: an episode that ended after 30 of its steps ended at environment step 60."""
    a = monitor(tmp_path / "0.monitor.csv", [(10, 10, 1), (20, 20, 3)])
    b = monitor(tmp_path / "1.monitor.csv", [(15, 15, 2), (33, 33, 4)])
    logged = read(a, b)
    assert pairs(logged) == [(20, 10), (30, 15), (60, 20), (96, 33)]
    assert [row["episode_length"] for row in logged.episodes] == [10, 15, 20, 33]
    assert any("are sums of the lengths of episodes" in note for note in logged.notes)


def test_one_monitor_file_is_summed_up(tmp_path: Path) -> None:
    path = monitor(tmp_path / "monitor.csv", [(40, 40, 1), (50, 50, 2)])
    assert pairs(read(path)) == [(40, 40), (90, 50)]
    shared = read(path, expected=EXPECTED._replace(n_envs=2), n_envs=2)
    assert pairs(shared) == [(40, 40), (90, 50)]
    assert any("sums of the lengths of episodes that have ended" in note for note in shared.notes)


def test_evaluations_have_all_episodes_and_the_mode_of_the_policy(tmp_path: Path) -> None:
    path = tmp_path / "evaluations.npz"
    np.savez(path, timesteps=[50, 100], results=[[1.0, 2.0], [3.0, 4.0]], ep_lengths=[[1, 2], [3, 4]])
    logged = read(path)
    assert [(r["env_step"], r["episode"], r["protocol"], r["value"]) for r in logged.evaluations] == [
        (50, 0, "deterministic", 1.0),
        (50, 1, "deterministic", 2.0),
        (100, 0, "deterministic", 3.0),
        (100, 1, "deterministic", 4.0),
    ]
    assert any("assumed to be of the deterministic policy" in note for note in logged.notes)
    sampled = read(path, modes=("deterministic", "sampled"), deterministic=False)
    assert {row["protocol"] for row in sampled.evaluations} == {"sampled"}
    assert "of the sampled policy; the reference's are deterministic" in refused(path, deterministic=False)


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    class Malice:
        def __reduce__(self) -> Any:
            return Path.touch, (tmp_path / "ran",)

    path = tmp_path / "evaluations.npz"
    np.savez(path, timesteps=np.array([Malice()]), results=np.zeros((1, 1)))
    assert "not an archive of plain numbers" in refused(path)
    assert not (tmp_path / "ran").exists()


def test_event_files_by_tag(tmp_path: Path) -> None:
    cleanrl = "|param|value|\n|-|-|\n|env_id|CartPole-v1|\n|seed|1|"
    path = events(tmp_path / "a", "charts/episodic_return", [(20, 20.0), (90, 70.0)], cleanrl)
    logged = read(path)
    assert pairs(logged) == [(20, 20.0), (90, 70.0)]
    assert not any("does not name its environment" in note for note in logged.notes)
    assert "no scalar 'other'; there are charts/episodic_return" in refused(path, tag="other")
    evaluated = events(tmp_path / "b", "eval/mean_reward", [(50, 1.0), (100, 2.0)])
    assert [row["env_step"] for row in read(evaluated, tag="eval/mean_reward").evaluations] == [50, 100]


def test_running_means_are_not_returns(tmp_path: Path) -> None:
    path = events(tmp_path, "rollout/ep_rew_mean", [(50, 1.0), (100, 2.0)])
    assert "mean over the last 100 episodes" in refused(path, tag="rollout/ep_rew_mean")


@pytest.mark.parametrize("name", ["rollout/ep_rew_mean", "ep_rew_mean"])
@pytest.mark.parametrize("measure", ["", "training", "evaluation"])
def test_running_means_in_tables_are_refused_too(tmp_path: Path, name: str, measure: str) -> None:
    path = table(tmp_path / "progress.csv", **{"time/total_timesteps": [50, 95], name: [1.0, 2.0]})
    columns = {"env_step": "time/total_timesteps", "episode_return": name}
    line = refused(path, columns=columns, measure=measure)
    assert f"column {name}: is Stable-Baselines3's mean over the last 100 episodes" in line


def test_a_source_that_is_named_is_read_before_others(tmp_path: Path) -> None:
    """Beside a monitor file, which is read where nothing is named."""
    beside = monitor(tmp_path / "monitor.csv", [(50, 50, 1), (45, 45, 2)])
    scalars = events(tmp_path, "charts/return", [(20, 20.0), (90, 70.0)])
    rows = table(tmp_path / "log.csv", step=[30, 95], ret=[1.0, 2.0])
    columns = {"env_step": "step", "episode_return": "ret"}
    assert pairs(read(beside, scalars, rows)) == [(50, 50), (95, 45)]
    assert pairs(read(beside, scalars, rows, tag="charts/return")) == [(20, 20), (90, 70)]
    assert pairs(read(beside, scalars, rows, columns=columns)) == [(30, 1), (95, 2)]
    both = read(beside, scalars, rows, columns=columns, tag="charts/return")
    assert pairs(both) == [(20, 20), (90, 70)]
    assert any(n.startswith("left out: ") and "log.csv: training is read from" in n for n in both.notes)


def test_evaluations_that_are_asked_for_are_read_beside_training(tmp_path: Path) -> None:
    trained = monitor(tmp_path / "monitor.csv", [(50, 50, 1), (45, 45, 2)])
    rows = table(tmp_path / "log.csv", env_step=[50, 100], episode_return=[1.0, 2.0])
    found = read(trained, rows, measure="evaluation")
    assert len(found.episodes) == 2 and [row["env_step"] for row in found.evaluations] == [50, 100]
    scalars = events(tmp_path, "eval/mean_reward", [(50, 5.0), (100, 6.0)])
    by_tag = read(trained, scalars, tag="eval/mean_reward")
    assert len(by_tag.episodes) == 2 and [row["value"] for row in by_tag.evaluations] == [5.0, 6.0]


def test_unused_options_are_noted(tmp_path: Path) -> None:
    trained = monitor(tmp_path / "monitor.csv", [(50, 50, 1), (45, 45, 2)])
    rows = table(tmp_path / "log.csv", env_step=[30, 95], episode_return=[1.0, 2.0])
    left = [note for note in read(trained, rows, measure="training").notes if note.startswith("left out: ")]
    assert left == [f"left out: {rows}: training is read from {trained}; choose with `files`"]
    left = [note for note in read(trained, tag="charts/return").notes if note.startswith("left out: ")]
    assert left == ["left out: `tag` is for tensorboard files, of which there are none"]
    left = [note for note in read(trained, rows).notes if note.startswith("left out: ")]
    assert left == [f"left out: {rows}: training is read from {trained}; choose with `files`"]


def test_dopamine_files_hold_several_runs(tmp_path: Path) -> None:
    """The n-th row of an iteration is the n-th run's; iteration i ends after i + 1 of them."""
    path = tmp_path / "runs.json"
    rows = [{"Agent": "DQN", "Iteration": i, "Value": v} for i, v in ((0, 1.0), (0, 5.0), (1, 2.0), (1, 6.0))]
    path.write_text(json.dumps([*rows, {"Agent": "C51", "Iteration": 0, "Value": 9.0}]))
    assert pairs(read(path, agent="DQN", iteration_steps=50, seed=1)) == [(50, 5.0), (100, 6.0)]
    assert "name one with `agent`: C51, DQN" in refused(path, iteration_steps=50)
    assert "`iteration_steps`" in refused(path, agent="DQN")
    found = seeds.of({"logs": str(path), "returns": {"agent": "DQN", "iteration_steps": 50}}, "x", tmp_path)
    assert sorted(found.files) == [0, 1]


@pytest.mark.parametrize("name", ["log.csv", "log.parquet"])
def test_tables_with_a_map_of_columns(tmp_path: Path, name: str) -> None:
    path = table(tmp_path / name, step=[10, 95, 20, 90], ret=[1.0, 2.0, 3.0, 4.0], run=[7, 7, 8, 8])
    columns = {"env_step": "step", "episode_return": "ret", "seed": "run"}
    assert pairs(read(path, columns=columns, measure="training", seed=7)) == [(10, 1.0), (95, 2.0)]
    assert pairs(read(path, columns=columns, measure="training", seed=8)) == [(20, 3.0), (90, 4.0)]
    assert "no rows of seed 3" in refused(path, columns=columns, seed=3)


# --- what is wrong with them


def test_missing_columns_are_named_with_those_there_are(tmp_path: Path) -> None:
    path = table(tmp_path / "log.csv", step=[10], ret=[1.0])
    assert "no column env_step, episode_return; there are step, ret" in refused(path)
    bad = tmp_path / "monitor.csv"
    bad.write_text(f"#{HEADER}\nr,t\n1,2\n")
    assert "no column l; a monitor file has r, l and t" in refused(bad)
    npz = tmp_path / "evaluations.npz"
    np.savez(npz, timesteps=[1])
    assert "no array results" in refused(npz)


def test_unsorted_rows_are_sorted_with_a_note(tmp_path: Path) -> None:
    path = table(tmp_path / "log.csv", env_step=[10, 60, 50, 95], episode_return=[1.0, 3.0, 2.0, 4.0])
    logged = read(path)
    assert pairs(logged) == [(10, 1.0), (50, 2.0), (60, 3.0), (95, 4.0)]
    assert any("1 rows were not in the order of environment steps; sorted" in note for note in logged.notes)


def test_rows_in_any_order_are_sorted_too(tmp_path: Path) -> None:
    order = np.random.default_rng(0).permutation(np.arange(1, 101))
    value = order * 37 % 101
    path = table(tmp_path / "log.csv", env_step=order.tolist(), episode_return=value.astype(float).tolist())
    found = read(path, expected=EXPECTED._replace(environment="Walker-v0"))
    assert pairs(found) == [(step, float(step * 37 % 101)) for step in range(1, 101)]


def test_duplicate_rows_are_dropped_with_a_note(tmp_path: Path) -> None:
    path = table(tmp_path / "log.csv", env_step=[10, 10, 95], episode_return=[1.0, 1.0, 2.0])
    logged = read(path)
    assert pairs(logged) == [(10, 1.0), (95, 2.0)]
    assert any("1 duplicate rows dropped" in note for note in logged.notes)


@pytest.mark.parametrize("lengths", [{}, {"episode_length": [30, 30, 25, 25, 40, 40]}])
def test_a_file_with_every_row_twice_is_halved(tmp_path: Path, lengths: dict[str, list[int]]) -> None:
    """As few as sub-environments could have ended together, but all of them always did, in too few steps."""
    step, value = [30, 30, 55, 55, 95, 95], [1.0, 1.0, 2.0, 2.0, 1.0, 1.0]
    path = table(tmp_path / "log.csv", env_step=step, episode_return=value, **lengths)
    logged = read(path, expected=EXPECTED._replace(n_envs=2))
    assert pairs(logged) == [(30, 1.0), (55, 2.0), (95, 1.0)]
    assert any("3 duplicate rows dropped" in note for note in logged.notes)


def test_equal_episodes_that_end_together_are_no_duplicates(tmp_path: Path) -> None:
    """Sixteen files of episodes that last the time limit, where the reference has eight sub-environments."""
    files = [monitor(tmp_path / f"{i}.monitor.csv", [(-3, 3, 1), (-3, 3, 2)]) for i in range(16)]
    logged = read(*files, expected=EXPECTED._replace(n_envs=8, time_limit=3))
    assert pairs(logged) == [(48, -3.0)] * 16 + [(96, -3.0)] * 16
    assert not any("duplicate" in note for note in logged.notes)


def test_episodes_of_several_sub_environments_may_end_together(tmp_path: Path) -> None:
    path = table(tmp_path / "log.csv", env_step=[40, 40, 96], episode_return=[5.0, 5.0, 6.0])
    assert len(read(path, expected=EXPECTED._replace(n_envs=2)).episodes) == 3


def test_more_returns_at_a_step_than_sub_environments_are_several_runs(tmp_path: Path) -> None:
    path = table(tmp_path / "log.csv", env_step=[10, 10, 95], episode_return=[1.0, 2.0, 3.0])
    assert "2 returns at environment step 10, but 1 sub-environments" in refused(path)


@pytest.mark.parametrize("name", ["table", "monitor", "concatenated"])  # monitors: refused by their sum
def test_several_runs_in_one_file_are_refused(tmp_path: Path, name: str) -> None:
    steps = [*range(10, 101, 10)] * 2
    if name == "table":
        path = table(tmp_path / "log.csv", env_step=steps, episode_return=[1.0] * 20)
        assert "several runs in one file, environment steps fall from 100 to 10 at row 11" in refused(path)
    elif name == "monitor":
        path = monitor(tmp_path / "monitor.csv", [(1, 20, t) for t in (1, 2, 3, 4, 5) * 2])
        assert "2 times the budget of 100: about twice, so an evaluation or another run" in refused(path)
    else:
        path = monitor(tmp_path / "monitor.csv", [(1, 20, t) for t in range(1, 6)])
        path.write_text(path.read_text() * 2)
        assert "2 times the budget of 100: about twice, so an evaluation or another run" in refused(path)


@pytest.mark.parametrize("measure", ["training", "evaluation"])
def test_short_runs_in_one_table_are_several_too(tmp_path: Path, measure: str) -> None:
    path = table(tmp_path / "log.csv", env_step=[20, 40, 60, 80, 100] * 4, episode_return=[1.0] * 20)
    assert "several runs in one file, environment steps fall from 100 to 20 at row 6" in refused(
        path, measure=measure
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_return_that_is_no_number_is_refused(tmp_path: Path, value: float) -> None:
    path = table(tmp_path / "log.parquet", env_step=[10, 95], episode_return=[1.0, value])
    assert f"row 2: episode_return is {value}" in refused(path)
    words = tmp_path / "log.csv"
    words.write_text("env_step,episode_return\n10,1.0\n95,a lot\n")
    assert "line 3: episode_return is 'a lot', not a number" in refused(words)


def test_another_environment_or_version_is_refused(tmp_path: Path) -> None:
    header = json.dumps({"t_start": 1.0, "env_id": "CartPole-v0"})
    path = monitor(tmp_path / "monitor.csv", [(50, 50, 1), (45, 45, 2)], header)
    assert "made in CartPole-v0, not in CartPole-v1" in refused(path)


def test_a_missing_environment_is_assumed_with_a_note(tmp_path: Path) -> None:
    path = table(tmp_path / "log.csv", env_step=[10, 95], episode_return=[1.0, 2.0])
    assert any(
        "does not name its environment, assumed to be CartPole-v1" in note for note in read(path).notes
    )


def test_one_file_of_a_run_speaks_for_the_others(tmp_path: Path) -> None:
    a = monitor(tmp_path / "monitor.csv", [(50, 50, 1), (45, 45, 2)])
    b = tmp_path / "evaluations.npz"
    np.savez(b, timesteps=[50, 100], results=[[1.0], [3.0]])
    assert not any("does not name its environment" in note for note in read(a, b).notes)


def test_fewer_steps_than_asked_are_refused_and_more_are_left_out(tmp_path: Path) -> None:
    path = monitor(tmp_path / "monitor.csv", [(20, 20, 1), (20, 20, 2)])
    assert "trained 40 of 100 environment steps" in refused(path)
    beyond = monitor(tmp_path / "b" / "monitor.csv", [(60, 60, 1), (35, 35, 2), (20, 20, 3)])
    logged = read(beyond)
    assert pairs(logged) == [(60, 60), (95, 35)]
    assert any("1 rows beyond the budget of 100 steps" in note for note in logged.notes)


def test_what_can_be_compared_is_kept_and_the_rest_left_out_with_the_reason(tmp_path: Path) -> None:
    a = monitor(tmp_path / "monitor.csv", [(50, 50, 1), (45, 45, 2)])
    b = tmp_path / "evaluations.npz"
    np.savez(b, timesteps=[10], results=[[1.0]])
    logged = read(a, b)
    assert len(logged.episodes) == 2 and not logged.evaluations
    assert any(note.startswith("left out: ") and "trained 10 of 100" in note for note in logged.notes)


def test_an_evaluation_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "evaluations.npz"
    np.savez(path, timesteps=[50, 100, 50, 100], results=np.ones((4, 2)))
    assert "two evaluations at environment step 50" in refused(path)


@pytest.mark.parametrize(
    "name", ["monitor.csv", "evaluations.npz", "events.out.tfevents.1", "a.json", "a.parquet"]
)
def test_garbage_is_one_line(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"\x00\xffgarbage\n\x1b[31m")
    assert refused(path)


# --- where runs lie, and their seeds


def folder(root: Path, *names: str) -> None:
    for name in names:
        monitor(root / name / "monitor.csv", [(50, 50, 1), (45, 45, 2)])


def test_seeds_are_taken_from_the_pattern(tmp_path: Path) -> None:
    folder(tmp_path, "CartPole-v1__ppo__3__17", "CartPole-v1__ppo__12__18", "Acrobot-v1__ppo__5__19")
    found = find("{environment}__ppo__{seed}__*", tmp_path, "CartPole-v1")
    assert [place.seed for place in found.places] == [3, 12] and not found.notes


def test_two_runs_of_a_seed_are_refused(tmp_path: Path) -> None:
    folder(tmp_path, "ppo__3__17", "ppo__3__18")
    with pytest.raises(Refused, match=r"2 runs of seed 3 .*; name one of them"):
        find("ppo__{seed}__*", tmp_path, "CartPole-v1")


@pytest.mark.parametrize(
    ("names", "expected", "note"),
    [
        (("seed-4", "seed-7"), [4, 7], "taken from the names"),
        (("run_1", "run_2"), [1, 2], "taken from the names"),
        (("apple", "pear"), [0, 1], "no seeds; 2 runs are numbered from 0"),
    ],
)
def test_without_a_pattern_seeds_are_read_from_names_or_numbered_with_a_note(
    tmp_path: Path, names: tuple[str, ...], expected: list[int], note: str
) -> None:
    folder(tmp_path, *names)
    found = seeds.of({"logs": "."}, "CartPole-v1", tmp_path)
    assert sorted(found.files) == expected and note in found.notes[0]


def test_one_run_without_a_seed_is_seed_0_with_a_note(tmp_path: Path) -> None:
    monitor(tmp_path / "monitor.csv", [(50, 50, 1)])
    found = seeds.of({"logs": "monitor.csv"}, "CartPole-v1", tmp_path)
    assert list(found.files) == [0] and "assumed to be seed 0" in found.notes[0]


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (lambda path: None, "no such file or folder"),
        (lambda path: (path / "runs").mkdir(), "contains no log files"),
    ],
)
def test_no_logs_are_one_line(tmp_path: Path, make: Callable[[Path], Any], line: str) -> None:
    make(tmp_path)
    with pytest.raises(Refused, match=line):
        find("runs", tmp_path, "CartPole-v1")


def test_links_that_lead_out_of_a_run_are_not_followed(tmp_path: Path) -> None:
    elsewhere = monitor(tmp_path / "elsewhere" / "monitor.csv", [(50, 50, 1)])
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "monitor.csv").symlink_to(elsewhere)
    with pytest.raises(Refused, match="contains no log files"):
        find("run", tmp_path, "CartPole-v1")
