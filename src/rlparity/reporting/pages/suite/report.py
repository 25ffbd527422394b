"""Tables and figures -> the page a reader gets: one HTML file, its Markdown twin, and an index of all suites.

Nothing here depends on when or where a page is rendered; dates come from the records of the runs.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from html import unescape
from pathlib import Path
from typing import Any

import pandas as pd

from rlparity.errors import UserError
from rlparity.reporting.formatting import NONE, bind, join, label, percent, whole
from rlparity.reporting.pages import validation
from rlparity.reporting.pages.elements import (
    BADGES,
    Badge,
    Picture,
    Table,
    prose,
    take_apart,
    templates,
    write,
)
from rlparity.reporting.pages.provenance import (
    commits,
    dates,
    facts,
    failed_seeds,
    heading,
    missing_cells,
    provenance,
    seeds_each,
)
from rlparity.reporting.pages.suite import atari, tables
from rlparity.reporting.pages.suite.films import gallery
from rlparity.reporting.pages.suite.tables import badge, primary
from rlparity.reporting.report_folder import ENDPOINTS, Folder, slug
from rlparity.reporting.style import PAINT


def render(report: Path) -> str:
    """Write `report/index.html` and `report/README.md`; print, and return, the verdicts and the page's path.

    Raises UserError where `report` is no report folder.
    """
    folder = Folder(report)
    view = _view(folder)
    for template, name in (("report.html", "index.html"), ("report.md", "README.md")):
        page = templates().get_template(template).render(view)
        write(report / name, re.sub(r"\n{3,}", "\n\n", page))
    summary = _terminal(folder, view, report / "index.html")
    print(summary)
    return summary


def render_index(reports: Path) -> Path:
    """Write `reports/index.html`: every suite with its headline; other pages below `reports` are linked."""
    if not reports.is_dir():
        raise UserError(f"{reports}: no such folder")
    suites, others = [], []
    for folder in sorted(path for path in reports.iterdir() if path.is_dir()):
        if (folder / "plan.json").is_file():
            suites.append(_headline(Folder(folder)))
        elif page := next((name for name in ("index.html", "README.md") if (folder / name).is_file()), None):
            others.append({"name": _title(folder / page), "page": f"{folder.name}/{page}"})
    page = templates().get_template("index.html").render(suites=suites, others=others)
    write(reports / "index.html", page)
    return reports / "index.html"


def _title(page: Path) -> str:
    """What another page calls itself; its folder's name where it does not say."""
    found = re.search(r"<h1>([^<]+)</h1>", page.read_text(encoding="utf-8"))
    return unescape(found[1]) if found else page.parent.name


def _view(folder: Folder) -> dict[str, Any]:
    """All that the templates show."""
    plan = folder.plan
    return {
        "plan": plan,
        "title": heading(folder),
        "unfinished": failed_seeds(folder, unfinished=True),
        "margin": percent(plan.get("margin")),
        "answer": bind(" ".join(_answer(folder))),
        "counts": _counts(folder),
        "facts": facts(folder),
        "failed": failed_seeds(folder),
        "missing": missing_cells(folder),
        "layers": validation.layers(folder.path),
        "layers_meaning": validation.MEANING,
        "notes": tables.notes(folder),
        "verdicts": tables.verdicts(folder),
        "plain": bind(prose().plain_verdicts) if len(primary(folder, plain=True)) else "",
        "definitions": [(term, bind(meaning)) for term, meaning in prose().definitions],
        "pictures": _pictures(folder),
        "environments": [{"id": name, "slug": slug(name)} for name in plan["environments"]],
        "films": gallery(folder),
        "estimates": {name: tables.estimates(folder, name) for name in plan["environments"]},
        "human": atari.human(folder),
        "thresholds": tables.thresholds(folder),
        "improvement": tables.improvement(folder),
        "paper": tables.paper(folder),
        "dqn2013": atari.dqn2013(folder),
        "cost": tables.cost(folder),
        "settings": {name: tables.settings(folder, name) for name in plan["environments"]},
        "provenance": provenance(folder),
        "implementations": [(name, label(name), PAINT[colour]) for name, colour in folder.colours.items()],
    }


def _answer(folder: Folder) -> list[str]:
    """The result in plain sentences, from the primary endpoint."""
    rows = primary(folder)
    if rows.empty:
        alone = (
            "This suite pairs no implementation with a reference: it reports scores, and gives no verdict."
        )
        plain = _against_plain(folder)
        return [*(plain or [alone]), *_against_papers(folder)]
    badges = [badge(row) for row in rows.to_dict("records")]
    words = pd.Series([badge.word for badge in badges], index=rows.index)
    match, many = rows[words == "EQUIVALENT"], len(rows)
    subject = f"{len(match) or 'None'} of {many} implementations {'are' if len(match) > 1 else 'is'}"
    if many == 1:
        subject = "The implementation is" if len(match) else "The implementation is not"
    margin = percent(folder.plan.get("margin"))
    ends = join(dict.fromkeys(ENDPOINTS.get(endpoint, endpoint) for endpoint in rows.endpoint))
    lead = f"{subject} shown to match the reference within the margin of {margin}, by the {ends}"
    text = [lead + (f": {_pairs(folder, match)}." if len(match) else ".")]
    for word, phrase in (("WORSE", "Significantly worse"), ("BETTER", "Significantly better")):
        if (words == word).any():
            text.append(f"{phrase}: {_pairs(folder, rows[words == word])}.")
    notes = pd.Series([badge.note for badge in badges], index=rows.index)[words == "INCONCLUSIVE"]
    for note in dict.fromkeys(notes):
        group = rows.loc[notes.index[notes == note]]
        needed = (
            list(dict.fromkeys(whole(value) for value in group.seeds_needed.dropna())) if not note else []
        )
        tail = f" (equivalence would take about {join(needed)} seeds per arm)" if needed else ""
        text.append(f"Not decided{', ' + note if note else ''}: {_pairs(folder, group)}{tail}.")
    return [*text, *_against_plain(folder), *_against_papers(folder)]


