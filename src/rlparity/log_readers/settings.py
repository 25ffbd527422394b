"""The settings that a run states in its own files.

Files: CleanRL's table `hyperparameters/text_summary` in TensorBoard's event files; `config.yml` of RL Zoo;
`config.json`, `args.json`, `hyperparameters.json`; the JSON in the archives of Stable-Baselines3's saved
models. Nothing is unpickled, and no text is evaluated.
"""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import yaml

from rlparity.log_readers.file_names import SETTINGS
from rlparity.log_readers.formats import tensorboard
from rlparity.log_readers.setting_names import named

LARGEST = 2**22  # bytes of a file that is read


class Stated(NamedTuple):
    """What a run states, under Stable-Baselines3's names; other names are kept as they are."""

    values: Mapping[str, Any] = {}
    sources: Mapping[str, str] = {}  # of each value: the file and what it is
    remarks: Mapping[str, str] = {}  # on values that were converted


def read(files: Sequence[Path], environment: str) -> Stated:
    """The settings beside the logs of one run; where two files state one, the first in the order above.

    Files lie in the folders of the logs, or, as RL Zoo's, in a folder there with the environment's name.
    What cannot be read states nothing.
    """
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    remarks: dict[str, str] = {}
    for source, written in _written(files, environment):
        found = named(written)
        for name in found.values.keys() - values.keys():
            if not plain(found.values[name]):
                continue
            values[name], sources[name] = found.values[name], source
            remarks |= {name: found.remarks[name]} if name in found.remarks else {}
    return Stated(values, sources, remarks)


def plain(value: Any) -> bool:
    """Whether a value is one that a setting can have: a finite number, a truth value, None, a short text, or
    a short list of these."""
    if isinstance(value, list):
        return len(value) <= 32 and all(plain(one) and not isinstance(one, list) for one in value)
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, bool | int) or (isinstance(value, str) and len(value) <= 200)


def beside(files: Sequence[Path], environment: str) -> list[Path]:
    """The files that `read` reads besides the logs, in its order, without links to elsewhere."""
    folders = list(dict.fromkeys(file.parent for file in files))
    inner = environment.rpartition(":")[2].partition("@")[0].replace("/", "-")
    places = [
        (place, place / name) for folder in folders for place in (folder, folder / inner) for name in SETTINGS
    ]
    places += [(folder, archive) for folder in folders for archive in sorted(folder.glob("*.zip"))]
    return [
        path for place, path in places if path.is_file() and path.resolve().is_relative_to(place.resolve())
    ]


def _written(files: Sequence[Path], environment: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Each file that states settings: its name for people, and its entries."""
    for folder in dict.fromkeys(file.parent for file in files if "tfevents" in file.name):
        yield "the table of hyper-parameters in its event file", tensorboard.hyperparameters(folder)
    for path in beside(files, environment):
        yield path.name, _model(path) if path.suffix == ".zip" else _file(path)


def _file(path: Path) -> Mapping[str, Any]:
    try:
        if path.stat().st_size > LARGEST:
            return {}
        text = path.read_text(encoding="utf-8")
        return _names(yaml.load(text, Loader=_Zoo) if path.suffix == ".yml" else json.loads(text))
    except (OSError, ValueError, RecursionError, yaml.YAMLError):
        return {}


def _names(found: Any) -> Mapping[str, Any]:
    pairs = found.items() if isinstance(found, dict) else ()
    return {name: value for name, value in pairs if isinstance(name, str)}


def _ordered(loader: yaml.SafeLoader, node: yaml.Node) -> dict[Any, Any]:
    """`!!python/object/apply:collections.OrderedDict [[[key, value], ...]]`."""
    found = loader.construct_sequence(node, deep=True) if isinstance(node, yaml.SequenceNode) else []
    pairs = found[0] if len(found) == 1 and isinstance(found[0], list) else []
    return {pair[0]: pair[1] for pair in pairs if _named(pair)}


def _named(pair: Any) -> bool:
    return isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str)


class _Zoo(yaml.SafeLoader):
    """Plain values, and RL Zoo's ordered dictionaries; no other object is made."""

    yaml_constructors: ClassVar[dict[str | None, Any]] = {
        **yaml.SafeLoader.yaml_constructors,
        "tag:yaml.org,2002:python/object/apply:collections.OrderedDict": _ordered,
    }


def _model(path: Path) -> Mapping[str, Any]:
    """The JSON `data` of a saved model of Stable-Baselines3; what is pickled in it is left alone."""
    try:
        with zipfile.ZipFile(path) as archive:
            small = archive.getinfo("data").file_size <= LARGEST
            return _names(json.loads(archive.read("data"))) if small else {}
    except Exception:  # a damaged archive, or one of something else, raises many kinds
        return {}
