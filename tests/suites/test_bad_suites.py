"""Bad suites and settings by the hundred. Each ends in a clear line and a status that is not zero; none in a
traceback, and none leaves a record. Nothing in a file is run."""

from __future__ import annotations

import copy
import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from refusals import NARROW, refused

from rlparity import project_files
from rlparity.__main__ import main
from rlparity.errors import UserError
from rlparity.suites import suite, yaml_reader

pytestmark = pytest.mark.usefixtures("in_checkout")
ROOT = Path(__file__).parents[2]
GOOD: dict[str, Any] = {
    "name": "made-up",
    "title": "Made up",
    "environments": ["CartPole-v1"],
    "algorithms": ["random", "ppo", "dqn"],
    "implementations": ["scratch", "sb3"],
    "seeds": ["0-1"],
    "budgets": {"default": 4096},
    "evaluation": {"points": 4},
}


def plan(
    content: Any, folder: Path, capsys: pytest.CaptureFixture[str], *, text: str | bytes | None = None
) -> str:
    """What `rlparity plan` prints about a suite that it must refuse."""
    file = folder / "suite.yaml"
    if text is None:
        text = yaml.safe_dump(content, allow_unicode=True)
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    printed = refused(capsys, "plan", str(file), "--results", str(folder / "results"))
    assert [path.name for path in folder.iterdir()] == ["suite.yaml"], "it left something"
    return printed


# --- suites: files that are no YAML, or too much of it


def unfolding(form: str, before: str = "") -> str:
    """Eight lines, each of which names the line above ten times."""
    pairs = zip("abcdefgh", "bcdefghi", strict=True)
    return "".join(f"{b}: &{b} {form.format(', '.join([f'{before}*{a}'] * 10))}\n" for a, b in pairs)


