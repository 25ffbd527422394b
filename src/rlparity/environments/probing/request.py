"""Have environments probed, and remember those that passed, per machine, sources and versions."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from rlparity import registry
from rlparity.cell import is_configured
from rlparity.environments.configured import ids
from rlparity.environments.metadata import SIMULATORS
from rlparity.environments.probing.process import STALL_S
from rlparity.errors import UserError

PACKAGE = Path(__file__).parents[2]
SOURCES = ("environments", "references")  # whose files decide with what an environment is stepped
START = "from rlparity.environments.probing.process import serve; serve()"
PACKAGES = ("gymnasium", "numpy", "torch", "stable_baselines3", "ale-py", "minatar", *SIMULATORS.values())


@dataclass(frozen=True)
class Finding:
    """What a probe has found.

    `files` are those of the modules that define the environment, with their hashes; `versions` those of the
    installed distributions that it has loaded.
    """

    environment: str
    refused: str = ""  # why nothing can be trained in it, one line; empty where it passed
    notes: Sequence[str] = ()
    resumes: bool = True  # whether an interrupted training can go on exactly
    compared: int = 0  # steps and resets that were compared
    files: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)


def probe(environments: Sequence[str], jobs: int = 1, stall_s: float = STALL_S) -> list[Finding]:
    """Probe each environment that is not remembered. At most `jobs` at a time."""
    found = {name: kept for name in environments if (kept := _remembered(name)) is not None}
    missing = [name for name in dict.fromkeys(environments) if name not in found]
    for finding in _probed(missing, jobs, stall_s) if missing else ():
        found[finding.environment] = finding
        if not finding.refused:
            _remember(finding)
    return [found[name] for name in dict.fromkeys(environments)]


def _probed(environments: Sequence[str], jobs: int, stall_s: float) -> list[Finding]:
    request = {"path": sys.path, "environments": list(environments), "jobs": jobs, "stall_s": stall_s}
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join([str(PACKAGE.parent), *filter(None, sys.path)])}
    done = subprocess.run(
        [sys.executable, "-c", START],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        check=False,
        env={**variables, "OMP_NUM_THREADS": "1"},
    )
    found = [Finding(**json.loads(line)) for line in done.stdout.splitlines() if line.startswith("{")]
    lacking = set(environments) - {each.environment for each in found}
    if lacking:
        reason = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
        raise UserError(f"environments cannot be probed: {reason}")
    return found


def _folder() -> Path | None:
    """None where there is neither a cache folder nor a home."""
    with suppress(RuntimeError):
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "rlparity", "environments")
    return None


def _file(environment: str) -> Path | None:
    """Where a passed probe is kept: by the id, where its modules are found, the versions of what steps it and
    the sources here."""
    folder = _folder()
    if folder is None:
        return None
    places = {name: _places(name) for name in _modules(environment)}
    key = [environment, places, sys.version, {name: _version(name) for name in PACKAGES}, _sources()]
    return folder / f"{hashlib.sha256(json.dumps(key).encode()).hexdigest()[:32]}.json"


def _modules(environment: str) -> list[str]:
    """The modules that an id names: of an environment (also by its registration alone) and of wrappers."""
    family = registry.family(environment)
    if family not in (registry.GENERIC, registry.CONFIGURED):
        return []
    import gymnasium

    made = ids.parse(environment) if is_configured(environment) else ids.Configured(environment)
    named = [made.base, *(wrapper.name for wrapper in made.wrappers)]
    spec = gymnasium.registry.get(made.base)
    if spec is not None and isinstance(spec.entry_point, str):
        named.append(spec.entry_point)
    return sorted({name.rpartition(":")[0] for name in named if ":" in name})


def _places(module: str) -> list[str]:
    """The file, or the folders, that the top-level module is found in now. Nothing is imported."""
    head = module.partition(".")[0]
    with suppress(ImportError, ValueError):
        spec = next((found for each in sys.meta_path if (found := each.find_spec(head, None))), None)
        if spec is not None:
            folders = sorted(spec.submodule_search_locations or ())
            return [os.path.realpath(place) for place in folders or filter(None, [spec.origin])]
    return []


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


@cache
def _sources() -> str:
    files = sorted(file for folder in SOURCES for file in (PACKAGE / folder).rglob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def _remembered(environment: str) -> Finding | None:
    file = _file(environment)
    with suppress(OSError, ValueError, TypeError):
        found = Finding(**json.loads(file.read_text(encoding="utf-8"))) if file else None
        if found is None:
            return None
        same = all(_digest(path) == value for path, value in found.files.items())
        if same and all(_version(name) == value for name, value in found.versions.items()):
            return found
    return None


def _digest(path: str) -> str:
    with suppress(OSError):
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    return ""


def _remember(finding: Finding) -> None:
    """Keep a finding; where there is no place for it, the environment is probed again."""
    file = _file(finding.environment)
    if file is None:
        return
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(f".{os.getpid()}")
        part.write_text(json.dumps(asdict(finding)), encoding="utf-8")
        part.replace(file)
