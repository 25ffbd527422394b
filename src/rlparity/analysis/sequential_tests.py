"""Interim looks: what can be said of a training that is still under way, without looking too often for free.

At every look but the last one endpoint is tested, the area under the evaluation curve so far; at the last
one both, with the rules of `rlparity.verdict`, or the area alone where training ends before its budget: one
evaluation on the way is no final return. The reference's curve is cut at the same environment step.
Every Welch p is multiplied by the number of tests that all looks together may make (Bonferroni): whichever
look stops a training, WORSE or BETTER is wrong with a probability of at most 5 %. EQUIVALENT comes of the
last look alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from rlparity.analysis import statistics
from rlparity.analysis.verdicts import ENDPOINTS, REFERENCE, decide, tested

INTERIM = ("auc",)  # endpoints of all looks but the last
UNDECIDED = "INCONCLUSIVE"


@dataclass(frozen=True)
class Arm:
    """Mean returns of evaluations, one column per seed, one row per environment step."""

    curve: pd.DataFrame

    def scores(self, endpoint: str, env_step: int) -> statistics.Array:
        """Of the seeds that were evaluated up to that step, (n,)."""
        seen = self.curve[self.curve.index <= env_step].dropna(axis=1)
        if seen.empty:
            return np.array([])
        if endpoint == "final":
            return seen.iloc[-1].to_numpy()
        return np.array([statistics.area_under_curve(seen.index, seen[seed]) for seed in seen])


def arm(files: Iterable[Path]) -> Arm:
    """The arm whose evaluations these files hold: those of the deterministic policy, if it has one."""
    rows = pd.concat([pq.read_table(file).to_pandas() for file in files])
    protocols = set(rows.protocol)
    rows = rows[rows.protocol == ("sampled" if protocols == {"sampled"} else "deterministic")]
    return Arm(rows.groupby(["env_step", "seed"])["episode_return"].mean().unstack())


class Case:
    """A reference and a random agent, against which looks are judged; `content` as `train_case` reads it."""

    def __init__(self, content: Mapping[str, Any]):
        self._looks = dict(content["looks"])  # point -> environment steps
        self._margin = content["margin"]
        ended = max(self._looks) >= content["cell"]["evaluation"]["points"]
        self._last = ENDPOINTS if ended else INTERIM  # endpoints of the last look
        self._arms = {
            name: arm(Path(folder, "evaluations.parquet") for folder in content[name])
            for name in ("reference", "random")
        }
        self._scores = cache(lambda name, *at: self._arms[name].scores(*at))

    @property
    def tests(self) -> int:
        """How many tests all looks may make together."""
        return len(INTERIM) * (len(self._looks) - 1) + len(self._last)

    def obstacle(self) -> str:
        """Why nothing could be decided at the last look, however the agent did; empty if something can."""
        at = ("auc", self._looks[max(self._looks)])
        reference = self._scores("reference", *at)
        return str(tested(reference, reference, self._scores("random", *at), self._margin)["reason"])

    def judge(self, point: int, mutated: Arm) -> tuple[str, str]:
        """Verdict and evidence at a look; UNDECIDED where training should go on, or ended undecided."""
        env_step, whole = self._looks[point], point == max(self._looks)
        found = []
        for endpoint in self._last if whole else INTERIM:
            y, z = (self._scores(name, endpoint, env_step) for name in ("reference", "random"))
            row = tested(mutated.scores(endpoint, env_step), y, z, self._margin)
            row |= {"implementation": "scratch", "reference": REFERENCE, "failed_seeds": ""}
            row["p_holm"] = min(self.tests * row["p_difference"], 1.0)
            row["p_equivalence"] = row["p_equivalence"] if whole else 1.0
            word, why = decide(row)
            found.append((word, f"{endpoint} at step {env_step:,}: {_numbers(row, why)}"))
        return worst(found)


def worst(found: list[tuple[str, str]]) -> tuple[str, str]:
    """Of the endpoints' verdicts that which counts: any WORSE, else any BETTER, else the primary one's."""
    for word in ("WORSE", "BETTER"):
        for verdict, evidence in found:
            if verdict == word:
                return verdict, evidence
    return found[0]


def _numbers(row: Mapping[str, Any], why: str) -> str:
    means = f"{row['mean_implementation']:.4g} against {row['mean_reference']:.4g}"
    return f"{means}, adjusted p {row['p_holm']:.2g}" + (f" ({why})" if why else "")


def serve(questions: TextIO, answers: TextIO) -> None:
    """Answer, line by line, questions {"case": file, "point": number or null, "look": folder} in JSON with
    [verdict, evidence]; without a point, with ["", obstacle]."""
    cases: dict[str, Case] = {}
    for line in questions:
        asked = json.loads(line)
        if asked["case"] not in cases:
            cases[asked["case"]] = Case(json.loads(Path(asked["case"]).read_text(encoding="utf-8")))
        case, answer = cases[asked["case"]], ("", "")
        if asked["point"] is None:
            answer = "", case.obstacle()
        else:
            answer = case.judge(asked["point"], arm([Path(asked["look"], "evaluations.parquet")]))
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
