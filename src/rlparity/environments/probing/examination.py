"""Look at one environment: what it returns, whether the same seed gives the same, its ends, and both arms."""

from __future__ import annotations

import hashlib
import importlib.metadata as distributions
import os
import sys
import sysconfig
from collections.abc import Iterable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from rlparity import registry
from rlparity.environments import metadata
from rlparity.environments.configured import ids
from rlparity.environments.guard import summary
from rlparity.environments.probing import arms, rules
from rlparity.environments.probing.copies import Refused
from rlparity.environments.probing.rules import Now
from rlparity.errors import UserError

# Modules that give the reference what gymnasium.make gives. Others put wrappers around it that do not start
# anew with a seed (after a lost life); there our own arm is compared with itself alone.
PLAIN = tuple(family.reference for family in (registry.GENERIC, registry.CONFIGURED))
PACKAGE = Path(__file__).parents[2]


def examine(environment: str, now: Now) -> dict[str, Any]:
    """A `request.Finding` without its environment, as a mapping."""
    before, own = set(sys.modules), {ids.base(environment).rpartition(":")[0]} - {""}
    notes: list[str] = []
    found: dict[str, Any] = {"refused": "", "notes": notes, "resumes": True, "compared": 0}
    try:
        now("importing it")
        info = metadata.probe(environment)
        own |= {*info.wrapper_modules, *([info.module] if info.module else [])}
        reference = registry.family(environment).reference
        if reference in PLAIN:
            make = partial(import_module(reference).make_single, environment)
            found["compared"] = rules.check_same(make, now, notes)
            rules.check_end(make, now, notes)
        arms.check_ours(environment, now)
        arms.check_both(environment, now)
        found["resumes"] = arms.resumes(environment, now)
    except Refused as refused:
        found["refused"] = str(refused)
    except UserError as error:
        found["refused"] = str(error).removeprefix(f"environment {environment!r}: ")
    except BaseException as error:
        found["refused"] = f"it raised {summary(error)}"
    found["files"] = files(own)
    found["versions"] = versions(own | (set(sys.modules) - before))
    return found


def files(own: Iterable[str] = ()) -> dict[str, str]:
    """Hashes of the files of all modules that are neither installed nor of this project, by path; of
    installed ones those of the packages of `own`."""
    places = {str(Path(place)) for place in sysconfig.get_paths().values()}
    places |= {os.path.realpath(place) for place in places}
    installed = tuple(f"{place}{os.sep}" for place in (*places, PACKAGE))
    tops = {_top(name) for name in own} - {"gymnasium", PACKAGE.name}
    named = [(_top(name), getattr(module, "__file__", None)) for name, module in list(sys.modules.items())]
    paths = {Path(name) for top, name in named if name and (top in tops or not name.startswith(installed))}
    return {str(path.resolve()): digest(path) for path in sorted(paths) if path.is_file()}


def versions(modules: Iterable[str]) -> dict[str, str]:
    """The installed versions of the distributions that these modules are of."""
    tops = {_top(name) for name in modules} - sys.stdlib_module_names
    places = distributions.packages_distributions() if tops else {}
    names = {name for top in tops for name in places.get(top, ())}
    return {name: distributions.version(name) for name in sorted(names)}


def _top(module: str) -> str:
    return module.partition(".")[0]


def digest(path: Path) -> str:
    """Hash of a file's content; empty where it cannot be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""
