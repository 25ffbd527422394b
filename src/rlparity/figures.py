"""Tables -> figures. Each figure is a grid of equal panels, so that the page can let them flow on a phone.

`Folder` is a report folder, read; the report and the comparison of two reports use it too.
Same tables, same bytes: no dates, salted ids, no random jitter.
"""

from __future__ import annotations

import io
import json
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, MultipleLocator, NullLocator

from rlparity.errors import UserError

COLUMNS = {  # what each table must have to be drawn; a table that a suite does not make counts as empty
    "verdicts": "algorithm environment endpoint implementation reference verdict difference ci90_low "
    "ci90_high ci95_low ci95_high margin smallest_margin p_difference p_holm p_equivalence "
    "seeds_implementation seeds_reference seeds_needed",
    "summary": "implementation algorithm environment endpoint statistic estimate ci_low ci_high seeds",
    "scores": "implementation algorithm environment seed endpoint value",
    "paper": "algorithm environment source published published_spread ours ci_low ci_high verdict differs_in",
    "curves": "implementation algorithm environment protocol env_step iqm ci_low ci_high mean seeds",
    "seed_curves": "implementation algorithm environment protocol seed env_step value",
    "profiles": "implementation algorithm environment tau fraction ci_low ci_high",
    "improvement": "algorithm environment implementation reference endpoint probability ci_low ci_high",
    "thresholds": "implementation algorithm environment threshold reached seeds median_env_step",
    "cost": "implementation algorithm environment seeds steps_per_second training_time_per_seed_s "
    "evaluation_time_per_seed_s wall_time_per_seed_s peak_memory_mib",
}
WORDS = (  # columns of text, even where all of them look like numbers
    "implementation algorithm environment endpoint statistic protocol verdict reference seeds_needed "
    "reason source differs_in citation failed_seeds"
)
INK, MUTED, GRID, CARD = (
    "#24292e",
    "#5b646d",
    "#d9dee3",
    "#ffffff",
)  # the page maps these to its own, light or dark
COLOURS = {"scratch": "#0173b2", "sb3": "#d55e00", "random": "#7d7d7d"}  # seaborn's "colorblind"
SPARE = ("#029e73", "#cc78bc", "#ca9161")  # candidates, in order of appearance
SHAPES = {"scratch": ("o", "-"), "sb3": ("D", (0, (4, 1.6)))}  # never told apart by colour alone
LABELS = {"scratch": "from scratch", "sb3": "Stable-Baselines3"}
ENDPOINTS = {"auc": "area under the curve", "final": "final return", "time_to_threshold": "time to threshold"}
FONTS = "system-ui, -apple-system, 'Segoe UI', 'Helvetica Neue', Arial, sans-serif"
STYLE: Any = {  # on top of seaborn's "ticks"
    "svg.hashsalt": "rlparity",
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.family": "DejaVu Sans",  # for measuring only: wider than what readers have, so nothing runs over
    "font.size": 9.5,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.linewidth": 0.7,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.handlelength": 2.2,
    **dict.fromkeys(("text.color", "axes.titlecolor", "xtick.labelcolor", "ytick.labelcolor"), INK),
    **dict.fromkeys(("axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), MUTED),
    **dict.fromkeys(("axes.labelsize", "xtick.labelsize", "ytick.labelsize", "legend.fontsize"), 9),
    **dict.fromkeys(("xtick.major.size", "ytick.major.size"), 3),
    **dict.fromkeys(("xtick.major.width", "ytick.major.width"), 0.7),
}
HEADER = 44.0  # points above the panels: title and key, which the page writes itself
Arm = tuple[str, str]  # (implementation, algorithm)


@dataclass(frozen=True)
class Folder:
    """A report folder: `reports/<suite>/`."""

    path: Path

    @cached_property
    def plan(self) -> dict[str, Any]:
        """The resolved suite. Raises UserError where there is none or it cannot be read."""
        file = self.path / "plan.json"
        if not file.is_file():
            raise UserError(f"{self.path}: not a report folder, it has no plan.json")
        try:
            plan: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        except ValueError as error:
            raise UserError(f"{file}: not JSON ({error})") from None
        missing = [key for key in ("name", "algorithms", "environments") if key not in plan]
        if missing:
            raise UserError(f"{file}: lacks {', '.join(missing)}")
        return plan

    @cached_property
    def tables(self) -> dict[str, pd.DataFrame]:
        """Every table by name; empty, with its columns, where the suite made none."""
        return {name: self._table(name, columns.split()) for name, columns in COLUMNS.items()}

    def _table(self, name: str, columns: list[str]) -> pd.DataFrame:
        file = self.path / f"{name}.csv"
        if not file.is_file():
            return pd.DataFrame(columns=columns)
        try:
            table = pd.read_csv(file, dtype=dict.fromkeys(WORDS.split(), str))
        except pd.errors.EmptyDataError:
            return pd.DataFrame(columns=columns)
        except (pd.errors.ParserError, UnicodeDecodeError) as error:
            raise UserError(f"{file}: not a table ({str(error).strip()})") from None
        missing = [column for column in columns if column not in table.columns]
        if missing:
            raise UserError(f"{file}: lacks the column {', '.join(missing)}")
        return table

    @cached_property
    def runs(self) -> list[dict[str, Any]]:
        """Every finished cell's run.json, in the plan's order of environments and algorithms."""
        runs = []
        for file in sorted(self.path.glob("records/**/run.json")):
            try:
                run = json.loads(file.read_text(encoding="utf-8"))
                runs.append((self._rank(run["cell"]), run))
            except (ValueError, KeyError, TypeError):
                raise UserError(f"{file}: not the record of a run") from None
        return [run for _, run in sorted(runs, key=lambda pair: pair[0])]

    def _rank(self, cell: dict[str, Any]) -> tuple[Any, ...]:
        places = [list(self.plan["environments"]), list(self.plan["algorithms"]), self.implementations]
        names = [cell["environment"], cell["algorithm"], cell["implementation"]]
        order = [
            where.index(name) if name in where else len(where)
            for where, name in zip(places, names, strict=True)
        ]
        return (*order, *names, list(cell["seeds"]))

    @cached_property
    def implementations(self) -> list[str]:
        """Those that left numbers, `scratch` and `sb3` first."""
        seen = {*self.tables["scores"].implementation, *self.tables["curves"].implementation}
        known = [name for name in LABELS if name in seen]
        return known + sorted(seen - set(known))

    @cached_property
    def random(self) -> set[str]:
        """Configurations of the random agent: the baseline, not a contender."""
        return {
            name for name, about in self.plan["algorithms"].items() if about.get("agent", name) == "random"
        }

    def algorithms(self, environment: str) -> list[str]:
        """Configurations of an environment, without the random baseline if there are others."""
        names = self.plan["environments"][environment].get("algorithms") or list(self.plan["algorithms"])
        return [name for name in names if name not in self.random] or list(names)

    @cached_property
    def _parts(self) -> dict[str, dict[tuple[str, str, str], pd.DataFrame]]:
        """Tables taken apart: name -> (environment, implementation, algorithm) -> rows."""
        keys = ["environment", "implementation", "algorithm"]
        arms = {name: table for name, table in self.tables.items() if name != "paper"}
        return {name: dict(iter(table.groupby(keys, sort=False))) for name, table in arms.items()}

    def arms(self, environment: str, algorithm: str) -> list[Arm]:
        """Who shares a panel: every implementation of the configuration, and the one it is judged against."""
        reference = self.plan["algorithms"].get(algorithm, {}).get("reference") or algorithm
        arms = [(who, reference if who == "sb3" else algorithm) for who in self.implementations]
        seen = self._parts["curves"].keys() | self._parts["scores"].keys()
        return [arm for arm in arms if (environment, *arm) in seen]

    def colour(self, implementation: str) -> str:
        """The same colour wherever an implementation is drawn."""
        others = [name for name in self.implementations if name not in COLOURS]
        return COLOURS.get(implementation) or SPARE[others.index(implementation) % len(SPARE)]

    def rows(self, table: str, environment: str, arm: Arm, **keys: str) -> pd.DataFrame:
        """Rows of one arm in one environment, narrowed by further columns."""
        rows = self._parts[table].get((environment, *arm))
        if rows is None:
            return self.tables[table].iloc[:0]
        for key, value in keys.items():
            rows = rows[rows[key] == value]
        return rows

    def evaluated(self, table: str, environment: str, arm: Arm) -> pd.DataFrame:
        """Rows of the deterministic policy; of the sampled one where there is no other (the random agent)."""
        rows = self.rows(table, environment, arm)
        deterministic = rows[rows.protocol == "deterministic"]
        return rows if deterministic.empty else deterministic

    def random_return(self, environment: str) -> float:
        """Mean final return of the random agent; NaN where the suite has none."""
        frame = self.tables["scores"]
        keep = (
            (frame.environment == environment)
            & (frame.endpoint == "final")
            & frame.algorithm.isin(self.random)
        )
        return float(frame[keep].value.astype(float).mean()) if keep.any() else math.nan


def draw(report: Path) -> list[Path]:
    """Draw `report/figures/*.svg` from the tables of `report`; figures of no data are left out.

    Raises UserError where the folder is no report.
    """
    folder = Folder(report)
    into = report / "figures"
    into.mkdir(parents=True, exist_ok=True)
    for old in into.glob("*.svg"):
        old.unlink()
    drawn = []
    with mpl.rc_context():
        mpl.rcdefaults()  # nobody's matplotlibrc may change a byte
        mpl.rcParams.update(sns.axes_style("ticks") | STYLE)
        for name, make in _jobs(folder):
            canvas = make()
            if canvas is not None:
                path = into / f"{name}.svg"
                path.write_text(canvas.svg(), encoding="utf-8", newline="\n")
                drawn.append(path)
    return drawn


def slug(environment: str) -> str:
    """An environment id as part of a file name: "ALE/Pong-v5" becomes "ALE_Pong-v5"."""
    return re.sub(r"[^\w.-]", "_", environment)


def _jobs(folder: Folder) -> Iterable[tuple[str, Callable[[], Canvas | None]]]:
    yield "verdicts", partial(_verdicts, folder)
    kinds = {"curves": _curves, "intervals": _intervals, "seeds": _seeds, "profiles": _profiles}
    for environment in folder.plan["environments"]:
        for kind, make in kinds.items():
            yield f"{kind}-{slug(environment)}", partial(make, folder, environment)
    yield "improvement", partial(_improvement, folder)
    yield "cost", partial(_cost, folder)


class Canvas:
    """Equal panels, `columns` to a row, below a header that holds the title and the key.

    `cell` is the width and height of a panel in points, `margins` what its labels take: left, right,
    bottom, top.
    """

    def __init__(
        self,
        title: str,
        panels: int,
        columns: int,
        cell: tuple[float, float],
        margins: tuple[float, float, float, float] = (44, 12, 34, 24),
        key: Iterable[Line2D] = (),
    ) -> None:
        self.cell, self.columns = cell, min(columns, panels)
        width, height = self.columns * cell[0], math.ceil(panels / self.columns) * cell[1] + HEADER
        self.figure = Figure(figsize=(width / 72, height / 72), facecolor=CARD)
        self.axes: list[Axes] = []
        left, right, bottom, top = margins
        for panel in range(panels):
            row, column = divmod(panel, self.columns)
            x, y = column * cell[0] + left, height - HEADER - (row + 1) * cell[1] + bottom
            inner = (cell[0] - left - right, cell[1] - top - bottom)
            axes = self.figure.add_axes((x / width, y / height, inner[0] / width, inner[1] / height))
            axes.set_gid(f"panel-{panel}")
            sns.despine(ax=axes)
            self.axes.append(axes)
        self.figure.text(8 / width, 1 - 17 / height, title, fontsize=12, fontweight="bold", gid="title")
        handles = list(key)
        if handles:
            place = (4 / width, 1 - 20 / height)
            legend = self.figure.legend(
                handles=handles, loc="upper left", bbox_to_anchor=place, ncols=len(handles)
            )
            legend.set_gid("key")

    def svg(self) -> str:
        """The figure as SVG text: no date, short numbers, text as text, the grid in `data-` attributes."""
        sink = io.StringIO()
        self.figure.savefig(sink, format="svg", metadata={"Date": None})
        width, height = self.cell
        grid = f'data-columns="{self.columns}" data-cell="{width:g} {height:g}" data-header="{HEADER:g}"'
        return _tidy(sink.getvalue()).replace("<svg ", f'<svg {grid} font-family="{FONTS}" ', 1)


def _tidy(svg: str) -> str:
    """Matplotlib's SVG without prologue, metadata, unused ids and needless digits: a third of the size."""
    svg = re.sub(r"^.*?<svg", "<svg", svg, flags=re.DOTALL)
    svg = re.sub(r"\s*<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<g id="[a-z_.A-Z0-9]+_\d+">', "<g>", svg)
    svg = re.sub(r' transform="rotate\(-0 [^"]*"', "", svg).replace("xlink:href", "href")
    svg = re.sub(r"font: ([^;\"]*?px) [^;\"]*", r"font-size: \1", svg)
    svg = re.sub(r"font-size: (?:(bold|\d+) )?([\d.]+px)", _font, svg)
    svg = re.sub(r" font-family: [^;\"]*;", "", svg)
    return re.sub(r"<[^>]*>", _shorten, svg)


def _font(found: re.Match[str]) -> str:
    weight = f"font-weight: {found[1]}; " if found[1] else ""
    return f"{weight}font-size: {found[2]}"


def _shorten(tag: re.Match[str]) -> str:
    text = re.sub(r"(\d\.\d{2})\d+", r"\1", tag[0])
    return re.sub(r'(?<=\bd=")[^"]*', lambda path: " ".join(path[0].split()), text)


def _shape(implementation: str) -> tuple[str, Any]:
    return SHAPES.get(implementation, ("^", (0, (1, 1.2))))


def _key(folder: Folder, lines: bool, extra: Iterable[Line2D] = ()) -> list[Line2D]:
    """Who is who, for the header of a figure."""
    handles = []
    for name in folder.implementations:
        marker, dash = _shape(name)
        colour, label = folder.colour(name), LABELS.get(name, name)
        look = {"linestyle": dash, "linewidth": 1.8} if lines else {"linestyle": "none", "marker": marker}
        handles.append(Line2D([], [], color=colour, label=label, markersize=5, **look))
    return [*handles, *extra]


def _level(label: str, dash: Any) -> Line2D:
    return Line2D([], [], color=MUTED, linewidth=0.9, linestyle=dash, label=label)


def _steps(value: float, _: int | None = None) -> str:
    """Environment steps, short: 50000 is 50k."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"


def _title(folder: Folder, algorithm: str) -> str:
    return str(folder.plan["algorithms"].get(algorithm, {}).get("title") or algorithm)


def _panels(folder: Folder, environment: str, table: str) -> list[tuple[str, list[Arm]]]:
    """Algorithms of which `table` has rows, with the arms that do."""
    panels = []
    for algorithm in folder.algorithms(environment):
        arms = [
            arm
            for arm in folder.arms(environment, algorithm)
            if not folder.rows(table, environment, arm).empty
        ]
        if arms:
            panels.append((algorithm, arms))
    return panels


def _curves(folder: Folder, environment: str) -> Canvas | None:
    """One panel per algorithm: a thin line per seed, the IQM with its interval, all arms together."""
    panels = _panels(folder, environment, "curves")
    if not panels:
        return None
    threshold = folder.plan["environments"][environment].get("threshold")
    baseline = folder.random_return(environment)
    levels = ((threshold, "threshold", (0, (5, 2))), (baseline, "random agent", (0, (1.2, 1.8))))
    lines = [
        (level, label, dash) for level, label, dash in levels if level is not None and math.isfinite(level)
    ]
    key = _key(folder, lines=True, extra=[_level(label, dash) for _, label, dash in lines])
    canvas = Canvas(f"{environment}: learning curves", len(panels), 3, (280, 196), key=key)
    for axes, (algorithm, arms) in zip(canvas.axes, panels, strict=True):
        for arm in arms:
            _curve(axes, folder, environment, arm)
        for level, _, dash in lines:
            axes.axhline(level, color=MUTED, linewidth=0.9, linestyle=dash, zorder=1)
        axes.set_title(_title(folder, algorithm))
        axes.set_xlabel("environment steps")
        axes.xaxis.set_major_formatter(FuncFormatter(_steps))
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.set_ylabel("return")
    _share(canvas.axes, "y")
    return canvas


def _curve(axes: Axes, folder: Folder, environment: str, arm: Arm) -> None:
    colour, dash = folder.colour(arm[0]), _shape(arm[0])[1]
    seeds = folder.evaluated("seed_curves", environment, arm)
    x, y = [], []
    for _, one in seeds.sort_values(["seed", "env_step"]).groupby("seed"):
        x += [*one.env_step, math.nan]  # one line with gaps: overlaps do not add up, and the file stays small
        y += [*one.value, math.nan]
    axes.plot(x, y, color=colour, linewidth=0.5, alpha=0.35, zorder=2)
    rows = folder.evaluated("curves", environment, arm).sort_values("env_step")
    axes.fill_between(
        rows.env_step, rows.ci_low, rows.ci_high, color=colour, alpha=0.17, linewidth=0, zorder=3
    )
    axes.plot(rows.env_step, rows.iqm, color=colour, linewidth=1.8, linestyle=dash, zorder=4)


def _share(panels: Iterable[Axes], axis: str) -> None:
    """The same limits in every panel."""
    many = list(panels)
    limits = np.array([getattr(axes, f"get_{axis}lim")() for axes in many])
    for axes in many:
        getattr(axes, f"set_{axis}lim")(limits[:, 0].min(), limits[:, 1].max())


def _rows(axes: Axes, names: list[str]) -> None:
    """One horizontal row per name, the first on top."""
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
    for row in range(1, len(names), 2):
        axes.axhspan(row - 0.5, row + 0.5, color=GRID, alpha=0.35, linewidth=0, zorder=0)


def _rowed(
    title: str, panels: int, columns: int, width: float, names: list[str], key: list[Line2D]
) -> Canvas:
    """A canvas whose panels have a row per name."""
    left = 16 + 5.7 * max(len(name) for name in names)
    height = 66 + max(19 * len(names), 34)
    canvas = Canvas(title, panels, columns, (width, height), margins=(left, 14, 36, 26), key=key)
    for axes in canvas.axes:
        _rows(axes, names)
    return canvas


def _spread(count: int) -> list[float]:
    """Offsets that keep `count` arms of a row apart."""
    return [0.0] if count < 2 else list(np.linspace(-0.2, 0.2, count))


def _intervals(folder: Folder, environment: str) -> Canvas | None:
    """IQM, mean and median of both endpoints, a row per algorithm."""
    panels = dict(_panels(folder, environment, "summary"))
    if not panels:
        return None
    names = list(panels)
    key = _key(folder, lines=False)
    canvas = _rowed(f"{environment}: point and interval estimates", 6, 3, 280, names, key)
    wanted = [
        (endpoint, statistic) for endpoint in ("final", "auc") for statistic in ("iqm", "mean", "median")
    ]
    for axes, (endpoint, statistic) in zip(canvas.axes, wanted, strict=True):
        for row, arms in enumerate(panels.values()):
            for arm, offset in zip(arms, _spread(len(arms)), strict=True):
                rows = folder.rows("summary", environment, arm, endpoint=endpoint, statistic=statistic)
                if not rows.empty:
                    one = rows.iloc[0]
                    _interval(axes, folder, arm, row + offset, one.estimate, one.ci_low, one.ci_high)
        axes.set_title({"iqm": "IQM", "mean": "Mean", "median": "Median"}[statistic])
        axes.set_xlabel(ENDPOINTS[endpoint])
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.xaxis.set_major_formatter(FuncFormatter(_steps))
    _share(canvas.axes[:3], "x")
    _share(canvas.axes[3:], "x")
    return canvas


def _interval(
    axes: Axes, folder: Folder, arm: Arm, y: float, estimate: float, low: float, high: float
) -> None:
    colour, marker = folder.colour(arm[0]), _shape(arm[0])[0]
    axes.plot([low, high], [y, y], color=colour, linewidth=3.2, alpha=0.4, solid_capstyle="butt")
    axes.plot([estimate], [y], color=colour, marker=marker, markersize=4.4)


def _seeds(folder: Folder, environment: str) -> Canvas | None:
    """One mark per seed: area under the curve, final return and time to threshold, where it was reached."""
    panels = dict(_panels(folder, environment, "scores"))
    if not panels:
        return None
    scores = folder.tables["scores"]
    here = scores[(scores.environment == environment) & scores.algorithm.isin(panels)]
    ends = folder.tables["curves"].query("environment == @environment").env_step
    endpoints = [name for name in ENDPOINTS if (here.endpoint == name).any()]
    canvas = _rowed(
        f"{environment}: every seed", len(endpoints), 3, 280, list(panels), _key(folder, lines=False)
    )
    for axes, endpoint in zip(canvas.axes, endpoints, strict=True):
        values = here[here.endpoint == endpoint].value.astype(float)
        timed = endpoint == "time_to_threshold"
        never = 1.12 * float(pd.concat([values, ends]).max() if timed else 1)
        for row, arms in enumerate(panels.values()):
            for arm, offset in zip(arms, _spread(len(arms)), strict=True):
                found = folder.rows("scores", environment, arm, endpoint=endpoint).sort_values("seed")
                _marks(axes, folder, arm, row + offset, found.value.astype(float), never if timed else None)
        axes.set_title(ENDPOINTS[endpoint].capitalize())
        axes.set_xlabel("environment steps" if timed else "return")
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.xaxis.set_major_formatter(FuncFormatter(_steps))
        if timed:
            axes.axvspan(never * 0.95, never * 1.05, color=GRID, alpha=0.6, linewidth=0, zorder=0)
            axes.set_xlim(0, never * 1.05)
            axes.set_title("never", loc="right", fontsize=8.5, fontweight="normal", color=MUTED)
    return canvas


def _marks(axes: Axes, folder: Folder, arm: Arm, y: float, values: pd.Series, never: float | None) -> None:
    colour, marker = folder.colour(arm[0]), _shape(arm[0])[0]
    jitter = np.resize([0.0, 0.06, -0.06], len(values))
    reached = values.notna().to_numpy()
    look: dict[str, Any] = {
        "color": colour,
        "linestyle": "none",
        "markersize": 4,
        "alpha": 0.65,
        "markeredgewidth": 0,
    }
    axes.plot(values[reached], y + jitter[reached], marker=marker, **look)
    if never is not None:
        missed = ~reached
        x = np.linspace(-0.035, 0.035, max(missed.sum(), 2))[: missed.sum()] * never + never
        axes.plot(x, np.full(missed.sum(), y), marker="x", **look | {"markeredgewidth": 0.9})


def _profiles(folder: Folder, environment: str) -> Canvas | None:
    """Performance profiles: the share of seeds whose final return exceeds tau."""
    panels = _panels(folder, environment, "profiles")
    if not panels:
        return None
    canvas = Canvas(
        f"{environment}: performance profiles", len(panels), 3, (280, 176), key=_key(folder, lines=True)
    )
    for axes, (algorithm, arms) in zip(canvas.axes, panels, strict=True):
        for arm in arms:
            rows = folder.rows("profiles", environment, arm).sort_values("tau")
            colour, dash = folder.colour(arm[0]), _shape(arm[0])[1]
            look: dict[str, Any] = {"color": colour, "alpha": 0.17, "linewidth": 0, "step": "post"}
            axes.fill_between(rows.tau, rows.ci_low, rows.ci_high, **look)
            axes.step(rows.tau, rows.fraction, where="post", color=colour, linewidth=1.6, linestyle=dash)
        axes.set_title(_title(folder, algorithm))
        axes.set_xlabel("final return")
        axes.xaxis.set_major_formatter(FuncFormatter(_steps))
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.set_ylim(-0.04, 1.04)
        axes.set_yticks([0, 0.5, 1], ["0", "½", "1"])
        axes.set_ylabel("share of seeds above")
    _share(canvas.axes, "x")
    return canvas


def scale(verdict: pd.Series) -> float:
    """The return that margins are fractions of: the distance from the random agent to the reference.

    The smallest margin is the further end of the 90 % interval as a fraction of it. NaN where unknown.
    """
    end = max(abs(verdict.ci90_low), abs(verdict.ci90_high))
    known = math.isfinite(end) and math.isfinite(verdict.smallest_margin) and verdict.smallest_margin > 0
    return float(end / verdict.smallest_margin) if known else math.nan


def _verdicts(folder: Folder) -> Canvas | None:
    """Differences to the reference beside the margin, in per cent of the distance random to reference."""
    frame = folder.tables["verdicts"]
    environments = [name for name in folder.plan["environments"] if (frame.environment == name).any()]
    if not environments:
        return None
    label = {"auc": "area"}
    most = {name: [*frame[frame.environment == name].itertuples(index=False)] for name in environments}
    depth = max(len(rows) for rows in most.values())
    names = [
        f"{row.algorithm}, {label.get(row.endpoint, row.endpoint)}" for rows in most.values() for row in rows
    ]
    left, height = 16 + 5.7 * max(map(len, names)), 66 + max(20 * depth, 40)
    margins = (left, 80, 36, 26)
    canvas = Canvas(
        "Differences to the reference", len(environments), 3, (350, height), margins, _verdict_key()
    )
    for axes, environment in zip(canvas.axes, environments, strict=True):
        rows = frame[frame.environment == environment]
        _rows(
            axes, [f"{row.algorithm}, {label.get(row.endpoint, row.endpoint)}" for row in rows.itertuples()]
        )
        axes.set_ylim(depth - 0.4, -0.6)
        margin = 100 * float(rows.margin.max())
        reach = 3 * margin
        axes.axvspan(-margin, margin, color=MUTED, alpha=0.13, linewidth=0, zorder=0)
        axes.axvline(0, color=MUTED, linewidth=0.8)
        for y, (_, row) in enumerate(rows.iterrows()):
            _difference(axes, y, row, reach)
        axes.set_xlim(-1.07 * reach, 1.07 * reach)
        axes.set_title(environment)
        axes.set_xlabel("difference, % of reference \N{MINUS SIGN} random")
        axes.xaxis.set_major_locator(MultipleLocator(margin))
    return canvas


def _verdict_key() -> list[Line2D]:
    return [
        Line2D([], [], color=INK, marker="o", markersize=5, linewidth=3, label="difference, 90 % interval"),
        Line2D([], [], color=INK, linewidth=0.9, label="95 % interval"),
        Line2D([], [], color=MUTED, alpha=0.25, linewidth=8, label="margin"),
    ]


def _difference(axes: Axes, y: int, row: pd.Series, reach: float) -> None:
    word = str(row.verdict).partition(" (")[0].lower()
    axes.annotate(word, (1.02, y), xycoords=("axes fraction", "data"), va="center", fontsize=9, color=INK)
    exact = row.difference == 0 and row.ci90_low == row.ci90_high
    unit = 1.0 if exact else scale(row)
    if not math.isfinite(unit):
        axes.annotate("no interval", (0, y), ha="center", va="center", fontsize=8, color=MUTED)
        return
    middle, low, high, wide_low, wide_high = (
        100 * row[name] / unit for name in ("difference", "ci90_low", "ci90_high", "ci95_low", "ci95_high")
    )
    axes.plot([wide_low, wide_high], [y, y], color=INK, linewidth=0.9)
    axes.plot([low, high], [y, y], color=INK, linewidth=4.5, alpha=0.35, solid_capstyle="butt")
    axes.plot([np.clip(middle, -reach, reach)], [y], color=INK, marker="o", markersize=4.6)
    for end, beyond, marker in ((-reach, wide_low < -reach, "<"), (reach, wide_high > reach, ">")):
        if beyond:
            axes.plot([end], [y], color=INK, marker=marker, markersize=5, clip_on=False)


def _improvement(folder: Folder) -> Canvas | None:
    """Probability that a seed of ours beats a seed of the reference, a panel per environment."""
    frame = folder.tables["improvement"]
    environments = [name for name in folder.plan["environments"] if (frame.environment == name).any()]
    if not environments:
        return None
    names = [name for name in folder.plan["algorithms"] if (frame.algorithm == name).any()]
    ends = {"auc": ("o", INK), "final": ("o", CARD)}
    look: dict[str, Any] = {"color": INK, "markersize": 5, "linewidth": 2}
    key = [
        Line2D([], [], marker=marker, markerfacecolor=face, label=ENDPOINTS[end], **look)
        for end, (marker, face) in ends.items()
    ]
    canvas = _rowed("Probability of improvement over the reference", len(environments), 3, 280, names, key)
    for axes, environment in zip(canvas.axes, environments, strict=True):
        axes.axvline(0.5, color=MUTED, linewidth=0.8)
        for row in frame[frame.environment == environment].itertuples(index=False):
            if row.algorithm not in names or row.endpoint not in ends:
                continue
            y = names.index(row.algorithm) + (-0.15 if row.endpoint == "auc" else 0.15)
            marker, face = ends[row.endpoint]
            axes.plot(
                [row.ci_low, row.ci_high], [y, y], color=INK, linewidth=2.6, alpha=0.4, solid_capstyle="butt"
            )
            axes.plot([row.probability], [y], color=INK, marker=marker, markersize=4.6, markerfacecolor=face)
        axes.set_title(environment)
        axes.set_xlabel("probability that a seed of ours scores higher")
        axes.set_xlim(-0.03, 1.03)
        axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "¼", "½", "¾", "1"])
    return canvas


def _cost(folder: Folder) -> Canvas | None:
    """Steps per second and wall time per seed, per environment."""
    frame = folder.tables["cost"]
    environments = [name for name in folder.plan["environments"] if (frame.environment == name).any()]
    if not environments:
        return None
    panels = [
        (name, column) for name in environments for column in ("steps_per_second", "wall_time_per_seed_s")
    ]
    names = [
        name
        for name in folder.plan["algorithms"]
        if (frame.algorithm == name).any() and name not in folder.random
    ]
    if not names:
        return None
    key = _key(folder, lines=False)
    canvas = _rowed("Cost", len(panels), 2, 350, names, key)
    for axes, (environment, column) in zip(canvas.axes, panels, strict=True):
        axes.set_xscale("log")
        for row, name in enumerate(names):
            arms = folder.arms(environment, name)
            for arm, offset in zip(arms, _spread(len(arms)), strict=True):
                found = folder.rows("cost", environment, arm)[column].astype(float).dropna()
                for value in found[found > 0][:1]:
                    _interval(axes, folder, arm, row + offset, value, value, value)
        axes.set_title(environment)
        axes.set_xlabel(
            "environment steps per second" if column == "steps_per_second" else "wall time per seed, s"
        )
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=8))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(_steps))
    return canvas
