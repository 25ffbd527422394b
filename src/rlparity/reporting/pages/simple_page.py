"""Pages that are not about a suite: a title, an answer, sections; as HTML and as Markdown."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rlparity.reporting.pages.elements import KeyEntry, Picture, Table, take_apart, templates, write


@dataclass(frozen=True)
class Section:
    """A heading and the elements below it, in this order."""

    title: str
    text: Sequence[str] = ()  # paragraphs
    terms: Sequence[tuple[str, str]] = ()  # (term, meaning)
    tables: Sequence[Table] = ()
    wide: Sequence[int] = ()  # columns of the tables whose text may wrap
    pictures: Sequence[Picture] = ()

    @property
    def slug(self) -> str:
        """The section's address within the page."""
        return re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-")


@dataclass(frozen=True)
class SimplePage:
    """A whole page."""

    kind: str  # the word above the title: parity, calibration, ...
    title: str
    lede: str  # the subject, a sentence
    answer: str  # the result
    sections: Sequence[Section]
    facts: Sequence[tuple[str, str]] = ()  # commit, hardware, versions, ...

    def render(self, folder: Path) -> Path:
        """Write `folder/index.html` and `folder/README.md`; returns the page."""
        folder.mkdir(parents=True, exist_ok=True)
        for template, name in (("simple_page.html", "index.html"), ("simple_page.md", "README.md")):
            page = templates().get_template(template).render(page=self)
            write(folder / name, re.sub(r"\n{3,}", "\n\n", page))
        return folder / "index.html"


def picture(folder: Path, name: str, title: str, caption: str, key: Sequence[KeyEntry] = ()) -> Picture:
    """The figure `folder/figures/<name>.svg`, drawn on `Panels`, for a section."""
    panels, width = take_apart((folder / "figures" / f"{name}.svg").read_text(encoding="utf-8"), name, title)
    return Picture(name, title, caption, panels, width, key)
