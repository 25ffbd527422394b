"""Films of trained agents: which policies are kept, what is filmed, how large, and beside which records."""

from __future__ import annotations

import dataclasses
import io
import json
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from small import BRIEF, CONFIGURATIONS, cell, of_seed

from rlparity import records
from rlparity.cell import Cell, Protocol
from rlparity.errors import Interrupted, UserError
from rlparity.playback import films, gif, play, rendering
from rlparity.references import sb3
from rlparity.reporting.pages.elements import templates
from rlparity.reporting.pages.suite.films import gallery
from rlparity.reporting.report_folder import Folder
from rlparity.runs import pending, run_cell, saved_policies
from rlparity.training import checkpoint_files, checkpointing
from rlparity.training import run as train
from rlparity.training.recorder import Recorder

pytestmark = pytest.mark.whole

SUITE = "test"
PPO = cell("ppo", (3, 4), budget=256, evaluation=BRIEF, n_envs=4)
SB3 = cell("ppo", (3,), implementation="sb3", budget=256, evaluation=BRIEF, n_envs=4)
RANDOM = cell("random", (3,), budget=30)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `results` of one suite, trained, and its plan."""
    place = tmp_path_factory.mktemp("films")
    for each in (RANDOM, PPO, SB3):
        run_cell.run_cell(each, place / "results" / each.folder)
    _plan(place, RANDOM, PPO, SB3)
    films.make(SUITE, place / "results", place / "reports")
    return place


@pytest.fixture
def place(trained: Path, tmp_path: Path) -> Path:
    """A copy of it, with a report that carries the records."""
    copy = Path(shutil.copytree(trained, tmp_path / "copy"))
    for each in (RANDOM, PPO, SB3):
        run = copy / "results" / each.folder / "run.json"
        shelf = copy / "reports" / SUITE / "records" / Path(*each.folder.parts[1:])
        shelf.mkdir(parents=True)
        shutil.copy(run, shelf)
    shutil.copy(copy / "results" / SUITE / "tables" / "plan.json", copy / "reports" / SUITE)
    (copy / "reports" / SUITE / "scores.csv").write_text(
        "implementation,algorithm,environment,seed,endpoint,value\n"
        "scratch,ppo,CartPole-v1,3,final,9\nsb3,ppo,CartPole-v1,3,final,9\n"
    )
    return copy


def _plan(place: Path, *cells: Cell) -> None:
    plan = {
        "name": SUITE,
        "films": True,
        "algorithms": {"random": {"title": "Random"}, "ppo": {"title": "PPO", "agent": "ppo"}},
        "environments": {"CartPole-v1": {"algorithms": ["random", "ppo"]}},
        "cells": [dataclasses.asdict(each) for each in cells],
    }
    file = place / "results" / SUITE / "tables" / "plan.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(plan))


def _make(place: Path) -> dict[str, Any]:
    films.make(SUITE, place / "results", place / "reports")
    manifest: dict[str, Any] = json.loads((place / "reports" / SUITE / "films" / "films.json").read_text())
    return manifest


def _files(place: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in (place / "reports" / SUITE / "films").glob("*.*g*")}


# Which policies are kept


@pytest.mark.parametrize(
    ("budget", "n_envs", "points", "expected"),
    [
        (100, 1, 4, {"first": 0, "middle": 50, "last": 100}),
        (100, 1, 3, {"first": 0, "middle": 67, "last": 100}),  # the second third
        (100, 8, 3, {"first": 0, "middle": 72, "last": 100}),  # ... as eight sub-environments cross it
        (100, 1, 1, {"first": 0, "last": 100}),
        (10, 16, 4, {"first": 0, "last": 10}),
    ],
)
def test_the_middle_is_the_evaluation_at_half_of_the_budget(
    budget: int, n_envs: int, points: int, expected: dict[str, int]
):
    protocol = Protocol(points=points, episodes=1, final_episodes=1)
    c = cell("a2c", budget=budget, n_envs=n_envs, evaluation=protocol)
    assert saved_policies.steps(c) == expected
    seen: list[int] = []
    train.run(c, recorder=Recorder(c, lambda env_step, state: seen.append(env_step)))
    assert {step for name, step in expected.items() if name != "last"} <= set(seen)
    assert seen[-1] >= budget


@pytest.mark.parametrize("implementation", ["scratch", "sb3"])
def test_keeping_policies_changes_no_row(implementation: str, tmp_path: Path):
    c = cell("ppo", (3,), implementation=implementation, budget=256, evaluation=BRIEF)
    run = train.run if implementation == "scratch" else sb3.run
    kept = run(c, recorder=Recorder(c, saved_policies.SavedPolicies(c, tmp_path)))
    assert sorted(file.name for file in tmp_path.iterdir()) == ["agent-first.pt", "agent-middle.pt"]
    assert of_seed(kept, 3) == of_seed(run(c), 3)


def test_the_policies_kept_are_those_that_were_evaluated(tmp_path: Path):
    """Of one seed of the block; the state is written before training moves on from it."""
    seen: dict[int, dict[str, torch.Tensor]] = {}
    keep = saved_policies.SavedPolicies(PPO, tmp_path)

    def spy(env_step: int, state: Any) -> None:
        seen[env_step] = {name: value.clone() for name, value in state().items()}
        keep(env_step, state)

    train.run(PPO, recorder=Recorder(PPO, spy))
    for name, step in (("first", 0), ("middle", 128)):
        state = checkpoint_files.load(tmp_path, saved_policies.FILES[name])
        assert torch.equal(state["theta"], seen[step]["theta"][:1])
    assert not torch.equal(seen[0]["theta"], seen[128]["theta"])


@pytest.mark.parametrize("algorithm", CONFIGURATIONS)
def test_every_agent_can_be_taken_apart_by_seed(algorithm: str):
    c = cell(algorithm, (0, 1), budget=40)
    state = train.run(c, evaluate=False).state
    one = saved_policies.of_seed(c, state, 1)
    assert {name: value.shape[0] for name, value in one.items()} == dict.fromkeys(state, 1)
    play.Player(c, one, 1)


def test_a_training_that_goes_on_leaves_the_earlier_ones_and_a_new_one_removes_them(tmp_path: Path):
    state = {"theta": torch.zeros(2, 5)}
    saved_policies.SavedPolicies(PPO, tmp_path)(0, lambda: state)
    saved_policies.SavedPolicies(PPO, tmp_path)(128, lambda: state)
    resumed = saved_policies.SavedPolicies(PPO, tmp_path)
    resumed(192, lambda: state)
    resumed(256, lambda: state)
    assert set(saved_policies.describe(PPO, tmp_path)) == {"first", "middle"}
    saved_policies.SavedPolicies(PPO, tmp_path)(0, lambda: state)
    assert saved_policies.describe(PPO, tmp_path).keys() == {"first"}


def test_an_interrupted_cell_has_the_policies_of_one_that_was_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Stopped at three quarters, after the middle evaluation."""

    class Stopped(checkpointing.Checkpointer):
        def __call__(self, session: train.Session) -> None:
            if session.env_step >= 192 and self.times_resumed == 0:
                self.signal = signal.SIGTERM
            super().__call__(session)

    c = dataclasses.replace(PPO, checkpoint_every=64)
    run_cell.run_cell(c, tmp_path / "whole")
    monkeypatch.setattr(run_cell, "Checkpointer", Stopped)
    with pytest.raises(Interrupted):
        run_cell.run_cell(c, tmp_path / "halves")
    run_cell.run_cell(c, tmp_path / "halves")
    for name in saved_policies.FILES.values():
        whole, halves = (
            checkpoint_files.load(tmp_path / run / "checkpoint", name) for run in ("whole", "halves")
        )
        assert torch.equal(whole["theta"], halves["theta"])


