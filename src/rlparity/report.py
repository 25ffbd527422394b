"""Tables and figures -> the page a reader gets: one HTML file, its Markdown twin, and an index of all suites.

`Table` is shown three ways (HTML, Markdown, terminal), so that the three cannot disagree.
Nothing here depends on when or where a page is rendered; dates come from the records of the runs.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from rlparity.errors import UserError
from rlparity.figures import CARD, COLOURS, COLUMNS, ENDPOINTS, GRID, INK, LABELS, MUTED, SPARE, Folder, slug

BADGES = {  # verdict -> (class of the badge, sign): never colour alone
    "EQUIVALENT": ("good", "≈"),
    "BETTER": ("better", "▲"),
    "WORSE": ("bad", "▼"),
    "INCONCLUSIVE": ("open", "?"),
    "REPLICATED": ("good", "✓"),
    "NOT REPLICATED": ("bad", "✗"),
    "NOT COMPARABLE": ("open", "\N{EN DASH}"),
}
PRIMARY = "auc"
SHORT = {"auc": "area", "final": "final"}  # endpoints in the columns of a table
PAINT = {INK: "var(--ink)", MUTED: "var(--muted)", GRID: "var(--grid)", CARD: "var(--card)"}
PAINT |= {colour: f"var(--{name})" for name, colour in COLOURS.items()}
PAINT |= {colour: f"var(--spare-{number})" for number, colour in enumerate(SPARE)}
NONE = "\N{EN DASH}"
UNDECIDED = "neither equivalence nor a difference is shown"  # the reason of an ordinary INCONCLUSIVE


@dataclass(frozen=True)
class Badge:
    """A verdict, with what stands in brackets behind it: `INCONCLUSIVE (reference did not learn)`."""

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
    """What a reader sees of a CSV: heads, rows of text and badges, and which columns hold numbers."""

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


@dataclass(frozen=True)
class Picture:
    """A figure on the page: its panels, apart, and the caption."""

    name: str
    title: str
    caption: str
    panels: Sequence[Markup]
    width: int  # of one panel, in points
    key: str = ""  # "lines" or "marks": how the key shows the implementations


def number(value: Any, digits: int = 3) -> str:
    """A number for a reader: `digits` significant ones, thousands apart, a dash for none."""
    try:
        value = float(value)
    except (TypeError, ValueError):
        return str(value) if value not in (None, "") else NONE
    if not math.isfinite(value):
        return NONE if math.isnan(value) else ("\N{MINUS SIGN}∞" if value < 0 else "∞")
    places = 0 if value == 0 else max(0, digits - 1 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{min(places, 6)}f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "0") else text.replace("-", "\N{MINUS SIGN}")


def interval(estimate: Any, low: Any, high: Any) -> str:
    """`472 [455, 489]`; without the brackets where there is no interval."""
    if pd.isna(estimate):
        return NONE
    return (
        number(estimate)
        if pd.isna(low) or pd.isna(high)
        else f"{number(estimate)} [{number(low)}, {number(high)}]"
    )


def percent(fraction: Any) -> str:
    """A margin in whole per cent, rounded up so that the claim stays true."""
    if pd.isna(fraction):
        return NONE
    whole = math.ceil(round(100 * float(fraction), 6)) if math.isfinite(fraction) else math.inf
    return f"{whole} %" if whole <= 999 else "> 999 %"


def seconds(value: Any) -> str:
    """A duration as a person says it."""
    if pd.isna(value):
        return NONE
    value = float(value)
    if value < 100:
        return f"{number(value, 2 if value < 10 else 3)} s"
    return f"{value / 60:.0f} min" if value < 5400 else f"{value / 3600:.1f} h"


def _label(implementation: str) -> str:
    return LABELS.get(implementation, implementation)


def _whole(value: Any) -> str:
    """A count of seeds or steps; text such as ">1000" stays as it is."""
    try:
        return NONE if pd.isna(value) else f"{float(value):,.0f}"
    except (TypeError, ValueError):
        return str(value)


def render(report: Path) -> str:
    """Write `report/index.html` and `report/README.md`; print, and return, the verdicts and the page's path.

    Raises UserError where `report` is no report folder.
    """
    folder = Folder(report)
    view = _view(folder)
    for template, name in (("report.html", "index.html"), ("report.md", "README.md")):
        page = _templates().get_template(template).render(view)
        _write(report / name, re.sub(r"\n{3,}", "\n\n", page))
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
            others.append({"name": folder.name, "page": f"{folder.name}/{page}"})
    page = _templates().get_template("index.html").render(suites=suites, others=others)
    _write(reports / "index.html", page)
    return reports / "index.html"


def _templates() -> Environment:
    environment = Environment(
        loader=PackageLoader("rlparity"),
        autoescape=lambda name: bool(name and name.endswith(".html")),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["md"] = _markdown
    return environment


def _bind(text: str) -> str:
    """Prose in which no line ends between a number and its per cent sign."""
    return text.replace(" %", "\N{NO-BREAK SPACE}%")


def _words() -> Any:
    """Captions and definitions, as attributes."""
    return _templates().get_template("words.jinja").module


def _markdown(value: object) -> str:
    """Text that Markdown, inside a table too, shows as it is; addresses become links."""
    parts = re.split(r"(https?://[^\s|<>]*[^\s|<>.,;)])", " ".join(str(value).split()))
    for place, part in enumerate(parts):
        plain = part.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        parts[place] = f"<{part}>" if place % 2 else re.sub(r"([\\`*_\[\]|~#$])", r"\\\1", plain)
    return "".join(parts)


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")


def _view(folder: Folder) -> dict[str, Any]:
    """All that the templates show."""
    plan = folder.plan
    return {
        "plan": plan,
        "title": plan.get("title") or plan["name"],
        "margin": percent(plan.get("margin")),
        "answer": _bind(" ".join(_answer(folder))),
        "counts": _counts(folder),
        "facts": _facts(folder),
        "failed": failed_seeds(folder),
        "missing": _missing(folder),
        "verdicts": _verdicts(folder),
        "definitions": [(term, _bind(meaning)) for term, meaning in _words().definitions],
        "pictures": _pictures(folder),
        "environments": [{"id": name, "slug": slug(name)} for name in plan["environments"]],
        "estimates": {name: _estimates(folder, name) for name in plan["environments"]},
        "thresholds": _thresholds(folder),
        "improvement": _improvement(folder),
        "paper": _paper(folder),
        "cost": _cost(folder),
        "settings": {name: _settings(folder, name) for name in plan["environments"]},
        "provenance": _provenance(folder),
        "implementations": [(name, _label(name), _paint(folder, name)) for name in folder.implementations],
    }


def _paint(folder: Folder, implementation: str) -> str:
    return PAINT[folder.colour(implementation)]


def _ordered(folder: Folder, table: str) -> pd.DataFrame:
    """A table in the plan's order: environment, algorithm, implementation, the primary endpoint first."""
    frame = folder.tables[table]
    known = {
        "environment": list(folder.plan["environments"]),
        "algorithm": list(folder.plan["algorithms"]),
        "implementation": folder.implementations,
        "endpoint": list(ENDPOINTS),
    }
    by = [column for column in known if column in frame]
    places = pd.DataFrame({column: frame[column].map(_place(known[column])) for column in by}, dtype=float)
    return frame.loc[places.sort_values(by, kind="stable").index]


