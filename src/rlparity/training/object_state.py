"""Live training state as plain data and back, to the last bit.

Objects of this package are walked attribute by attribute; one with `snapshot` and `resume` provides its own.
Settings (functions, types, frozen dataclasses) are left out, objects of a class that is `STATELESS`, and
what a class names in `DERIVED`. An attribute of any other kind is refused, so that a new agent cannot lose
state in silence.

Plain data are what `torch.load(..., weights_only=True)` reads: numbers, text, tensors, lists and dicts.
Everything else is a tuple that begins with what it was.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping
from types import BuiltinFunctionType, FunctionType, MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

PLAIN = (type(None), bool, int, float, str)
SETTINGS = (type, FunctionType, BuiltinFunctionType, torch.dtype, torch.device)
PACKAGE = __name__.partition(".")[0]


class Mismatch(Exception):
    """A state that does not fit the object it is put into."""


class _Place(NamedTuple):
    """Where a value lies within live state, and the names of the module whose object holds it."""

    path: str
    names: Mapping[str, Any] = MappingProxyType({})

    def inside(self, step: str, holder: Any = None) -> _Place:
        """One step further in, within `holder` if the step enters an object."""
        names = self.names if holder is None else vars(sys.modules.get(type(holder).__module__, object))
        return _Place(self.path + step, names)

    def __str__(self) -> str:
        return self.path


def capture(thing: Any) -> Any:
    """The state of a live object as plain data that share no memory with it; TypeError if it has other."""
    return _take(thing, type(thing).__name__, set())


def restore(thing: Any, state: Any) -> None:
    """Put back what `capture` took from an object that was built in the same way. Raises Mismatch."""
    _put(thing, state, _Place(type(thing).__name__), set())


def part(state: Any, name: str) -> Any:
    """What a captured state holds as one attribute of its object, or one key of its own snapshot."""
    match state:
        case ("snapshot", dict(parts)) | ("object", _, dict(parts)):
            inner = parts[name]
            own = isinstance(inner, tuple) and inner[0] == "snapshot"
            return _rebuild(inner[1] if own else inner, _Place(name))
    raise Mismatch(f"{name}: not the state of an object")


def find(thing: Any, kind: type) -> list[Any]:
    """The objects of a kind within live state, each once, in the order of attributes."""
    seen: set[int] = set()
    found, waiting = [], [thing]
    while waiting:
        value = waiting.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, kind):
            found.append(value)
        elif isinstance(value, dict):
            waiting += reversed(value.values())
        elif isinstance(value, list | tuple):
            waiting += reversed(value)
        elif _is_ours(value) and not hasattr(value, "snapshot"):
            waiting += reversed(_attributes(value).values())
    return found


def _take(value: Any, where: str, seen: set[int]) -> Any:
    """Plain data for a value; `where` names it in errors, `seen` are the objects taken before."""
    if isinstance(value, PLAIN):
        return float(value) if isinstance(value, float) else value  # numpy's float64 is a float, too
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, np.ndarray):
        return "array", torch.from_numpy(value.copy())
    if isinstance(value, np.random.Generator):
        return "numpy", _take(value.bit_generator.state, where, seen)
    if isinstance(value, torch.Generator):
        return "torch", value.get_state()
    if isinstance(value, dict):
        return {key: _take(item, f"{where}[{key!r}]", seen) for key, item in value.items()}
    if isinstance(value, tuple):
        return "tuple", _name(value), _take(list(value), where, seen)
    if isinstance(value, list):
        return _table(value) or [_take(item, f"{where}[{i}]", seen) for i, item in enumerate(value)]
    if id(value) in seen:
        return ("same",)
    seen.add(id(value))
    if hasattr(value, "snapshot"):
        return "snapshot", _take(value.snapshot(), where, seen)
    if _is_ours(value):
        parts = {name: _take(part, f"{where}.{name}", seen) for name, part in _attributes(value).items()}
        return "object", _name(value), parts
    raise TypeError(f"{where}: a checkpoint cannot hold what it is, {_described(value)}")


def _table(rows: list[Any]) -> Any:
    """Rows of plain records as columns, which are smaller and quicker to write; None for any other list."""
    if not rows or not all(type(row) is dict and row.keys() == rows[0].keys() for row in rows):
        return None
    columns = {key: [row[key] for row in rows] for key in rows[0]}
    plain = all(type(value) in PLAIN for column in columns.values() for value in column)
    return ("table", columns) if plain else None


def _put(live: Any, state: Any, where: _Place, seen: set[int]) -> Any:
    """`live` brought to `state`: in place where something else may hold it, else what takes its place."""
    match live, state:
        case Tensor(), Tensor() if live.numel():
            return _fill(live, state, where)
        case np.ndarray(), ("array", Tensor() as content):
            _fill(torch.from_numpy(live), content, where)
        case np.random.Generator(), ("numpy", content):
            live.bit_generator.state = content
        case torch.Generator(), ("torch", content):
            live.set_state(content)
        case dict(), dict() if live.keys() == state.keys():
            return {key: _put(live[key], state[key], where.inside(f"[{key!r}]"), seen) for key in live}
        case list(), list() if len(live) == len(state):
            pairs = enumerate(zip(live, state, strict=True))
            return [_put(old, new, where.inside(f"[{i}]"), seen) for i, (old, new) in pairs]
        case tuple(), ("tuple", name, content) if name == _name(live):
            items = _put(list(live), content, where, seen)
            return type(live)(*items) if hasattr(live, "_fields") else type(live)(items)
        case _, ("same",) if id(live) in seen:
            pass
        case _, ("snapshot", content) if hasattr(live, "resume"):
            seen.add(id(live))
            live.resume(_rebuild(content, where.inside("", live)))
        case _, ("object", name, dict() as parts) if name == _name(live):
            seen.add(id(live))
            _put_attributes(live, parts, where, seen)
        case _ if _replaceable(live, state):
            return _rebuild(state, where)
        case _:
            raise Mismatch(f"{where}: not the state of {_described(live)}")
    return live


def _fill(live: Tensor, state: Tensor, where: _Place) -> Tensor:
    if (state.shape, state.dtype) != (live.shape, live.dtype):
        found, wanted = (f"{x.dtype} of shape {tuple(x.shape)}" for x in (state, live))
        raise Mismatch(f"{where}: {found}, expected {wanted}")
    live.detach().copy_(state)
    return live


def _put_attributes(live: Any, parts: dict[str, Any], where: _Place, seen: set[int]) -> None:
    attributes = _attributes(live)
    for problem, names in (
        ("lacks", attributes.keys() - parts),
        ("has a surplus", parts.keys() - attributes),
    ):
        if names:
            raise Mismatch(f"{where}: the state {problem} {', '.join(sorted(names))}")
    for name, part in attributes.items():
        new = _put(part, parts[name], where.inside(f".{name}", live), seen)
        if new is not part:
            setattr(live, name, new)


def _replaceable(live: Any, state: Any) -> bool:
    """Whether a state may stand for a value that nothing else holds. An empty tensor waits for any other."""
    if live is None or (state is None and isinstance(live, PLAIN)):
        return True
    if isinstance(live, list) and isinstance(state, tuple):
        return state[:1] == ("table",)
    if isinstance(live, tuple):
        return False
    numbers = (int, float)
    return type(live) is type(state) or (type(live) in numbers and type(state) in numbers)


def _rebuild(state: Any, where: _Place) -> Any:
    """The value that a state stands for, where no live one is there to be filled."""
    match state:
        case list():
            return [_rebuild(item, where) for item in state]
        case dict():
            return {key: _rebuild(item, where) for key, item in state.items()}
        case ("array", Tensor() as content):
            return content.numpy()
        case ("tuple", str(name), list(items)):
            return _tuple(name, _rebuild(items, where), where)
        case ("table", dict(columns)):
            rows = zip(*columns.values(), strict=True)
            return [dict(zip(columns, row, strict=True)) for row in rows]
        case tuple():
            raise Mismatch(f"{where}: a {state[0] if state else 'nothing'} that nobody holds")
    return state


def _tuple(name: str, items: list[Any], where: _Place) -> Any:
    """A tuple, or a NamedTuple that the module of the object holding it defines or imports."""
    if name == _name(()):
        return tuple(items)
    found = where.names.get(name)
    if not (isinstance(found, type) and issubclass(found, tuple)):
        raise Mismatch(f"{where}: unknown kind of tuple {name}")
    return found(*items)


def _attributes(value: Any) -> dict[str, Any]:
    """The attributes of an object that are state."""
    derived = getattr(type(value), "DERIVED", ())
    return {name: part for name, part in vars(value).items() if name not in derived and not _setting(part)}


def _setting(value: Any) -> bool:
    frozen = dataclasses.is_dataclass(value) and value.__dataclass_params__.frozen  # type: ignore[union-attr]
    plain = isinstance(value, SETTINGS) and getattr(value, "__closure__", None) is None
    return bool(frozen) or plain or getattr(type(value), "STATELESS", False)


def _is_ours(value: Any) -> bool:
    return type(value).__module__.partition(".")[0] == PACKAGE


def _name(value: Any) -> str:
    """The class alone: a checkpoint outlives a move of the module that defines it."""
    return type(value).__qualname__


def _described(value: Any) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"
