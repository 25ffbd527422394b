"""What pages are made of: figures taken apart, numbers as words, badges."""

from __future__ import annotations

import re

import pytest

from rlparity.reporting.formatting import number, percent, seconds
from rlparity.reporting.pages.elements import Badge, take_apart, templates


def test_take_apart_cuts_the_grid_and_renames() -> None:
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" data-columns="2" data-cell="100 50" data-header="10">'
        '<g id="panel-0"><path id="m1" style="fill: #24292e"/></g><g id="panel-1"/>'
        '<g id="panel-2"><use href="#m1" clip-path="url(#p1)"/></g>'
        '<defs><clipPath id="p1"/></defs></svg>'
    )
    panels, width = take_apart(svg, "cost", "Cost & more")
    assert width == 100
    boxes = [re.search('viewBox="([^"]*)"', panel)[1] for panel in panels]
    assert boxes == ["0 10 100 50", "100 10 100 50", "0 60 100 50"]
    assert 'id="cost-m1" style="fill: var(--ink)"' in panels[0] and 'id="cost-p1"' in panels[0]
    assert 'href="#cost-m1" clip-path="url(#cost-p1)"' in panels[2]
    assert 'aria-label="Cost &amp; more, panel 3 of 3"' in panels[2]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (500.0, "500"),
        (1234567, "1,234,567"),
        (-47.25, "\N{MINUS SIGN}47.2"),
        (0.04567, "0.0457"),
        (0, "0"),
        (-0.0, "0"),
        (float("nan"), "\N{EN DASH}"),
        (float("-inf"), "\N{MINUS SIGN}∞"),
        (None, "\N{EN DASH}"),
        (">1000", ">1000"),
    ],
)
def test_numbers(value: object, text: str) -> None:
    assert number(value) == text


def test_percent_never_claims_too_little_margin() -> None:
    assert [percent(value) for value in (0.2, 0.0701, 0.07, 25.0, float("inf"))] == [
        "20 %",
        "8 %",
        "7 %",
        "> 999 %",
        "> 999 %",
    ]


def test_seconds() -> None:
    assert [seconds(value) for value in (0.25, 36.5, 600, 9000)] == [
        "0.25 s",
        "36.5 s",
        "10 min",
        "2.5 h",
    ]


def test_badges() -> None:
    plain, noted = Badge("EQUIVALENT"), Badge("INCONCLUSIVE (failed (scratch 3))")
    assert (plain.word, plain.note, plain.kind) == ("EQUIVALENT", "", "good")
    assert (noted.word, noted.note, noted.kind) == ("INCONCLUSIVE", "failed (scratch 3)", "open")


def test_lines_of_numbers_end_only_before_brackets_and_between_numbers() -> None:
    cells = ["15.5 [1, 46.9]", "20 / 20", "14 %", "58.1 (107)", "1.2 MiB, 3.4 MiB", "3 [1, 9], ± 95"]
    show = templates().filters["unbroken"]
    assert [show(cell).replace("\N{NO-BREAK SPACE}", "~").split(" ") for cell in cells] == [
        ["15.5", "[1,~46.9]"],
        ["20~/~20"],
        ["14~%"],
        ["58.1", "(107)"],
        ["1.2~MiB,", "3.4~MiB"],
        ["3", "[1,~9],", "±~95"],
    ]