def _place(names: Sequence[str]) -> Callable[[Any], int]:
    return lambda name: names.index(name) if name in names else len(names)


def _verdicts(folder: Folder) -> Table:
    """The headline: a row per environment, algorithm and endpoint."""
    several = folder.tables["verdicts"].implementation.nunique() > 1
    head = ["environment", "algorithm", "verdict", "endpoint", "equivalent within", "difference [95 % CI]"]
    head += ["seeds", "seeds needed", "p (Holm)"]
    rows = []
    for row in _ordered(folder, "verdicts").to_dict("records"):
        name = f"{row['algorithm']} ({row['implementation']})" if several else row["algorithm"]
        cells = [row["environment"], name, _badge(row), SHORT.get(row["endpoint"], row["endpoint"])]
        cells += [
            percent(row["smallest_margin"]),
            interval(row["difference"], row["ci95_low"], row["ci95_high"]),
        ]
        cells += [f"{_whole(row['seeds_implementation'])} / {_whole(row['seeds_reference'])}"]
        rows.append([*cells, _whole(row["seeds_needed"]), _p(row["p_holm"])])
    return Table(head, rows, "verdicts.csv", frozenset({4, 5, 6, 7, 8}))


def _badge(row: Mapping[str, Any]) -> Badge:
    """The verdict of a row; what stands in its way goes with it, unless it is merely the spread."""
    verdict, reason = Badge(row["verdict"]), row.get("reason")
    if verdict.note or not isinstance(reason, str) or reason == UNDECIDED:
        return verdict
    return Badge(f"{row['verdict']} ({reason})")


