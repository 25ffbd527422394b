"""Bad environments are refused in one line before anything is trained; good odd ones pass."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import odd_environments as odd
import pytest

from rlparity.cell import Cell
from rlparity.environments import metadata
from rlparity.environments.probing import before_training, examination, request
from rlparity.environments.probing.request import Finding
from rlparity.errors import UserError

pytestmark = pytest.mark.probes

BAD = {
    "OldApi": "reset returned an array of shape (3,); Gymnasium's returns an observation and a dict, info",
    "FourValues": "step returned 4 values; Gymnasium's returns five: observation, reward,",
    "WrongShape": "seed 0: reset(seed=0) returned an observation of shape (1,); its space says (3,)",
    "NanObs": "seed 0, step 7: step(0) returned an observation that is not finite: [nan nan nan]",
    "NoSeed": "(its reset takes no seed and no options; Gymnasium's is reset(seed, options))",
    "NoOptions": "(its reset takes no options; Gymnasium's is reset(seed, options))",
    "ResetRaises": "seed 0: reset(seed=0) raised RuntimeError: the simulator is not there",
    "FailsLater": "seed 0, step 10: step(0) raised ValueError: out of fuel",
    "FailsOnOne": "seed 0, step 2: step(1) raised IndexError: list index out of range",
    "PlainInts": "seed 0, step 1: step(0) raised AssertionError: actions are int",
    "ObsNone": "returned None as observation; expected numbers",
    "Ragged": "returned an observation that is no array",
    "InfAtReset": "seed 0: reset(seed=0) returned an observation that is not finite",
    "TooLarge": "returned an observation beyond float32",
    "GlobalNumpy": "two copies with the same seed and actions differ in the observation of the first reset",
    "GlobalPython": "two copies with the same seed and actions differ in the observation of the first reset",
    "Unseeded": "draw from self.np_random, which reset(seed=...) seeds",
    "Clock": "two copies with the same seed and actions differ in the reward of step 1",
    "Shared": "observation of step 2 if another one is stepped beside it: they share state",
    "Leftover": "reset leaves state behind",
    "Reused": "reset changes the array of the observation that step returned last",
    "Forever": "no end was seen in 10,000 steps of random actions, and it has no time limit",
    "StuckWhenStill": "no end was seen in 10,000 steps of the action 0, and it has no time limit",
    "LongLimit": "and it has a time limit of 1,000,000,000 steps; evaluation waits for ends",
    "Hangs": "step(1) did not come back within 2 s",
    "Crashes": "its process ended by SIGSEGV in step(0)",
    "CrashesBesideItsWorker": "its process ended by SIGSEGV in step(0)",
    "Leaves": "its process ended with status 0 in step(0)",
    "Exits": "it raised SystemExit: good bye",
    "CloseRaises": "it raised OSError: it was never open",
    "MakingRaises": "it raised RuntimeError: no licence",
    "NeedsArgument": "missing 1 required positional argument: 'goal'",
    "NoEnv": "must inherit from the gymnasium.Env class",
    "NoActionSpace": "its action_space is NoneType; expected one of gymnasium.spaces",
    "EqualBounds": "with a component that has no choice, since both of its bounds are the same",
    "HalfBounded": "without finite bounds; give its action_space finite ones",
    "FreeBox": "without finite bounds; give its action_space finite ones",
    "IntBox": "integers; only floats or Discrete actions can be chosen",
    "MatrixAct": "of shape (2, 2); only vectors of actions can be chosen",
    "NoObs": "observations are of shape (0,)",
    "RewardArray": "returned reward = an array of shape (1,); expected one number",
    "RewardNone": "returned reward = None; expected one number",
    "RewardText": "returned reward = '1.0', a str; expected one number",
    "RewardNan": "returned reward = nan; expected a finite number",
    "RewardHuge": "returned reward = 1e+28; float32 cannot hold the squares of returns",
    "EndNone": "returned terminated = None; expected true or false",
    "EndArray": "returned terminated = an array of shape (1,); expected true or false",
    "InfoNone": "returned info = None; expected a dict",
    "DictObs": "{id: odd_environments:DictObs-v0, wrappers: [FlattenObservation]} in a suite makes",
    "Grid": "wrappers: [FlattenObservation]} in a suite makes them vectors",
    "MultiDiscreteObs": "wrappers: [FlattenObservation]} in a suite makes them vectors",
}
GOOD = (
    *("NumpyBool-v0", "Lists-v0", "OwnGenerator-v0", "EndsAtOnce-v0", "Talks-v0", "Outside-v0"),
    *("Continuous-v0", "NoLimit-v0", "IntReward-v0", "Wrapped-v0", "mine/Space-v1", "mine/Space-v1@goal=2"),
    *("Forever-v0@max_episode_steps=40", "LongLimit-v0@max_episode_steps=40"),
    *(f"{name}-v0@wrappers=FlattenObservation" for name in ("DictObs", "Grid", "MultiDiscreteObs")),
    *(f"{name}-v0@wrappers=FlattenAction" for name in ("StartAct", "MultiAct", "TupleAct")),
    "NeedsArgument-v0@goal=4",
    "HasWorker-v0",
    "Wrapped-v0@wrappers=TimeAwareObservation",
)


def full(name: str) -> str:
    return f"odd_environments:{name}"


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Finding]:
    """All of them, probed by one process; nothing is remembered from before."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        names = [full(f"{name}-v0") for name in BAD] + [full(name) for name in GOOD]
        return {one.environment: one for one in request.probe([*names, "MountainCar-v0"], 2, 2.0)}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_environment_is_refused_in_one_line(found: dict[str, Finding], name: str) -> None:
    refused = found[full(f"{name}-v0")].refused
    assert BAD[name] in refused and "\n" not in refused and len(refused) < 500


