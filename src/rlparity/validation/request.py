"""What is to be validated against what, as a suite: the candidate, its reference and a random agent."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rlparity.cell import KINDS, Cell
from rlparity.errors import UserError, unknown
from rlparity.suites import hyperparameters, suite, yaml_reader
from rlparity.suites.suite import FLOOR, Suite

REFERENCE = "sb3"  # the implementation that references are of
NOT_TEXT = ("columns", "deterministic", "iteration_steps", "n_envs")  # of the keys of `returns`

BROUGHT = {"entry": "a Python entry point", "command": "a command", "logs": "finished logs"}


@dataclass(frozen=True)
class Request:
    """One validation."""

    candidate: Mapping[str, Any]  # as a suite has it, without `against`
    against: str  # named configuration
    suite: Path
    name: str = ""  # told by the candidate if empty
    environments: Sequence[str] = ()  # of the suite; all that have the configuration if empty
    seeds: Sequence[str] = ()  # of the candidate, ranges; the suite's if empty
    references: str = "shipped"  # or "train" what is not shipped, or stale

    @property
    def kind(self) -> str:
        """How the candidate is brought, of `cell.KINDS`."""
        return next(kind for kind in KINDS if kind in self.candidate)

    @property
    def called(self) -> str:
        """The candidate's name."""
        return self.name or name_of(self.kind, self.candidate[self.kind])


def from_options(options: Mapping[str, Any], file: Path) -> Request:
    """What `rlparity validate` was asked, from its options and the suite's file. Raises UserError."""
    kind = next(kind for kind in KINDS if options[kind] is not None)
    brought = {kind: options[kind], "folder": options["folder"]}
    if options["time_limit"] is not None:
        brought["time_limit_s"] = options["time_limit"]
    if options["returns"]:
        brought["returns"] = returns(options["returns"])
    return Request(
        candidate=brought,
        against=configuration(options["against"]),
        suite=file,
        name=options["name"],
        environments=options["environments"],
        seeds=options["seeds"],
        references=options["references"],
    )


def returns(pairs: Sequence[str]) -> dict[str, Any]:
    """`tag=charts/return columns.env_step=step` as the mapping `returns` of a candidate."""
    found: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals:
            raise UserError(f"--returns {pair}: write KEY=VALUE, such as tag=charts/return")
        outer, _, inner = key.partition(".")
        if inner:
            if outer != "columns":
                raise UserError(f"--returns {pair}: only columns has keys of its own, columns.env_step=...")
            found.setdefault(outer, {})[inner] = text
        else:
            found[outer] = yaml_reader.parse(text, f"--returns {outer}") if outer in NOT_TEXT else text
    return found


def name_of(kind: str, text: str) -> str:
    """A name for what came without one: the module's, the program's, or the folder's of the logs."""
    if kind == "entry":
        text = Path(text.rpartition(":")[0]).name.removesuffix(".py").rpartition(".")[2]
    elif kind == "command":
        files = [word for word in text.split() if re.search(r"\w\.\w+$", word) and "{" not in word]
        text = Path(files[0]).stem if files else text.split()[0]
    else:
        parts = [part for part in Path(text).parts if not re.search(r"[*{/]", part)]
        text = Path(parts[-1]).stem if parts else "logs"
    return re.sub(r"[^a-z0-9_-]+", "-", text.lower()).strip("-_") or "candidate"


def configuration(text: str) -> str:
    """The named configuration of `sb3/ppo` or `ppo`."""
    implementation, _, name = text.rpartition("/")
    if implementation not in ("", REFERENCE):
        raise UserError(
            f"--against {text!r}: only references of {REFERENCE} are known, such as {REFERENCE}/ppo"
        )
    known = {
        name for name, each in hyperparameters.library().algorithms.items() if each.reference is not None
    }
    if name not in known:
        raise unknown("configuration", name, known, "--against")
    return name


def plan(asked: Request) -> Suite:
    """The suite `validate-<name>`: cells of candidate, reference and random agent, with their fingerprints.

    Its description says which of the seeds asked for have no finished logs. Raises UserError with whatever is
    wrong.
    """
    own = resolve(asked, {})
    brought = resolve(asked, {"seeds": list(asked.seeds)}) if asked.seeds else own
    cells = [cell for cell in own.cells if cell.implementation == REFERENCE or cell.agent == FLOOR]
    mine, lacking = cells_of(brought, asked.called), list[str]()
    if asked.seeds and asked.kind == "logs":
        mine, lacking = _asked_for(mine, brought)
    return replace(own, cells=(*cells, *mine), description=" ".join((own.description, *lacking)))


def _asked_for(logged: Sequence[Cell], brought: Suite) -> tuple[list[Cell], list[str]]:
    """Of the cells of finished logs those of the suite's seeds, and for each environment a sentence on seeds
    that there are no logs of. Raises UserError where there are none of all of them."""
    kept, lacking = [], []
    for name in dict.fromkeys(cell.environment for cell in logged):
        wanted = {seed for block in brought.environments[name].blocks for seed in block}
        here = {cell.seeds[0]: cell for cell in logged if cell.environment == name}
        if not wanted & here.keys():
            there = ", ".join(map(str, sorted(here)))
            raise UserError(f"--seeds: no logs of any of them in {name}; there are seeds {there}")
        kept += [cell for seed, cell in here.items() if seed in wanted]
        if missing := sorted(wanted - here.keys()):
            lacking.append(f"Asked for and without logs in {name}: seeds {', '.join(map(str, missing))}.")
    return kept, lacking


def resolve(asked: Request, changes: Mapping[str, Any]) -> Suite:
    """The suite asked for, cut down to the configuration and with the candidate in it."""
    raw = yaml_reader.read(asked.suite)
    if not isinstance(raw, dict) or not isinstance(raw.get("environments"), list):
        raise UserError(f"{asked.suite}: not a suite")
    common = raw.get("algorithms") or []
    all_places: list[dict[str, Any]] = [
        {"id": place} if isinstance(place, str) else dict(place) for place in raw["environments"]
    ]
    places = [place for place in all_places if asked.against in (place.get("algorithms") or common)]
    ids = [str(place.get("id")) for place in places]
    if not places:
        raise UserError(
            f"suite {raw.get('name')!r}: no environment has {asked.against!r} among its algorithms"
        )
    for name in asked.environments:
        if name not in ids:
            raise unknown("environment", name, ids, "--environments")
    for place in places:
        place["algorithms"] = [FLOOR, asked.against]
        if "seeds" in changes:
            place.pop("seeds", None)
    title = f"{asked.called} against {hyperparameters.library().algorithms[asked.against].reference}"
    brought = {**asked.candidate, "against": asked.against}
    return suite.resolve(
        {
            **raw,
            "name": f"validate-{asked.called}",
            "title": title,
            "description": f"{asked.called}, brought as {BROUGHT[asked.kind]}, on suite {raw.get('name')}.",
            "environments": [
                place for place in places if not asked.environments or place["id"] in asked.environments
            ],
            "algorithms": [FLOOR, asked.against],
            "implementations": ["scratch", REFERENCE],
            "references": asked.references,
            "films": False,
            "candidates": {asked.called: brought},
            **changes,
        },
        f"rlparity validate, with suite {asked.suite}",
    )


def cells_of(plan: Suite, implementation: str) -> list[Cell]:
    """The cells of one arm."""
    return [cell for cell in plan.cells if cell.implementation == implementation]
