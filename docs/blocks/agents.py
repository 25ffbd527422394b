"""What agents declare, and the mutations they are tried with."""

from __future__ import annotations

import importlib
import json
from collections import Counter
from itertools import groupby

from blocks.markdown import ROOT, code, table
from blocks.package import AGENTS, ANALYSIS, CORPUS, REFERENCES, agent_module, library
from blocks.reports import REPORTS, committed, read


def departures(agent: str) -> str:
    """The list that the reports print, too."""
    declared = agent_module(agent).DEPARTURES
    return "\n".join(f"- {text}" for text in declared) or "None."


def mutations() -> str:
    """A section for each module of the corpus."""
    parts = []
    for name, inside in groupby((*CORPUS, *ANALYSIS), lambda mutation: mutation.plant.__module__):
        about = " ".join((importlib.import_module(name).__doc__ or "").partition("\n\n")[0].split())
        title, _, rest = about.partition(". ")
        rows = [
            (
                one.id,
                one.title,
                ", ".join((*one.agents, *one.environments)) or "records",
                one.source,
                one.hides or "-",
            )
            for one in inside
        ]
        listed = table("id | what the mutated code does | tried with | source | hides in", rows)
        parts.append("\n\n".join(filter(None, [f"## {title.rstrip('.')}", rest, listed])))
    return "\n\n".join(parts)


def corpus() -> str:
    """How many mutations of each kind there are, and where."""
    counts = Counter((mutation.area, mutation.kind) for mutation in (*CORPUS, *ANALYSIS))
    rows = [(area, kind, n) for (area, kind), n in sorted(counts.items(), key=lambda one: -one[1])]
    return table("area | kind | mutations:", rows)


def coverage() -> str:
    """Every agent: its page, the actions that it can choose, images, its reference, what a GPU has run."""
    rows, on_gpu = [], run_on_a_gpu()
    for agent, entry in AGENTS.items():
        page = agent.replace("_", "-")
        title = (ROOT / "docs" / "agents" / f"{page}.md").read_text(encoding="utf-8").splitlines()[0][2:]
        reference = REFERENCES.get(agent, "").replace(":", ".")
        images = "yes" if entry.images else ""
        ran = ", ".join(sorted(on_gpu.get(agent, ()))) or "not run"
        actions = ", ".join(entry.actions)
        rows.append((f"[{title}](docs/agents/{page}.md)", actions, images, code(reference), ran))
    return table("algorithm | actions | images | reference | on a GPU", rows)


def run_on_a_gpu() -> dict[str, set[str]]:
    """By agent what the committed reports have of ours on CUDA: "timed", "trained"."""
    found: dict[str, set[str]] = {}
    for row in read(REPORTS / "benchmark", "throughput"):
        if (row["device"], row["implementation"]) == ("cuda", "scratch"):
            found.setdefault(library().algorithms[row["algorithm"]].agent, set()).add("timed")
    for plan in committed("plan.json"):
        for file in plan.parent.glob("records/*/scratch/*/*/run.json"):
            run = json.loads(file.read_text(encoding="utf-8"))
            if run["cell"].get("device") == "cuda" and run["status"] == "done":
                found.setdefault(run["cell"]["agent"], set()).add("trained")
    return found
