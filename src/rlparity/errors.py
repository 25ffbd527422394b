"""Errors that a user can cause and mend: one line that says what is wrong, where, and what is allowed."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(Exception):
    """Printed as one line without a traceback; `status` is what the process exits with."""

    status = 2


class Interrupted(UserError):
    """Somebody asked for an end, and training has been saved."""

    def __init__(self, message: str, status: int):
        super().__init__(message)
        self.status = status


def unknown(what: str, name: object, allowed: Iterable[str], where: str) -> UserError:
    """An unknown name, with what could have been meant."""
    choices = sorted(allowed)
    close = get_close_matches(str(name), choices, n=1)
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    return UserError(f"{where}: unknown {what} {name!r}; choose from {', '.join(choices)}{hint}")
