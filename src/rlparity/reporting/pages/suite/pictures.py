"""The figures of a suite on its page, with captions and keys."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rlparity.analysis import plans
from rlparity.analysis.intervals import rule
from rlparity.metrics import Metric
from rlparity.reporting.formatting import bind, join, label
from rlparity.reporting.pages.elements import KeyEntry, Picture, prose, take_apart
from rlparity.reporting.pages.provenance import seeds_each
from rlparity.reporting.report_folder import RANDOM, Folder, Measurement
from rlparity.reporting.style import PAINT

OVER_ALL = ("verdicts", "improvement", "cost")  # kinds of figures that show all environments
OF_ONE = ("curves", "training", "intervals", "seeds", "profiles")  # those of one measurement
EVALUATED = ("curves", "intervals", "seeds", "profiles")  # those drawn from evaluations


def pictures(folder: Folder) -> dict[str, Picture]:
    """Every figure that was drawn, by the stem of its file."""
    places: list[tuple[str, str, Measurement | None]] = [(kind, kind, None) for kind in OVER_ALL]
    places += [(f"{kind}-{one.slug}", kind, one) for one in folder.measurements for kind in OF_ONE]
    there = [place for place in places if (folder.path / "figures" / f"{place[0]}.svg").is_file()]
    return {name: _picture(folder, name, kind, measured) for name, kind, measured in there}


def _picture(folder: Folder, name: str, kind: str, measured: Measurement | None) -> Picture:
    """One figure; `measured` is missing where it shows all environments."""
    text = words(folder, measured)
    title, drawn, key = text.captions[kind]
    where = measured.name if measured else join(folder.plan["environments"])
    svg = (folder.path / "figures" / f"{name}.svg").read_text(encoding="utf-8")
    panels, width = take_apart(svg, name, f"{title}, {where}")
    if kind in ("curves", "training") and any(map(folder.plain, folder.plan["algorithms"])):
        drawn = f"{drawn} {text.plain_curve}"
    seeds = seeds_each(folder, measured.environment if measured else None)
    caption = f"{where}, {seeds}. {drawn} {_protocol(folder, kind)}"
    return Picture(name, title, bind(caption.strip()), panels, width, list(_key(folder, key)))


def words(folder: Folder, measured: Measurement | None = None) -> Any:
    """Captions and definitions for one measurement, or for the suite."""
    metrics = [one.metric for one in ([measured] if measured else folder.measurements)]
    floor = "the random agent" if all(one.floor == RANDOM for one in metrics) else "the floor"
    beyond = "exceeds" if all(one.better > 0 for one in metrics) else "is below"
    metric = measured.metric if measured else Metric(folder.quantity, folder.quantity)
    unit = f", {metric.unit}" * (metric.unit != metric.name)
    promise = rule.promise([measured.environment] if measured else list(folder.plan["environments"]))
    words = {"floor": floor, "beyond": beyond, "promise": promise, "primary": plans.primary(folder.plan)}
    looked = "yes" if plans.looks(folder.plan) else ""
    return prose("report", metric=metric.name, unit=unit, looked=looked, **words)


def _key(folder: Folder, kind: str) -> Iterator[KeyEntry]:
    """The implementations, drawn as lines or as marks; none for other kinds."""
    for name, look in folder.looks.items():
        if kind == "lines":
            yield KeyEntry(label(name), PAINT[look.colour], dash=look.svg_dash)
        elif kind == "marks":
            yield KeyEntry(label(name), PAINT[look.colour], look.marker, dash=None)


def _protocol(folder: Folder, kind: str) -> str:
    """How the values of a figure were evaluated."""
    evaluation = next(
        (cell["evaluation"] for cell in folder.plan.get("cells", []) if "evaluation" in cell), None
    )
    if evaluation is None or kind not in EVALUATED:
        return ""
    points = f"{evaluation['episodes']} episodes at each of {evaluation['points']} points"
    return f"Deterministic policy, {points}, {evaluation['final_episodes']} at the end."
