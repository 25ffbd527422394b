"""Errors that a user can cause and mend: one line that says what is wrong, where, and what is allowed."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(Exception):
    """Printed as one line without a traceback; the exit status is 2."""


def unknown(what: str, name: object, allowed: Iterable[str], where: str) -> UserError:
    """An unknown name, with what could have been meant."""
    choices = sorted(allowed)
    close = get_close_matches(str(name), choices, n=1)
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    return UserError(f"{where}: unknown {what} {name!r}; choose from {', '.join(choices)}{hint}")
