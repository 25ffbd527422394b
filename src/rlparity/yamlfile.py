"""Reads a YAML file against its JSON schema; whatever is wrong comes back as one line each."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from rlparity.errors import UserError, unknown

Problem = tuple[str, str]  # where, what


class _Loader(yaml.SafeLoader):
    """Refuses duplicate keys, and reads 1e-3 as a number, as YAML 1.2 does."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key, _ in node.value:
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


def parse(text: str) -> Any:
    """One YAML value, as on a command line."""
    return yaml.load(text, Loader=_Loader)


def read(path: Path) -> Any:
    """The content of a YAML file."""
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise UserError(f"{path}{line}: not valid YAML: {error.problem}") from None


def problems(value: Any, schema: Path) -> Iterator[str]:
    """One line for everything in `value` that the schema refuses."""
    validator = jsonschema.Draft202012Validator(read(schema))
    for error in sorted(validator.iter_errors(value), key=lambda error: list(map(str, error.absolute_path))):
        yield from _lines(error)


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
            yield f"{where}: expected {expected}, got {error.instance!r}"
        case _:
            yield f"{where}: {error.message}"
