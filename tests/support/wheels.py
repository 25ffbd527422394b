"""The files of the wheel that the build would make of this checkout."""

from __future__ import annotations

import os
import shutil
from functools import cache
from pathlib import Path

from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).resolve().parents[2]


@cache
def files() -> dict[str, Path]:
    """Each file of the wheel by its path in it, without what the build writes itself."""
    found = WheelBuilder(str(ROOT)).recurse_included_files()
    return {file.distribution_path: Path(file.path) for file in found}


def unpack(folder: Path) -> Path:
    """These files as they lie after an installation, below `folder`."""
    for name, source in files().items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source, target)
        except OSError:  # another file system
            shutil.copyfile(source, target)
    return folder
