"""Text with rows and columns as programs, spreadsheets and browsers write it; every error names its line."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rlparity.log_readers.series import Refused

DELIMITERS = (",", ";", "\t", "|", " ")
LOOKED_AT = 20  # lines from which the delimiter is found
DECIMAL_COMMA = re.compile(r"[-+]?\d+,\d+(e[-+]?\d+)?", re.IGNORECASE)
THOUSANDS = re.compile(r"[-+]?\d{1,3}(,\d{3})+(\.\d*)?")
SHOWN = 40  # characters of a value in a message


class Lines(NamedTuple):
    """The lines of a file; numbers of lines count from 1."""

    text: list[str]
    ended: bool  # whether the last line ends with a line break
    notes: tuple[str, ...]


class Table(NamedTuple):
    """Rows of text under named columns."""

    source: str
    names: list[str]
    rows: list[list[str]]
    lines: list[int]  # number of the line of each row
    delimiter: str
    ended: bool  # whether the last row is known to be whole
    notes: tuple[str, ...]


class Column(NamedTuple):
    """A column as numbers; NaN where a value is blank."""

    values: NDArray[np.float64]  # (n,)
    blank: NDArray[np.bool_]  # (n,)


def lines(path: Path) -> Lines:
    """Read and decode a file: UTF-8, UTF-16 with its mark, else Latin-1 with a note.

    Null bytes at the end, which a crash can leave, are no text. Raises Refused if it is not text.
    """
    content, notes = path.read_bytes(), []
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        encodings = ["utf-16"]
    else:
        if content.endswith(b"\0") and content.strip(b"\0"):
            content = content.rstrip(b"\0")
            notes.append("null bytes at its end are left out")
        encodings = ["utf-8-sig"] + (["latin-1"] if b"\0" not in content else [])
    for encoding in encodings:
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" in text:
            break
        if encoding == "latin-1":
            notes.append("is not UTF-8, read as Latin-1")
        broken = text.replace("\r\n", "\n").replace("\r", "\n")
        found = broken.split("\n")
        ended = found[-1] == ""
        return Lines(found[:-1] if ended else found, ended, tuple(notes))
    raise Refused(f"{path}: is not text")


def table(source: str, read: Lines, first: int = 0) -> Table:
    """Split lines from index `first` on into rows; the first one that is not empty names the columns.

    Empty lines and comments (`#`) are no rows. An incomplete last line is dropped with a note. Raises Refused
    naming the line of a row whose number of fields is another.
    """
    kept = ["" if line.startswith("#") else line for line in read.text]
    comments = sum(line.startswith("#") for line in read.text[first:])
    notes = [*read.notes, *([f"{_counted(comments, 'line')} of comments left out"] if comments else [])]
    delimiter = _delimiter([line for line in kept[first:] if line.strip()])
    names: list[str] = []
    rows: list[list[str]] = []
    numbers: list[int] = []
    for number, fields in _split(source, kept, first, delimiter):
        if names:
            rows.append(fields)
            numbers.append(number)
        else:
            names = fields
    if not names:
        raise Refused(f"{source}: has no line with the names of columns")
    names, rows = _same_width(names, rows)
    if twice := sorted({name for name in names if name and names.count(name) > 1}):
        raise Refused(f"{source}: column {twice[0]!r} is there twice")
    found = Table(source, names, rows, numbers, delimiter, read.ended, tuple(notes))
    return _whole_rows(found)


def _split(source: str, text: Sequence[str], first: int, delimiter: str) -> Iterable[tuple[int, list[str]]]:
    """Number and fields of each line that is not empty."""
    start = first
    reader = csv.reader((f"{line}\n" for line in text[first:]), delimiter=delimiter, skipinitialspace=True)
    try:
        for fields in reader:
            number, start = start + 1, first + reader.line_num
            if any(field.strip() for field in fields):
                yield number, [field.strip() for field in fields]
    except csv.Error as error:
        raise Refused(f"{source}: line {start + 1}: {error}") from None


def _delimiter(text: Sequence[str]) -> str:
    """The delimiter that splits the first lines into the most fields of one number; a comma if none does."""
    best, most = ",", 0
    for delimiter in DELIMITERS:
        counts = [line.count(delimiter) for line in text[:LOOKED_AT]]
        common = min(counts, default=0)
        if common > most:
            best, most = delimiter, common
    if most == 0 and text and (head := max(DELIMITERS, key=text[0].count)) in text[0]:
        return head
    return best


def _same_width(names: list[str], rows: list[list[str]]) -> tuple[list[str], list[list[str]]]:
    """Name the unnamed first column of row numbers, and drop an empty last field of every row."""
    width = {len(row) for row in rows}
    if width == {len(names) + 1}:
        if all(row[-1] == "" for row in rows):
            return names, [row[:-1] for row in rows]
        if [row[0] for row in rows] in (_counting(len(rows), 0), _counting(len(rows), 1)):
            return ["", *names], rows
    return names, rows


def _counting(n: int, start: int) -> list[str]:
    return [str(start + i) for i in range(n)]


def _whole_rows(found: Table) -> Table:
    wrong = [i for i, row in enumerate(found.rows) if len(row) != len(found.names)]
    if not wrong:
        return found
    last = len(found.rows) - 1
    if wrong == [last] and len(found.rows[last]) < len(found.names):
        return _without_last(found)
    i = wrong[0]
    raise Refused(
        f"{found.source}: line {found.lines[i]} has {_counted(len(found.rows[i]), 'field')}, "
        f"the columns are {len(found.names)}; did several programs write to it?"
    )


def _without_last(found: Table) -> Table:
    note = f"incomplete last line {found.lines[-1]} left out"
    return found._replace(
        rows=found.rows[:-1], lines=found.lines[:-1], ended=True, notes=(*found.notes, note)
    )


def complete(found: Table, used: Sequence[str]) -> Table:
    """Without a last row that was cut in one of the columns used: where no line break follows, and a value is
    blank, no number, or has fewer decimals than all before it."""
    if found.ended or not found.rows:
        return found
    cut = found.names[-1]
    for name in used:
        place = found.names.index(name)
        values = [row[place] for row in found.rows]
        if number(values[-1], found.delimiter) is None:
            return _without_last(found)
        decimals = {len(value.partition(".")[2]) for value in values[:-1]}
        shorter = len(decimals) == 1 and len(values[-1].partition(".")[2]) < min(decimals)
        if name == cut and len(values) > 2 and shorter:
            return _without_last(found)
    return found


def column(found: Table, name: str) -> Column:
    """Convert a column to numbers. Raises Refused naming the line of a value that is none."""
    place = found.names.index(name)
    texts = [row[place] for row in found.rows]
    values = np.full(len(texts), np.nan)
    blank = np.array([not text for text in texts], dtype=bool)
    for i, text in enumerate(texts):
        if text:
            value = number(text, found.delimiter)
            if value is None:
                why = "; remove thousands separators" if THOUSANDS.fullmatch(text) else ""
                raise Refused(
                    f"{found.source}: line {found.lines[i]}: {name} is {shown(text)}, not a number{why}"
                )
            values[i] = value
    return Column(values, blank)


def number(text: str, delimiter: str = ",") -> float | None:
    """The number that a text is; None if it is none. A comma is a decimal comma where it does not delimit."""
    if delimiter != "," and DECIMAL_COMMA.fullmatch(text):
        text = text.replace(",", ".")
    try:
        return None if "_" in text else float(text)
    except ValueError:
        return None


def shown(text: object) -> str:
    """A value in a message, short and in quotes."""
    whole = repr(str(text))
    return whole if len(whole) <= SHOWN else f"{whole[:SHOWN]}...'"


def _counted(n: int, what: str) -> str:
    return f"{n} {what}{'s' * (n != 1)}"
