"""Which layer catches which planted bug: every trial in a process of its own, several at a time.

An outcome is kept as one small file, with a key over all that it depends on: what was interrupted, or
edited in part, goes on where it stands. A layer is tried on the code as it is first; where it alarms there,
or is not run, its alarms on mutations would mean nothing, and none is planted.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from itertools import groupby
from pathlib import Path
from threading import Lock
from typing import Any

from rlparity import registry
from rlparity.errors import UserError
from rlparity.provenance import definitions, fingerprint, host
from rlparity.records import write_bytes
from rlparity.suites import hyperparameters
from rlparity.validation.mutations import corpus
from rlparity.validation.sensitivity import training as sensitivity_training
from rlparity.validation.sensitivity.plan import BASELINE, Plan, Trial
from rlparity.validation.sensitivity.process import Judge, TooBusy, attempt, read
from rlparity.validation.sensitivity.trial import Outcome, not_run

OUTCOMES = "trials.json"  # of a suite: what the page is made from
TRAINED = (
    "rlparity.training.loop",
    "rlparity.validation.sensitivity.training",
    "rlparity.analysis.sequential_tests",
)  # and judged
PACKAGES = ("torch", "numpy", "gymnasium", "stable_baselines3", "sb3_contrib")
Say = Callable[[str], None]


class Runner:
    """Makes the trials of a plan."""

    def __init__(self, plan: Plan, results: Path, reports: Path):
        """Outcomes go below `results/<suite>`; `reports` carry the records of references."""
        self._plan, self._reports, self.folder = plan, reports, results / plan.name
        self._judge, self._lock = Judge(), Lock()
        self._cases: dict[tuple[str, str], Path | str] = {}

    def run(self, jobs: int, say: Say) -> dict[Trial, Outcome]:
        """All outcomes, `jobs` processes at a time; `say` gets a line as each trial ends. Writes OUTCOMES."""
        trials, outcomes = self._plan.trials(), dict[Trial, Outcome]()
        try:
            for _, group in groupby(trials, lambda trial: (trial.layer, trial.mutation == BASELINE)):
                for trial, outcome in self._all(list(group), outcomes, jobs):
                    outcomes[trial] = outcome
                    say(f"{len(outcomes)}/{len(trials)}  {told(trial, outcome)}")
        finally:
            self._judge.close()
        self._write([(trial, outcomes[trial]) for trial in trials])
        return outcomes

    def _all(
        self, trials: Sequence[Trial], so_far: Mapping[Trial, Outcome], jobs: int
    ) -> Iterator[tuple[Trial, Outcome]]:
        with ThreadPoolExecutor(jobs) as pool:
            waiting = {}
            for trial in trials:
                if reason := idle(so_far.get(trial.baseline)):
                    yield trial, not_run(reason)
                else:
                    waiting[pool.submit(self._outcome, trial)] = trial
            try:
                for ended in as_completed(waiting):
                    yield waiting[ended], ended.result()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _outcome(self, trial: Trial) -> Outcome:
        """The outcome that is kept, if it is still that of this code, else a new one."""
        case: Path | None = None
        if trial.layer == "statistics":
            found = self._case(trial.agent, trial.environment)
            if isinstance(found, str):
                return not_run(found)
            case = found
        file, key = self.folder / "trials" / trial.file, self._key(trial, case)
        kept = read(file)
        if kept is not None and kept.get("key") == key:
            return dict(kept)
        limit = self._plan.time_limits[trial.layer]
        try:
            outcome = {**attempt(trial, file, limit, case, self._judge), "key": key}
        except TooBusy:
            return not_run("the machine had no time for it; run again")
        write_bytes(file, json.dumps(outcome, indent=1).encode())
        return outcome

    def _case(self, agent: str, environment: str) -> Path | str:
        """The file with what statistics train and judge by, or why they cannot."""
        with self._lock:
            if (agent, environment) not in self._cases:
                self._cases[agent, environment] = self._make_case(agent, environment)
        return self._cases[agent, environment]

    def _make_case(self, agent: str, environment: str) -> Path | str:
        assert self._plan.statistics is not None
        try:
            content = sensitivity_training.case(self._plan.statistics, agent, environment, self._reports)
        except UserError as error:
            return str(error)
        file = self.folder / "cases" / Trial(BASELINE, agent, environment, "statistics").file.name
        write_bytes(file, json.dumps(content, indent=1).encode())
        _, obstacle = self._judge(file)
        return obstacle or file

    def _key(self, trial: Trial, case: Path | None) -> str:
        """Hash of all that the outcome depends on."""
        agent = hyperparameters.library().algorithms[trial.agent].agent
        layer = TRAINED if case else (registry.LAYERS[trial.layer],)
        rooms = (*layer, registry.AGENTS[agent].module, registry.family(trial.environment))
        return fingerprint.text_hash(
            {
                "sources": definitions.digest(rooms),
                "mutation": "" if trial.mutation == BASELINE else planting(trial.mutation),
                "settings": hyperparameters.library().lookup(trial.environment, agent).hyperparameters,
                "case": case and read(case),
                "versions": {name: fingerprint.version(name) for name in PACKAGES},
            }
        )

    def _write(self, outcomes: Sequence[tuple[Trial, Outcome]]) -> None:
        names = ("name", "title", "description", "layers")
        content = {
            "suite": {name: getattr(self._plan, name) for name in names},
            "versions": host.versions(),
            "hardware": host.hardware(),
            "git": host.git(),
            "trials": [{**about(trial), **outcome} for trial, outcome in outcomes],
        }
        write_bytes(self.folder / OUTCOMES, json.dumps(content, indent=1).encode())


def about(trial: Trial) -> dict[str, str]:
    """What the tables say of a trial besides its outcome."""
    who = {
        "bug": trial.mutation,
        "agent": trial.agent,
        "environment": trial.environment,
        "layer": trial.layer,
    }
    names = ("kind", "title", "source", "hides")
    if trial.mutation == BASELINE:
        return {**who, **dict.fromkeys(names, "")}
    return {**who, **{name: getattr(corpus.find(trial.mutation), name) for name in names}}


def idle(baseline: Outcome | None) -> str:
    """Why no mutation is planted where the code as it is has this outcome; empty where one is."""
    if baseline is None or baseline["caught"] is False:
        return ""
    if baseline["status"] == "not run":
        return str(baseline["reason"])
    word = "undecided" if baseline["caught"] is None else "alarms"
    return f"{word} without a mutation: {baseline['evidence']}"


def told(trial: Trial, outcome: Mapping[str, Any]) -> str:
    """An outcome in a line."""
    words = {True: "caught", False: "silent", None: "undecided"}
    word = words[outcome["caught"]] if outcome["status"] == "done" else f"not run, {outcome['reason']}"
    time = "" if outcome["seconds"] is None else f" ({outcome['seconds']:.0f} s)"
    return f"{trial.mutation or 'baseline'} {trial.agent} {trial.environment} {trial.layer}: {word}{time}"


def planting(id: str) -> str:
    """The source of the function that plants a mutation, and of what it uses of its room."""
    plant = corpus.find(id).plant
    room = inspect.getmodule(plant)
    codes = [plant.__code__, *filter(inspect.iscode, plant.__code__.co_consts)]
    used = {name: getattr(room, name, None) for code in codes for name in code.co_names}
    own: list[Any] = [each for each in used.values() if getattr(each, "__module__", None) == plant.__module__]
    return "\n".join(inspect.getsource(each) for each in (plant, *own))
