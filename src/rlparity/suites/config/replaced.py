"""Settings of a suite that `--config` replaces: budgets, margin, hyper-parameters, seeds that it has not.

The suite with them is written beside the results, as a file that can be run again.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from rlparity.errors import UserError
from rlparity.records import write_bytes
from rlparity.suites import yaml_reader
from rlparity.suites.config import typed
from rlparity.suites.environments import seed_blocks

SETTINGS = ("budgets", "margin", "hyperparameters")
COPY = "suite.yaml"  # in the results of a suite


def changes(raw: Mapping[str, Any], narrow: Mapping[str, Any]) -> dict[str, Any]:
    """Those values of `--config` that replace settings, as a suite has them. Raises UserError.

    Seeds are among them if the suite lacks one of them; else they only leave cells out.
    """
    found: dict[str, Any] = {}
    if "budgets" in narrow:
        given = typed.plain(narrow["budgets"], "--config budgets")
        named = given if isinstance(given, Mapping) else {"": given}
        found["budgets"] = {
            name: typed.steps(value, f"--config budgets.{name}".rstrip(".")) for name, value in named.items()
        }
    if "margin" in narrow:
        margin = typed.plain(narrow["margin"], "--config margin")
        if isinstance(margin, bool) or not isinstance(margin, int | float) or not 0 < margin <= 1:
            shown = yaml_reader.short(repr(margin))
            raise UserError(f"--config margin: expected a number above 0, at most 1, got {shown}")
        found["margin"] = margin
    if "hyperparameters" in narrow:
        values = typed.plain(narrow["hyperparameters"], "--config hyperparameters")
        if not isinstance(values, Mapping) or not all(isinstance(each, Mapping) for each in values.values()):
            raise UserError(
                "--config hyperparameters: write them by configuration, as in '{ppo: {learning_rate: 1e-3}}'"
            )
        found["hyperparameters"] = {name: dict(each) for name, each in values.items()}
    if "seeds" in narrow and not isinstance(raw.get("seeds"), Mapping):  # which would grow
        asked = typed.seeds(_as_list(narrow["seeds"]), "--config seeds")
        if not _numbers(asked) <= _known(raw):
            found["seeds"] = asked
    return found


def applied(raw: Mapping[str, Any], changed: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of a suite with these changes, in its environments as well.

    A single budget, "", is that of everything; named ones replace those of the same names.
    """
    made = {**raw}
    places = [dict(place) if isinstance(place, Mapping) else place for place in _places(raw)]
    own = [place for place in places if isinstance(place, dict)]
    if (budgets := changed.get("budgets")) is not None:
        everything = budgets.get("")
        kept = {} if everything else made.get("budgets", {})
        made["budgets"] = {**kept, **({"default": everything} if everything else budgets)}
        for place in own:
            theirs = place.pop("budgets", {})
            theirs = {name: value for name, value in theirs.items() if not everything and name not in budgets}
            place |= {"budgets": theirs} if theirs else {}
    for key in ("margin", "seeds"):
        if key in changed:
            made[key] = changed[key]
            for place in own:
                place.pop(key, None)
    if values := changed.get("hyperparameters"):
        before = made.get("hyperparameters", {})
        merged = {name: {**before.get(name, {}), **each} for name, each in values.items()}
        made["hyperparameters"] = {**before, **merged}
    if places:
        made["environments"] = places
    return made


def describe(changed: Mapping[str, Any]) -> str:
    """A sentence for the report; empty where nothing was changed."""
    parts = [text for key, value in changed.items() for text in _words(key, value)]
    return f"Other settings than in the suite's file: {'; '.join(parts)}." if parts else ""


def _words(key: str, value: Any) -> list[str]:
    if key == "budgets":
        return [f"budget{f' of {name}' if name else ''} {steps:,}" for name, steps in value.items()]
    if key == "hyperparameters":
        return [f"{name}.{one} {each[one]}" for name, each in value.items() for one in each]
    return [f"{key} {', '.join(map(str, value)) if isinstance(value, list) else value}"]


def keep(path: Path, changed: Mapping[str, Any], folder: Path) -> None:
    """Write the suite with these changes into the folder of its results; without any, remove such a copy."""
    file = folder / COPY
    if not changed:
        if file.resolve() != path.resolve():
            file.unlink(missing_ok=True)
        return
    keys = applied(yaml_reader.read(path), changed)
    head = f"# {path} with --config. {describe(changed)}\n"
    text = yaml.safe_dump(keys, sort_keys=False, default_flow_style=None, width=110, allow_unicode=True)
    content = (head + text).encode()
    if not file.is_file() or file.read_bytes() != content:
        write_bytes(file, content)


def _as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _places(raw: Mapping[str, Any]) -> list[Any]:
    places = raw.get("environments")
    return places if isinstance(places, list) else []


def _numbers(seeds: list[Any]) -> set[int]:
    return {seed for block in seed_blocks(seeds, "seeds", []) for seed in block}


def _known(raw: Mapping[str, Any]) -> set[int]:
    """All seeds that a suite has, in one environment or another; other shapes are the schema's to refuse."""
    own = [place for place in _places(raw) if isinstance(place, Mapping)]
    lists = [table.get("seeds") for table in (raw, *own)]
    return {seed for seeds in lists if isinstance(seeds, list) for seed in _numbers(seeds)}
