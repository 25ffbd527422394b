"""The elements of pages: tables, badges, figures taken apart, templates.

`Table` is shown in three ways (HTML, Markdown, terminal), so that the three cannot disagree.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from rlparity.errors import UserError
from rlparity.reporting.style import PAINT

BADGES = {  # verdict -> (class of the badge, sign): never colour alone
    "EQUIVALENT": ("good", "≈"),
    "BETTER": ("better", "▲"),
    "WORSE": ("bad", "▼"),
    "INCONCLUSIVE": ("open", "?"),
    "NO VERDICT": ("open", "\N{EN DASH}"),
    "REPLICATED": ("good", "✓"),
    "NOT REPLICATED": ("bad", "✗"),
    "UNDECIDED": ("open", "?"),
    "NOT COMPARABLE": ("open", "\N{EN DASH}"),
}


CODE = re.compile(r"(`[^`<>&|]+`)")  # in texts for readers, as Markdown writes it


@dataclass(frozen=True)
class Badge:
    """A verdict with its reason in brackets: `INCONCLUSIVE (reference did not learn)`."""

    text: str

    @property
    def word(self) -> str:
        return self.text.partition(" (")[0].strip().upper()

    @property
    def note(self) -> str:
        return self.text.partition(" (")[2].removesuffix(")")

    @property
    def kind(self) -> str:
        return BADGES.get(self.word, ("open", "?"))[0]

    @property
    def sign(self) -> str:
        return BADGES.get(self.word, ("open", "?"))[1]

    def __str__(self) -> str:
        return f"{self.word} ({self.note})" if self.note else self.word


@dataclass(frozen=True)
class Table:
    """A table for readers: heads, rows of text and badges, and which columns hold numbers."""

    head: Sequence[str]
    rows: Sequence[Sequence[str | Badge]]
    csv: str = ""  # the file behind it, relative to the page
    numeric: frozenset[int] = frozenset()  # columns to align at their right end

    def text(self) -> str:
        """Aligned columns for a terminal."""
        rows = [[str(cell) for cell in row] for row in (self.head, *self.rows)]
        widths = [max(len(row[column]) for row in rows) for column in range(len(self.head))]
        return "\n".join(
            "  ".join(
                cell.rjust(width) if column in self.numeric else cell.ljust(width)
                for column, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in rows
        )


class KeyEntry(NamedTuple):
    """An entry of a figure's key, as the page draws it."""

    label: str
    paint: str  # a colour of the page
    marker: str = ""  # as in matplotlib; "" is none
    dash: str | None = ""  # of the line, as in SVG; "" is a solid line, None no line


@dataclass(frozen=True)
class Picture:
    """A figure on the page: its panels, apart, its key and the caption."""

    name: str
    title: str
    caption: str
    panels: Sequence[Markup]
    width: int  # of one panel, in points
    key: Sequence[KeyEntry] = ()


@cache
def templates() -> Environment:
    """The templates of this package, each compiled once."""
    environment = Environment(
        loader=PackageLoader("rlparity.reporting"),
        autoescape=lambda name: bool(name and name.endswith(".html")),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["md"] = _markdown
    environment.filters["code"] = _code
    environment.filters["unbroken"] = _unbroken
    return environment


def prose(name: str, **values: str) -> Any:
    """Captions and definitions of the template `words_<name>.jinja`, filled with `values`, as attributes."""
    return templates().get_template(f"words_{name}.jinja").make_module(values)


def _code(value: object) -> Markup:
    """Text for HTML, with what stands in backticks set as code."""
    parts = CODE.split(str(value))
    marked = (Markup("<code>{}</code>").format(part.strip("`")) for part in parts[1::2])
    return Markup("").join(part for pair in zip_longest(parts[::2], marked, fillvalue="") for part in pair)


def _unbroken(value: object) -> str:
    """The text of a cell of numbers, in which lines end only before brackets and between several numbers."""
    parts = re.split(r"(\[[^]]*\])", str(value))
    parts[::2] = [re.sub(r"(?<!,) (?![(±]|$)", "\N{NO-BREAK SPACE}", part) for part in parts[::2]]
    parts[1::2] = [part.replace(" ", "\N{NO-BREAK SPACE}") for part in parts[1::2]]
    return "".join(parts)


def _markdown(value: object) -> str:
    """Escape text for Markdown, inside a table too, but for code; addresses become links."""
    parts = CODE.split(" ".join(str(value).split()))
    return "".join(part if place % 2 else _escaped(part) for place, part in enumerate(parts))


def _escaped(text: str) -> str:
    parts = re.split(r"(https?://[^\s|<>]*[^\s|<>.,;)])", text)
    for place, part in enumerate(parts):
        plain = part.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        parts[place] = f"<{part}>" if place % 2 else re.sub(r"([\\`*_\[\]|~#$])", r"\\\1", plain)
    return "".join(parts)


def write(path: Path, text: str) -> None:
    """Write a page, with the same line ends everywhere."""
    path.write_text(text, encoding="utf-8", newline="\n")


def take_apart(svg: str, name: str, label: str) -> tuple[list[Markup], int]:
    """A figure's panels, each an SVG of its own for the page, and their width in points.

    Ids get the figure's name in front, since all figures share one document; colours become the page's
    variables, which have a light and a dark value. Raises UserError where `svg` is not a figure of `Panels`.
    """
    try:
        root = ET.fromstring(svg)
        columns, header = int(root.attrib["data-columns"]), float(root.attrib["data-header"])
        width, height = (float(size) for size in root.attrib["data-cell"].split())
    except (ET.ParseError, KeyError, ValueError):
        raise UserError(f"figures/{name}.svg: not a figure of this report; draw it again") from None
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        for attribute, value in element.attrib.items():
            element.set(attribute, _rename(attribute, value, name))
    panels = [element for element in root.iter("g") if re.search(r"panel-\d+$", element.get("id", ""))]
    clips = "".join(ET.tostring(clip, encoding="unicode") for clip in root.iter("clipPath"))
    parts = []
    for number_, panel in enumerate(panels):
        row, column = divmod(number_, columns)
        box = f"{column * width:g} {header + row * height:g} {width:g} {height:g}"
        inside = (f"<defs>{clips}</defs>" if number_ == 0 else "") + ET.tostring(panel, encoding="unicode")
        alt = Markup.escape(f"{label}, panel {number_ + 1} of {len(panels)}")
        content = re.sub(r">\s+<", "><", inside)
        parts.append(
            Markup(f'<svg class="panel" viewBox="{box}" role="img" aria-label="{alt}">{content}</svg>')
        )
    return parts, round(width)


def _rename(attribute: str, value: str, name: str) -> str:
    """One attribute of a figure as the page has it."""
    if attribute == "id":
        return f"{name}-{value}"
    if attribute == "href":
        return value.replace("#", f"#{name}-", 1)
    if attribute == "style":
        value = re.sub(r"#[0-9a-f]{6}", lambda colour: PAINT.get(colour[0], colour[0]), value)
    return value.replace("url(#", f"url(#{name}-") if attribute in ("style", "clip-path") else value
