"""The versions of what a candidate's program runs with, read by its own Python interpreter."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

PYTHON = re.compile(r"(python|pypy)[\d.]*")
LIMIT_S = 60.0
CODE = """
import importlib.metadata, json, platform
found = {each.metadata["Name"]: each.version for each in importlib.metadata.distributions()}
print(json.dumps({"python": platform.python_version(), **{k: v for k, v in found.items() if k and v}}))
"""


def of_command(words: Sequence[str], variables: Mapping[str, str]) -> str | None:
    """The Python interpreter that runs a program: its first word, or what its first line names (`#!`).

    None if that cannot be told.
    """
    path = variables.get("PATH", os.defpath)
    program = shutil.which(words[0], path=path)
    if program is None:
        return None
    if PYTHON.fullmatch(Path(program).name):
        return program
    try:
        with open(program, "rb") as file:
            first = file.readline(4096)
        started = shlex.split(first[2:].decode()) if first.startswith(b"#!") else []
    except (OSError, ValueError):
        return None
    if started and Path(started[0]).name == "env":
        started = [word for word in started[1:] if not word.startswith("-") and "=" not in word]
    found = shutil.which(started[0], path=path) if started else None
    return found if found and PYTHON.fullmatch(Path(found).name) else None


def versions(interpreter: str, variables: Mapping[str, str]) -> dict[str, str]:
    """{"python": its version, and of every distribution that it finds the name: version}; {} if it does not
    answer."""
    try:
        done = subprocess.run(
            [interpreter, "-c", CODE], env=variables, stdin=subprocess.DEVNULL, capture_output=True,
            text=True, timeout=LIMIT_S, cwd=os.sep,
        )  # fmt: skip
        found: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    except (OSError, ValueError, IndexError, subprocess.SubprocessError):
        return {}
    return found
