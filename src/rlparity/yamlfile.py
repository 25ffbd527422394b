"""Reads a YAML file against its JSON schema; whatever is wrong comes back as one line each.

Files are not trusted: nothing in them is run, and aliases that would unfold without end are refused.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from rlparity.errors import UserError, unknown

NODES = 100_000  # that a file may have, aliases unfolded


class _Loader(yaml.SafeLoader):
    """Refuses duplicate keys, and reads 1e-3 as a number, as YAML 1.2 does."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "a key that is no text", key.start_mark)
            if key.value in seen:
                mark = key.start_mark
                raise yaml.constructor.ConstructorError(None, None, f"duplicate key {key.value!r}", mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?[0-9][0-9_]*(\.[0-9_]*)?[eE][-+]?[0-9]+$"),
    list("-+0123456789"),
)


def parse(text: str, where: str) -> Any:
    """One YAML value, as on a command line, given as `where`."""
    try:
        found = yaml.load(text, Loader=_Loader)
        _unfolded(found)
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise UserError(f"{where}{line}: not valid YAML: {error.problem}") from None
    except RecursionError:
        raise UserError(f"{where}: not valid YAML: too deep") from None
    except (yaml.YAMLError, ValueError) as error:  # characters, dates and numbers that there are not
        raise UserError(f"{where}: not valid YAML: {' '.join(str(error).split())}") from None
    return found


def read(path: Path) -> Any:
    """The content of a YAML file."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None
    return parse(text, str(path))


def _unfolded(value: Any) -> int:
    """Number of nodes with every alias counted as what it stands for; ValueError if there are too many."""
    sizes: dict[int, int] = {}
    above: set[int] = set()

    def size(node: Any) -> int:
        if not isinstance(node, dict | list):
            return 1
        if id(node) in above:
            raise ValueError("an alias stands for itself")
        if id(node) not in sizes:
            above.add(id(node))
            inner = node.values() if isinstance(node, dict) else node
            sizes[id(node)] = 1 + sum(map(size, inner))
            above.remove(id(node))
        if sizes[id(node)] > NODES:
            raise ValueError(f"more than {NODES:,} values, aliases unfolded")
        return sizes[id(node)]

    return size(value)


def problems(value: Any, schema: Path) -> Iterator[str]:
    """One line for everything in `value` that the schema refuses, and for numbers that are none."""
    yield from (f"{place(path)}: expected a finite number, got {found}" for path, found in _not_finite(value))
    validator = jsonschema.Draft202012Validator(read(schema))
    for error in sorted(validator.iter_errors(value), key=lambda error: list(map(str, error.absolute_path))):
        yield from _lines(error)


def _not_finite(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], float]]:
    if isinstance(value, float) and not math.isfinite(value):
        yield path, value
    elif isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _not_finite(inner, (*path, key))


def place(path: Iterator[Any] | list[Any] | tuple[Any, ...]) -> str:
    """("environments", 0, "id") as environments[0].id."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text or "top level"


def _lines(error: jsonschema.ValidationError) -> Iterator[str]:
    where = place(list(error.absolute_path))
    match error.validator:
        case "additionalProperties":
            allowed = error.schema["properties"]
            yield from (
                str(unknown("key", key, allowed, where)) for key in error.instance if key not in allowed
            )
        case "enum":
            yield str(unknown("value", error.instance, map(str, error.validator_value), where))
        case "required":
            missing = next(key for key in error.validator_value if repr(key) in error.message)
            yield f"{where}: missing key {missing!r}"
        case "type":
            kinds = error.validator_value
            expected = " or ".join([kinds] if isinstance(kinds, str) else kinds)
            yield f"{where}: expected {expected}, got {_short(repr(error.instance))}"
        case _:
            yield f"{where}: {_short(error.message)}"


def _short(text: str) -> str:
    """The two ends of a text that is too long for a line."""
    return text if len(text) <= 200 else f"{text[:100]} ... {text[-100:]}"
