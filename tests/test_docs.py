"""The documentation: generated blocks are current, links resolve, every page can be reached."""

from __future__ import annotations

import re
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(
    [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "results" / "README.md", *DOCS.rglob("*.md")]
)
PUBLISHED = ROOT / "workflow" / "resources" / "published" / "README.md"
LINK = re.compile(r"\]\(([^()\s]+)\)")


@pytest.fixture
def generate(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "path", [str(DOCS), *sys.path])
    return import_module("generate")


def prose(text: str) -> str:
    """Text without code."""
    return re.sub(r"(?ms)^```.*?^```|`[^`\n]*`", "", text)


def links(page: Path) -> list[str]:
    """Targets of all relative links and pictures of a page."""
    found = LINK.findall(prose(page.read_text(encoding="utf-8")))
    return [target for target in found if not re.match(r"[a-z]+:", target)]


def anchors(page: Path) -> set[str]:
    """What links may name in a page: its headings, as code hosts spell them."""
    text = re.sub(r"(?ms)^```.*?^```", "", page.read_text(encoding="utf-8"))
    titles = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.strip().lower()).replace(" ", "-") for title in titles}


def broken(page: Path) -> list[str]:
    """The relative links of a page that lead nowhere."""
    found = []
    for target in links(page):
        path, _, anchor = target.partition("#")
        file = page.parent / path if path else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            found.append(target)
    return found


def test_generated_blocks_are_current(generate) -> None:
    assert generate.stale() == [], "run python docs/generate.py"


def test_a_block_that_is_not_current_is_named(
    generate, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(generate, "ROOT", tmp_path)
    monkeypatch.setattr(generate, "BLOCKS", {"page.md": {"two": lambda: "2"}})
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- generated: two -->\n1\n<!-- end of two -->\nafter\n")
    assert generate.main(["--check"]) == 1 and "page.md: not current" in capsys.readouterr().err
    assert generate.main([]) == 0 and generate.main(["--check"]) == 0
    assert page.read_text() == "before\n<!-- generated: two -->\n\n2\n\n<!-- end of two -->\nafter\n"
    page.write_text("no block\n")
    with pytest.raises(ValueError, match=r"page\.md: expected one block"):
        generate.stale()


def test_the_readme_counts_the_verdicts_that_the_index_of_reports_shows() -> None:
    index = (ROOT / "reports" / "index.html").read_text(encoding="utf-8")
    cards = [re.split(r'<a href="|/index.html"', card, maxsplit=2)[1:] for card in index.split("<h2>")[1:]]
    chip = re.compile(r"</span>&nbsp;([A-Z]+)</span> (\d+)</li>")
    shown = {name: dict(chip.findall(card)) for name, card in cards}
    words = ("EQUIVALENT", "BETTER", "WORSE", "INCONCLUSIVE")
    rows = re.findall(
        r"^\| \[([\w-]+)\]\(reports/.*((?:\| \d+ ){4})\|$",
        (ROOT / "README.md").read_text(),
        flags=re.MULTILINE,
    )
    assert {name for name, _ in rows} == set(shown)
    for name, row in rows:
        assert row.strip("| ").split(" | ") == [shown[name].get(word, "0") for word in words], name


@pytest.mark.parametrize("page", [*PAGES, PUBLISHED], ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_and_anchors_resolve(page: Path) -> None:
    assert broken(page) == []


def test_broken_links_are_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# A title: `code`, too\n[a](page.md#a-title-code-too) [b](#none) [c](gone.md) `[d](code.md)`\n"
        "```\n# no title\n[e](code.md)\n```\n[f](https://example.org) [g](page.md#no-title)\n"
    )
    assert broken(page) == ["#none", "gone.md", "page.md#no-title"]


def test_no_page_waits_for_a_number() -> None:
    """A word such as THE_NUMBER in prose stands for something that was to be filled in."""
    waiting = {
        page.name: re.findall(r"(?<![\w/$])[A-Z]+(?:_[A-Z]+)+(?!\w)", prose(page.read_text("utf-8")))
        for page in PAGES
    }
    assert {name: words for name, words in waiting.items() if words} == {}


def test_every_page_can_be_reached_from_the_index() -> None:
    seen, waiting = set[Path](), [DOCS / "index.md"]
    while waiting:
        page = waiting.pop()
        if page not in seen:
            seen.add(page)
            targets = ((page.parent / link.partition("#")[0]).resolve() for link in links(page))
            waiting += [file for file in targets if file.suffix == ".md" and file.is_relative_to(DOCS)]
    assert seen == set(DOCS.rglob("*.md"))
    assert (DOCS / "index.md").resolve() in {(ROOT / link).resolve() for link in links(ROOT / "README.md")}


def test_the_index_has_a_line_for_every_page() -> None:
    listed = re.findall(r"^- \[[^]]+\]\(([^)]+)\): .+$", (DOCS / "index.md").read_text(), flags=re.MULTILINE)
    pages = {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")} - {"index.md"}
    assert sorted(listed) == sorted([*pages, "../CONTRIBUTING.md"])


def test_tests_that_pages_name_exist() -> None:
    files = {file.name for file in (ROOT / "tests").rglob("*.py")}
    named = {name for page in PAGES for name in re.findall(r"\btest_\w+\.py\b", page.read_text())}
    assert named and named <= files


def test_what_make_docs_installs_is_pinned_and_agrees_with_the_lock() -> None:
    pins = {}
    for name in ("requirements.lock", "requirements-docs.lock"):
        lines = [line for line in (ROOT / name).read_text().splitlines() if line and line[0] != "#"]
        pins[name] = {canonicalize_name(Requirement(line).name): line for line in lines}
        assert all(re.fullmatch(r"[a-z0-9-]+==[0-9][\w.]*( ; .+)?", line) for line in lines)
    whole, docs = pins["requirements.lock"], pins["requirements-docs.lock"]
    assert list(docs) == sorted(docs)
    assert {name: whole[name] for name in docs.keys() & whole.keys()} == {
        name: docs[name] for name in docs.keys() & whole.keys()
    }
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert {canonicalize_name(name) for name in project["dependency-groups"]["docs"]} <= docs.keys()
