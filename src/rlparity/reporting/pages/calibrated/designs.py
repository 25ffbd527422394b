"""How sequential designs fare: the part of the page of a calibration about looks until decided."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from rlparity.analysis import tables
from rlparity.analysis.group_sequential import design
from rlparity.analysis.group_sequential.boundaries import SPENDING
from rlparity.analysis.simulations import sequential
from rlparity.reporting.formatting import NONE, join, number, percent, whole
from rlparity.reporting.pages.elements import Table
from rlparity.reporting.pages.simple_page import Section

ADASTOP = "adastop.csv"
SHIFTS = {0.0: "no difference", -1.0: "one margin worse", 1.0: "one margin better", -2.0: "two margins worse"}


def section(looks: pd.DataFrame, into: Path) -> Section:
    """The section of the page; rows of AdaStop are taken from `into`, where they were measured."""
    plan = design.Design(60)
    nominal = ", ".join(f"{100 * p:.2f} %" for p in plan.nominal(2))
    text = [
        f"A pair is looked at with {join(map(str, design.SEEDS), 12)} seeds, by the area under the curve, "
        "until equivalence or a difference is shown. Both arms are drawn independently with replacement, "
        "from the pool's scores and from a smooth fit to them; the judged arm is shifted by no margin, where "
        "every difference is false, by exactly one, where every equivalence is, and by two. Rows that ask "
        "one question alone say how often it errs where the other never ends the looks.",
        f"The design in use spends its error by the function {design.SPENDING}: the one with the fewest "
        f"seeds of {join(SPENDING)} that errs in at most {percent(design.ALPHA)} everywhere, equivalence "
        "alone aside. Nominal levels of its "
        f"two-sided test, one pair beside 60 seeds: {nominal}. “Saved” is against the fewest seeds, fixed "
        "beforehand, that find as often what there is to find.",
    ]
    shown = [_table(looks[looks.design == design.SPENDING], "sequential.csv"), _others(looks)]
    if (into / ADASTOP).is_file():
        text.append(
            "AdaStop (the package adastop, arXiv 2306.10882; five seeds a look, eight looks, alpha 5 %) asks "
            "for a difference alone, and its reference grows with the judged arm; its rows come from the "
            "first draws of the same streams. Repeat with: pip install adastop; "
            "rlparity dev calibrate --adastop."
        )
        shown.append(_table(tables.read(into / ADASTOP), ADASTOP))
    return Section("Until decided", text=text, tables=shown)


def answer(looks: pd.DataFrame) -> str:
    """The largest error of the design in use, and what it saves, in a sentence."""
    own = looks[looks.design == design.SPENDING]
    false = own[own["shift"].isin([-1.0, 0.0, 1.0]) & (own.asked != sequential.EQUIVALENCE)]
    apart, same = (false[(false["shift"] == 0) == none].wrong.max() for none in (True, False))
    alone = own[own.asked == sequential.EQUIVALENCE].wrong.max()
    saved = own[(own["shift"] == 0) & (own.asked == sequential.BOTH) & (own.pairs == 1)].saved
    return (
        f"Looking at 5, 10, ... seeds until decided, false differences are found in {_share(apart)} and "
        f"false equivalences in {_share(same)} of all families at most ({_share(alone)} where equivalence is "
        f"asked alone); where there is no difference, a pair takes {_share(saved.min())} to "
        f"{_share(saved.max())} fewer seeds."
    )


def _table(rows: pd.DataFrame, file: str) -> Table:
    head = ["seeds of", "drawn from", "true difference", "asked", "pairs", "EQUIVALENT", "WORSE", "BETTER"]
    head += ["false [95 % interval]", "seeds, mean", "fixed", "saved"]
    cells = [
        [
            row["pool"],
            row["draws_from"],
            SHIFTS.get(row["shift"], number(row["shift"])),
            row["asked"],
            whole(row["pairs"]),
            *(_share(row[word]) for word in ("equivalent", "worse", "better")),
            f"{_share(row['wrong'])} [{_share(row['ci_low'])}, {_share(row['ci_high'])}]",
            number(row["seeds"]),
            whole(row["fixed_seeds"]),
            _share(row["saved"]),
        ]
        for row in rows.to_dict("records")
    ]
    return Table(head, cells, file, frozenset({4, 5, 6, 7, 8, 9, 10, 11}))


def _others(looks: pd.DataFrame) -> Table:
    """The largest errors of every design, over pools, and its seeds."""
    head = ["design", "false differences", "difference alone", "false equivalences", "equivalence alone"]
    head += ["seeds, no difference", "seeds, two margins"]
    both = looks.asked == sequential.BOTH
    none, one, two = (looks["shift"].abs() == shift for shift in (0, 1, 2))
    alone = [looks.asked == asked for asked in (sequential.DIFFERENCE, sequential.EQUIVALENCE)]
    parts = (none & both, none & alone[0], one & both, one & alone[1])
    cells = [
        [
            str(name),
            *(_share(looks[part & (looks.design == name)].wrong.max()) for part in parts),
            *(number(looks[part & both & (looks.design == name)].seeds.mean()) for part in (none, two)),
        ]
        for name in dict.fromkeys(looks.design)
    ]
    return Table(head, cells, "sequential.csv", frozenset(range(1, 7)))


def _share(value: float) -> str:
    return NONE if pd.isna(value) else f"{100 * value:.1f} %"
