"""Ids with keys: what they say, what they make, and where they reach."""

from __future__ import annotations

import copy
from typing import Any

import gymnasium as gym
import numpy as np
import odd_environments as odd
import pytest

from rlparity import registry
from rlparity.cell import path_name
from rlparity.environments import base, metadata
from rlparity.environments.configured import ids, making
from rlparity.environments.configured.ids import Configured, Wrapper
from rlparity.environments.configured.wrappers import FlattenAction
from rlparity.errors import UserError
from rlparity.suites import hyperparameters, suite

SPACE = "odd_environments:mine/Space-v1"


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("CartPole-v1@max_episode_steps=200", Configured("CartPole-v1", {}, 200)),
        (f"{SPACE}@goal=3", Configured(SPACE, {"goal": 3})),
        ("A-v0@a=[1,2],b=x/y.z,d=null", Configured("A-v0", {"a": [1, 2], "b": "x/y.z", "d": None})),
        ('A-v0@c="1"', Configured("A-v0", {"c": "1"})),
        ("A-v0@wrappers=One+m:Two", Configured("A-v0", {}, None, (Wrapper("One"), Wrapper("m:Two")))),
        (
            'A-v0@wrappers=["One",{"kwargs":{"n":4},"name":"Two"}]',
            Configured("A-v0", {}, None, (Wrapper("One"), Wrapper("Two", {"n": 4}))),
        ),
    ],
)  # fmt: skip
def test_an_id_says_what_it_is_written_from(text: str, made: Configured) -> None:
    assert ids.parse(text) == made
    assert ids.write(made) == text == ids.canonical(text)


def test_the_order_of_keys_does_not_matter() -> None:
    assert ids.canonical("A-v0@wrappers=W,b=1,a=2") == "A-v0@a=2,b=1,wrappers=W"
    assert ids.canonical("ALE/Pong-v5@nature") == "ALE/Pong-v5@nature"


@pytest.mark.parametrize(
    "text",
    ["A-v0@a=", "A-v0@a=1,", "A-v0@a=1,b", "A-v0@a=1,a=2", "A-v0@=1", "A-v0@a=1 2",
     "A-v0@max_episode_steps=0", "A-v0@max_episode_steps=x", "A-v0@render_mode=human",
     "A-v0@wrappers=3", "ALE/Pong-v5@nature,mode=1"],
)  # fmt: skip
def test_a_malformed_id_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(UserError) as refused:
        ids.parse(text)
    assert "\n" not in str(refused.value) and text[:4] in str(refused.value)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"kwargs": {"desc": {1: "a"}}}, "key 1 of {1: 'a'} is no string"),
        ({"kwargs": {"desc": [{"a": {None: 1}}]}}, "key None of {None: 1} is no string"),
        ({"kwargs": {True: 2}}, "key True of {True: 2} is no string"),
        ({"wrappers": [{"name": "ClipReward", "kwargs": {3: 1}}]}, "key 3 of {3: 1} is no string"),
    ],
)
def test_keys_that_are_no_strings_are_refused(given: dict[str, Any], words: str) -> None:
    """As JSON they would become strings. A suite refuses them before."""
    with pytest.raises(UserError) as refused:
        ids.of_keys("A-v0", given, "here")
    assert str(refused.value).startswith("here: ") and words in str(refused.value)


def test_folders_of_different_ids_differ_and_others_keep_theirs() -> None:
    assert path_name("ALE/Pong-v5@nature") == "ALE_Pong-v5@nature"
    names = [path_name(f"mine/A-v0@a={value}") for value in ('"x y"', '"x_y"', '{"k":"x y"}', "1" * 200)]
    assert len(set(names)) == 4 and all(len(name) < 120 and not set(name) & set('/:"{} ') for name in names)


def keys(**environment: Any) -> dict[str, Any]:
    return {
        "name": "odd",
        "title": "Odd",
        "environments": [{"id": SPACE, **environment}],
        "algorithms": ["random", "a2c"],
        "implementations": ["scratch", "sb3"],
        "seeds": [0],
        "budgets": {"default": 1000},
    }


