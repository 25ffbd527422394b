"""What a command prints with `--json`: one object on the standard output, by `answers.schema.yaml`.

All that it prints otherwise goes to the standard error, where it may be read or thrown away.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import sys
from collections.abc import Mapping
from typing import Any

import rlparity
from rlparity.cli.base import Answer
from rlparity.errors import Status, UserError


def run(chosen: argparse.Namespace, rest: list[str]) -> int:
    """Run a command; returns its status. A mistake of the user is an answer, too, and still raised."""
    if not getattr(chosen, "json", False):
        return int(_status(chosen.run(chosen, rest)))
    output = sys.stdout
    try:
        with contextlib.redirect_stdout(sys.stderr):
            found = chosen.run(chosen, rest)
    except UserError as error:
        print(text(chosen.called, None, error.status, str(error)), file=output, flush=True)
        raise
    data = found.data if isinstance(found, Answer) else {}
    print(text(chosen.called, data, _status(found)), file=output, flush=True)
    return int(_status(found))


def _status(found: Any) -> int:
    return int(found.status if isinstance(found, Answer) else found or Status.DONE)


def text(called: str, data: Mapping[str, Any] | None, status: int, error: str | None = None) -> str:
    """The object of an answer; numbers that are not finite become null."""
    whole = {
        "command": called,
        "version": rlparity.__version__,
        "status": int(status),
        "error": error,
        "answer": None if data is None else _finite(dict(data)),
    }
    return json.dumps(whole, indent=1, allow_nan=False, default=str)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return value
