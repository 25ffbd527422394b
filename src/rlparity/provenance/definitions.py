"""Hash definitions by their content, so that a record survives a refactoring that changes no number.

A definition is a top-level function, class or constant. Its content is its syntax tree without its own name,
docstrings, annotations and imports; a name that leads to another definition stands for that definition's
content, a name of another package for its dotted path. What a module is called, and where it lies, leaves no
trace. Statements of a module that define nothing belong to each of its definitions. Where code asks the
registry for one of its parts by a literal name, the part counts if it is among those that the cell uses.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache

from rlparity import registry
from rlparity.provenance.definition_text import OTHER, PART, Parts, definition, whole
from rlparity.provenance.modules import Key, module, resolve

ALL = frozenset(registry.PARTS)


def roots(names: Iterable[str]) -> Iterator[Key]:
    """`module:name` names a definition, `module` all definitions of a module, in the order of their text."""
    for name in names:
        where, _, what = name.partition(":")
        if what:
            found = resolve(where, what)
            if not isinstance(found, tuple):
                raise LookupError(f"{where} defines no {what}")
            yield found
        else:
            yield from ((where, each) for each in (*module(where).definitions, OTHER))


@cache
def reached(names: tuple[str, ...], used: frozenset[str] = ALL) -> tuple[Key, ...]:
    """All definitions that these depend on, themselves first, in the order in which they are met.

    `used` are the keys of `registry.PARTS` that count where code asks for them.
    """
    seen: dict[Key, None] = {}
    waiting = list(reversed(list(roots(names))))
    while waiting:
        key = waiting.pop()
        if key not in seen:
            seen[key] = None
            inner = [found for part in definition(*key).parts if (found := _followed(part, used)) is not None]
            waiting += reversed(inner)
    return tuple(seen)


def _followed(part: str | Key, used: frozenset[str]) -> Key | None:
    """The definition that a part of another one refers to."""
    if isinstance(part, str):
        return None
    if part[0] == PART:
        asked = (part[1], registry.SMALL.get(part[1]))
        return next((key for name in asked if name in used for key in roots([registry.PARTS[name]])), None)
    return part


@cache
def digest(names: tuple[str, ...], used: frozenset[str] = ALL) -> str:
    """Hash of the content of these definitions and of all that they depend on, 16 hexadecimal digits.

    References are numbered in the order in which definitions are met, so that names leave no trace.
    """
    order = reached(names, used)
    place = {key: f"<{number}>" for number, key in enumerate(order)}
    texts = (_text(definition(*key).parts, place, used) for key in order)
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]


def own_hashes(names: tuple[str, ...], used: frozenset[str] = ALL) -> dict[str, str]:
    """{qualified name: hash without what it refers to}, to tell people which definition differs."""
    return {
        ".".join(key): hashlib.sha256(_text(definition(*key).parts, {}, used).encode()).hexdigest()[:8]
        for key in reached(names, used)
    }


def lines(names: tuple[str, ...], used: frozenset[str] = ALL) -> int:
    """Lines of all definitions that these depend on, each statement counted once."""
    spots = {(where, _first(where, name)): definition(where, name) for where, name in reached(names, used)}
    return sum(found.lines for found in spots.values())


def _first(where: str, name: str) -> object:
    statements = module(where).definitions.get(name)
    return statements[0].lineno if statements else name


def _text(parts: Parts, place: Mapping[Key, str], used: frozenset[str]) -> str:
    found = ((part, _followed(part, used)) for part in parts)
    return "".join(
        part if isinstance(part, str) else place.get(key, "<definition>") if key is not None else PART
        for part, key in found
    )


def whole_module(name: str) -> str:
    """Hash of a module with all its names, 16 hexadecimal digits; comments and docstrings do not count."""
    return hashlib.sha256(whole(name).encode()).hexdigest()[:16]
