"""Import the factory that `MODULE:FACTORY` names; describe errors of a candidate's code in one line."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from rlparity.errors import UserError, unknown
from rlparity.provenance import candidate_files, source_code


def load(entry: str) -> Callable[..., Any]:
    """Import a factory; MODULE may be a file, `folder/module.py`. Raises UserError if that fails."""
    where = f"candidate {entry!r}"
    module_name, colon, name = entry.rpartition(":")
    if not (colon and module_name and name):
        raise UserError(
            f"{where}: expected MODULE:FACTORY, such as their_ppo:make or folder/their_ppo.py:make"
        )
    module = _import(module_name, where)
    if not hasattr(module, name):
        callables = [key for key, value in vars(module).items() if callable(value) and key[0] != "_"]
        raise unknown("name", name, callables, f"{where}, in {module.__file__}")
    factory = getattr(module, name)
    if not callable(factory):
        raise UserError(f"{where}: {name} is a {type(factory).__name__}; expected a callable")
    if problem := bad_signature(factory, 3):
        arguments = "(observation_space, action_space, hyperparameters)"
        raise UserError(f"{where}: {name} cannot be called with {arguments}: {problem}")
    loaded: Callable[..., Any] = factory
    return loaded


def _import(name: str, where: str) -> ModuleType:
    try:
        if name.endswith(".py"):
            return _import_file(Path(name), where)
        if (here := str(Path.cwd())) not in sys.path:
            sys.path.insert(0, here)
        return importlib.import_module(name)
    except UserError:
        raise
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            hint = candidate_files.missing_module(sys.executable, Path.cwd())
            raise UserError(f"{where}: there is no module {name!r}{hint}") from None
        raise UserError(f"{where}: importing {name} failed: {one_line(error)}") from None
    except (Exception, SystemExit) as error:
        raise UserError(f"{where}: importing {name} failed: {one_line(error)}") from None


def _import_file(path: Path, where: str) -> ModuleType:
    if not path.is_file():
        raise UserError(f"{where}: there is no file {str(path)!r} (from {Path.cwd()})")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # where dataclasses and pickles look for it
    if (folder := str(path.resolve().parent)) not in sys.path:
        sys.path.insert(0, folder)
    spec.loader.exec_module(module)
    return module


def bad_signature(call: Callable[..., Any], arguments: int) -> str | None:
    """Why a callable cannot be called with that number of arguments; None if it can."""
    try:
        signature = inspect.signature(call)
    except (TypeError, ValueError):  # written in C
        return None
    try:
        signature.bind(*[None] * arguments)
    except TypeError as error:
        return str(error)
    return None


def one_line(error: BaseException) -> str:
    """An exception in one line, with the innermost place of it in the candidate's own code."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if source_code.PACKAGE not in Path(frame.filename).parents and "site-packages" not in frame.filename
        if not frame.filename.startswith("<frozen")
    ]
    text = str(error).strip().splitlines()
    place = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    missing = isinstance(error, ModuleNotFoundError)
    hint = candidate_files.missing_module(sys.executable, None) if missing else ""
    return f"{type(error).__name__}: {text[0] if text else 'no message'}{place}{hint}"
