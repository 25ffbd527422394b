"""A part of a seed trained again: its rows are those of the record, or the first difference is named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from shipped import ship
from small import cell as small_cell

from rlparity.cell import Cell, Protocol
from rlparity.environments.normalization import NormalizedEnv
from rlparity.errors import UserError
from rlparity.provenance import fingerprint
from rlparity.references import sb3
from rlparity.shipped_records import retrain
from rlparity.shipped_records.retrain import Comparison, Difference, Enough
from rlparity.shipped_records.vouch import Finding
from rlparity.training import run as train
from rlparity.training.recorder import Recorder
from rlparity.transitions import Episode

pytestmark = [pytest.mark.probes, pytest.mark.filterwarnings("ignore:You have specified a mini-batch size")]


def fingerprinted(cell: Cell) -> Cell:
    return replace(cell, fingerprint=fingerprint.of(cell))


FOUR = Protocol(points=4, episodes=2, final_episodes=2)
ALL_KINDS = [
    ("reinforce", "scratch", {}),
    (
        "ppo",
        "scratch",
        {"normalize": True, "n_envs": 4, "hyperparameters": {"n_steps": 16, "batch_size": 32}},
    ),
    ("dqn", "scratch", {"hyperparameters": {"target_update_interval": 50}}),
    ("td3", "scratch", {"budget": 400}),
    ("ppo", "sb3", {"normalize": True, "n_envs": 4, "hyperparameters": {"n_steps": 16, "batch_size": 32}}),
    ("dqn", "sb3", {"hyperparameters": {"target_update_interval": 50}}),
]


@pytest.mark.parametrize(("algorithm", "implementation", "changes"), ALL_KINDS)
def test_every_kind_of_learner_repeats_its_rows(
    algorithm: str, implementation: str, changes: dict[str, Any], tmp_path: Path
) -> None:
    """Seed 4 of a block, again by itself; SB3's are single."""
    seeds = (3, 4) if implementation == "scratch" else (4,)
    cell = small_cell(algorithm, seeds, implementation=implementation, evaluation=FOUR, **changes)
    ship(cell, tmp_path)
    finding = retrain.retrain_part(fingerprinted(replace(cell, seeds=(4,))), tmp_path, 0.1)
    assert finding.difference is None and finding.rows >= 6  # three evaluations of two episodes
    assert cell.budget / 4 < finding.env_step < cell.budget


def test_a_share_of_one_is_the_whole_seed(tmp_path: Path) -> None:
    cell = fingerprinted(small_cell("a2c", (4,), evaluation=FOUR))
    ship(cell, tmp_path)
    finding = retrain.retrain_part(cell, tmp_path, 1.0)
    rows = train.run(cell)
    assert finding == Finding(cell.budget, len(rows.episodes) + len(rows.evaluations))


def test_evaluations_of_format_1_are_compared(tmp_path: Path) -> None:
    cell = fingerprinted(small_cell("a2c", (4,), evaluation=FOUR))
    ship(cell, tmp_path)
    file, names = tmp_path / "evaluations.parquet", {"value": "episode_return", "size": "episode_length"}
    table = pq.read_table(file).drop_columns("metric")
    pq.write_table(table.rename_columns([names.get(name, name) for name in table.column_names]), file)
    assert retrain.retrain_part(cell, tmp_path, 0.1).difference is None


def test_edited_sources_are_noticed_by_the_process_that_trains(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="edited meanwhile"):
        retrain.retrain_part(replace(small_cell("a2c"), fingerprint="of yesterday"), tmp_path, 0.1)


def test_replay_learners_go_on_until_a_target_network_was_copied() -> None:
    dqn = small_cell(
        "dqn", budget=5000, hyperparameters={"learning_starts": 300, "target_update_interval": 900}
    )
    assert retrain.least(dqn, 0.1) == 1200 and retrain.least(dqn, 0.5) == 2500
    assert retrain.least(replace(dqn, budget=1000), 0.1) == 1000
    assert retrain.least(replace(dqn, implementation="sb3", hyperparameters={}), 0.1) == 5000  # 100 + 10,000
    assert retrain.least(small_cell("ppo", budget=5000), 0.1) == 500


def episode(env_step: int, total: float) -> dict[str, Any]:
    names = {"implementation": "scratch", "algorithm": "a2c", "environment": "CartPole-v1", "seed": 0}
    return {**names, "env_step": env_step, "episode_return": total, "episode_length": 1}


def compare(*left: dict[str, Any], failure: str | None = None, least: int = 1000) -> Comparison:
    return Comparison(
        small_cell("a2c", budget=100), {"episodes": list(left), "evaluations": []}, failure, least
    )


