"""What candidates are given, and what they answer or log about the settings that they ran with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small import cell

from rlparity.candidates import isolated, settings
from rlparity.cell import Cell
from rlparity.log_readers.settings import Stated
from rlparity.runs import run_cell

LEARN = """
import json, shutil, sys
seed, budget, given, answer = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
with open("monitor.csv", "w") as file:
    file.write('#{"t_start": 1.0, "env_id": "CartPole-v1"}\\nr,l,t\\n')
    for i in range(budget // 20):
        file.write(f"20,20,{i}\\n")
values = json.load(open(given))
"""
COMMAND = "python learn.py {seed} {budget} {settings} {answer} {algorithm}"


def theirs(tmp_path: Path, code: str = "", **changes: Any) -> Cell:
    (tmp_path / "learn.py").write_text(LEARN + code)
    brought = {"command": COMMAND, "folder": str(tmp_path)}
    return cell("ppo", (3,), **{"implementation": "theirs", "budget": 400, "candidate": brought, **changes})


def kept(
    tmp_path: Path, answer: Any = None, stated: Stated = settings.NOTHING
) -> tuple[dict[str, Any], list[str]]:
    """What is kept of an answer, and the lines about it."""
    lines = settings.keep(theirs(tmp_path), tmp_path / "out", stated, answer)
    return json.loads((tmp_path / "out" / "settings.json").read_text()), list(lines)


def test_every_default_is_written_out(tmp_path: Path) -> None:
    made = theirs(tmp_path, hyperparameters={"gamma": 0.5}, n_envs=8)
    found = settings.given(made)
    assert found["gamma"] == 0.5 and found["n_envs"] == 8 and found["normalize"] is False
    assert found["vf_coef"] == 0.5 and found["clip_range_vf"] is None and found["net_arch"] == [64, 64]
    assert not {"precision", "memory_mapped", "log_std_init"} & found.keys()
    continuous = settings.given(cell("ppo", environment="Pendulum-v1"))
    assert "log_std_init" in continuous
    variants = settings.given(cell("dqn"))
    assert variants["double_q"] is False and variants["loss"] == "huber" and "cnn" not in variants
    assert (
        not {"net_arch", "activation"} & settings.given(cell("dqn", environment="ALE/Pong-v5@nature")).keys()
    )


def test_a_program_is_handed_its_settings_and_answers(tmp_path: Path) -> None:
    code = """
different = {"learning_rate": values["learning_rate"] / 2, "clip_range_schedule": "constant"}
lacking = ["target_kl"]
rest = [name for name in values if name not in different and name not in lacking]
print(values["n_steps"], sys.argv[5])
json.dump({"set": rest, "different": different, "not_offered": lacking, "departures": ["no bootstrap"]},
          open(answer, "w"))
"""
    made = theirs(tmp_path, code)
    run = run_cell.run_cell(made, tmp_path / "cell")
    assert run["status"] == "done"
    asked, found = settings.given(made), run["settings"]
    assert (tmp_path / "cell" / "candidate.log").read_text().split() == [str(asked["n_steps"]), "ppo"]
    assert found["reference"] == asked and found["not_offered"] == ["target_kl"]
    halved = {"learning_rate": asked["learning_rate"] / 2, "clip_range_schedule": "constant"}
    assert found["ran"] == {name: value for name, value in {**asked, **halved}.items() if name != "target_kl"}
    assert run["config"] == found["ran"] and run["departures"] == ["no bootstrap"]


def test_without_an_answer_nothing_is_known(tmp_path: Path) -> None:
    run = run_cell.run_cell(theirs(tmp_path), tmp_path / "cell")
    assert run["status"] == "done" and run["config"] == {} and run["departures"] == []
    assert run["settings"]["ran"] == {} and run["settings"]["departures"] is None
    assert run["settings"]["reference"]["gamma"] == 0.98


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        ("[1]", "its answer is a list; expected an object of set, different, not_offered, departures"),
        ('{"set": ', "its answer is not JSON: line 1: Expecting value"),
        ('{"used": []}', "its answer: unknown key 'used'; known are set, different"),
        ('{"set": ["lr"]}', "its answer: set: unknown setting 'lr'; choose from"),
        ('{"different": {"gamma": "high"}}', "its answer: different.gamma: expected float, got 'high'"),
        ('{"different": {"gamma": 7}}', "its answer: different.gamma: 7 is out of range; allowed is 0 to 1"),
        ('{"different": {"n_envs": 0}}', "different.n_envs: expected a whole number from 1, got 0"),
        ('{"different": ["gamma"]}', "its answer: different: expected an object of names and values"),
        ('{"set": 3}', "its answer: set: expected an object of names and values"),
        ('{"not_offered": "gamma"}', "its answer: not_offered: expected a list of texts"),
        ('{"not_offered": ["lr"]}', "its answer: not_offered: unknown setting 'lr'"),
        ('{"departures": [1]}', "its answer: departures: expected a list of texts"),
    ],
)
def test_what_is_not_understood_is_one_line(tmp_path: Path, answer: str, line: str) -> None:
    (tmp_path / "answer.json").write_text(answer)
    read, unread = settings.read_answer(tmp_path / "answer.json")
    found, lines = kept(tmp_path, read)
    (only,) = [*unread, *lines]
    assert line in only and "\n" not in only
    assert found["ran"] == {} and found["not_offered"] == []


def test_the_rest_of_an_answer_is_used(tmp_path: Path) -> None:
    found, lines = kept(tmp_path, {"set": {"gamma": 0.9, "lr": 1}, "departures": []})
    assert found["ran"] == {"gamma": 0.9} and found["departures"] == [] and len(lines) == 1
    assert settings.read_answer(tmp_path / "nowhere.json") == (None, ())


def test_settings_without_effect_may_be_named(tmp_path: Path) -> None:
    assert kept(tmp_path, {"set": ["log_std_init", "precision", "gamma"]})[1] == []


def test_an_answer_counts_before_the_logs(tmp_path: Path) -> None:
    values = {"gamma": 0.9, "vf_coef": 0.25, "seed": 1}
    logged = Stated(values, dict.fromkeys(values, "x"), {"vf_coef": "of half"})
    found, _ = kept(tmp_path, {"set": {"gamma": 0.8}}, logged)
    assert found["ran"] == {"gamma": 0.8, "vf_coef": 0.25}
    assert found["sources"] == {"gamma": "its answer", "vf_coef": "x"} and found["remarks"] == {
        "vf_coef": "of half"
    }


def test_a_bad_answer_is_a_note_and_fails_no_seed(tmp_path: Path) -> None:
    run = run_cell.run_cell(theirs(tmp_path, "open(answer, 'w').write('{')"), tmp_path / "cell")
    assert run["status"] == "done" and any("its answer is not JSON" in note for note in run["notes"])


def test_an_answer_that_json_does_not_have_fails_no_seed() -> None:
    circle: list[object] = []
    circle.append(circle)
    for answer in ({(1, 2): 3}, circle):
        assert str(isolated._as_json(answer)).startswith("no JSON: ")
    assert isolated._as_json({"set": {"gamma": np.float32(0.5)}}) == {"set": {"gamma": 0.5}}


def test_what_a_python_candidate_answers_is_made_plain() -> None:
    text = json.dumps({"a": np.float32(0.5), "b": np.arange(2), "c": Path("x")}, default=isolated._plain)
    assert json.loads(text) == {"a": 0.5, "b": [0, 1], "c": "x"}
