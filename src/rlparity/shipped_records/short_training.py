"""Train short cells with the sources on Python's path, and print a hash of their rows. This is a script.

It is run beside the sources of other commits, so it knows where earlier layouts had what it needs. Cells come
as a JSON list on standard input; one line of JSON for each goes to standard output.
"""

import dataclasses
import hashlib
import importlib
import json
import sys
import warnings
from typing import Any

PLACES = {  # implementation -> modules with `run`, the newest first
    "scratch": ("rlparity.training.run", "rlparity.training.loop", "rlparity.train"),
    "sb3": ("rlparity.references.sb3", "rlparity.reference"),
}


def main() -> None:
    """Train every cell of standard input."""
    import torch

    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    for values in json.load(sys.stdin):
        found = digest(trainer(values["implementation"]).run(read(values)))
        print(json.dumps(found), flush=True)


def trainer(implementation: str) -> Any:
    """The module that trains an implementation."""
    for place in PLACES[implementation]:
        if importlib.util.find_spec(place.rpartition(".")[0]) is not None:
            try:
                module = importlib.import_module(place)
            except ModuleNotFoundError:
                continue
            if hasattr(module, "run"):
                return module
    raise ModuleNotFoundError(f"no module that trains {implementation!r} in these sources")


def read(values: dict[str, Any]) -> Any:
    """A cell from its JSON, without the fields that these sources do not know."""
    from rlparity.cell import Cell

    known = {field.name for field in dataclasses.fields(Cell)}
    return Cell.from_json(json.dumps({name: value for name, value in values.items() if name in known}))


def digest(recorder: Any) -> dict[str, Any]:
    """Number and hash of all rows, and of the metrics of updates: returns alone may all be alike."""
    names = ("seed", "env_step", "episode_return", "episode_length")
    episodes = [tuple(row[name] for name in names) for row in recorder.episodes]
    evaluations = [
        (
            *(row[name] for name in ("seed", "env_step", "episode", "protocol")),
            row["value"] if "value" in row else row["episode_return"],
            row["size"] if "size" in row else row["episode_length"],
        )
        for row in recorder.evaluations
    ]
    updates = [
        (row["seed"], row["env_step"], row["metric"], repr(row["value"]))
        for row in recorder.progress
        if row["metric"] != "evaluation_time_s"
    ]
    hashes = (
        hashlib.md5(repr(part).encode()).hexdigest()[:10] for part in ((episodes, evaluations), updates)
    )
    rows = len(episodes) + len(evaluations)
    return {
        "rows": rows,
        "digest": "".join(hashes),
        "metrics": len(updates),
        "failed": sorted(recorder.failed),
    }


if __name__ == "__main__":
    main()