def ends(comparison: Comparison, env_step: int, total: float) -> None:
    """An episode ends at a step."""
    comparison.recorder.ended([Episode(0, 0, env_step, total, 1)])
    comparison(env_step, ())


def test_rows_are_equal_to_the_last_bit() -> None:
    comparison = compare(episode(10, 0.1 + 0.2), episode(20, float("nan")), episode(30, 0.0))
    ends(comparison, 10, 0.1 + 0.2)
    ends(comparison, 20, float("nan"))
    assert comparison.n_rows == 2
    with pytest.raises(
        Difference, match=r"^the episode that ended at environment step 30: episode_return is -0.0, was 0.0"
    ):
        ends(comparison, 30, -0.0)
    with pytest.raises(Difference, match=r"episode_return is 0.3, was 0.30000000000000004"):
        ends(compare(episode(10, 0.1 + 0.2)), 10, 0.3)
    with pytest.raises(Difference, match=r"step 11: env_step is 10, was 11$"):
        ends(compare(episode(11, 1.0)), 10, 1.0)


def test_rows_too_many_or_too_few_are_differences() -> None:
    with pytest.raises(Difference, match="step 10 is not in the record"):
        ends(compare(), 10, 1.0)
    comparison = compare(episode(10, 1.0))
    comparison(9, ())
    comparison.close(whole=False)
    comparison(10, ())
    with pytest.raises(Difference, match="step 10 is in the record, and did not come again"):
        comparison.close(whole=False)
    late = compare(episode(90, 1.0))
    late(50, ())
    late.close(whole=False)
    with pytest.raises(Difference, match="did not come again"):
        late.close(whole=True)


def test_an_evaluation_at_the_last_step_is_still_to_come() -> None:
    row = {key: value for key, value in episode(20, 1.0).items() if not key.startswith("episode_")}
    row |= {"episode": 3, "protocol": "sampled", "metric": "return", "value": 1.0, "size": 1}
    comparison = Comparison(small_cell("a2c", budget=100), {"episodes": [], "evaluations": [row]}, None, 10)
    comparison(20, ())
    comparison.close(whole=False)
    comparison(21, ())
    with pytest.raises(
        Difference, match=r"^sampled episode 3 of the evaluation at environment step 20 is in the record"
    ):
        comparison.close(whole=False)


def test_a_seed_that_fails_must_have_failed_so() -> None:
    for now, then, whole in [("loss", None, False), (None, "loss", True), ("loss", "another", True)]:
        comparison = compare(failure=then)
        comparison.recorder.failed |= {0: now} if now else {}
        with pytest.raises(Difference, match="the seed ended with"):
            comparison.close(whole)
    compare(failure="later").close(whole=False)


def test_it_ends_after_two_evaluations_that_saw_different_updates() -> None:
    comparison = compare(least=5)

    def evaluated(env_step: int, **metrics: float) -> None:
        for name, value in {"evaluation_time_s": float(env_step), **metrics}.items():
            comparison.recorder.progress.append({"env_step": env_step, "metric": name, "value": value})
        comparison(env_step + 1, ())

    evaluated(0)
    evaluated(10, loss=1.0)
    evaluated(20, loss=1.0)  # no update in between
    with pytest.raises(Enough):
        evaluated(30, loss=2.0)
    learner = replace(comparison.cell, agent="random", algorithm="random")
    random = Comparison(learner, {"episodes": [], "evaluations": []}, None, 5)
    random(5, ())
    with pytest.raises(Enough):
        random(6, ())
    Comparison(learner, {"episodes": [], "evaluations": []}, None, 5)(100, ())  # the budget: the loop ends it


@pytest.mark.parametrize(("implementation", "trainer"), [("scratch", train), ("sb3", sb3)])
def test_rows_are_kept_when_a_training_is_ended(
    implementation: str, trainer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = small_cell("a2c", (4,), implementation=implementation, normalize=True)
    closed: list[type] = []
    for kind in (trainer.Evaluator, NormalizedEnv, sb3.VecNormalize):
        monkeypatch.setattr(kind, "close", lambda self: closed.append(type(self)))

    def stop(env_step: int, ended: Any) -> None:
        if env_step > 300:
            raise Enough

    recorder = Recorder(cell)
    with pytest.raises(Enough):
        trainer.run(cell, stop, recorder=recorder)
    assert recorder.episodes and {row["env_step"] for row in recorder.evaluations} == {0, 264}
    assert closed == [
        trainer.Evaluator,
        NormalizedEnv if implementation == "scratch" else sb3.VecNormalize,
    ]
