"""Begin a new algorithm: write its agent and its page, and enter them where agents are listed."""

from __future__ import annotations

import re
from pathlib import Path

from rlparity import registry
from rlparity.cli.skeletons import agent_files
from rlparity.errors import UserError, not_written

FOLDERS = ("value_based", "policy_gradient", "continuous_control")
RESOURCES = Path("workflow", "resources", "hyperparameters.yaml")


def write(root: Path, name: str, title: str, folder: str) -> list[Path]:
    """Write a new agent into a checkout; returns what was written or changed, relative to it. UserError for a
    name that cannot be used, and where there is no checkout."""
    if not re.fullmatch(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*", name):
        raise UserError(
            f"new agent: {name!r} is no name; small letters, digits and single - or _, as in my-sarsa"
        )
    agent, page = name.replace("-", "_"), name.replace("_", "-")
    values = {"name": name, "agent": agent, "page": page, "title": title, "folder": folder}
    values["class_name"] = "".join(part.capitalize() for part in agent.split("_"))
    package = Path("src", "rlparity")
    new = {
        package / "agents" / folder / f"{agent}.py": agent_files.AGENT.substitute(values),
        Path("docs", "agents", f"{page}.md"): agent_files.PAGE.substitute(values),
    }
    changes = {
        package / "registry.py": (r"(?s)(\nAGENTS = \{\n.*?)(\n\}\n)", agent_files.ENTRY),
        RESOURCES: (r"(?s)(.*?\n)(\nsettings:\n)", agent_files.CONFIGURATION),
        Path("docs", "index.md"): (r"(?s)(.*\n- \[[^\n]*\]\(agents/[^\n]*)(\n)", agent_files.LINE),
    }
    if lacking := [str(path) for path in changes if not (root / path).is_file()]:
        raise UserError(f"new agent: it writes into a checkout of rlparity; {root} has no {lacking[0]}")
    text = (root / RESOURCES).read_text(encoding="utf-8")
    if agent in registry.AGENTS or re.search(
        rf"(?m)^  {re.escape(name)}:$", text.partition("\nsettings:")[0]
    ):
        raise UserError(f"new agent: there is an algorithm {name!r} already")
    if there := [str(path) for path in new if (root / path).exists()]:
        raise UserError(f"new agent: there is a file {there[0]} already")
    for path, (pattern, template) in changes.items():
        new[path] = _inserted(
            (root / path).read_text(encoding="utf-8"), pattern, template.substitute(values), path
        )
    try:
        for path, content in new.items():
            (root / path).write_text(content, encoding="utf-8")
    except OSError as error:
        raise not_written(error, f"new agent: {error.filename} cannot be written: {error.strerror}") from None
    return list(new)


def _inserted(text: str, pattern: str, addition: str, path: Path) -> str:
    """The text with an addition between the two groups of a pattern."""
    found = re.search(pattern, text)
    if found is None:
        raise UserError(f"new agent: {path} has no place for it; see docs/guide/add-an-algorithm.md")
    cut = found.end(1)
    before = text[:cut] if text[:cut].endswith("\n") else f"{text[:cut]}\n"
    after = text[cut:].removeprefix("\n") if not text[:cut].endswith("\n") else text[cut:]
    return f"{before}{addition}{after}"
