"""The layout: import-linter's contracts in pyproject.toml, and what they cannot state."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from importlinter.cli import lint_imports

ROOT = Path(__file__).parents[1]
SOURCES = ROOT / "src" / "rlparity"
MODULES = sorted(SOURCES.rglob("*.py"))
PACKAGES = sorted({path.parent for path in MODULES})
MOST = 12  # modules of a package, __init__.py not counted
HEAVY = {
    "gymnasium",
    "jinja2",
    "matplotlib",
    "pandas",
    "sb3_contrib",
    "scipy",
    "seaborn",
    "stable_baselines3",
    "torch",
}
LIGHT = ("cli", "provenance", "suites")  # packages whose modules run before every job
LIGHT_MODULES = (
    *("__main__", "cell", "errors", "registry", "runs.pending", "shipped_records.restore"),
    *("shipped_records.vouch", "environments.atari_games", "environments.atari_ids"),
    *("environments.atari_presets", "environments.metadata"),
)


def name(path: Path) -> str:
    return str(path.relative_to(SOURCES))


def test_imports_keep_the_contracts() -> None:
    """What breaks one is printed with file and line."""
    assert lint_imports(str(ROOT / "pyproject.toml"), no_cache=True, no_logo=True) == 0


def test_an_import_that_breaks_a_contract_is_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same contracts, but that nn stands above agents."""
    text = (ROOT / "pyproject.toml").read_text()
    swapped = text.replace('  "nn",\n', "").replace('  "agents",\n', '  "nn",\n  "agents",\n')
    (tmp_path / "pyproject.toml").write_text(swapped)
    assert lint_imports(str(tmp_path / "pyproject.toml"), ("layers",), no_cache=True, no_logo=True) != 0
    assert "rlparity.agents is not allowed to import rlparity.nn" in capsys.readouterr().out


@pytest.mark.parametrize("package", PACKAGES, ids=name)
def test_a_package_is_small_and_its_init_is_a_description(package: Path) -> None:
    modules = [path.name for path in package.glob("*.py") if path.name != "__init__.py"]
    assert len(modules) <= MOST
    body = ast.parse((package / "__init__.py").read_text()).body
    assert len(body) == (2 if package == SOURCES else 1)  # rlparity has a version, too


@pytest.mark.parametrize("module", sorted((SOURCES / "agents").rglob("*.py")), ids=name)
def test_an_agent_knows_what_an_environment_is_and_not_how_to_make_one(module: Path) -> None:
    nodes = ast.walk(ast.parse(module.read_text()))
    used = [
        f"{node.module}.{alias.name}"
        for node in nodes
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if f"{node.module}.{alias.name}".startswith("rlparity.environments.base")
    ]
    assert set(used) <= {"rlparity.environments.base.EnvSpec"}


def test_every_module_has_a_docstring() -> None:
    assert [name(path) for path in MODULES if not ast.get_docstring(ast.parse(path.read_text()))] == []


def test_what_runs_before_every_job_loads_nothing_heavy() -> None:
    """Imports inside functions count for the contracts, and not here."""
    names = [f"rlparity.{module}" for module in LIGHT_MODULES]
    names += [
        f"rlparity.{package}.{path.stem}" for package in LIGHT for path in (SOURCES / package).glob("*.py")
    ]
    load = f"import sys\nfor name in {names}: __import__(name)\nprint(*{HEAVY} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", load], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