def test_a_suites_keys_reach_cells_and_fingerprints() -> None:
    plain, other = (
        suite.resolve(raw, "suite") for raw in (keys(), keys(kwargs={"goal": 2}, max_episode_steps=9))
    )
    name = f"{SPACE}@goal=2,max_episode_steps=9"
    assert {cell.environment for cell in other.cells} == {name} == set(other.environments)
    assert {cell.implementation for cell in other.cells} == {"scratch", "sb3"}
    assert not {cell.fingerprint for cell in plain.cells} & {cell.fingerprint for cell in other.cells}
    assert other.environments[name].info.time_limit == 9
    assert other.environments[name].info.module == "odd_environments"


def test_both_arms_make_the_same_of_it() -> None:
    name = f"{SPACE}@goal=2,max_episode_steps=9,wrappers=TimeAwareObservation"
    ours = base.make(name, [[5]])
    theirs = registry.load(f"{registry.family(name).reference}:make")(name, 1)
    theirs._seeds = [5]
    plain = gym.wrappers.TimeAwareObservation(gym.make(SPACE, goal=2, max_episode_steps=9))
    start = plain.reset(seed=5)[0]
    assert np.array_equal(theirs.reset()[0], start)
    assert np.allclose(ours.obs[0, 0].numpy(), start) and ours.spec.obs_shape == (4,)


def test_settings_of_the_plain_id_count() -> None:
    library = hyperparameters.library()
    assert library.lookup("CartPole-v1@max_episode_steps=200", "ppo") == library.lookup("CartPole-v1", "ppo")


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"kwargs": {"speed": 2}}, "unexpected keyword argument 'speed'"),
        ({"wrappers": ["Flatten"]}, "wrapper 'Flatten' is no gymnasium.Wrapper that can be found"),
        ({"wrappers": ["os:path"]}, "wrapper 'os:path' is no gymnasium.Wrapper that can be found"),
        ({"wrappers": [{"name": "ClipReward", "kwargs": {"x": 1}}]}, "unexpected keyword argument 'x'"),
        ({"kwargs": {"render_mode": "human"}}, "'render_mode' is no keyword argument of an environment"),
        ({"id": f"{SPACE}@goal=2", "kwargs": {"goal": 2}}, "write kwargs there or here, not both"),
        ({"id": "ALE/Pong-v5@nature", "max_episode_steps": 9}, "its id says all"),
        ({"max_episode_steps": 0}, "max_episode_steps"),
        ({"id": "odd_environments:StartAct-v0"}, "wrappers: [FlattenAction]} in a suite numbers them from 0"),
        ({"id": "odd_environments:Continuous-v0", "wrappers": ["FlattenAction"]}, "is not finite"),
    ],
)  # fmt: skip
def test_a_suite_with_bad_keys_is_refused(environment: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError) as refused:
        suite.resolve(keys(**environment), "suite")
    assert words in str(refused.value)


@pytest.mark.parametrize("name", ["StartAct", "MultiAct", "TupleAct"])
def test_every_action_of_a_finite_space_has_one_number(name: str) -> None:
    env = gym.make(f"odd_environments:{name}-v0")
    flat = FlattenAction(env)
    assert isinstance(flat.action_space, gym.spaces.Discrete)
    found = [flat.action(number) for number in range(flat.action_space.n)]
    assert all(env.action_space.contains(action) for action in found)
    assert (
        len({repr(action) for action in found})
        == len(found)
        == {"StartAct": 2, "MultiAct": 6, "TupleAct": 16}[name]
    )


def test_an_environment_whose_module_ends_the_interpreter_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def leave(*_: object, **__: object) -> None:
        raise SystemExit("no display")

    monkeypatch.setattr(odd.Walk, "__init__", leave)
    metadata.probe.cache_clear()
    with pytest.raises(UserError, match="cannot be made: SystemExit: no display"):
        suite.resolve(keys(kwargs={"goal": 77}), "suite")


def test_a_wrapped_environment_resumes_exactly() -> None:
    name = f"{SPACE}@goal=2,wrappers=TimeAwareObservation"
    first, second = (base.make(name, [[seed, seed + 1]]) for seed in (1, 7))
    import torch

    for _ in range(40):
        first.step(torch.ones(1, 2, dtype=torch.long))
    first.pop_episodes()
    second.resume(copy.deepcopy(first.snapshot()))
    assert torch.equal(first.obs, second.obs)


def test_making_needs_no_key() -> None:
    assert making.make_single("CartPole-v1").spec.max_episode_steps == 500  # type: ignore[union-attr]