def test_a_disk_that_is_full_costs_the_film_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def refuse(*arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint_files, "write_bytes", refuse)
    saved_policies.SavedPolicies(PPO, tmp_path)(0, lambda: {"theta": torch.zeros(2, 5)})
    assert capsys.readouterr().err.endswith("no film of the first policy (No space left on device)\n")


def test_a_policy_of_another_training_is_refused(place: Path):
    folder = place / "results" / PPO.folder
    shutil.copy(folder / "checkpoint" / "agent-first.pt", folder / "checkpoint" / "agent-middle.pt")
    with pytest.raises(UserError, match="not saved"):
        saved_policies.load(PPO, folder, "middle")
    assert saved_policies.load(PPO, folder, "first")["theta"].shape[0] == 1


def test_a_cell_from_before_policies_were_kept_has_its_last_one(place: Path):
    folder = place / "results" / PPO.folder
    run = json.loads((folder / "run.json").read_text())
    del run["policies"]
    (folder / "run.json").write_text(json.dumps(run))
    assert saved_policies.load(PPO, folder, "last")["theta"].shape[0] == 1
    with pytest.raises(UserError, match="not saved"):
        saved_policies.load(PPO, folder, "first")
    records.write(folder, "progress", [])  # as `rlparity restore` does: the policy may be anybody's
    with pytest.raises(UserError, match="restored"):
        saved_policies.load(PPO, folder, "last")


