"""Read YAML files, and check them against their JSON schemas with one line for each problem.

Files are not trusted: nothing in them is run, and templates and aliases that unfold without end are refused.
That holds for every file read here, also by `rlparity run`. A bare `snakemake --configfile` reads the file
itself before that, and runs the expressions in it where `__use_yte__` is true.
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
INTEGERS = 2**63  # beyond them no column of a record and no seed could hold a number
AMBIGUOUS = re.compile("[-+]?0[0-9_]+|.*:.*|yes|no|on|off", re.IGNORECASE)  # YAML 1.1 and 1.2 differ
TEMPLATE = "__use_yte__"  # the key that makes a file a template of Snakemake's


class _Loader(yaml.SafeLoader):
    """Builds plain values from a document of limited size, and reads 1e-3 as a number, as YAML 1.2 does.

    Raises ConstructorError, also for a text that does not fit its tag.
    """

    def construct_document(self, node: yaml.Node) -> Any:
        _unfolded(node, {})
        return super().construct_document(node)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            found = super().construct_object(node, deep)
        except (ValueError, LookupError, ArithmeticError, AttributeError):
            kind = node.tag.rpartition(":")[2]
            raise _wrong(node, f"{short(repr(node.value))} is not of the kind {kind}") from None
        if isinstance(found, int | float) and node.style is None and AMBIGUOUS.fullmatch(node.value):
            raise _wrong(
                node,
                f"{short(node.value)} differs between YAML 1.1 and 1.2; write a decimal number, "
                "true, false or quoted text",
            )
        if isinstance(found, int) and abs(found) >= INTEGERS:
            raise _wrong(node, "a whole number that needs more than 64 bits")
        if isinstance(found, str) and any("\ud800" <= letter <= "\udfff" for letter in found):
            raise _wrong(node, f"half of a letter in {short(repr(found))}")
        return found


def _unfolded(node: yaml.Node, sizes: dict[yaml.Node, int]) -> int:
    """Number of nodes with aliases unfolded.

    Raises ConstructorError if there are too many, if an alias contains itself, or if a key is not text or
    comes twice.
    """
    if isinstance(node, yaml.ScalarNode):
        return 1
    if node not in sizes:
        sizes[node] = NODES + 1  # until counted: an alias that contains itself has no end
        if isinstance(node, yaml.MappingNode):
            _check_keys([key for key, _ in node.value])
            sizes[node] = 1 + sum(_unfolded(value, sizes) for _, value in node.value)
        else:
            sizes[node] = 1 + sum(_unfolded(value, sizes) for value in node.value)
    if sizes[node] > NODES:
        raise _wrong(node, f"more than {NODES:,} values, aliases unfolded, or without end")
    return sizes[node]


def _check_keys(keys: list[yaml.Node]) -> None:
    seen = set()
    for key in keys:
        if not isinstance(key, yaml.ScalarNode):
            raise _wrong(key, "a key that is not text")
        if key.value in seen:
            raise _wrong(key, f"duplicate key {short(repr(key.value))}")
        seen.add(key.value)


def _wrong(node: yaml.Node, problem: str) -> yaml.constructor.ConstructorError:
    return yaml.constructor.ConstructorError(None, None, problem, node.start_mark)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?[0-9][0-9_]*(\.[0-9_]*)?[eE][-+]?[0-9]+$"),
    list("-+0123456789"),
)


def parse(text: str, where: str) -> Any:
    """One YAML value; `where` names its place in messages. Raises UserError."""
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise UserError(f"{where}{line}: not valid YAML: {error.problem}") from None
    except RecursionError:
        raise UserError(f"{where}: not valid YAML: too deep") from None
    except (yaml.YAMLError, ValueError) as error:  # characters that YAML forbids
        raise UserError(f"{where}: not valid YAML: {' '.join(str(error).split())}") from None


def read(path: Path) -> Any:
    """The content of a YAML file. Raises UserError, also for a template that Snakemake would run."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None
    found = parse(text, str(path))
    if isinstance(found, dict) and TEMPLATE in found:
        raise UserError(f"{path}: unknown key {TEMPLATE!r}; a suite is data, and no template that is run")
    return found


def _whole_number(checker: Any, value: Any) -> bool:
    """Whether a value is an int; JSON Schema also takes 5.0, which neither `range` nor a column takes."""
    return isinstance(value, int) and not isinstance(value, bool)


def _pattern(validator: Any, pattern: str, text: Any, schema: Any) -> Iterator[jsonschema.ValidationError]:
    """Match the whole text: Python's `$` also matches before a final line break."""
    if isinstance(text, str) and re.fullmatch(pattern, text) is None:
        yield jsonschema.ValidationError(f"{text!r} does not match {pattern!r}")


_Validator = jsonschema.validators.extend(
    jsonschema.Draft202012Validator,
    validators={"pattern": _pattern},
    type_checker=jsonschema.Draft202012Validator.TYPE_CHECKER.redefine("integer", _whole_number),
)


def problems(value: Any, schema: Path) -> Iterator[str]:
    """One line for everything in `value` that the schema refuses, and for numbers that are not finite."""
    if keys := list(_not_text(value)):
        yield from (f"{place(path)}: expected text as a key, got {short(repr(key))}" for path, key in keys)
        return
    yield from (f"{place(path)}: expected a finite number, got {found}" for path, found in _not_finite(value))
    validator = _Validator(read(schema))
    for error in sorted(validator.iter_errors(value), key=lambda error: list(map(str, error.absolute_path))):
        yield from _lines(error)


def _not_text(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Keys that are no text."""
    if isinstance(value, dict):
        yield from ((path, key) for key in value if not isinstance(key, str))
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _not_text(inner, (*path, key))


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
            yield f"{where}: expected {expected}, got {short(repr(error.instance))}"
        case _:
            yield f"{where}: {short(error.message)}"


def short(text: str) -> str:
    """A text, or its two ends if it is too long for a line."""
    return text if len(text) <= 200 else f"{text[:100]} ... {text[-100:]}"
