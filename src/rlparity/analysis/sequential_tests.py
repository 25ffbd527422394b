"""Sequential tests: verdicts on a training under way, at interim looks, with their error rate controlled.

At every look but the last one endpoint is tested, the area under the evaluation curve so far; at the last
one both, by the rules of `verdicts`, or the area alone where training ends before its budget: an evaluation
on the way is no final one. The reference's curve is cut at the same environment step.
Every Welch p is multiplied by the number of tests that all looks together may make (Bonferroni): whichever
look stops a training, WORSE or BETTER is wrong with a probability of at most 5 %. Only the last look can
find EQUIVALENT.
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

from rlparity import records
from rlparity.analysis import statistics
from rlparity.analysis.scores import ENDPOINTS, Floor
from rlparity.analysis.verdicts import NO_VERDICT, UNDECIDED, decide, tested
from rlparity.arms import OURS
from rlparity.metrics import RETURN, Metric

INTERIM = ("auc",)  # endpoints of all looks but the last


@dataclass(frozen=True)
class Curves:
    """Mean values of evaluations, one column per seed, one row per environment step; larger ones better."""

    curve: pd.DataFrame

    def scores(self, endpoint: str, env_step: int) -> statistics.Array:
        """Scores of the seeds that were evaluated up to that step, (n,)."""
        seen = self.curve[self.curve.index <= env_step].dropna(axis=1)
        if seen.empty:
            return np.array([])
        if endpoint == "final":
            return seen.iloc[-1].to_numpy()
        return np.array([statistics.area_under_curve(seen.index, seen[seed]) for seed in seen])


def read_curves(files: Iterable[Path], metric: Metric) -> Curves:
    """The curves of an arm from its evaluations: those of the deterministic policy, if it has one."""
    rows = pd.concat([records.current("evaluations", pq.read_table(file)).to_pandas() for file in files])
    rows = rows[rows.metric == metric.name]
    protocols = set(rows.protocol)
    rows = rows[rows.protocol == ("sampled" if protocols == {"sampled"} else "deterministic")]
    return Curves(metric.better * rows.groupby(["env_step", "seed"])["value"].mean().unstack())


class Case:
    """A reference and a floor, against which looks are judged.

    `content` has the looks, the margin, the cell, folders of records of the `reference` and of the floor
    (`random`, none where the floor is a constant), and the metric; without one it is the return.
    """

    def __init__(self, content: Mapping[str, Any]):
        self._looks = dict(content["looks"])  # point -> environment steps
        self._margin = content["margin"]
        self._metric = Metric(**content["metric"]) if "metric" in content else RETURN
        ended = max(self._looks) >= content["cell"]["evaluation"]["points"]
        self._last = ENDPOINTS if ended else INTERIM  # endpoints of the last look
        arms = {
            name: read_curves((Path(folder, "evaluations.parquet") for folder in content[name]), self._metric)
            for name in ("reference", "random")
            if content.get(name)
        }
        self._scores = cache(lambda name, *at: arms[name].scores(*at))

    def _floor(self, endpoint: str, env_step: int) -> Floor:
        if isinstance(self._metric.floor, str):
            return self._scores("random", endpoint, env_step)
        return self._metric.better * float(self._metric.floor)

    def curves(self, file: Path) -> Curves:
        """The curves of the training under way, from its evaluations so far."""
        return read_curves([file], self._metric)

    @property
    def tests(self) -> int:
        """Number of tests that all looks may make together."""
        return len(INTERIM) * (len(self._looks) - 1) + len(self._last)

    def obstacle(self) -> str:
        """Why nothing can be decided at the last look, whatever the agent learns; empty if something can."""
        at = ("auc", self._looks[max(self._looks)])
        reference = self._scores("reference", *at)
        return str(tested(reference, reference, self._floor(*at), self._margin)["reason"])

    def judge(self, point: int, mutated: Curves) -> tuple[str, str]:
        """Verdict and evidence at a look; UNDECIDED where training should go on, or ended undecided."""
        env_step, whole = self._looks[point], point == max(self._looks)
        found = []
        for endpoint in self._last if whole else INTERIM:
            y, z = self._scores("reference", endpoint, env_step), self._floor(endpoint, env_step)
            row = tested(mutated.scores(endpoint, env_step), y, z, self._margin)
            row |= {"implementation": OURS, "reference": "reference", "failed_seeds": ""}
            row["p_holm"] = min(self.tests * row["p_difference"], 1.0)
            row["p_equivalence"] = row["p_equivalence"] if whole else 1.0
            word, why = decide(row)
            word = UNDECIDED if word == NO_VERDICT else word
            found.append((word, f"{endpoint} at step {env_step:,}: {_numbers(row, why)}"))
        return worst(found)


def worst(found: list[tuple[str, str]]) -> tuple[str, str]:
    """The verdict of all endpoints: WORSE or else BETTER if any has it, else that of the primary one."""
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
        question = json.loads(line)
        file, point = question["case"], question["point"]
        if file not in cases:
            cases[file] = Case(json.loads(Path(file).read_text(encoding="utf-8")))
        answer = "", cases[file].obstacle() if point is None else ""
        if point is not None:
            curves = cases[file].curves(Path(question["look"], "evaluations.parquet"))
            answer = cases[file].judge(point, curves)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
