"""Errors that a user can cause and mend: one line that says what is wrong, where, and what is allowed.

`Status` is the one place that defines what processes exit with.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable
from difflib import get_close_matches
from enum import IntEnum

STORAGE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO)


class Status(IntEnum):
    """What a command exits with; `MEANINGS` has the words. A signal N gives 128 + N.

    What judges nothing uses 1 and 2 never, and 3 only where a seed failed or rlparity itself has an error.
    `rlparity run` passes on the status of Snakemake.
    """

    DONE = 0
    DIFFERS = 1
    UNDECIDED = 2
    NOT_JUDGED = 3
    USAGE = 4
    RESOURCES = 5
    INTERRUPTED = 130
    PIPE_CLOSED = 141
    TERMINATED = 143


MEANINGS = {
    Status.DONE: "done; what was judged matches: EQUIVALENT, also when lower or higher, or BETTER",
    Status.DIFFERS: "what was judged does not match",
    Status.UNDECIDED: "undecided, or a part is still to be done",
    Status.NOT_JUDGED: "could not be judged",
    Status.USAGE: "a mistake in the words or files that were given",
    Status.RESOURCES: "storage or memory",
    Status.INTERRUPTED: "ended by Ctrl-C (SIGINT)",
    Status.PIPE_CLOSED: "the reader of the output has ended (SIGPIPE)",
    Status.TERMINATED: "ended by SIGTERM",
}


class UserError(Exception):
    """Printed as one line without a traceback; `status` is what the process exits with."""

    status: int = Status.USAGE


class StorageError(UserError):
    """Files cannot be written, or the disk has no space for them."""

    status = Status.RESOURCES


def not_written(error: OSError, message: str) -> UserError:
    """The error for a file that could not be written: of storage, or of a name that can be none."""
    return StorageError(message) if error.errno in STORAGE else UserError(message)


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