@pytest.mark.parametrize("name", GOOD)
def test_a_good_odd_one_passes(found: dict[str, Finding], name: str) -> None:
    one = found[full(name)]
    assert (one.refused, one.resumes) == ("", name != "OwnGenerator-v0")
    assert one.compared > 200
    assert bool(one.notes) == name.startswith("Outside")


def test_an_environment_of_gymnasium_passes_without_files(found: dict[str, Finding]) -> None:
    assert not found["MountainCar-v0"].refused and not found["MountainCar-v0"].files


def test_the_files_of_a_user_are_named(found: dict[str, Finding]) -> None:
    assert [Path(path).name for path in found[full("Talks-v0")].files] == ["odd_environments.py"]


MODULE = """\
import gymnasium as gym
from odd_environments import Walk
gym.register("Mine-v0", Walk, max_episode_steps=30)
"""


def test_a_pass_is_remembered_until_a_file_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def probed(environments: list[str], jobs: int, stall_s: float) -> list[Finding]:
        calls.append(environments)
        files = {str(module): request._digest(str(module))}
        return [Finding(name, "" if "good" in name else "bad", files=files) for name in environments]

    module = tmp_path / "mine.py"
    module.write_text(MODULE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(request, "_probed", probed)
    for _ in range(2):
        assert [one.refused for one in request.probe(["good", "worse"])] == ["", "bad"]
    assert calls == [["good", "worse"], ["worse"]]
    module.write_text(MODULE + "changed = True\n")
    request.probe(["good"])
    assert calls[2:] == [["good"]]


def test_without_a_home_nothing_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(request.Path, "home", none)
    monkeypatch.setattr(request, "_probed", lambda environments, *_: [Finding(each) for each in environments])
    assert [one.environment for one in request.probe(["CartPole-v1"])] == ["CartPole-v1"]


def test_an_installed_environment_counts_with_its_files_and_versions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `pip install` would leave it, and later another version of it."""
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    paths = {**examination.sysconfig.get_paths(), "purelib": str(tmp_path)}
    monkeypatch.setattr(examination.sysconfig, "get_paths", lambda: paths)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "walks_installed").mkdir()
    for name in ("__init__.py", "inner.py", "other.py"):
        (tmp_path / "walks_installed" / name).write_text("")
    about = tmp_path / "walks_of_somebody-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: walks-of-somebody\nVersion: 1.0\n")
    (about / "top_level.txt").write_text("walks_installed\n")
    importlib.import_module("walks_installed.inner")
    assert not any(path.startswith(str(tmp_path)) for path in examination.files())
    files = examination.files(["walks_installed.inner"])
    assert {path for path in files if path.startswith(str(tmp_path))} == {
        str(tmp_path / "walks_installed" / name) for name in ("__init__.py", "inner.py")
    }
    versions = examination.versions(["walks_installed.inner"])
    assert versions == {"walks-of-somebody": "1.0"}
    request._remember(Finding("CartPole-v1", files=files, versions=versions))
    assert request._remembered("CartPole-v1")
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: walks-of-somebody\nVersion: 1.1\n")
    assert not request._remembered("CartPole-v1")


def test_what_an_environment_has_loaded_is_named(found: dict[str, Finding]) -> None:
    assert set(found["MountainCar-v0"].versions) <= {"gymnasium", "pygame", "pygame-ce"}


def test_a_module_of_the_same_name_elsewhere_is_another_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "walk_here.py").write_text(MODULE)
    for name in ("walk_here:Mine-v0", "CartPole-v1@wrappers=walk_here:Walk"):
        files = set()
        for folder in ("one", "two", "one"):
            monkeypatch.setattr(sys, "path", [str(tmp_path / folder), *sys.path])
            files.add(request._file(name))
        assert len(files) == 2


def cell(environment: str, every: int = 100) -> Cell:
    return Cell("suite", environment, "scratch", "a2c", "a2c", (0,), 1000, checkpoint_every=every)


def test_cells_are_checked_and_lose_checkpoints_that_would_not_be_exact(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    table = {
        "a": Finding("a", notes=["a note"]),
        "b": Finding("b", resumes=False),
        "c": Finding("c", refused="no end"),
        "d": Finding("d", refused="no reset"),
    }
    monkeypatch.setattr(request, "probe", lambda names, *_: [table[name] for name in dict.fromkeys(names)])
    said: list[str] = []
    made = before_training.checked([cell("a"), cell("b"), cell("b", 0)], said.append)
    assert [one.checkpoint_every for one in made] == [100, 0, 0]
    assert len(said) == 2 and "a note" in said[0] and "begins anew" in said[1]
    with pytest.raises(UserError, match=r"^environment 'c': no end$"):
        before_training.checked([cell("a"), cell("c")], said.append)
    with pytest.raises(UserError, match=r"(?s)environment 'c': no end\n.*environment 'd': no reset"):
        before_training.checked([cell("c"), cell("d")], said.append)
    kept = before_training.checked([cell("c"), cell("a")], said.append, lambda one: one.environment == "a")
    assert [one.environment for one in kept] == ["c", "a"]


def test_an_environment_that_hangs_while_it_is_made_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "LIMIT_S", 0.2)

    def hang(self: object, render_mode: str | None = None) -> None:
        while True:
            pass

    monkeypatch.setattr(odd.Talks, "__init__", hang)
    metadata.probe.cache_clear()
    with pytest.raises(UserError, match=r"making it did not come back within 0\.2 s"):
        metadata.probe(full("Talks-v0"))


def test_findings_are_plain_data(found: dict[str, Finding]) -> None:
    assert all(json.dumps(vars(one)) for one in found.values())
