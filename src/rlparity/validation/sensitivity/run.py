"""Run all trials of a sensitivity suite, each in a separate process, several at a time.

Every outcome is saved in one file with a hash of all that it depends on, so that an interrupted suite
continues and only trials affected by an edit run again. Every layer is first run on the unchanged code; where
that raises an alarm or is not run, alarms on mutations would mean nothing, and their trials are not run.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Mapping, Sequence
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
from rlparity.validation import tables
from rlparity.validation.checks import Say
from rlparity.validation.mutations import corpus
from rlparity.validation.sensitivity import training as sensitivity_training
from rlparity.validation.sensitivity.plan import BASELINE, Plan, Trial
from rlparity.validation.sensitivity.process import Judge, TooBusy, attempt, read
from rlparity.validation.sensitivity.trial import Outcome, not_run

OUTCOMES = "trials.json"  # all outcomes of a suite, from which the page is rendered
CANDIDATES = "candidates.json"  # all outcomes of the ways in which a user brings an implementation
UNFINISHED = "not tried yet"
SOURCES_OF_WAYS = {  # what an outcome depends on besides the agent; not the whole corpus, see `planting`
    "entry": ("rlparity.validation.sensitivity.ways.own_agent", registry.LAYERS["contract"]),
    "entry-update": (
        "rlparity.validation.sensitivity.ways.own_agent",
        "rlparity.validation.parity.candidate_checks",
    ),
    "command": (
        "rlparity.validation.sensitivity.ways.trial:_command",
        "rlparity.validation.sensitivity.ways.program:_write",
        "rlparity.training.run",
    ),
    "logs": (
        "rlparity.validation.sensitivity.ways.trial:_logs",
        "rlparity.validation.sensitivity.ways.program:_write",
        "rlparity.training.run",
        "rlparity.log_readers.convert",
        "rlparity.analysis.logged_returns",
        "rlparity.analysis.verdicts",
    ),
}
STATISTICS_MODULES = (
    "rlparity.training.loop",
    "rlparity.validation.sensitivity.training",
    "rlparity.analysis.sequential_tests",
)


class Runner:
    """Runs the trials of a plan."""

    def __init__(self, plan: Plan, results: Path, reports: Path):
        """Outcomes are written below `results/<suite>`; `reports` contain the records of references."""
        self._plan, self._reports, self.folder = plan, reports, results / plan.name
        self._judge, self._lock = Judge(), Lock()
        self._cases: dict[tuple[str, str], Path | str] = {}

    def run(self, jobs: int, say: Say, ways: Sequence[str] | None = None) -> dict[Trial, Outcome]:
        """Run all trials, or those of these ways, `jobs` at a time; `say` receives a line as each ends.

        Writes OUTCOMES of our agents themselves, and CANDIDATES of the ways, whose other trials were not run.
        """
        trials = self._plan.trials(("", *self._plan.ways) if ways is None else ways)
        outcomes = dict[Trial, Outcome]()
        order = groupby(trials, lambda trial: (trial.way, trial.layer, trial.mutation == BASELINE))
        try:
            for _, group in order:
                for trial, outcome in self._outcomes(list(group), outcomes, jobs):
                    outcomes[trial] = outcome
                    say(f"{len(outcomes)}/{len(trials)}  {describe(trial, outcome)}")
        finally:
            self._judge.close()
            self.write_candidates()
        if ways is None:
            self._write(OUTCOMES, [(trial, outcomes[trial]) for trial in self._plan.trials()])
        return outcomes

    def write_candidates(self) -> None:
        """Write CANDIDATES from the trials of all ways that are finished; the others were not run. Nothing is
        written if none is finished."""
        trials = self._plan.trials(self._plan.ways)
        saved = {trial: read(self.folder / "trials" / trial.file) for trial in trials}
        if any(outcome is not None for outcome in saved.values()):
            whole = [(trial, dict(saved[trial] or not_run(UNFINISHED))) for trial in trials]
            self._write(CANDIDATES, whole)

    def _outcomes(
        self, trials: Sequence[Trial], so_far: Mapping[Trial, Outcome], jobs: int
    ) -> Iterator[tuple[Trial, Outcome]]:
        with ThreadPoolExecutor(jobs) as pool:
            waiting = {}
            for trial in trials:
                if reason := obstacle(so_far.get(trial.baseline)):
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
        """The saved outcome if its hash is current, else a new one."""
        case: Path | None = None
        if trial.way:
            case = self._of_ways()
        elif trial.layer == "statistics":
            found = self._case(trial.agent, trial.environment)
            if isinstance(found, str):
                return not_run(found)
            case = found
        file, key = self.folder / "trials" / trial.file, self._key(trial, case)
        saved = read(file)
        if saved is not None and saved.get("key") == key:
            return dict(saved)
        limit = self._plan.time_limits[trial.layer]
        try:
            outcome = {**attempt(trial, file, limit, case, self._judge), "key": key}
        except TooBusy:
            return not_run("the machine was too busy; run again")
        write_bytes(file, json.dumps(outcome, indent=1).encode())
        return outcome

    def _case(self, agent: str, environment: str) -> Path | str:
        """The file of a case of statistics, or the reason why there is none."""
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

    def _of_ways(self) -> Path:
        """The file of what trials of ways need: where references are, and how many seeds are trained."""
        assert self._plan.statistics is not None
        given = self._plan.statistics
        content = {"seeds": given.logged_seeds, "references": given.references}
        content["reports"] = str(self._reports)
        file = self.folder / "cases" / "ways.json"
        with self._lock:
            write_bytes(file, json.dumps(content, indent=1).encode())
        return file

    def _key(self, trial: Trial, case: Path | None) -> str:
        """Hash of everything that the outcome depends on."""
        agent = hyperparameters.library().algorithms[trial.agent].agent
        layer: tuple[str, ...] = STATISTICS_MODULES if case else (registry.LAYERS[trial.layer],)
        if trial.way:
            layer = SOURCES_OF_WAYS[trial.way]
        family = registry.family(trial.environment).module
        places = (*layer, registry.AGENTS[agent].module, family, *registry.PARTS.values())
        return fingerprint.text_hash(
            {
                "sources": definitions.digest(places),
                "mutation": "" if trial.mutation == BASELINE else planting(trial.mutation),
                "settings": hyperparameters.library().lookup(trial.environment, agent).hyperparameters,
                "case": case and _content(case, trial),
                "versions": tables.versions(),
            }
        )

    def _write(self, name: str, outcomes: Sequence[tuple[Trial, Outcome]]) -> None:
        names = ("name", "title", "description", "layers")
        content = {
            "suite": {name: getattr(self._plan, name) for name in names},
            "versions": host.versions(),
            "hardware": host.hardware(),
            "git": host.git(),
            "trials": [{**columns(trial), **outcome} for trial, outcome in outcomes],
        }
        write_bytes(self.folder / name, json.dumps(content, indent=1).encode())


def _content(case: Path, trial: Trial) -> Any:
    """The content of a case; of a way, that on which only finished logs depend."""
    content = read(case)
    return content if not trial.way else trial.way == "logs" and [content["seeds"], content["references"]]


def columns(trial: Trial) -> dict[str, str]:
    """The columns of a trial besides its outcome."""
    identity = {
        "bug": trial.mutation,
        "agent": trial.agent,
        "environment": trial.environment,
        "layer": trial.layer,
        "way": trial.way,
    }
    names = ("kind", "title", "source", "hides")
    if trial.mutation == BASELINE:
        return {**identity, **dict.fromkeys(names, "")}
    return {**identity, **{name: getattr(corpus.find(trial.mutation), name) for name in names}}


def obstacle(baseline: Outcome | None) -> str:
    """Why mutations are not tried where the unchanged code has this outcome; empty if they are."""
    if baseline is None or baseline["caught"] is False:
        return ""
    if baseline["status"] == "not run":
        return str(baseline["reason"])
    word = "undecided" if baseline["caught"] is None else "alarms"
    return f"{word} without a mutation: {baseline['evidence']}"


def describe(trial: Trial, outcome: Mapping[str, Any]) -> str:
    """Describe an outcome in one line."""
    words = {True: "caught", False: "silent", None: "undecided"}
    word = words[outcome["caught"]] if outcome["status"] == "done" else f"not run, {outcome['reason']}"
    time = "" if outcome["seconds"] is None else f" ({outcome['seconds']:.0f} s)"
    layer = f"{trial.way} {trial.layer}".strip()
    return f"{trial.mutation or 'baseline'} {trial.agent} {trial.environment} {layer}: {word}{time}"


def planting(id: str) -> str:
    """The source of the function that plants a mutation, and of the definitions of its module that it
    uses."""
    plant = corpus.find(id).plant
    module = inspect.getmodule(plant)
    codes = [plant.__code__, *filter(inspect.iscode, plant.__code__.co_consts)]
    used = {name: getattr(module, name, None) for code in codes for name in code.co_names}
    own: list[Any] = [each for each in used.values() if getattr(each, "__module__", None) == plant.__module__]
    return "\n".join(inspect.getsource(each) for each in (plant, *own))