def _p(value: Any) -> str:
    return NONE if pd.isna(value) else "< 0.001" if value < 0.001 else f"{value:.3f}"


def _join(names: Iterable[str], most: int = 6) -> str:
    """`a, b and c`; the tail of a long list is counted."""
    names = list(names)
    shown = names if len(names) <= most else [*names[: most - 1], f"{len(names) - most + 1} more"]
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)


def _pairs(folder: Folder, rows: pd.DataFrame) -> str:
    """`PPO and A2C on CartPole-v1; DQN on Acrobot-v1 and MountainCar-v0`."""
    where: dict[str, list[str]] = {}
    for environment, group in rows.groupby("environment", sort=False):
        titles = [folder.plan["algorithms"].get(name, {}).get("title") or name for name in group.algorithm]
        where.setdefault(_join(titles), []).append(str(environment))
    return "; ".join(f"{titles} on {_join(environments)}" for titles, environments in where.items())


def _answer(folder: Folder) -> list[str]:
    """The result in plain sentences, from the primary endpoint."""
    verdicts = _ordered(folder, "verdicts")
    rows = verdicts[verdicts.endpoint == PRIMARY]
    if rows.empty:
        alone = (
            "This suite pairs no implementation with a reference: it reports scores, and gives no verdict."
        )
        return [alone, *_against_papers(folder)]
    badges = [_badge(row) for row in rows.to_dict("records")]
    words = pd.Series([badge.word for badge in badges], index=rows.index)
    match, many = rows[words == "EQUIVALENT"], len(rows)
    subject = f"{len(match) or 'None'} of {many} implementations {'are' if len(match) > 1 else 'is'}"
    if many == 1:
        subject = "The implementation is" if len(match) else "The implementation is not"
    margin = percent(folder.plan.get("margin"))
    lead = (
        f"{subject} shown to match the reference within the margin of {margin}, by the {ENDPOINTS[PRIMARY]}"
    )
    text = [lead + (f": {_pairs(folder, match)}." if len(match) else ".")]
    for word, phrase in (("WORSE", "Significantly worse"), ("BETTER", "Significantly better")):
        if (words == word).any():
            text.append(f"{phrase}: {_pairs(folder, rows[words == word])}.")
    notes = pd.Series([badge.note for badge in badges], index=rows.index)[words == "INCONCLUSIVE"]
    for note in dict.fromkeys(notes):
        group = rows.loc[notes.index[notes == note]]
        needed = (
            list(dict.fromkeys(_whole(value) for value in group.seeds_needed.dropna())) if not note else []
        )
        tail = f" (equivalence would take about {_join(needed)} seeds per arm)" if needed else ""
        text.append(f"Not decided{', ' + note if note else ''}: {_pairs(folder, group)}{tail}.")
    return [*text, *_against_papers(folder)]


