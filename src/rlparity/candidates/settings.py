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
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from rlparity import records
from rlparity.cell import Cell
from rlparity.errors import unknown
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
    heard = _understood(answer, asked, cell.agent)
    ran |= heard.values
    sources |= dict.fromkeys(heard.values, "its answer")
    lacking = set(heard.not_offered)
    found = {
        "reference": asked,
        "ran": {name: ran[name] for name in asked if name in ran and name not in lacking},
        "sources": {name: sources[name] for name in asked if name in ran and name not in lacking},
        "remarks": {name: text for name, text in remarks.items() if name not in heard.values},
        "not_offered": [name for name in asked if name in lacking],
        "departures": heard.departures,
    }
    folder.mkdir(parents=True, exist_ok=True)
    records.write_bytes(folder / SETTINGS, json.dumps(found, indent=1).encode())
    return tuple(heard.problems)


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


class Answer(NamedTuple):
    """What an answer says."""

    values: dict[str, Any]  # that ran, by name
    not_offered: list[str]
    departures: list[str] | None  # None: it says nothing of them
    problems: list[str]  # a line for everything that is not understood


def _understood(answer: Any, asked: Mapping[str, Any], agent: str) -> Answer:
    """Check an answer, name by name: what is not understood is left out."""
    if not isinstance(answer, Mapping):
        wrong = f"its answer is a {type(answer).__name__}; expected an object of {', '.join(KEYS)}"
        return Answer({}, [], None, [] if answer is None else [wrong])
    known = (
        asked.keys() | hyperparameters.config(agent).keys()
    )  # some have no effect here, and are not asked for
    problems = [
        f"its answer: unknown key {key!r}; known are {', '.join(KEYS)}" for key in answer if key not in KEYS
    ]
    given_as = answer.get("set", {})
    if _texts(given_as):
        problems += _unknown(given_as, "set", known)
        given_as = {name: asked[name] for name in given_as if name in asked}
    values: dict[str, Any] = {}
    for key, part in (("set", given_as), ("different", answer.get("different", {}))):
        if not isinstance(part, Mapping):
            problems.append(f"its answer: {key}: expected an object of names and values")
            continue
        problems += _unknown(part, key, known)
        for name in [name for name in part if name in asked]:
            bad = value_checks.bad_settings({name: part[name]}, agent, key)
            problems += [f"its answer: {line}" for line in bad]
            values |= {} if bad else {name: part[name]}
    texts = {}
    for key in ("not_offered", "departures"):
        good = _texts(answer.get(key, []))
        texts[key] = list(answer.get(key, [])) if good else []
        problems += [] if good else [f"its answer: {key}: expected a list of texts"]
    problems += _unknown(texts["not_offered"], "not_offered", known)
    departures = texts["departures"] if "departures" in answer else None
    return Answer(values, [name for name in texts["not_offered"] if name in asked], departures, problems)


def _texts(values: Any) -> bool:
    return isinstance(values, list) and all(isinstance(one, str) for one in values)


def _unknown(names: Iterable[str], key: str, known: Collection[str]) -> list[str]:
    return [f"its answer: {unknown('setting', name, known, key)}" for name in names if name not in known]
