"""Imports point one way: who may use whom, read from the sources."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "rlparity"
# a person's command shows what it measured, read back from the file
SHOWS = {"bench": {"benchmark_page", "report"}}
SHARED = {"cell", "errors", "records"}  # what both halves use
COMMANDS = {"__main__", *(f"commands{room}" for room in ("", ".people", ".stages", ".validation"))}
LIGHT = {  # start-up time matters: they run before every job
    *COMMANDS,
    *("candidate_sources", "candidates", "cell", "cost", "errors", "fingerprint", "games"),
    *("forecast", "grid", "needs", "orders", "presets", "rates"),
    *("registry", "restore", "settings", "sources", "suite", "vouch", "worlds", "yamlfile"),
}
AGENT_USES = {
    "bounds",
    "distributions",
    "frames",
    "memory",
    "networks",
    "policies",
    "priorities",
    "records",
    "seeding",
    "targets",
    "tasks",
}
PLOTTING = {"pandas", "matplotlib", "seaborn", "scipy", "jinja2"}
LEARNING = {"torch", "stable_baselines3", "sb3_contrib", "gymnasium"}


def room(path: Path) -> str:
    """agents/ppo.py is `agents.ppo`, tasks/__init__.py is `tasks`."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


ROOMS = {room(path): path for path in PACKAGE.rglob("*.py")}


@cache
def imports_of(path: Path, at_start: bool = False) -> tuple[tuple[str, str], ...]:
    """`imports` of a file, which is read once."""
    return tuple(imports(ast.parse(path.read_text()), at_start))


def imports(tree: ast.AST, at_start: bool = False) -> Iterator[tuple[str, str]]:
    """(module, name) of every import; `at_start`, only of those that importing the module runs."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports inside the package are absolute"
            yield from ((node.module or "", alias.name) for alias in node.names)
        elif not (at_start and isinstance(node, ast.FunctionDef)) and not is_for_type_checkers(node):
            yield from imports(node, at_start)


def is_for_type_checkers(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"


def rooms_used(name: str, at_start: bool = False) -> set[str]:
    """Rooms that a room imports."""
    found = set()
    for module, imported in imports_of(ROOMS[name], at_start):
        if module == "rlparity" or module.startswith("rlparity."):
            inner = ".".join([*module.split(".")[1:], imported]).strip(".")
            while inner not in ROOMS and "." in inner:
                inner = inner.rpartition(".")[0]
            found.add(inner)
    return found


def packages_used(name: str, at_start: bool = False) -> set[str]:
    """Top-level packages that a room imports."""
    return {module.split(".")[0] for module, _ in imports_of(ROOMS[name], at_start)}


def reached(name: str, at_start: bool = True) -> set[str]:
    """Rooms that are loaded when this one is imported; without `at_start`, that it may ever load."""
    seen: set[str] = set()
    waiting = [name]
    while waiting:
        current = waiting.pop()
        if current not in seen and current in ROOMS:
            seen.add(current)
            waiting += rooms_used(current, at_start) - SHOWS.get(current, set())
    return seen


@pytest.mark.parametrize("name", sorted(name for name in ROOMS if name.startswith("agents.")))
def test_an_agent_uses_the_shared_rooms_only(name: str) -> None:
    assert {used.split(".")[0] for used in rooms_used(name)} <= AGENT_USES
    names = {imported for module, imported in imports_of(ROOMS[name]) if module == "rlparity.tasks"}
    assert names <= {"TaskSpec"}  # what a task is, never how to make one


@pytest.mark.parametrize("name", sorted(set(ROOMS) - COMMANDS))
def test_nobody_imports_an_agent_by_name_or_the_command_line(name: str) -> None:
    assert not {used for used in rooms_used(name) if used.startswith("agents.") or used in COMMANDS}


@pytest.mark.parametrize("name", sorted(set(ROOMS) - COMMANDS))
def test_the_halves_meet_only_at_files(name: str) -> None:
    packages = set().union(*(packages_used(other) for other in reached(name, at_start=False)))
    assert not (packages & PLOTTING and packages & LEARNING)
    if packages & PLOTTING:  # below the tables: the plan is read, never the suite
        assert not rooms_used(name) & (LIGHT - SHARED)


def test_imports_run_in_no_circle() -> None:
    circles = {
        name for name in ROOMS if any(name in reached(used) for used in rooms_used(name, True) - {name})
    }
    assert circles == set()


@pytest.mark.parametrize("name", sorted(LIGHT))
def test_light_rooms_load_neither_torch_nor_pandas(name: str) -> None:
    loaded = set().union(*(packages_used(other, at_start=True) for other in reached(name)))
    assert not loaded & (PLOTTING | LEARNING)


def test_one_room_knows_stable_baselines3() -> None:
    knowing = {name for name in ROOMS if packages_used(name) & {"stable_baselines3", "sb3_contrib"}}
    training = {name for name in knowing if not name.startswith("validation.")}
    assert training == {"reference", "reference_atari", "reference_checkpoint", "reference_worlds"}
    # a family's worlds are found through the registry: what Atari needs is nobody else's fingerprint
    assert "reference_atari" not in reached("reference", at_start=False)


def test_gymnasium_has_few_doors() -> None:
    doors = {name.split(".")[0] for name in ROOMS if "gymnasium" in packages_used(name)}
    doors = {name for name in doors if not name.startswith("candidate")}  # theirs are Gymnasium's own
    assert doors <= {"tasks", "worlds", "reference", "reference_atari", "screens", "validation"}


def test_every_room_has_a_line_that_says_what_it_is() -> None:
    silent = [name for name, path in ROOMS.items() if not ast.get_docstring(ast.parse(path.read_text()))]
    assert silent == []


def test_a_planted_violation_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    planted = tmp_path / "planted.py"
    planted.write_text(
        "from rlparity.agents import ppo\nimport rlparity.train\n\ndef f():\n    import torch\n"
    )
    monkeypatch.setitem(ROOMS, "planted", planted)
    assert rooms_used("planted") == {"agents.ppo", "train"}
    assert packages_used("planted") == {"rlparity", "torch"}
    assert packages_used("planted", at_start=True) == {"rlparity"}