# What is filmed


def test_each_arm_has_three_films_of_its_first_seed(trained: Path):
    """The return is that of the very game: one reward a step, played again without a camera."""
    manifest = json.loads((trained / "reports" / SUITE / "films" / "films.json").read_text())
    assert manifest["left_out"] == []
    who = [(e["implementation"], e["algorithm"], e["seed"], e["point"]) for e in manifest["films"]]
    points = ("first", "middle", "last")
    assert who == [(arm, "ppo", 3, point) for arm in ("scratch", "sb3") for point in points]
    assert len({entry["world_seed"] for entry in manifest["films"]}) == 1  # all from the same start
    assert [entry["env_step"] for entry in manifest["films"]] == [0, 128, 256] * 2
    for entry in manifest["films"]:
        film = Image.open(trained / "reports" / SUITE / "films" / entry["file"])
        assert film.size == (entry["width"], entry["height"]) == (240, 160)
        assert film.info["duration"] == 80 and entry["frames_per_s"] == 12.5
        assert entry["episode_return"] == entry["episode_length"] > 1
        assert entry["game_seconds"] == round(entry["episode_length"] / 50, 1)
    run = json.loads((trained / "results" / PPO.folder / "run.json").read_text())
    assert {e["records"] for e in manifest["films"][:3]} == {run["hashes"]["evaluations.parquet"]}


def test_the_same_policy_gives_the_same_film(place: Path):
    before = _files(place)
    assert len(before) == 12
    _make(place)
    assert _files(place) == before


def test_the_cell_with_the_smallest_seed_is_filmed_and_random_agents_are_not():
    cells = [dataclasses.asdict(dataclasses.replace(PPO, seeds=seeds)) for seeds in ((7, 8), (3, 4), (5,))]
    assert [c.seeds for c in films.chosen([*cells, dataclasses.asdict(RANDOM)])] == [(3, 4)]


