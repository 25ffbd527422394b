"""Draw all figures of a report, `figures/*.svg`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from rlparity.reporting.figures import environment, overview
from rlparity.reporting.figures.panels import Panels, styled
from rlparity.reporting.report_folder import Folder, Measurement


def draw(report: Path) -> list[Path]:
    """Draw `report/figures/*.svg` from the tables of `report`; figures of no data are left out.

    Raises UserError where the folder is no report.
    """
    named = list(figures(Folder(report)))
    into = report / "figures"
    into.mkdir(parents=True, exist_ok=True)
    for old in into.glob("*.svg"):
        old.unlink()
    drawn = []
    with styled():
        for name, make in named:
            figure = make()
            if figure is not None:
                path = into / f"{name}.svg"
                figure.write(path)
                drawn.append(path)
    return drawn


def figures(folder: Folder) -> Iterable[tuple[str, Callable[[], Panels | None]]]:
    """Name of every figure, and what draws it: a new figure is entered here."""
    yield "verdicts", partial(overview.verdicts, folder)
    kinds: dict[str, Callable[[Folder, Measurement], Panels | None]] = {
        "curves": environment.curves,
        "training": partial(environment.curves, training=True),
        "intervals": environment.intervals,
        "seeds": environment.seeds,
        "profiles": environment.profiles,
    }
    for measured in folder.measurements:
        for kind, make in kinds.items():
            yield f"{kind}-{measured.slug}", partial(make, folder, measured)
    yield "improvement", partial(overview.improvement, folder)
    yield "cost", partial(overview.cost, folder)
