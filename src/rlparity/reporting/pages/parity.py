"""The page of update parity: how far our agents' updates are from Stable-Baselines3's, tensor by tensor."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from rlparity.analysis import tables
from rlparity.analysis.schemas import TABLES
from rlparity.errors import UserError
from rlparity.reporting.figures.panels import Panels, styled
from rlparity.reporting.formatting import NONE, join, number, seconds
from rlparity.reporting.pages.elements import Table
from rlparity.reporting.pages.simple_page import Section, SimplePage, picture
from rlparity.reporting.style import COLOURS, INK, MUTED, PAINT

KINDS = ("targets", "losses", "gradients", "parameters", "target networks")  # in the order of computation
ITSELF = ": SB3 beside itself"  # ends the configuration of the reference compared with itself
DASHED, DOTTED = (0, (4, 1.6)), (0, (1.2, 1.8))
LOOKS: dict[str, tuple[str, str, Any, str]] = {  # (name, colour, dash, the same in SVG)
    "float64": ("ours, float64", COLOURS["scratch"], "-", ""),
    "float32": ("ours, float32", COLOURS["sb3"], DASHED, "6 2.5"),
    "itself": ("Stable-Baselines3 beside itself, sums in another order", MUTED, DOTTED, "1.5 2.5"),
}
LEAST = 1e-17  # where a difference of zero is drawn
CAPTION = (
    "Largest relative difference of a parameter within the first updates, a line for each configuration; one "
    "run each, no interval. Horizontal: the tolerances of the two precisions. Both axes are logarithmic; the "
    "lower end means none."
)
MEASURING = (
    (
        "Update",
        "One gradient step (A2C, PPO), one minibatch with all that it changes (DQN, QR-DQN, DDPG, TD3, SAC), "
        "one rollout with line search and critic (TRPO).",
    ),
    (
        "Identical input",
        "The same weights at the start. On-policy: rollouts that Stable-Baselines3 collects, in which "
        "episodes end and are cut, and its permutations. Off-policy: random transitions, a third of them "
        "last, and its noise; when updates come and when targets follow is up to either learner.",
    ),
    (
        "What is compared",
        "In the order of computation: targets (advantages, returns, values and log-probabilities of the "
        "rollout from its transitions; ratios; targets and values of Q), losses, gradients as the optimiser "
        "gets them, parameters after its step, target networks. Stable-Baselines3 returns none of that: it "
        "is read from its own train() while that runs.",
    ),
    (
        "Difference",
        "max |a - b| / max |b| of a tensor. Without the denominator for parameters that start as zeros, such "
        "as biases. A loss is measured against at least 1, and the parts of a gradient against its largest "
        "number: where sums cancel, nothing can be relative to what rounding leaves.",
    ),
    (
        "Tolerance",
        "1e-12 in float64, 1e-4 in float32. Where the algorithm magnifies rounding, 100 times as far as "
        "Stable-Baselines3 is from itself when its sums run in another order, if that is more.",
    ),
    (
        "In float64",
        "Both sides calculate in doubles: Stable-Baselines3's policy, optimiser, buffers and observations; "
        "but for its normalised observations and rewards, and the actions of a rollout, which it rounds to "
        "float32.",
    ),
)
PATCHED = (
    (
        "KL summed",
        "sb3-contrib's TRPO averages the divergence of Gaussian policies over the components of an action "
        "where the paper and ours sum. With n components its trust region is n times as wide, and its "
        "damping n times as strong. Parity holds once it sums; with one component it holds without.",
    ),
    (
        "Conjugate gradient",
        "sb3-contrib starts it at 1e-4 times normal numbers, ours at zero as in the paper; here both at "
        "zero.",
    ),
    (
        "MSE, double",
        "Stable-Baselines3's DQN has neither. Its train() runs with the squared error in place of Huber's "
        "loss, or with targets by van Hasselt et al. 2016, eq. 4.",
    ),
    (
        "Midpoints of quantiles",
        "sb3-contrib computes them in float32; their number here is a power of two, for which they are "
        "exact.",
    ),
)


def render(folder: Path) -> str:
    """Write `folder/index.html`, its Markdown twin and the figure; returns the page's answer.

    Raises UserError where `parity.csv` or `parity_cases.csv` is missing, another table or empty.
    """
    rows, cases = (tables.read(folder / f"{name}.csv") for name in ("parity", "parity_cases"))
    if rows.empty or cases.empty:
        raise UserError(f"{folder}: holds no comparison; run rlparity parity")
    figure = folder / "figures" / "growth.svg"
    figure.parent.mkdir(parents=True, exist_ok=True)
    with styled():
        _growth(rows).write(figure)
    page = _sheet(folder, rows, cases).render(folder)
    return f"{_answer(rows, cases)}\nreport: {page}"


def _sheet(folder: Path, rows: pd.DataFrame, cases: pd.DataFrame) -> SimplePage:
    own, itself = _apart(rows)
    key = [(name, PAINT[colour], dash) for name, colour, _, dash in LOOKS.values()]
    growth = picture(folder, "growth", "How differences grow", CAPTION)
    sections = [
        Section("Agents", tables=[_agents(own, cases)]),
        Section("How differences grow", pictures=[growth], key=key),
        Section("Configurations", tables=[_configurations(own, cases)], wide=[1, 9]),
        Section("How it was measured", terms=MEASURING),
        Section("Where the reference is patched", terms=PATCHED),
    ]
    if not itself.empty:
        sections.insert(
            3, Section("The reference beside itself", ITSELF_TEXT, tables=[_beside(itself, own)], wide=[1])
        )
    sections.append(Section("Hyper-parameters", tables=[_options(cases)], wide=[2]))
    sections.append(Section("Columns", terms=[(k, c.meaning) for k, c in TABLES["parity"].items()]))
    return SimplePage(
        kind="update parity",
        title="Update parity with Stable-Baselines3",
        lede="The same weights, batches and random draws into both: are the updates the same?",
        answer=_answer(rows, cases),
        facts=[
            ("Commit", join(sorted({str(commit)[:12] for commit in cases.commit.dropna()}))),
            ("Hardware", join(sorted(set(cases.hardware)))),
            ("Versions", join(sorted(set(cases.versions)))),
            ("Time", seconds(cases.seconds.sum())),
        ],
        sections=sections,
    )


ITSELF_TEXT = (
    "Conjugate gradient magnifies rounding from step to step until it has converged, and each rollout starts "
    "from what the last one left. So a second Stable-Baselines3 learned from the first one's rollouts, with "
    "nothing changed but the order of the samples in its sums. It ends up as far off as ours does: that "
    "distance is rounding, and no implementation can be nearer.",
)


def _apart(rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows of ours, and of the reference beside itself under the name of the configuration."""
    itself = rows.configuration.str.endswith(ITSELF)
    return rows[~itself], rows[itself].assign(configuration=rows.configuration.str.removesuffix(ITSELF))


