"""One published number beside ours: the texts of its cells in a table."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from rlparity.environments.atari_ids import game
from rlparity.reporting.formatting import NONE, interval, number, whole
from rlparity.reporting.pages.elements import Badge
from rlparity.reporting.pages.suite import atari_budgets

ASPECTS = ("environment version", "budget", "evaluation protocol")  # as in the column `differs_in`
SAME = "same"
UNKNOWN = "not stated"
PLAIN = ("nan", "None", "mean episode return", "average return", "average total reward")  # metrics


@dataclass(frozen=True)
class Entry:
    """A row of the table `paper`."""

    row: Mapping[str, Any]
    name: str  # the environment, with the metric where it has several

    @property
    def environment(self) -> str:
        """Its id."""
        return str(self.row["environment"])

    @property
    def atari(self) -> bool:
        """Whether the environment is an Atari game."""
        return game(self.environment) is not None

    @property
    def verdict(self) -> Badge:
        """The verdict on the published number."""
        return Badge(str(self.row["verdict"]))

    @property
    def quoted(self) -> bool:
        """Whether the source quotes the number from another one."""
        return str(self.row.get("provenance")).startswith("secondary")

    @property
    def ours(self) -> str:
        """Our estimate with its interval."""
        return interval(self.row["ours"], self.row["ci_low"], self.row["ci_high"])

    @property
    def difference(self) -> str:
        """Ours minus the published value, with its 90 % interval, and the margin: `-3 [-9, 3], ± 95`."""
        row = self.row
        found = interval(row.get("difference"), row.get("ci90_low"), row.get("ci90_high"))
        return found if found == NONE else f"{found}, ± {number(row['margin'])}"

    @property
    def remark(self) -> str:
        """Why it is undecided, or what the verdict is about."""
        text = self.row.get("reason")
        return text if isinstance(text, str) and text else NONE

    @property
    def value(self) -> str:
        """`3,564 ± 115`, or `5,037 [3,664, 6,574]` where the source gives an interval."""
        row = self.row
        if pd.notna(row.get("published_low")):
            return interval(row["published"], row["published_low"], row["published_high"])
        spread = row["published_spread"]
        return number(row["published"]) + ("" if pd.isna(spread) else f" ± {number(spread)}")

    @property
    def reasons(self) -> list[str]:
        """Why it is not comparable."""
        text = self.row.get("differs_in")
        return text.split(", ") if isinstance(text, str) and text else []

    @property
    def further(self) -> str:
        """The reasons besides version, budget and protocol, such as too few seeds."""
        return ", ".join(reason for reason in self.reasons if reason not in ASPECTS)

    @property
    def there(self) -> list[str]:
        """Version, budget and protocol of the source; "same" where they are ours."""
        values = zip(ASPECTS, (self._version(), self._budget_there(), self._clause()), strict=True)
        return [value if name in self.reasons else SAME for name, value in values]

    def _version(self) -> str:
        if self.atari:
            preset = self.row.get("published_preset")
            return atari_budgets.PRESETS.get(preset, preset) if isinstance(preset, str) else UNKNOWN
        version = re.search(r"-(v\d+)$", str(self.row.get("published_environment")))
        return version[1] if version else UNKNOWN

    @property
    def budget(self) -> str:
        """Our budget."""
        return (atari_budgets.budget if self.atari else whole)(self.row.get("budget"))

    def _budget_there(self) -> str:
        """Steps; of Atari games frames, too, and the multiple of our budget."""
        steps, frames = self.row.get("published_budget"), self.row.get("published_frames")
        if not self.atari:
            return UNKNOWN if pd.isna(steps) else whole(steps)
        if pd.isna(steps):
            if (printed := atari_budgets.as_printed(frames)) != NONE:
                return f"{printed}, the emulator's or the agent's"
            days = re.search(r"\d+ days?", str(self.row.get("published_algorithm")))
            return f"{days[0]} of training" if days else UNKNOWN
        times = number(steps / self.row["budget"])
        return f"{atari_budgets.budget(steps)}, {times} \N{MULTIPLICATION SIGN} ours"

    @property
    def protocol(self) -> str:
        """How it was evaluated, in the words of the source."""
        text = self.row.get("published_protocol")
        return text if isinstance(text, str) else UNKNOWN

    def _clause(self) -> str:
        """The protocol in few words: its first clause, after the metric if that is more than "mean"."""
        if stochastic := re.search(r"stochastic policy", self.protocol):
            return stochastic[0]
        clauses, metric = re.split(r"[,;:(]", self.protocol), str(self.row.get("published_metric"))
        clause = clauses[metric == "average total reward" == clauses[0]].strip()
        plain = metric in PLAIN or metric in clause
        return clause if plain else f"{metric}, {clause}"

    def source(self, link: bool = True) -> str:
        """The name that the number has in its source, and the source; a quotation is named as one."""
        citation = self.citation if link else re.sub(r",? *https?://\S+", "", self.citation)
        name = self.row.get("published_algorithm")
        if not isinstance(name, str):
            return citation
        return f"{name}, quoted by {citation}" if self.quoted else f"{name}: {citation}"

    @property
    def citation(self) -> str:
        """Document and address."""
        citation = self.row.get("citation")
        return citation if isinstance(citation, str) else str(self.row["source"])
