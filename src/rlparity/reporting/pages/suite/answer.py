"""The result of a suite in plain sentences, and the counts of its verdicts."""

from __future__ import annotations

from collections import Counter

import pandas as pd

from rlparity.reporting.formatting import endpoint_title, join, percent, whole
from rlparity.reporting.pages.elements import BADGES, Badge
from rlparity.reporting.pages.suite.tables import badge, primary
from rlparity.reporting.report_folder import Folder

NO_REFERENCE = "This suite pairs no implementation with a reference: it reports scores, and gives no verdict."
UNDECIDED = ("INCONCLUSIVE", "NO VERDICT")


def answer(folder: Folder) -> list[str]:
    """The sentences, from the primary endpoint."""
    rows = primary(folder)
    if rows.empty:
        return [*(_against_plain(folder) or [NO_REFERENCE]), *against_papers(folder)]
    badges = [badge(row) for row in rows.to_dict("records")]
    words = pd.Series([badge.word for badge in badges], index=rows.index)
    text = [_lead(folder, rows, rows[words == "EQUIVALENT"])]
    for word, phrase in (("WORSE", "Significantly worse"), ("BETTER", "Significantly better")):
        if (words == word).any():
            text.append(f"{phrase}: {_pairs(folder, rows[words == word])}.")
    notes = pd.Series([badge.note for badge in badges], index=rows.index)[words.isin(UNDECIDED)]
    for note in dict.fromkeys(notes):
        text.append(_undecided(folder, rows.loc[notes.index[notes == note]], note))
    return [*text, *_against_plain(folder), *against_papers(folder)]


def _lead(folder: Folder, rows: pd.DataFrame, match: pd.DataFrame) -> str:
    """How many match; with several metrics in an environment, the count is of comparisons."""
    several = any(one.several for one in folder.measurements)
    noun = "comparisons" if several else "pairs of implementation and environment"
    subject = f"{len(match) or 'None'} of {len(rows)} {noun} {'are' if len(match) > 1 else 'is'} shown"
    if len(rows) == 1:
        subject = "The implementation is shown" if len(match) else "The implementation is not shown"
    ends = join(dict.fromkeys(endpoint_title(row.endpoint, row.metric) for row in rows.itertuples()))
    within = f"within the margin of {margins(folder)}, by the {ends}"
    return f"{subject} to match the reference {within}" + (
        f": {_pairs(folder, match)}." if len(match) else "."
    )


def margins(folder: Folder) -> str:
    """The margins of the verdicts, in per cent; of the suite where there are no verdicts."""
    found = folder.tables["verdicts"].margin.dropna().sort_values()
    return join(dict.fromkeys(map(percent, found))) or percent(folder.plan.get("margin"))


def _undecided(folder: Folder, rows: pd.DataFrame, note: str) -> str:
    """Those without a verdict for the same reason; without one, how many seeds would decide."""
    needed = [] if note else list(dict.fromkeys(whole(value) for value in rows.seeds_needed.dropna()))
    if needed:
        note = f": about {join(needed)} seeds per arm would decide if there is no difference"
    if ":" not in note:
        return f"Not decided{', ' + note if note else ''}: {_pairs(folder, rows)}."
    return f"Not decided: {_pairs(folder, rows)} ({note.removeprefix(': ')})."


def _against_plain(folder: Folder) -> list[str]:
    """Whether configurations that only compute differently learn as the plain ones do."""
    found: dict[str, list[str]] = {}
    for row in primary(folder, plain=True).itertuples(index=False):
        judged, plain = (folder.title(name) for name in (row.algorithm, row.reference.partition("/")[2]))
        verdict = badge(row._asdict())
        text, than = {
            "EQUIVALENT": ("Shown to learn the same", "as"),
            "WORSE": ("Significantly worse", "than"),
            "BETTER": ("Significantly better", "than"),
        }.get(verdict.word, (_not_decided(verdict), "as"))
        where = folder.measurement(row).name
        found.setdefault(text, []).append(f"{judged} {than} {plain} on {where}")
    return [f"{text}: {join(pairs, 4)}." for text, pairs in found.items()]


def _not_decided(verdict: Badge) -> str:
    return f"Not decided whether it learns the same{', ' * bool(verdict.note)}{verdict.note}"


def _pairs(folder: Folder, rows: pd.DataFrame) -> str:
    """`PPO and A2C on CartPole-v1; DQN on Acrobot-v1 and MountainCar-v0`."""
    where: dict[str, list[str]] = {}
    for _, group in rows.groupby(["environment", "metric"], sort=False):
        titles = [folder.called(row, folder.title(row.algorithm)) for row in group.itertuples()]
        name = folder.measurement(next(group.itertuples())).name
        where.setdefault(join(titles), []).append(name)
    return "; ".join(f"{titles} on {join(names)}" for titles, names in where.items())


def against_papers(folder: Folder) -> list[str]:
    """How many published numbers got which verdict."""
    words = Counter(Badge(verdict).word for verdict in folder.tables["paper"].verdict)
    if not words:
        return []
    counted = join(f"{count} {word.lower()}" for word, count in sorted(words.items()))
    return [f"Of {words.total()} published number{'s' * (words.total() > 1)}: {counted}."]


def counts(folder: Folder) -> list[tuple[Badge, int]]:
    """How many verdicts of each kind, on the primary endpoint."""
    words = Counter(Badge(verdict).word for verdict in primary(folder).verdict)
    return [(Badge(word), words[word]) for word in BADGES if words[word]]