TEXTS: dict[str, str | bytes] = {
    "empty": "",
    "a comment": "# nothing\n",
    "a word": "hello",
    "a number": "17",
    "a list": "- a\n- b\n",
    "null": "null",
    "an open bracket": "name: [a",
    "an open quote": "name: 'a",
    "a tab": "name:\n\t- a",
    "a colon too many": "name: a: b",
    "bad indentation": "name: a\n  title: b",
    "a key twice": "name: a\nname: b\n",
    "a key twice inside": "budgets: {default: 1, default: 2}",
    "a key that is a list": "[a, b]: c",
    "a key that is a mapping": "{{a: b}: c}",
    "null bytes": b"name: a\x00b",
    "no UTF-8": b"name: \xff\xfe\xfa",
    "UTF-16": "name: a".encode("utf-16"),
    "a control character": "name: \x07",
    "binary": bytes(range(256)),
    "two documents": "name: a\n---\nname: b\n",
    "an unknown alias": "name: *a",
    "an alias of itself": "name: &a [*a]",
    "a million laughs": "a: &a [x, x]\n" + unfolding("[{}]"),
    "merges without end": "a: &a {x: 1, y: 2}\n" + unfolding("{{<<: [{}]}}"),
    "pairs without end": "a: &a [x, x]\n" + unfolding("!!pairs [{}]", "x: "),
    "a key twice, with lists without end": "a: &a [x, x]\n" + unfolding("[{}]") + "z: {k: *i, k: *i}",
    "a key twice beside a merge": "name: a\n<<: {title: b}\nname: c",
    "an ordered mapping with a key twice": "name: !!omap [a: 1, a: 2]",
    "a thousand levels": "[" * 5000,
    "an impossible date": "name: 2001-99-99",
    "a number of 5,000 digits": "margin: " + "9" * 5000,
    "a truth that is none": "films: !!bool maybe",
    "an integer of nothing": 'margin: !!int ""',
    "an integer that is a sign": 'margin: !!int "-"',
    "a float of nothing": 'margin: !!float ""',
    "a time that is none": "title: !!timestamp foo",
    "a time past the end": "title: 9999-12-31T23:59:59-99:00",
    "a mapping that is text": "evaluation: !!map foo",
    "a mapping that is a list": "evaluation: !!map [[a, b]]",
    "a sexagesimal without end": "margin: " + "1" + ":59" * 300 + ".5",
    "a number of 5,000 hexadecimal digits": "margin: 0x" + "f" * 5000,
    "a number of 65 bits": f"seeds: [{2**64}]",
    "half of a letter": 'title: "\\ud800"',
    "half of a letter in a key": '"\\udc00": 3',
    "a template": "__use_yte__: true\nname: ?1 + 1",
    "a template by a merge": "<<: {__use_yte__: true}\nname: a",
    "a Python object": "name: !!python/object/apply:os.system ['touch /tmp/rlparity-was-here']",
    "a Python name": "name: !!python/name:os.system",
    "a tag of nobody's": "name: !mine a",
    "a merge of nothing": "<<: 3",
    "JSON cut short": '{"name": "a", "title"',
    "HTML": "<html><body>404</body></html>",
    "a pickle": b"\x80\x04\x95\x0b\x00\x00\x00",
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_suite_that_is_no_yaml(
    text: str | bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    printed = plan(None, tmp_path, capsys, text=text)
    assert "suite.yaml" in printed
    assert not Path("/tmp/rlparity-was-here").exists()


# --- suites: YAML with the wrong content

CHANGES: dict[str, dict[str, Any]] = {
    "no name": {"name": None},
    "an empty name": {"name": ""},
    "a name with a slash": {"name": "a/b"},
    "a name that leads up": {"name": ".."},
    "a name that is absolute": {"name": "/etc/passwd"},
    "a name with a line break": {"name": "a\nb"},
    "a name of 5,000 letters": {"name": "a" * 5000},
    "a name with a line break after it": {"name": "smoke\n"},
    "a name in HTML": {"name": "<script>"},
    "a name that is a number": {"name": 3},
    "a name with a null byte": {"name": "a\0b"},
    "a title that is a list": {"title": ["a"]},
    "environments as text": {"environments": "CartPole-v1"},
    "no environments": {"environments": []},
    "an environment that is null": {"environments": [None]},
    "an environment that is a number": {"environments": [1]},
    "an unknown environment": {"environments": ["CartPole-v999"]},
    "an old environment": {"environments": ["HalfCheetah-v2"]},
    "an environment with a path": {"environments": ["../../CartPole-v1"]},
    "an environment in HTML": {"environments": ["<script>alert(1)</script>"]},
    "an environment of an unknown module": {"environments": ["os.system:touch-v0"]},
    "an environment of a bad module": {"environments": [":::-v0"]},
    "an environment of a module above": {"environments": ["..:x-v0"]},
    "an environment without an id": {"environments": [{"algorithms": ["ppo"]}]},
    "an environment with a wrong key": {"environments": [{"id": "CartPole-v1", "sedes": [1]}]},
    "an environment twice": {"environments": ["CartPole-v1", {"id": "CartPole-v1"}]},
    "a game that there is not": {"environments": ["ALE/Pung-v5@nature"]},
    "a game without a preset": {"environments": ["ALE/Pong-v5"]},
    "a preset that there is not": {"environments": ["ALE/Pong-v5@natur"]},
    "a list of games that there is not": {"environments": ["atari-58@nature"]},
    "a threshold that is text": {"environments": [{"id": "CartPole-v1", "threshold": "high"}]},
    "algorithms as text": {"algorithms": "ppo"},
    "no algorithms": {"algorithms": []},
    "an unknown algorithm": {"algorithms": ["pppo"]},
    "an algorithm twice": {"algorithms": ["ppo", "ppo"]},
    "an algorithm that is a list": {"algorithms": [["ppo"]]},
    "a discrete algorithm for continuous actions": {"environments": ["Pendulum-v1"]},
    "a continuous algorithm for discrete actions": {"algorithms": ["sac"]},
    "an algorithm that cannot see": {"environments": ["ALE/Pong-v5@nature"], "algorithms": ["trpo"]},
    "no implementations": {"implementations": []},
    "an unknown implementation": {"implementations": ["sb4"]},
    "an implementation twice": {"implementations": ["sb3", "sb3"]},
    "seeds as a number": {"seeds": 5},
    "no seeds": {"seeds": []},
    "a negative seed": {"seeds": [-1]},
    "a seed with a fraction": {"seeds": [1.5]},
    "a seed that is text": {"seeds": ["first"]},
    "a range backwards": {"seeds": ["5-2"]},
    "ranges that overlap": {"seeds": ["0-4", "4-6"]},
    "a seed twice": {"seeds": [3, "3"]},
    "a range with an open end": {"seeds": ["3-"]},
    "a range of three": {"seeds": ["1-2-3"]},
    "seeds in other digits": {"seeds": ["٣-٤"]},
    "a seed of 5,000 digits": {"seeds": ["9" * 5000]},
    "a range of 5,000 digits": {"seeds": ["0-" + "9" * 5000]},
    "a seed that fits no column": {"seeds": [str(2**63)]},
    "a hundred thousand million seeds": {"seeds": ["0-99999999999"]},
    "no budgets": {"budgets": {}},
    "a budget of nothing": {"budgets": {"default": 0}},
    "a negative budget": {"budgets": {"default": -5}},
    "a budget that is a float": {"budgets": {"default": 4096.0}},
    "a budget of a number": {"budgets": {"default": 4096, 5: 1}},
    "a budget that is text": {"budgets": {"default": "1M"}},
    "a budget that is not finite": {"budgets": {"default": float("inf")}},
    "a budget that is no number": {"budgets": {"default": float("nan")}},
    "a budget below a rollout": {"budgets": {"default": 100}},
    "a budget of nobody's": {"budgets": {"default": 4096, "pppo": 1}},
    "a budget that is true": {"budgets": {"default": True}},
    "a protocol without points": {"evaluation": {"points": 0}},
    "a protocol with an unknown key": {"evaluation": {"episdoes": 3}},
    "a protocol with half a point": {"evaluation": {"points": 4.0}},
    "a protocol that is a list": {"evaluation": [1]},
    "an epsilon above one": {"evaluation": {"epsilon": 2}},
    "a margin of two": {"margin": 2},
    "a negative margin": {"margin": -0.1},
    "a margin that is no number": {"margin": float("nan")},
    "an unknown device": {"device": "tpu"},
    "references from nowhere": {"references": "download"},
    "films as text": {"films": "yes please"},
    "a time limit of nothing": {"time_limit": 0},
    "a time limit of a century": {"time_limit": 1e6},
    "a time limit beyond all clocks": {"time_limit": 1e300},
    "a checkpoint that is negative": {"checkpoint_every": -1},
    "a key that is a number": {5: 6},
    "a key that is nothing": {None: 6},
    "an unknown key": {"algorithm": ["ppo"]},
    "an unknown kind": {"kind": "sensitive"},
    "hyper-parameters of nobody's": {"hyperparameters": {"pppo": {}}},
    "hyper-parameters as a list": {"hyperparameters": ["gamma"]},
    "an unknown hyper-parameter": {"hyperparameters": {"ppo": {"n_step": 8}}},
    "a discount above one": {"hyperparameters": {"ppo": {"gamma": 1.5}}},
    "a discount that is no number": {"hyperparameters": {"ppo": {"gamma": float("nan")}}},
    "a discount that is text": {"hyperparameters": {"ppo": {"gamma": "high"}}},
    "a discount that is a list": {"hyperparameters": {"ppo": {"gamma": [0.9]}}},
    "steps that are true": {"hyperparameters": {"ppo": {"n_steps": True}}},
    "steps with a fraction": {"hyperparameters": {"ppo": {"n_steps": 1.5}}},
    "minibatches of nothing": {"hyperparameters": {"ppo": {"batch_size": 0}}},
    "a layer of nothing": {"hyperparameters": {"ppo": {"net_arch": [64, 0]}}},
    "a layer that is text": {"hyperparameters": {"ppo": {"net_arch": ["wide"]}}},
    "a negative learning rate": {"hyperparameters": {"ppo": {"learning_rate": -1}}},
    "an infinite learning rate": {"hyperparameters": {"ppo": {"learning_rate": float("inf")}}},
    "an unknown activation": {"hyperparameters": {"ppo": {"activation": "gelu"}}},
    "a memory smaller than a return": {
        "hyperparameters": {"dqn": {"n_steps": 5, "buffer_size": 4}},
        "implementations": ["scratch"],
    },
    "what no reference has": {"hyperparameters": {"dqn": {"double_q": True}}},
    "a candidate without a way": {"candidates": {"mine": {"against": "ppo"}}},
    "a candidate in two ways": {"candidates": {"mine": {"against": "ppo", "entry": "a:b", "logs": "x"}}},
    "a candidate against nobody": {"candidates": {"mine": {"against": "pppo", "logs": "x"}}},
    "a candidate of a taken name": {"candidates": {"sb3": {"against": "ppo", "logs": "x"}}},
    "a candidate with a path as its name": {"candidates": {"../x": {"against": "ppo", "logs": "x"}}},
    "a candidate in HTML": {"candidates": {"<script>": {"against": "ppo", "logs": "x"}}},
    "a candidate whose module is not there": {
        "candidates": {"mine": {"against": "ppo", "entry": "not.there:F"}}
    },
    "a candidate without a factory": {"candidates": {"mine": {"against": "ppo", "entry": "json"}}},
    "a candidate in an empty command": {"candidates": {"mine": {"against": "ppo", "command": ""}}},
    "a candidate in a command with an open quote": {
        "candidates": {"mine": {"against": "ppo", "command": "python 'x"}}
    },
    "a candidate with an unknown placeholder": {
        "candidates": {"mine": {"against": "ppo", "command": "python x.py {sed}"}}
    },
    "a candidate whose logs are not there": {"candidates": {"mine": {"against": "ppo", "logs": "not/there"}}},
    "a candidate in a folder that is not there": {
        "candidates": {"mine": {"against": "ppo", "logs": "x", "folder": "/not/there"}}
    },
    "a candidate in a place the suite has not": {
        "candidates": {"mine": {"against": "ppo", "logs": "x", "environments": ["Acrobot-v1"]}}
    },
    "a candidate in a folder with a null byte": {
        "candidates": {"mine": {"against": "ppo", "logs": "x", "folder": "\0"}}
    },
    "a candidate in a folder of 5,000 letters": {
        "candidates": {"mine": {"against": "ppo", "logs": "x", "folder": "a" * 5000}}
    },
    "a candidate in a folder of 300 letters": {
        "candidates": {"mine": {"against": "ppo", "logs": "x", "folder": "a" * 300}}
    },
    "a candidate with logs of 300 letters": {"candidates": {"mine": {"against": "ppo", "logs": "a" * 300}}},
    "a candidate with a file of 300 letters": {
        "candidates": {"mine": {"against": "ppo", "entry": "a" * 300 + ".py:make"}}
    },
    "a candidate with a null byte in its command": {
        "candidates": {"mine": {"against": "ppo", "command": "a\0 {seed}"}}
    },
    "a candidate that may take for ever": {
        "candidates": {"mine": {"against": "ppo", "command": "a {seed}", "time_limit_s": 1e300}}
    },
    "a candidate called by a number": {"candidates": {5: {"against": "ppo", "logs": "x"}}},
    "a candidate with a line break after it": {"candidates": {"mine\n": {"against": "ppo", "logs": "x"}}},
    "a candidate that is a list": {"candidates": {"mine": ["ppo"]}},
}


@pytest.mark.parametrize("changes", CHANGES.values(), ids=CHANGES)
def test_a_suite_with_wrong_content(
    changes: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    printed = plan({**GOOD, **changes}, tmp_path, capsys)
    assert printed.startswith("rlparity: Bad suite ") and "\n  - " in printed


def test_the_suite_that_all_of_them_come_from_is_good(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "suite.yaml").write_text(yaml.safe_dump(GOOD))
    assert main(["plan", str(tmp_path / "suite.yaml"), "--results", str(tmp_path)]) == 0


@pytest.mark.parametrize("key", [key for key in GOOD if key != "evaluation"])
def test_a_suite_that_lacks_a_key(key: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert f"missing key '{key}'" in plan({k: v for k, v in GOOD.items() if k != key}, tmp_path, capsys)


# --- suites: whatever else there may be

LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(-(10**20), 10**20), st.floats(), st.text(max_size=20)
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)


@pytest.mark.probes
@given(key=st.sampled_from([*GOOD, "candidates", "hyperparameters", "margin", "device"]), value=VALUES)
@NARROW
def test_any_value_anywhere_is_taken_or_refused_in_words(key: str, value: Any) -> None:
    content = copy.deepcopy(GOOD) | {key: value}
    try:
        suite.resolve(content, "Bad suite", elsewhere=True)
    except UserError as error:
        assert str(error)


@given(text=st.text(alphabet="abc:[]{}&*!|>-? '\"#%@,\n\t01.e", max_size=60))
@NARROW
def test_any_text_is_yaml_or_refused_in_words(text: str) -> None:
    try:
        yaml_reader.parse(text, "here")
    except UserError as error:
        assert str(error).startswith("here") and "\n" not in str(error)


TAGS = ["bool", "int", "float", "null", "timestamp", "binary", "str"]
TAGS += ["seq", "map", "set", "omap", "pairs", "merge", "value"]


@given(
    tag=st.sampled_from(TAGS),
    text=st.one_of(
        st.text(alphabet="-+0123456789abcdefxo.:_TZ ~=<", max_size=40).map(json.dumps),
        st.sampled_from(
            ["", "a", "[]", "[a]", "[[a, b]]", "[{a: b}]", "{}", "{a: b}", "{[a]: b}", '"\\ud800"']
        ),
    ),
)
@NARROW
def test_any_tag_on_anything_is_yaml_or_refused_in_words(tag: str, text: str) -> None:
    try:
        yaml_reader.parse(f"name: !!{tag} {text}", "here")
    except UserError as error:
        assert str(error).startswith("here") and "\n" not in str(error)


# --- settings: hyperparameters.yaml of a checkout

SETTINGS: dict[str, Any] = {
    "no algorithms": lambda raw: raw.pop("algorithms"),
    "no settings": lambda raw: raw.pop("settings"),
    "an unknown agent": lambda raw: raw["algorithms"]["ppo"].update(agent="pppo"),
    "an unknown reference": lambda raw: raw["algorithms"]["ppo"].update(reference="pppo"),
    "an unknown mode": lambda raw: raw["algorithms"]["ppo"].update(modes=["greedy"]),
    "modes as text": lambda raw: raw["algorithms"]["ppo"].update(modes="sampled"),
    "options as a list": lambda raw: raw["algorithms"]["ppo"].update(options=[1]),
    "an algorithm that is null": lambda raw: raw["algorithms"].update(ppo=None),
    "settings of an unknown agent": lambda raw: raw["settings"]["CartPole-v1"].update(pppo={}),
    "settings as a list": lambda raw: raw.update(settings=[]),
    "settings without a source": lambda raw: raw["settings"]["CartPole-v1"]["ppo"].pop("source"),
    "sub-environments that are text": lambda raw: raw["settings"]["CartPole-v1"]["ppo"].update(n_envs="many"),
    "no sub-environments": lambda raw: raw["settings"]["CartPole-v1"]["ppo"].update(n_envs=0),
    "an unknown key": lambda raw: raw["settings"]["CartPole-v1"]["ppo"].update(envs=3),
}


@cache
def shipped_settings() -> Any:
    return yaml_reader.read(ROOT / project_files.SETTINGS)


@pytest.mark.parametrize("damage", SETTINGS.values(), ids=SETTINGS)
def test_settings_that_are_wrong(
    damage: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = shipped_settings()
    used = {environment: whole["settings"][environment] for environment in ("default", "CartPole-v1")}
    raw = copy.deepcopy({**whole, "settings": used})  # the others take a quarter of a second to read
    damage(raw)
    (tmp_path / project_files.RESOURCES).mkdir(parents=True)
    (tmp_path / project_files.SETTINGS).write_text(yaml.safe_dump(raw))
    (tmp_path / "suite.yaml").write_text(yaml.safe_dump(GOOD))
    monkeypatch.chdir(tmp_path)
    assert "hyperparameters.yaml" in refused(capsys, "plan", "suite.yaml")
    assert not (tmp_path / "results").exists()


def test_how_many_there_are() -> None:
    assert len(TEXTS) + len(CHANGES) + len(SETTINGS) >= 100
    json.dumps(list(CHANGES))
