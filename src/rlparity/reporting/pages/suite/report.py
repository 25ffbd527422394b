"""The page of a suite from its tables and figures: HTML, its Markdown twin, and the index of all suites.

Nothing here depends on when or where a page is rendered; dates come from the records of the runs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import unescape
from pathlib import Path
from typing import Any

from rlparity.analysis.decisions.families import PRIMARY, SECONDARY
from rlparity.errors import UserError
from rlparity.reporting import candidate_settings
from rlparity.reporting.formatting import NONE, bind, endpoint_title, join
from rlparity.reporting.pages import validation
from rlparity.reporting.pages.elements import Badge, Table, templates, write
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
from rlparity.reporting.pages.suite import atari, live_checks, published, tables
from rlparity.reporting.pages.suite.answer import against_papers, answer, counts, margins
from rlparity.reporting.pages.suite.films import gallery
from rlparity.reporting.pages.suite.pictures import pictures, words
from rlparity.reporting.report_folder import RANDOM, Folder


def render(report: Path, stale: int = 0) -> str:
    """Write `report/index.html` and `report/README.md`; print, and return, the verdicts and the page's path.

    `stale` is the number of records beside the report that other code or settings made than those of now.
    Raises UserError where `report` is no report folder.
    """
    folder = Folder(report)
    view = _view(folder, stale)
    for template, name in (("report.html", "index.html"), ("report.md", "README.md")):
        page = templates().get_template(template).render(view)
        write(report / name, re.sub(r"\n{3,}", "\n\n", page))
    summary = _terminal(folder, view, report / "index.html")
    print(summary)
    return summary


def render_index(reports: Path, stale: Mapping[str, int] | None = None) -> Path:
    """Write `reports/index.html`: every suite with its headline; other pages below `reports` are linked.

    `stale` is the number of stale records by report, where there are any.
    """
    if not reports.is_dir():
        raise UserError(f"{reports}: no such folder")
    suites, others = [], []
    for folder in sorted(path for path in reports.iterdir() if path.is_dir()):
        if (folder / "plan.json").is_file():
            suites.append(_headline(Folder(folder), (stale or {}).get(folder.name, 0)))
        elif page := next((name for name in ("index.html", "README.md") if (folder / name).is_file()), None):
            others.append({"name": _title(folder / page), "page": f"{folder.name}/{page}"})
    page = templates().get_template("index.html").render(suites=suites, others=others)
    write(reports / "index.html", page)
    return reports / "index.html"


def _title(page: Path) -> str:
    """The heading of another page; the name of its folder where it has none."""
    found = re.search(r"<h1>([^<]+)</h1>", page.read_text(encoding="utf-8"))
    return unescape(found[1]) if found else page.parent.name


def _stale(folder: Folder, count: int) -> str:
    """How many records are stale, in a sentence; empty if none is."""
    if not count:
        return ""
    are = "record is" if count == 1 else "records are"
    return (
        f"{count} of the {len(folder.runs)} {are} stale: "
        "code or settings that training depends on have changed since."
    )


def _view(folder: Folder, stale: int) -> dict[str, Any]:
    """All values that the templates show."""
    plan, text = folder.plan, words(folder)
    return {
        "plan": plan,
        "title": _heading(folder),
        "stale": _stale(folder, stale),
        "train_again": f"rlparity run {plan['name']}",
        "unconfirmed": live_checks.unconfirmed(folder),
        "train_references": f"rlparity run {plan['name']} --config {live_checks.RETRAIN}",
        "live_checks": live_checks.table(folder),
        "unfinished": failed_seeds(folder, unfinished=True),
        "margin": margins(folder),
        "quantity": folder.quantity,
        "answer": bind(" ".join(answer(folder))),
        "counts": counts(folder),
        "facts": facts(folder, live_checks.confirmed(folder)),
        "failed": failed_seeds(folder),
        "missing": missing_cells(folder),
        "update_differs": validation.update_differs(folder.path),
        "layers": validation.layers(folder.path),
        "layers_meaning": validation.MEANING,
        "notes": tables.notes(folder),
        "verdicts": tables.verdicts(folder),
        "ran": [one.sentence(table=True) for one in candidate_settings.of(folder)],
        "ran_otherwise": tables.ran(folder),
        "looks": tables.looks(folder),
        "looks_mean": bind(text.looks),
        "secondary": tables.verdicts(folder, SECONDARY),
        "decides": join(endpoint_title(end, folder.quantity) for end in _endpoints(folder, PRIMARY)),
        "second": join(endpoint_title(end, folder.quantity) for end in _endpoints(folder, SECONDARY)),
        "family": tables.family(folder),
        "second_family": tables.family(folder, SECONDARY),
        "plain": bind(text.plain_verdicts) if len(tables.primary(folder, plain=True)) else "",
        "definitions": [(term, bind(meaning)) for term, meaning in (*text.definitions, *_floors(folder))],
        "pictures": pictures(folder),
        "measurements": folder.measurements,
        "films": gallery(folder),
        "estimates": {one.name: tables.estimates(folder, one) for one in folder.measurements},
        "human": atari.human(folder),
        "thresholds": tables.thresholds(folder),
        "improvement": tables.improvement(folder),
        "paper": published.section(folder),
        "dqn2013": atari.dqn2013(folder),
        "cost": tables.cost(folder),
        "settings": {name: tables.settings(folder, name) for name in plan["environments"]},
        "provenance": provenance(folder),
    }


def _endpoints(folder: Folder, role: str) -> list[str]:
    """The endpoints of verdicts of a role."""
    return list(dict.fromkeys(tables.of_role(folder, role).endpoint))


def _heading(folder: Folder) -> str:
    """The title, marked where the suite is unfinished or a reference is not confirmed."""
    return heading(folder) + f" ({live_checks.NOT_CONFIRMED})" * bool(live_checks.unconfirmed(folder))


def _floors(folder: Folder) -> list[tuple[str, str]]:
    """The definition of the floor, where a metric has another than the random agent."""
    others = [one for one in folder.measurements if one.metric.floor != RANDOM]
    if not others:
        return []
    values = [f"{one.metric.floor} for {one.metric.name} on {one.environment}" for one in others]
    values += ["that of the random agent for all else"] * (len(others) < len(folder.measurements))
    return [("Floor", f"The value of what has learned nothing: {join(values, 20)}.")]


def _terminal(folder: Folder, view: Mapping[str, Any], page: Path) -> str:
    """The summary for the terminal: verdicts, failed seeds, stale and missing records, the page."""
    table: Table = view["verdicts"]
    lines = [
        f"{view['title']}: verdicts (margin {view['margin']})"
        if table.rows
        else f"{view['title']}: no verdicts"
    ]
    lines += [_aligned(table)] if table.rows else []
    if view["secondary"].rows:
        lines += [f"secondary, by the {view['second']}:", _aligned(view["secondary"])]
    lines += against_papers(folder)
    lines += [f"settings: {one.sentence()}" for one in candidate_settings.of(folder)]
    lines += [f"failed: {text}" for text in view["failed"]]
    if view["missing"]:
        lines.append(f"no record yet: {join(view['missing'], 4)}")
    lines += [f"reference not confirmed here: {text}" for text in view["unconfirmed"]]
    if view["unconfirmed"]:
        lines.append(f"{view['train_references']} trains all references.")
    if view["stale"]:
        lines.append(f"stale: {view['stale']} {view['train_again']} trains them again.")
    return "\n".join([*lines, f"report: {page}"])


def _aligned(table: Table) -> str:
    """A table of verdicts for the terminal, their notes in a column of their own."""
    notes = ["".join(cell.note for cell in row if isinstance(cell, Badge)) for row in table.rows]
    rows = [[cell.word if isinstance(cell, Badge) else cell for cell in row] for row in table.rows]
    why = ["why"] if any(notes) else []
    rows = [row + [note] * len(why) for row, note in zip(rows, notes, strict=True)]
    return Table([*table.head, *why], rows, numeric=table.numeric).text()


def _headline(folder: Folder, stale: int) -> dict[str, Any]:
    """One suite on the index."""
    plan = folder.plan
    names = [name for name in plan["algorithms"] if name not in folder.baselines]
    recorded = {run["cell"]["algorithm"] for run in folder.runs}
    titles = [folder.title(name) for name in names if name in recorded or not recorded]
    return {
        "folder": folder.path.name,
        "title": _heading(folder),
        "description": plan.get("description") or "",
        "environments": join(plan["environments"]),
        "algorithms": join(titles, 8),
        "seeds": seeds_each(folder),
        "counts": counts(folder),
        "paper": against_papers(folder),
        "stale": _stale(folder, stale),
        "failed": len(failed_seeds(folder)),
        "dates": dates(folder),
        "commits": join(commits(folder), 3) if folder.runs else NONE,
    }
