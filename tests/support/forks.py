"""Snakemake in forks of a process that has imported it, because importing takes as long as planning.

As a program it is that process: every line of its input is a command, every line of its output a status.
"""

from __future__ import annotations

import importlib
import json
import os
import runpy
import subprocess
import sys
import traceback
from pathlib import Path
from types import TracebackType
from typing import Any, Self


class Server:
    """Runs `python -m snakemake` in working folders; nothing of this project is imported before."""

    def __init__(self) -> None:
        pipe = subprocess.PIPE
        self._process = subprocess.Popen([sys.executable, __file__], stdin=pipe, stdout=pipe, text=True)

    def run(
        self, arguments: list[str], folder: Path, environment: dict[str, str]
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in `folder` with these variables added, and wait for its end."""
        assert self._process.stdin is not None and self._process.stdout is not None
        outputs = [folder / f".{name}" for name in ("stdout", "stderr")]
        request = [arguments, str(folder), environment, *map(str, outputs)]
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        status = int(self._process.stdout.readline())
        return subprocess.CompletedProcess(arguments, status, *(path.read_text() for path in outputs))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: Any, trace: TracebackType | None) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def run_snakemake(
    arguments: list[str], folder: str, environment: dict[str, str], stdout: str, stderr: str
) -> int:
    """What `python -m snakemake` would do; its status."""
    for number, path in ((1, stdout), (2, stderr)):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.chdir(folder)
    os.environ.update(environment)
    sys.path[:1] = [folder, *environment["PYTHONPATH"].split(os.pathsep)]
    sys.argv = ["snakemake", *arguments]
    try:
        runpy.run_module("snakemake", run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        if ended.code is None or isinstance(ended.code, int):
            return ended.code or 0
        print(ended.code, file=sys.stderr)
        return 1
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def serve() -> None:
    """Fork for every command."""
    importlib.import_module("snakemake.cli")
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            status = 1
            try:
                status = run_snakemake(*json.loads(line))
                sys.stdout.flush()
                sys.stderr.flush()
            finally:
                os._exit(status)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    serve()