def _answer(rows: pd.DataFrame, cases: pd.DataFrame) -> str:
    """What holds, in plain sentences."""
    own, itself = _apart(rows)
    magnified = set(zip(itself.algorithm, itself.configuration, strict=True))
    text = []
    for dtype, part in cases.groupby("dtype", sort=False):
        passed = part[part.passed]
        sizes = own[(own["dtype"] == dtype) & (own.quantity == "parameters")]
        plain = [who not in magnified for who in zip(sizes.algorithm, sizes.configuration, strict=True)]
        sentence = f"{len(passed)} of {len(part)} configurations in {dtype} are within tolerance"
        if len(passed) == len(part) and any(plain):
            sizes = sizes[plain]
            largest, updates = _power(sizes.max_relative_difference.max()), number(sizes.updates.max())
            sentence += f"; parameters are within {largest} after {updates} updates"
            sentence += " where rounding is not magnified" if magnified else ""
        text.append(f"{sentence}.")
    for row in cases[~cases.passed].itertuples():
        text.append(f"{row.algorithm}, {row.configuration} ({row.dtype}): {row.first_difference}.")
    return " ".join(text)


def _agents(own: pd.DataFrame, cases: pd.DataFrame) -> Table:
    """A row per agent and precision: its largest difference of a parameter."""
    points = sorted(set(own.updates))
    head = [
        "algorithm",
        "precision",
        "configurations",
        *(f"parameters, {_updates(n)}" for n in points),
        "passed",
    ]
    parameters = own[own.quantity == "parameters"]
    lines = []
    for (algorithm, dtype), part in cases.groupby(["algorithm", "dtype"], sort=False):
        mine = parameters[(parameters.algorithm == algorithm) & (parameters["dtype"] == dtype)]
        sizes = mine.groupby("updates").max_relative_difference.max()
        passed = f"{int(part.passed.sum())} of {len(part)}"
        line = [algorithm, dtype, str(len(part)), *(_power(sizes.get(n, math.nan)) for n in points), passed]
        lines.append(line)
    return Table(head, lines, "parity.csv", frozenset(range(2, len(head))))


