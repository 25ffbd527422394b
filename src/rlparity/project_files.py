"""Files that come with the project: suites, settings, rules, schemas, records that reports ship.

A clone has them in its root; the build copies them into the wheel, as `rlparity/project` (pyproject.toml,
`tool.hatch.build.targets.wheel`). The working folder is the current one: `results` and `reports` are made in
it, and its own suites, settings and records come before those of the project
(docs/guide/working-folder.md).
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from rlparity.errors import UserError

_PACKAGE = Path(__file__).parent
_IN_WHEEL = _PACKAGE / "project"
PROJECT = _IN_WHEEL if _IN_WHEEL.is_dir() else _PACKAGE.parents[1]
SNAKEFILE = PROJECT / "Snakefile"
SUITES = Path("workflow", "suites")
RESOURCES = Path("workflow", "resources")
SETTINGS = RESOURCES / "hyperparameters.yaml"
PUBLISHED = RESOURCES / "published"
REPORTS = PROJECT / "reports"  # with the records that come with the project


def schema(name: str) -> Path:
    """A schema of YAML files."""
    return PROJECT / "workflow" / "schemas" / name


def find(path: Path) -> Path:
    """A file or folder below `SUITES` or `RESOURCES`: that of the working folder, else the project's."""
    return path if path.exists() else PROJECT / path


def folders(path: Path) -> list[Path]:
    """The folders of this name, that of the working folder first; both where they are two."""
    return [folder for folder in _distinct(path, PROJECT / path) if folder.is_dir()]


def reports(own: Path) -> list[Path]:
    """Folders of reports whose records may be taken over: `own`, then the project's."""
    return _distinct(own, REPORTS)


def _distinct(first: Path, second: Path) -> list[Path]:
    return [first] if first.resolve() == second.resolve() else [first, second]


def shown(path: Path) -> str:
    """A path as messages name it: from the working folder if the file is below it."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def put_working_folder_on_path() -> None:
    """Let `import` find modules of the working folder, after those that are installed."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)


def copy_starter(suite: Path, folder: Path) -> list[Path]:
    """Copy what is meant to be edited to `folder`: a suite, the settings, profiles for clusters, and examples
    of implementations to validate. Returns their paths.

    A file that is there already stays. Raises UserError if the folder cannot be written to.
    """
    others = [*PROJECT.glob("profiles/*/config.yaml"), *PROJECT.glob("examples/*.py")]
    copies = {folder / SUITES / suite.name: suite, folder / SETTINGS: PROJECT / SETTINGS}
    for file in sorted(others):
        if file.parent.name != "default":  # which Snakemake finds beside the Snakefile
            copies[folder / file.relative_to(PROJECT)] = file
    for target, source in copies.items():
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            if not target.exists():
                shutil.copyfile(source, target)
        except OSError as error:
            raise UserError(f"{target}: cannot be written ({error.strerror})") from None
    return list(copies)
