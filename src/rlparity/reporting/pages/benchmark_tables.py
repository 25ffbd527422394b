"""The tables of the benchmark's page."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from statistics import median
from typing import Any

import pandas as pd

from rlparity.arms import OURS, PEERS, is_peer
from rlparity.reporting.figures.throughput import by_setting, is_reference, reference_name
from rlparity.reporting.formatting import NONE, interval, label, number, percent, seconds, whole
from rlparity.reporting.pages.elements import Table

BLOCK = 10  # the size of a block in the headline
BESIDE = "reference_steps_per_second"  # of the reference in the rounds of a row
TIMES = "\N{MULTIPLICATION SIGN}"


def arms(rows: pd.DataFrame) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """(setting, algorithm, rows) of all that was measured side by side."""
    for name, part in by_setting(rows):
        for algorithm, own in part.groupby("algorithm", sort=False):
            yield name, str(algorithm), own


def of(rows: pd.DataFrame, seeds: int) -> Any:
    """Our row of an algorithm in one setting; None where it was not measured."""
    found = rows[(rows.implementation == OURS) & (rows.seeds == seeds)]
    return None if found.empty else found.iloc[0]


def headline(rows: pd.DataFrame) -> Table:
    """A row per algorithm: ratios to the reference with one seed and with a block, the memory of the block,
    rounds, and the rate of the reference in them."""
    several = len(list(by_setting(rows))) > 1
    head = ["algorithm", *["environment"] * several, f"1 seed, {TIMES} reference [min, max]"]
    head += [f"{BLOCK} seeds, {TIMES} reference [min, max]", f"{BLOCK} seeds, peak memory", "rounds"]
    head.append(f"{reference_name(rows)} in these rounds, steps/s")
    cells = []
    for name, algorithm, own in arms(rows):
        alone, block = of(own, 1), of(own, BLOCK)
        if alone is None and block is None and not is_reference(own).any():
            continue
        line = [algorithm, *[name] * several, NONE if alone is None else _ratio(alone)]
        line += [NONE, NONE] if block is None else [_ratio(block), _memory(block)]
        rounds = [whole(row.rounds) for row in (alone, block) if row is not None]
        line.append(", ".join(dict.fromkeys(rounds)) or NONE)
        cells.append([*line, _beside(own, alone, block)])
    return Table(head, cells, "throughput.csv", frozenset(range(1 + several, len(head))))


def _beside(rows: pd.DataFrame, alone: Any, block: Any) -> str:
    """The reference's rate in the rounds of these two rows, two rates where the rounds differ; the rate of
    its own row where the rounds were not recorded."""
    ours = {"1 seed": alone, f"{BLOCK} seeds": block}
    rates = {name: row[BESIDE] for name, row in ours.items() if row is not None and row[BESIDE] > 0}
    if len(set(rates.values())) > 1:
        return ", ".join(f"{number(rate)} ({name})" for name, rate in rates.items())
    known = "" if alone is None and block is None else ", rounds unknown"
    theirs = [number(rate) + known for rate in rows[is_reference(rows)].steps_per_second]
    return next((number(rate) for rate in rates.values()), (theirs or [NONE])[0])


def _ratio(row: Any) -> str:
    """`8.1 [7.9, 8.4]`; without the brackets where it was measured once."""
    ends = (row.ratio_min, row.ratio_max) if row.rounds > 1 else (math.nan, math.nan)
    return interval(row.ratio_to_reference, *ends)


def _memory(row: Any) -> str:
    return f"{number(row.peak_memory_mib)} MiB" if row.peak_memory_mib > 0 else NONE


def beside_peers(rows: pd.DataFrame) -> Table | None:
    """Ours with one seed and with a block beside each peer with as many, or with one if it trains no more at
    once. None where no peer was measured."""
    several = len(list(by_setting(rows))) > 1
    head = ["algorithm", *["environment"] * several, "seeds", "from scratch, steps/s", "peer", "its seeds"]
    head += ["its steps/s", f"from scratch, {TIMES} peer", "compiled before in"]
    cells = []
    for name, algorithm, own in arms(rows):
        peers = own[own.implementation.map(is_peer).astype(bool)]
        for who, theirs in peers.groupby("implementation", sort=False):
            by_seeds = {row.seeds: row for row in theirs.itertuples()}
            for size in (1, BLOCK):
                ours, other = of(own, size), by_seeds.get(size, by_seeds.get(1))
                if ours is None or other is None:
                    continue
                line = [algorithm, *[name] * several, whole(size), number(ours.steps_per_second)]
                line += [label(str(who)), whole(other.seeds), number(other.steps_per_second)]
                cells.append([*line, _times(ours, other), seconds(other.compile_s)])
    words = {0, 3 + several} | ({1} if several else set())
    return Table(head, cells, "throughput.csv", frozenset(range(len(head))) - words) if cells else None


def _times(ours: Any, other: Any) -> str:
    """Ours in units of another's rate: `2.3 [2.1, 3]`, median, least and largest of the rounds; where their
    rates are not known the ratio of both ratios to the reference."""
    found = [json.loads(row.rates) if isinstance(row.rates, str) else [] for row in (ours, other)]
    if not found[0] or len(found[0]) != len(found[1]):
        return number(ours.ratio_to_reference / other.ratio_to_reference)
    ratios = [own / theirs for own, theirs in zip(*found, strict=True)]
    several = len(ratios) > 1
    return interval(median(ratios), *((min(ratios), max(ratios)) if several else (math.nan, math.nan)))


def measurements(rows: pd.DataFrame) -> Table:
    """All rows, the reference first, then ours by size, then peers; no column without a value."""
    head = ["environment", "algorithm", "implementation", "seeds", "steps/s", f"{TIMES} reference [min, max]"]
    shown = (BESIDE, "machine_gflops", "critic_share", "kernel")
    known, counted, shares, kernels = (bool(rows[name].notna().any()) for name in shown)
    head += ["reference in these rounds, steps/s"] * known
    head += ["time of the block, 1 seed = 1", "peak memory", "rounds", "steps per seed"]
    head += ["GFLOP/s (core's best)"] * counted + ["critic's passes, of core's best"] * shares
    head += ["kernel"] * kernels
    cells = []
    for name, algorithm, own in arms(rows):
        for row in _in_order(own).itertuples():
            line = [name, algorithm, label(str(row.implementation)), whole(row.seeds)]
            beside = [_ratio(row), *[number(row.reference_steps_per_second)] * known]
            if row.implementation != OURS and not is_peer(row.implementation):
                beside = [NONE] * len(beside)
            line += [number(row.steps_per_second), *beside, number(row.cost), _memory(row)]
            line += [whole(row.rounds), whole(row.budget), *[_achieved(row)] * counted]
            line += [NONE if math.isnan(row.critic_share) else percent(row.critic_share)] * shares
            cells.append([*line, *[row.kernel if isinstance(row.kernel, str) else NONE] * kernels])
    numeric = range(3, len(head) - kernels)
    return Table(head, cells, "throughput.csv", frozenset(numeric))


def _in_order(rows: pd.DataFrame) -> pd.DataFrame:
    """The reference, then ours, then each peer, by size."""
    place = 2 - 2 * is_reference(rows) - (rows.implementation == OURS)
    return rows.assign(place=place).sort_values(["place", "implementation", "seeds"], kind="stable")


def _achieved(row: Any) -> str:
    """`58.1 (107)`, the second the core's best; a dash for what is unknown."""
    if not row.machine_gflops > 0:
        return NONE
    return f"{number(row.gflops)} ({number(row.machine_gflops)})"


def versions(rows: pd.DataFrame) -> str:
    """Every package once with its versions, those of a peer's environment apart."""
    groups: dict[str, dict[str, dict[str, None]]] = {}
    for row in rows.dropna(subset=["versions"]).itertuples():
        own = str(row.implementation) if row.implementation in PEERS else ""
        for pair in str(row.versions).split(", "):
            package, _, version = pair.partition(" ")
            groups.setdefault(own, {}).setdefault(package, {})[version] = None
    parts = []
    for name, packages in sorted(groups.items()):
        text = ", ".join(f"{package} {' and '.join(found)}" for package, found in packages.items())
        parts.append(f"{name}: {text}" if name else text)
    return "; ".join(parts) or NONE