def _configurations(own: pd.DataFrame, cases: pd.DataFrame) -> Table:
    """A row per configuration: the largest difference of each kind."""
    who = ["algorithm", "configuration", "dtype"]
    sizes = own.groupby([*who, "quantity"]).max_relative_difference.max()
    allowed = own[own.quantity == "parameters"].groupby(who).tolerance.max()
    lines = []
    for row in cases.itertuples():
        key = (row.algorithm, row.configuration, row.dtype)
        found = [_power(sizes.get((*key, kind), math.nan)) for kind in KINDS]
        said = "passed" if row.passed else f"off: {row.first_difference}"
        lines.append([*key, *found, _power(allowed.get(key, math.nan)), said])
    head = ["algorithm", "configuration", "precision", *KINDS, "tolerance", "verdict"]
    return Table(head, lines, "parity_cases.csv", frozenset(range(3, 9)))


def _beside(itself: pd.DataFrame, own: pd.DataFrame) -> Table:
    """Parameters: ours from the reference, the reference from itself."""
    points = sorted(set(itself.updates))
    head = [
        "algorithm",
        "configuration",
        "precision",
        "from the reference",
        *map(_updates, points),
    ]
    lines = []
    for key, part in itself[itself.quantity == "parameters"].groupby(["algorithm", "configuration", "dtype"]):
        beside = (
            own[own.quantity == "parameters"].set_index(["algorithm", "configuration", "dtype"]).loc[[key]]
        )
        for name, sizes in (("ours", beside), ("itself", part)):
            found = sizes.set_index("updates").max_relative_difference
            lines.append([*key, name, *(_power(found.get(n, math.nan)) for n in points)])
    return Table(head, lines, "parity.csv", frozenset(range(4, len(head))))


def _options(cases: pd.DataFrame) -> Table:
    """What each configuration runs with, beyond defaults."""
    seen = cases.drop_duplicates(["algorithm", "configuration"])
    lines = []
    for row in seen.itertuples():
        options = json.loads(row.options)
        lines.append(
            [row.algorithm, row.configuration, ", ".join(f"{k}: {json.dumps(v)}" for k, v in options.items())]
        )
    return Table(["algorithm", "configuration", "hyper-parameters"], lines, "parity_cases.csv")


def _updates(n: int) -> str:
    return f"{n} update{'s' * (n > 1)}"


def _power(value: float) -> str:
    """A small number as a power of ten: 4e-15."""
    return NONE if pd.isna(value) else f"{value:.0e}" if value else "0"


def _growth(rows: pd.DataFrame) -> Panels:
    """A panel for each algorithm."""
    rows = rows[rows.quantity == "parameters"]
    own, itself = _apart(rows)
    key = [
        Line2D([], [], color=colour, linestyle=dash, linewidth=1.6, label=name)
        for name, colour, dash, _ in LOOKS.values()
    ]
    algorithms = list(dict.fromkeys(own.algorithm))
    canvas = Panels("How differences grow", len(algorithms), 4, (190, 190), (44, 10, 34, 24), key)
    tolerances = own.groupby("dtype").tolerance.min()
    for axes, algorithm in zip(canvas.axes, algorithms, strict=True):
        for part, look in ((own, None), (itself, "itself")):
            mine = part[part.algorithm == algorithm]
            for (_, dtype), line in mine.groupby(["configuration", "dtype"], sort=False):
                _, colour, dash, _ = LOOKS[look or str(dtype)]
                y = line.max_relative_difference.clip(lower=LEAST)
                axes.plot(line.updates, y, color=colour, linestyle=dash, linewidth=1.1, alpha=0.8)
        for tolerance in tolerances:
            axes.axhline(tolerance, color=INK, linewidth=0.7)
        _scales(axes, sorted(set(own.updates)))
        axes.set_title(algorithm)
        axes.set_xlabel("updates")
    return canvas


def _scales(axes: Axes, updates: list[int]) -> None:
    axes.set_xscale("log")
    axes.set_xticks(updates, [str(n) for n in updates])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_yscale("log")
    axes.set_ylim(LEAST, 1)
    axes.yaxis.set_major_locator(LogLocator(numticks=6))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"1e{math.log10(y):.0f}"))