def test_all_films_together_keep_to_the_budget(place: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(films, "REPORT_BYTES", 9_000)
    manifest = _make(place)
    sizes = [entry["bytes"] for entry in manifest["films"]]
    assert len(sizes) == 6 and max(sizes) <= 1_500
    names = [entry[key] for entry in manifest["films"] for key in ("file", "still")]
    assert sum(len(_files(place)[name]) for name in names) == sum(sizes) <= 9_000


def test_a_film_gets_shorter_where_smaller_does_not_do():
    noise = np.random.default_rng(0).integers(256, size=(50, 16, 24, 3)).astype(np.uint8)
    film, still, quality, n_frames = films._fit(list(noise), 10, 1_500)
    assert len(film) + len(still) <= 1_500
    assert (quality, n_frames) == (films.LADDER[-1], 3)  # 3 s are 30 frames, then 15, 7, 3
    with pytest.raises(UserError, match="a single frame takes more"):
        films._fit(list(noise), 10, 500)


def test_what_cannot_be_drawn_is_left_out_with_its_reason(place: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(environment: str, window: bool = False) -> Any:
        raise UserError("MuJoCo cannot be drawn here: no OpenGL")

    monkeypatch.setattr(rendering, "make", refuse)
    kept = _make(place)
    assert len(kept["films"]) == 6  # they are of these records
    shutil.rmtree(place / "reports" / SUITE / "films")
    manifest = _make(place)
    assert manifest["films"] == []
    assert {entry["reason"] for entry in manifest["left_out"]} == {"MuJoCo cannot be drawn here: no OpenGL"}


def test_films_of_restored_records_stay_and_those_of_others_go(place: Path):
    """Neither folder holds policies any more; the first has the records that the films are of."""
    for each in (PPO, SB3):
        folder = place / "results" / each.folder
        shutil.rmtree(folder / "checkpoint")
        records.write(folder, "progress", [])
    run = pending.finished(place / "results" / SB3.folder) or {}
    run["hashes"]["evaluations.parquet"] = "0" * 64
    (place / "results" / SB3.folder / "run.json").write_text(json.dumps(run))
    manifest = _make(place)
    assert [entry["implementation"] for entry in manifest["films"]] == ["scratch"] * 3
    assert [entry["reason"] for entry in manifest["left_out"]] == [
        "its records were restored, and come without policies"
    ] * 3
    assert not [name for name in _files(place) if "sb3" in name and name != "films.json"]


def test_a_failed_seed_is_left_out(place: Path):
    file = place / "results" / PPO.folder / "run.json"
    run = json.loads(file.read_text())
    run["failed_seeds"] = {"3": "the loss was not finite"}
    run["hashes"]["evaluations.parquet"] = "0" * 64
    file.write_text(json.dumps(run))
    assert {entry["reason"] for entry in _make(place)["left_out"]} == {"seed 3 failed"}


def test_a_suite_without_tables_is_one_line(tmp_path: Path):
    with pytest.raises(UserError, match=r"plan\.json: missing; run `rlparity dev collect` first"):
        films.make(SUITE, tmp_path, tmp_path)


# What the report shows


def test_the_page_shows_the_films_in_rows(place: Path):
    shown = gallery(Folder(place / "reports" / SUITE))
    (reel,) = shown["reels"]["CartPole-v1"]
    assert [strip.label for strip in reel.strips] == ["from scratch", "Stable-Baselines3"]
    first, middle, last = reel.strips[0].films
    assert [film.line.partition(":")[0] for film in (first, middle, last)] == [
        "step 0",
        "step 128",
        "step 256",
    ]
    assert first.text.startswith("CartPole-v1, PPO, from scratch, seed 3, after 0 environment steps: return ")
    html = templates().get_template("films.html").render(films=shown)
    assert html.count('loading="lazy"') == html.count("prefers-reduced-motion") == 6
    assert f'src="{last.file}"' in html and f'alt="{last.text}"' in html
    assert (place / "reports" / SUITE / last.file).is_file()
    text = templates().get_template("films.md").render(films=shown)
    assert f"]({last.file})" in text and text.count("return") == 7


def test_a_film_is_never_shown_beside_other_records(place: Path):
    file = place / "reports" / SUITE / "records" / Path(*PPO.folder.parts[1:]) / "run.json"
    file.write_text(file.read_text().replace('evaluations.parquet": "', 'evaluations.parquet": "0'))
    shown = gallery(Folder(place / "reports" / SUITE))
    assert [strip.label for strip in shown["reels"]["CartPole-v1"][0].strips] == ["Stable-Baselines3"]
    assert shown["left_out"] == [
        "No film of PPO (from scratch) on CartPole-v1: the film is of other records."
    ]


def test_missing_films_are_told_in_one_sentence_for_each_reason(place: Path):
    file = place / "reports" / SUITE / "films" / "films.json"
    manifest = json.loads(file.read_text())
    gone = [{**entry, "reason": "its policy was not saved in training"} for entry in manifest["films"]]
    del gone[3]  # SB3's first
    file.write_text(json.dumps({"films": [], "left_out": gone}))
    shown = gallery(Folder(place / "reports" / SUITE))
    assert shown["reels"] == {}
    assert shown["left_out"] == [
        "No film of PPO (from scratch) on CartPole-v1: its policy was not saved in training.",
        "No middle and last film of PPO (Stable-Baselines3) on CartPole-v1: its policy was not saved in "
        "training.",
    ]


def test_a_suite_that_asks_for_none_has_no_section(place: Path):
    file = place / "reports" / SUITE / "plan.json"
    file.write_text(file.read_text().replace('"films": true', '"films": false'))
    assert gallery(Folder(place / "reports" / SUITE)) == {"reels": {}, "left_out": []}


def test_a_damaged_manifest_is_one_line(place: Path):
    (place / "reports" / SUITE / "films" / "films.json").write_text('{"films": [{}]}')
    with pytest.raises(UserError, match=r"films\.json: not a list of films"):
        gallery(Folder(place / "reports" / SUITE))


# GIFs


def test_a_gif_has_every_frame_in_its_size_and_colours():
    frames = [np.full((20, 30, 3), 200, dtype=np.uint8) for _ in range(3)]
    for place, frame in enumerate(frames):
        frame[:, 10 * place : 10 * place + 10] = (255, 0, 0)
    film = Image.open(io.BytesIO(gif.encode(frames, 8, width=15)))
    assert (film.size, film.n_frames, film.info["loop"]) == ((15, 10), 3, 0)
    for place, duration in enumerate((80, 80, 1000)):  # the last one is held
        film.seek(place)
        assert film.info["duration"] == duration
        shown = np.asarray(film.convert("RGB"))
        assert (shown[:, 5 * place : 5 * place + 5] == (255, 0, 0)).all()
        assert (shown == 200).all(-1).sum() == 100
    assert gif.size(frames[0], width=60) == (30, 20)