def _against_papers(folder: Folder) -> list[str]:
    words = Counter(Badge(verdict).word for verdict in folder.tables["paper"].verdict)
    if not words:
        return []
    counted = _join(f"{count} {word.lower()}" for word, count in sorted(words.items()))
    return [f"Of {words.total()} published number{'s' * (words.total() > 1)}: {counted}."]


def _counts(folder: Folder) -> list[tuple[Badge, int]]:
    """How many verdicts of each kind, on the primary endpoint."""
    verdicts = folder.tables["verdicts"]
    words = Counter(Badge(verdict).word for verdict in verdicts[verdicts.endpoint == PRIMARY].verdict)
    return [(Badge(word), words[word]) for word in BADGES if words[word]]


def commits(folder: Folder) -> list[str]:
    """The commits that made the runs: `0123456789ab`, with `+ uncommitted changes` where there were some."""
    seen = []
    for run in folder.runs:
        git = run.get("git") or {}
        name = str(git.get("commit") or "unknown")[:12] + (
            " + uncommitted changes" if git.get("dirty") else ""
        )
        if name not in seen:
            seen.append(name)
    return seen


def dates(folder: Folder) -> str:
    days = sorted({str(run.get("started", ""))[:10] for run in folder.runs} - {""})
    return NONE if not days else days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"


def _seeds(folder: Folder, environment: str | None = None) -> str:
    """`5 seeds each`, or `5 to 20 seeds`, as counted in the scores."""
    scores = folder.tables["scores"]
    keep = ~scores.algorithm.isin(folder.random) & (scores.endpoint == "final") & scores.value.notna()
    if environment is not None:
        keep &= scores.environment == environment
    counts = scores[keep].groupby(["environment", "implementation", "algorithm"]).seed.nunique()
    if counts.empty:
        return "no seeds"
    low, high = int(counts.min()), int(counts.max())
    return f"{low} seed{'s' * (low != 1)} each" if low == high else f"{low} to {high} seeds each"


def _facts(folder: Folder) -> list[tuple[str, str]]:
    """What stands below the title."""
    plan = folder.plan
    references = {"train": "trained with this suite", "shipped": "shipped records"}
    return [
        ("Trained", dates(folder)),
        ("Commit", _join(commits(folder), 3) if folder.runs else NONE),
        ("Environments", _join(plan["environments"])),
        ("Seeds", _seeds(folder)),
        ("Margin", f"{percent(plan.get('margin'))}, stated before the run"),
        ("References", references.get(plan.get("references", ""), NONE)),
    ]


def failed_seeds(folder: Folder) -> list[str]:
    """Seeds that broke, with the reason."""
    lines = []
    for run in folder.runs:
        cell, broken = run["cell"], run.get("failed_seeds", {})
        name = f"{cell['implementation']} {cell['algorithm']} on {cell['environment']}"
        lines += [f"{name}, seed {seed}: {broken[seed]}" for seed in sorted(broken, key=int)]
    return lines


def _missing(folder: Folder) -> list[str]:
    """Cells of the plan that left no record."""
    there = {cell_name(run["cell"]) for run in folder.runs}
    wanted = [cell_name(cell) for cell in folder.plan.get("cells", [])]
    return [name for name in wanted if name not in there]


def cell_name(cell: dict[str, Any]) -> str:
    seeds = cell["seeds"]
    block = f"seed {seeds[0]}" if len(seeds) == 1 else f"seeds {seeds[0]} to {seeds[-1]}"
    return f"{cell['implementation']} {cell['algorithm']} on {cell['environment']}, {block}"


