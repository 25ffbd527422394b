"""The id of an environment that is made otherwise than its own id says: `ID@KEY=VALUE,...`.

`mine/Space-v1@goal=3,max_episode_steps=500,wrappers=FlattenObservation` is `mine/Space-v1` with a keyword
argument, a time limit and a wrapper. All that makes the environment is in its id, so that it is in every
record, in the fingerprint of its cells and in the names of their random streams.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rlparity.cell import is_configured
from rlparity.errors import UserError, unknown

TIME_LIMIT, WRAPPERS = "max_episode_steps", "wrappers"  # keys that are no keyword arguments
FAMILIES = ("ALE/", "MinAtar/")  # whose ids say all that can be chosen
WORD = re.compile(r"[A-Za-z_][\w./:-]*")
RESERVED = {"true", "false", "null"}
KEYS = {"name", "kwargs"}  # of a wrapper that is given as a mapping
LONGEST = 1000  # characters of an id


@dataclass(frozen=True)
class Wrapper:
    """A class of gymnasium.wrappers, of this project, or `module:Class`, and its keyword arguments."""

    name: str
    kwargs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Configured:
    """An id of Gymnasium (`module:Id` too), and how the environment is made."""

    base: str
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    max_episode_steps: int | None = None  # in place of the registered limit
    wrappers: Sequence[Wrapper] = ()  # from the innermost on, around the time limit


def parse(environment: str) -> Configured:
    """What an id says. Raises UserError for one that is not well formed."""
    base, at, text = environment.partition("@")
    if not at:
        return Configured(base)
    values: dict[str, Any] = {}
    while text:
        key, equals, rest = text.partition("=")
        if not equals or not key.isidentifier() or key in values:
            raise _malformed(environment, text)
        values[key], text = _value(environment, rest)
    limit, wrappers = values.pop(TIME_LIMIT, None), values.pop(WRAPPERS, [])
    return of_keys(base, {"kwargs": values, TIME_LIMIT: limit, WRAPPERS: wrappers}, repr(environment))


def _value(environment: str, text: str) -> tuple[Any, str]:
    """The first value of `VALUE,KEY=VALUE...`, and what follows it."""
    if (word := WORD.match(text)) and word[0] not in RESERVED:
        names = [word[0]]
        end = word.end()
        while end < len(text) and text[end] == "+" and (more := WORD.match(text, end + 1)):
            names.append(more[0])
            end = more.end()
        found: Any = names if len(names) > 1 else names[0]
    else:
        try:
            found, end = json.JSONDecoder().raw_decode(text)
        except ValueError:
            raise _malformed(environment, text) from None
    if (end < len(text) and text[end] != ",") or end + 1 == len(text):
        raise _malformed(environment, text)
    return found, text[end + 1 :]


def _malformed(environment: str, text: str) -> UserError:
    return UserError(
        f"environment {environment!r} is not well formed at {text[:40]!r}; write ID@KEY=VALUE,KEY=VALUE "
        "with values as in JSON, such as CartPole-v1@max_episode_steps=200"
    )


def of_keys(base: str, keys: Mapping[str, Any], where: str) -> Configured:
    """From the keys `kwargs`, `max_episode_steps` and `wrappers` of a suite. Raises UserError."""
    kwargs, limit, wrappers = keys.get("kwargs") or {}, keys.get(TIME_LIMIT), keys.get(WRAPPERS) or []
    for name in kwargs:
        if not str(name).isidentifier() or name in (TIME_LIMIT, WRAPPERS, "render_mode"):
            raise UserError(f"{where}: {name!r} is no keyword argument of an environment")
    _refuse_keys(kwargs, where)
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
        raise UserError(f"{where}: {TIME_LIMIT} {limit!r}; a number of steps, at least 1")
    listed = [wrappers] if isinstance(wrappers, str | Mapping) else wrappers
    if not isinstance(listed, Sequence):
        raise UserError(f"{where}: {WRAPPERS} {wrappers!r}; a list of names, or of mappings with a name")
    made = Configured(base, dict(kwargs), limit, tuple(_wrapper(each, where) for each in listed))
    if base.startswith(FAMILIES) and made != Configured(base):
        raise UserError(f"{where}: {base!r} takes no kwargs, {TIME_LIMIT} or {WRAPPERS}; its id says all")
    return made


def _wrapper(data: Any, where: str) -> Wrapper:
    if isinstance(data, str):
        data = {"name": data}
    if not isinstance(data, Mapping) or not isinstance(data.get("name"), str):
        raise UserError(f"{where}: {data!r} is no wrapper; write a name, or a mapping with name and kwargs")
    for key in data.keys() - KEYS:
        raise unknown("key", key, KEYS, f"{where}: wrapper {data['name']!r}")
    kwargs = data.get("kwargs") or {}
    if not isinstance(kwargs, Mapping) or not WORD.fullmatch(data["name"]):
        raise UserError(f"{where}: wrapper {data!r}: name is a word and kwargs a mapping")
    _refuse_keys(kwargs, where)
    return Wrapper(data["name"], dict(kwargs))


def _refuse_keys(value: Any, where: str) -> None:
    """UserError for keys that are not strings, at any depth: an id, as JSON, would make them strings."""
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise UserError(f"{where}: key {key!r} of {value!r} is no string; only strings can be keys")
    if isinstance(value, Mapping | list | tuple):
        for each in value.values() if isinstance(value, Mapping) else value:
            _refuse_keys(each, where)


def write(made: Configured) -> str:
    """The id, always the same for the same content; `parse` reads it back. Raises UserError for values that
    JSON does not have."""
    parts = [f"{key}={_text(made.base, made.kwargs[key])}" for key in sorted(made.kwargs)]
    if made.max_episode_steps is not None:
        parts.append(f"{TIME_LIMIT}={made.max_episode_steps}")
    if made.wrappers and all(not each.kwargs for each in made.wrappers):
        parts.append(f"{WRAPPERS}={'+'.join(each.name for each in made.wrappers)}")
    elif made.wrappers:
        data = [
            {"name": each.name, "kwargs": each.kwargs} if each.kwargs else each.name for each in made.wrappers
        ]
        parts.append(f"{WRAPPERS}={_text(made.base, data)}")
    text = f"{made.base}@{','.join(parts)}" if parts else made.base
    if len(text) > LONGEST:
        raise UserError(
            f"environment {text[:60]!r}...: its kwargs and wrappers take more than {LONGEST} characters"
        )
    return text


def _text(base: str, value: Any) -> str:
    if isinstance(value, str) and WORD.fullmatch(value) and value not in RESERVED:
        return value
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise UserError(f"environment {base!r}: {value!r} cannot be written in its id ({error})") from None


def canonical(environment: str) -> str:
    """The same id as `write` has it; an id without keys, or of an Atari preset, as it is."""
    return write(parse(environment)) if is_configured(environment) else environment


def base(environment: str) -> str:
    """The id of Gymnasium of an environment; of others the id itself."""
    return environment.partition("@")[0] if is_configured(environment) else environment