def _against_plain(folder: Folder) -> list[str]:
    """Whether those that only compute otherwise learn as the plain configurations do."""
    said: dict[str, list[str]] = {}
    for row in primary(folder, plain=True).itertuples(index=False):
        judged, plain = (folder.title(name) for name in (row.algorithm, row.reference.partition("/")[2]))
        found = badge(row._asdict())
        text, than = {
            "EQUIVALENT": ("Shown to learn the same", "as"),
            "WORSE": ("Significantly worse", "than"),
            "BETTER": ("Significantly better", "than"),
        }.get(
            found.word, (f"Not decided whether it learns the same{', ' * bool(found.note)}{found.note}", "as")
        )
        said.setdefault(text, []).append(f"{judged} {than} {plain} on {row.environment}")
    return [f"{text}: {join(pairs, 4)}." for text, pairs in said.items()]


def _pairs(folder: Folder, rows: pd.DataFrame) -> str:
    """`PPO and A2C on CartPole-v1; DQN on Acrobot-v1 and MountainCar-v0`."""
    where: dict[str, list[str]] = {}
    for environment, group in rows.groupby("environment", sort=False):
        titles = [folder.called(row, folder.title(row.algorithm)) for row in group.itertuples()]
        where.setdefault(join(titles), []).append(str(environment))
    return "; ".join(f"{titles} on {join(environments)}" for titles, environments in where.items())


def _against_papers(folder: Folder) -> list[str]:
    words = Counter(Badge(verdict).word for verdict in folder.tables["paper"].verdict)
    if not words:
        return []
    counted = join(f"{count} {word.lower()}" for word, count in sorted(words.items()))
    return [f"Of {words.total()} published number{'s' * (words.total() > 1)}: {counted}."]


def _counts(folder: Folder) -> list[tuple[Badge, int]]:
    """How many verdicts of each kind, on the primary endpoint."""
    words = Counter(Badge(verdict).word for verdict in primary(folder).verdict)
    return [(Badge(word), words[word]) for word in BADGES if words[word]]


def _pictures(folder: Folder) -> dict[str, Picture]:
    """Every figure that was drawn, by the stem of its file."""
    places = {kind: (kind, None) for kind in ("verdicts", "improvement", "cost")}
    for environment in folder.plan["environments"]:
        for kind in ("curves", "training", "intervals", "seeds", "profiles"):
            places[f"{kind}-{slug(environment)}"] = (kind, environment)
    pictures, captions, plain = {}, prose().captions, prose().plain_curve
    for name, (kind, environment) in places.items():
        file = folder.path / "figures" / f"{name}.svg"
        if not file.is_file():
            continue
        title, drawn, key = captions[kind]
        where = environment or join(folder.plan["environments"])
        text = file.read_text(encoding="utf-8")
        panels, width = take_apart(text, name, f"{title}, {where}")
        if kind in ("curves", "training") and any(map(folder.plain, folder.plan["algorithms"])):
            drawn = f"{drawn} {plain}"
        caption = f"{where}, {seeds_each(folder, environment)}. {drawn} {_protocol(folder, kind)}"
        pictures[name] = Picture(name, title, bind(caption.strip()), panels, width, key)
    return pictures


def _protocol(folder: Folder, kind: str) -> str:
    """How the returns of a figure were evaluated."""
    evaluation = next(
        (cell["evaluation"] for cell in folder.plan.get("cells", []) if "evaluation" in cell), None
    )
    if evaluation is None or kind not in ("curves", "intervals", "seeds", "profiles"):
        return ""
    points = f"{evaluation['episodes']} episodes at each of {evaluation['points']} points"
    return f"Deterministic policy, {points}, {evaluation['final_episodes']} at the end."


def _terminal(folder: Folder, view: Mapping[str, Any], page: Path) -> str:
    """The last words on the terminal: verdicts, what failed, where the page is."""
    table: Table = view["verdicts"]
    lines = [
        f"{view['title']}: verdicts (margin {view['margin']})"
        if table.rows
        else f"{view['title']}: no verdicts"
    ]
    if table.rows:
        notes = ["".join(cell.note for cell in row if isinstance(cell, Badge)) for row in table.rows]
        rows = [[cell.word if isinstance(cell, Badge) else cell for cell in row] for row in table.rows]
        why = ["why"] if any(notes) else []
        rows = [row + [note] * len(why) for row, note in zip(rows, notes, strict=True)]
        lines.append(Table([*table.head, *why], rows, numeric=table.numeric).text())
    lines += _against_papers(folder)
    lines += [f"failed: {text}" for text in view["failed"]]
    if view["missing"]:
        lines.append(f"no record yet: {join(view['missing'], 4)}")
    return "\n".join([*lines, f"report: {page}"])


def _headline(folder: Folder) -> dict[str, Any]:
    """One suite on the index."""
    plan = folder.plan
    titles = [folder.title(name) for name in plan["algorithms"] if name not in folder.random]
    return {
        "folder": folder.path.name,
        "title": heading(folder),
        "description": plan.get("description") or "",
        "environments": join(plan["environments"]),
        "algorithms": join(titles, 8),
        "seeds": seeds_each(folder),
        "counts": _counts(folder),
        "paper": _against_papers(folder),
        "failed": len(failed_seeds(folder)),
        "dates": dates(folder),
        "commits": join(commits(folder), 3) if folder.runs else NONE,
    }
