"""Generate what the documentation repeats from the code and from the reports.

    python docs/generate.py            write every generated block
    python docs/generate.py --check    name the pages that are not current; exit status 1 if there are any

A block stands in a page between `<!-- generated: NAME -->` and `<!-- end of NAME -->`; `BLOCKS` lists them.
What is imported from the package is in `blocks/package.py`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import partial

from blocks import agents, command_line, reports, schema, tables
from blocks.markdown import ROOT
from blocks.package import AGENTS

BLOCKS: dict[str, dict[str, Callable[[], str]]] = {
    "README.md": {
        "verdicts": reports.verdicts,
        "ways": reports.ways,
        "reports": reports.reports,
        "coverage": agents.coverage,
    },
    "docs/guide/suites.md": {"suites": reports.suites},
    "docs/method/mutations.md": {"corpus": agents.corpus, "mutations": agents.mutations},
    "docs/reference/command-line.md": {
        "statuses": command_line.statuses,
        "commands": command_line.commands,
    },
    "docs/reference/json.md": {"answers": partial(schema.keys, "answers")},
    "docs/reference/suite-file.md": {
        name: partial(schema.keys, name) for name in ("suite", "sensitivity", "hyperparameters")
    },
    "docs/reference/tables.md": {"columns": tables.columns},
    **{
        f"docs/agents/{agent.replace('_', '-')}.md": {"departures": partial(agents.departures, agent)}
        for agent in AGENTS
    },
}


def current(page: str) -> str:
    """The page as it should be. Raises ValueError where it lacks a block."""
    text = (ROOT / page).read_text(encoding="utf-8")
    for name, make in BLOCKS[page].items():
        start, end = f"<!-- generated: {name} -->", f"<!-- end of {name} -->"
        if text.count(start) != 1 or text.count(end) != 1:
            raise ValueError(f"{page}: expected one block from {start} to {end}")
        before, _, rest = text.partition(start)
        after = rest.partition(end)[2]
        text = f"{before}{start}\n\n{make()}\n\n{end}{after}"
    return text


def stale() -> list[str]:
    """The pages that are not current."""
    return [page for page in BLOCKS if current(page) != (ROOT / page).read_text(encoding="utf-8")]


def main(arguments: list[str] | None = None) -> int:
    """Write the pages that are not current, or name them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing, name what is not current")
    check = parser.parse_args(arguments).check
    found = stale()
    for page in found:
        if check:
            print(f"{page}: not current; run python docs/generate.py", file=sys.stderr)
        else:
            (ROOT / page).write_text(current(page), encoding="utf-8")
            print(page)
    return 1 if check and found else 0


if __name__ == "__main__":
    sys.exit(main())