def _pictures(folder: Folder) -> dict[str, Picture]:
    """Every figure that was drawn, by the stem of its file."""
    places = {kind: (kind, None) for kind in ("verdicts", "improvement", "cost")}
    for environment in folder.plan["environments"]:
        for kind in ("curves", "intervals", "seeds", "profiles"):
            places[f"{kind}-{slug(environment)}"] = (kind, environment)
    pictures, captions = {}, _words().captions
    for name, (kind, environment) in places.items():
        file = folder.path / "figures" / f"{name}.svg"
        if not file.is_file():
            continue
        title, drawn, key = captions[kind]
        where = environment or _join(folder.plan["environments"])
        text = file.read_text(encoding="utf-8")
        panels, width = take_apart(text, name, f"{title}, {where}")
        caption = f"{where}, {_seeds(folder, environment)}. {drawn} {_protocol(folder, kind)}"
        pictures[name] = Picture(name, title, _bind(caption.strip()), panels, width, key)
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


def take_apart(svg: str, name: str, label: str) -> tuple[list[Markup], int]:
    """A figure's panels, each an SVG of its own for the page, and their width in points.

    Ids get the figure's name in front, since all figures share one document; colours become the page's
    variables, so that they follow light and dark. Raises UserError where `svg` is not of `figures.draw`.
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
    """One attribute of a figure as it stands on the page."""
    if attribute == "id":
        return f"{name}-{value}"
    if attribute == "href":
        return value.replace("#", f"#{name}-", 1)
    if attribute == "style":
        value = re.sub(r"#[0-9a-f]{6}", lambda colour: PAINT.get(colour[0], colour[0]), value)
    return value.replace("url(#", f"url(#{name}-") if attribute in ("style", "clip-path") else value


def _estimates(folder: Folder, environment: str) -> Table:
    """IQM, mean and median with their intervals, an arm per row."""
    sampled = folder.tables["curves"]
    sampled = sampled[(sampled.environment == environment) & (sampled.protocol == "sampled")]
    sampled = sampled[~sampled.algorithm.isin(folder.random)].sort_values("env_step")
    head = ["algorithm", "implementation", "final IQM", "final mean", "final median"]
    head += ["area IQM", "area mean", "area median", "seeds"] + (
        ["final IQM, sampled policy"] if len(sampled) else []
    )
    rows = []
    for algorithm, who in _arms(folder, environment, "summary"):
        found = folder.rows("summary", environment, (who, algorithm))
        found = found.drop_duplicates(["endpoint", "statistic"]).set_index(["endpoint", "statistic"])
        cells = [algorithm, _label(who)]
        for key in [(end, how) for end in ("final", "auc") for how in ("iqm", "mean", "median")]:
            one = found.loc[key] if key in found.index else None
            cells.append(NONE if one is None else interval(one.estimate, one.ci_low, one.ci_high))
        cells.append(_whole(found.seeds.max()))
        if len(sampled):
            last = sampled[(sampled.algorithm == algorithm) & (sampled.implementation == who)].tail(1)
            cells.append(
                interval(last.iqm.item(), last.ci_low.item(), last.ci_high.item()) if len(last) else NONE
            )
        rows.append(cells)
    return Table(head, rows, "summary.csv", frozenset(range(2, len(head))))


def _arms(folder: Folder, environment: str, table: str) -> list[tuple[str, str]]:
    """(algorithm, implementation) of a table in one environment, in the order of plan and implementations."""
    frame = folder.tables[table]
    here = frame[frame.environment == environment]
    present = set(zip(here.algorithm, here.implementation, strict=True))
    known = [*folder.plan["algorithms"], *sorted(set(here.algorithm) - set(folder.plan["algorithms"]))]
    return [(name, who) for name in known for who in folder.implementations if (name, who) in present]


def _thresholds(folder: Folder) -> Table:
    """How many seeds reached the threshold, and when the median seed did."""
    rows = []
    for row in _ordered(folder, "thresholds").itertuples(index=False):
        if row.algorithm not in folder.random and not pd.isna(row.threshold):
            cells = [row.environment, row.algorithm, _label(row.implementation), number(row.threshold)]
            reached = f"{_whole(row.reached)} of {_whole(row.seeds)}"
            rows.append([*cells, reached, _whole(row.median_env_step)])
    head = "environment, algorithm, implementation, threshold, seeds that reached it, median steps"
    return Table(head.split(", "), rows, "thresholds.csv", frozenset({3, 4, 5}))


def _improvement(folder: Folder) -> Table:
    """How often a seed of ours beats a seed of the reference."""
    rows = []
    for row in _ordered(folder, "improvement").itertuples(index=False):
        cells = [row.environment, row.algorithm, ENDPOINTS.get(row.endpoint, row.endpoint)]
        rows.append([*cells, interval(row.probability, row.ci_low, row.ci_high)])
    head = "environment, algorithm, endpoint, probability [95 % CI]"
    return Table(head.split(", "), rows, "improvement.csv", frozenset({3}))


def _paper(folder: Folder) -> Table:
    """Published numbers beside ours."""
    rows = []
    for row in _ordered(folder, "paper").to_dict("records"):
        spread = row["published_spread"]
        published = number(row["published"]) + ("" if pd.isna(spread) else f" ± {number(spread)}")
        differs = NONE if pd.isna(row["differs_in"]) else str(row["differs_in"])
        cells = [row["environment"], row["algorithm"], Badge(row["verdict"]), published]
        cells += [interval(row["ours"], row["ci_low"], row["ci_high"]), differs]
        rows.append([*cells, _source(row)])
    head = ["environment", "algorithm", "verdict", "published", "ours [95 % CI]", "differs in", "source"]
    return Table(head, rows, "paper.csv", frozenset({3, 4}))


def _source(row: Mapping[str, Any]) -> str:
    """Where a published number stands, and under which name."""
    named = [row.get("published_algorithm"), row.get("published_environment"), row.get("citation")]
    algorithm, environment, citation = (name if isinstance(name, str) else "" for name in named)
    name = " on ".join(part for part in (algorithm, environment) if part)
    return f"{name}: {citation}" if name and citation else citation or str(row["source"])


def _cost(folder: Folder) -> Table:
    head = [
        "environment",
        "algorithm",
        "implementation",
        "steps/s",
        "\N{MULTIPLICATION SIGN} reference",
        "training, per seed",
    ]
    head += ["evaluation, per seed", "wall time, per seed", "peak memory", "seeds"]
    rows = []
    frame = _ordered(folder, "cost")
    speeds = {
        (row.environment, row.algorithm, row.implementation): row.steps_per_second
        for row in frame.itertuples()
    }
    for row in frame.itertuples(index=False):
        judge = folder.plan["algorithms"].get(row.algorithm, {}).get("reference")
        other = speeds.get((row.environment, judge, "sb3")) if row.implementation != "sb3" else None
        ratio = f"{row.steps_per_second / other:.1f} \N{MULTIPLICATION SIGN}" if other and other > 0 else NONE
        cells = [row.environment, row.algorithm, _label(row.implementation)]
        cells += [number(row.steps_per_second), ratio, seconds(row.training_time_per_seed_s)]
        cells += [seconds(row.evaluation_time_per_seed_s), seconds(row.wall_time_per_seed_s)]
        rows.append([*cells, f"{number(row.peak_memory_mib)} MiB", _whole(row.seeds)])
    return Table(head, rows, "cost.csv", frozenset(range(3, 10)))


def _settings(folder: Folder, environment: str) -> list[dict[str, Any]]:
    """Per algorithm: the hyper-parameters of all implementations side by side, source, departures."""
    blocks = []
    about = folder.plan["environments"][environment]
    for name in about.get("algorithms") or folder.plan["algorithms"]:
        runs = [
            run
            for run in folder.runs
            if (run["cell"]["environment"], run["cell"]["algorithm"]) == (environment, name)
        ]
        agent = folder.plan["algorithms"].get(name, {}).get("agent", name)
        chosen = about.get("settings", {}).get(agent, {})
        columns: dict[str, dict[str, Any]] = {}
        departures: dict[str, list[str]] = {}
        for run in runs:
            who, cell = run["cell"]["implementation"], run["cell"]
            own = {
                "budget": cell.get("budget"),
                "n_envs": cell.get("n_envs"),
                "normalize": cell.get("normalize"),
            }
            columns.setdefault(who, own | run.get("config", {}))
            departures.setdefault(_label(who), list(run.get("departures", [])))
        if not columns:
            columns["suite"] = dict(chosen.get("hyperparameters", {}))
        keys = list(dict.fromkeys(key for values in columns.values() for key in values))
        rows = [[key, *(_value(values.get(key, NONE)) for values in columns.values())] for key in keys]
        table = Table(["hyper-parameter", *(_label(who) for who in columns)], rows)
        title = folder.plan["algorithms"].get(name, {}).get("title") or name
        block = {"name": name, "title": title, "table": table, "departures": departures}
        blocks.append(block | {key: str(chosen.get(key) or "") for key in ("source", "differs")})
    return blocks


def _value(value: Any) -> str:
    """A hyper-parameter as YAML would write it."""
    return value if isinstance(value, str) else json.dumps(value)


def _provenance(folder: Folder) -> dict[str, Any]:
    """Where the numbers come from, so that they can be made again."""
    versions: dict[str, list[str]] = {}
    hardware: list[str] = []
    cells = []
    for run in folder.runs:
        for package, version in sorted(run.get("versions", {}).items()):
            if str(version) not in versions.setdefault(package, []):
                versions[package].append(str(version))
        machine = run.get("hardware") or {}
        parts = [machine.get("cpu"), machine.get("gpu"), machine.get("machine")]
        text = ", ".join(str(part) for part in parts if part)
        text += f", {machine.get('cores', '?')} cores, {machine.get('threads', '?')} thread(s) per cell"
        if text not in hardware:
            hardware.append(text)
        episodes = run.get("hashes", {}).get("episodes.parquet", "")
        row = [
            cell_name(run["cell"]),
            str(run.get("status", "")),
            str(run.get("started", ""))[:16].replace("T", " "),
        ]
        row += [seconds(run.get("wall_time_s")), _whole(run.get("times_resumed", 0))]
        cells.append([*row, str(run.get("fingerprint", ""))[:12], episodes[:12]])
    head = ["cell", "status", "started", "wall time", "resumed", "fingerprint", "episodes.parquet"]
    files = [(f"{name}.csv", sha256(folder.path / f"{name}.csv")) for name in COLUMNS]
    return {
        "commits": commits(folder),
        "versions": Table(
            ["package", "version"], [[name, ", ".join(seen)] for name, seen in sorted(versions.items())]
        ),
        "hardware": hardware,
        "cells": Table(head, cells, "plan.json", frozenset({3, 4})),
        "tables": [(name, digest) for name, digest in files if digest],
    }


def sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else ""


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
        lines.append(f"no record yet: {_join(view['missing'], 4)}")
    return "\n".join([*lines, f"report: {page}"])


def _headline(folder: Folder) -> dict[str, Any]:
    """One suite on the index."""
    plan = folder.plan
    titles = [
        str(about.get("title") or name)
        for name, about in plan["algorithms"].items()
        if name not in folder.random
    ]
    return {
        "folder": folder.path.name,
        "title": plan.get("title") or plan["name"],
        "description": plan.get("description") or "",
        "environments": _join(plan["environments"]),
        "algorithms": _join(titles, 8),
        "seeds": _seeds(folder),
        "counts": _counts(folder),
        "paper": _against_papers(folder),
        "failed": len(failed_seeds(folder)),
        "dates": dates(folder),
        "commits": _join(commits(folder), 3) if folder.runs else NONE,
    }
