"""The settings of a candidate: what it is given, and what it answers or logs about those that it ran with.

What a program is given with `{settings}` is a JSON object of names and values, every default of the reference
written out. The answer, a JSON file at `{answer}` or the attribute `answer` of a Python candidate, is an
object with any of these keys:

- `set`: names of settings that it set as given, or an object of names with the values that it set;
- `different`: an object of names with values, for settings that it ran with at other values;
- `not_offered`: names of settings that it does not have;
- `departures`: in what else it differs from the reference, a list of texts.

What neither an answer nor the logs state is not known.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rlparity import records
from rlparity.cell import Cell
from rlparity.log_readers.settings import Stated
from rlparity.registry import AGENTS
from rlparity.runs.run_cell import SETTINGS
from rlparity.suites import hyperparameters, value_checks

GIVEN, ANSWER = "given.json", "answer.json"  # files for a program, outside of the folder that it logs in
KEYS = ("set", "different", "not_offered", "departures")
LARGEST = 2**20  # bytes of an answer
NOTHING = Stated()


def given(cell: Cell) -> dict[str, Any]:
    """All settings that a cell's reference runs with; none for an algorithm that is no agent of ours."""
    if cell.agent not in AGENTS:
        return {}
    return hyperparameters.resolved(
        cell.agent, cell.hyperparameters, cell.environment, cell.n_envs, cell.normalize
    )


def hand_over(cell: Cell, folder: Path) -> None:
    """Write the file that `{settings}` names."""
    (folder / GIVEN).write_text(json.dumps(given(cell), indent=1), encoding="utf-8")


def keep(cell: Cell, folder: Path, stated: Stated = NOTHING, answer: Any = None) -> tuple[str, ...]:
    """Write what is known of the settings that ran to `settings.json` beside the records of a cell.

    `stated` is what the logs state, `answer` an answer as JSON has it, None if there is none; of a setting in
    both, the answer counts. Returns a line for everything in the answer that is not understood.
    """
    asked = given(cell)
    ran = {name: value for name, value in stated.values.items() if name in asked}
    sources = {name: stated.sources[name] for name in ran}
    remarks = {name: text for name, text in stated.remarks.items() if name in ran}
    used, lacking, departures, problems = _understood(answer, asked, cell.agent)
    ran |= used
    sources |= dict.fromkeys(used, "its answer")
    found = {
        "reference": asked,
        "ran": {name: ran[name] for name in asked if name in ran and name not in lacking},
        "sources": {name: sources[name] for name in asked if name in ran and name not in lacking},
        "remarks": {name: text for name, text in remarks.items() if sources[name] != "its answer"},
        "not_offered": [name for name in asked if name in lacking],
        "departures": departures,
        "stated": [*dict.fromkeys(stated.sources[name] for name in stated.values if name in asked)]
        + ["its answer"] * (isinstance(answer, Mapping) and any(key in answer for key in KEYS)),
    }
    folder.mkdir(parents=True, exist_ok=True)
    records.write_bytes(folder / SETTINGS, json.dumps(found, indent=1).encode())
    return tuple(problems)


def read_answer(path: Path) -> tuple[Any, tuple[str, ...]]:
    """The answer that a program has written, None without one, and the reason where it cannot be read."""
    try:
        if not path.is_file():
            return None, ()
        if path.stat().st_size > LARGEST:
            return None, (f"its answer is larger than {LARGEST // 2**20} MiB, and not read",)
        return json.loads(path.read_text(encoding="utf-8")), ()
    except json.JSONDecodeError as error:
        return None, (f"its answer is not JSON: line {error.lineno}: {error.msg}",)
    except (OSError, ValueError, RecursionError) as error:
        return None, (f"its answer cannot be read ({type(error).__name__})",)


def _understood(
    answer: Any, asked: Mapping[str, Any], agent: str
) -> tuple[dict[str, Any], list[str], list[str], list[str]]:
    """Values that ran, names that are not offered, departures; and what was not understood, a line each."""
    if answer is None:
        return {}, [], [], []
    if not isinstance(answer, Mapping):
        return (
            {},
            [],
            [],
            [f"its answer is a {type(answer).__name__}; expected an object of {', '.join(KEYS)}"],
        )
    problems = [
        f"its answer: unknown key {key!r}; known are {', '.join(KEYS)}" for key in answer if key not in KEYS
    ]
    as_given = answer.get("set", {})
    if _texts(as_given):
        problems += _unknown([name for name in as_given if name not in asked], "set", asked)
        as_given = {name: asked[name] for name in as_given if name in asked}
    used: dict[str, Any] = {}
    for key, values in (("set", as_given), ("different", answer.get("different", {}))):
        if isinstance(values, Mapping):
            good, bad = _checked(values, key, asked, agent)
            used, problems = used | good, problems + bad
        else:
            problems.append(f"its answer: {key}: expected an object of names and values")
    lists = {}
    for key in ("not_offered", "departures"):
        lists[key] = list(answer.get(key, [])) if _texts(answer.get(key, [])) else []
        problems += [] if _texts(answer.get(key, [])) else [f"its answer: {key}: expected a list of texts"]
    problems += _unknown([name for name in lists["not_offered"] if name not in asked], "not_offered", asked)
    lacking = [name for name in lists["not_offered"] if name in asked]
    return used, lacking, lists["departures"], problems


def _texts(values: Any) -> bool:
    return (
        isinstance(values, Sequence)
        and not isinstance(values, str)
        and all(isinstance(v, str) for v in values)
    )


def _unknown(names: Sequence[str], key: str, asked: Mapping[str, Any]) -> list[str]:
    return [f"its answer: {key}: unknown setting {name!r}; known are {', '.join(asked)}" for name in names]


def _checked(
    values: Mapping[str, Any], key: str, asked: Mapping[str, Any], agent: str
) -> tuple[dict[str, Any], list[str]]:
    """The values that a setting can have, and a line for each other."""
    good: dict[str, Any] = {}
    bad = _unknown([name for name in values if name not in asked], key, asked)
    for name in values.keys() & asked.keys():
        wrong = value_checks.bad_settings({name: values[name]}, agent, key)
        good |= {} if wrong else {name: values[name]}
        bad += [f"its answer: {line}" for line in wrong]
    return good, bad
