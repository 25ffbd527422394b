"""Markdown of tables."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[2]
Row = Iterable[object]


def table(header: str, rows: Iterable[Row]) -> str:
    """A Markdown table; `header` has its columns between bars, those that end in ":" aligned to the right."""
    names = [name.strip() for name in header.split("|")]
    rule = ["---:" if name.endswith(":") else "---" for name in names]
    lines = [[name.rstrip(":") for name in names], rule, *rows]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines)


def escaped(text: str) -> str:
    """Text for a cell of a table: on one line, bars escaped outside of code."""
    return " ".join(text.split()).replace("|", r"\|")


def code(text: object) -> str:
    """Text set as code; nothing for no text."""
    return f"`{text}`" if text not in (None, "") else ""
