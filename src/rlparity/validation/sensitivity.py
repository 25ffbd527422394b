"""Which layer catches which planted bug: every trial in a process of its own, several at a time.

An outcome is kept as one small file, with a key over all that it depends on: what was interrupted, or edited
in part, goes on where it stands. A layer is tried on the code as it is first; where it alarms there, or cannot
be run, its alarms on mutations would mean nothing, and they are not run.
"""

from __future__ import annotations

import inspect
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from itertools import groupby
from pathlib import Path
from threading import Lock
from typing import Any

from rlparity import fingerprint, registry, settings
from rlparity.errors import UserError
from rlparity.records import write_bytes
from rlparity.validation import sensitivity_training
from rlparity.validation.mutations import corpus
from rlparity.validation.sensitivity_plan import BASELINE, Plan, Trial
from rlparity.validation.sensitivity_trial import Outcome, done, not_run

POLL_S = 0.5  # between looks at a training
OUTCOMES = "trials.json"  # of a suite: what the page is made from
Say = Callable[[str], None]


class Judge:
    """The other half of the package, which knows statistics: `rlparity.looks` in a process of its own."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._lock = Lock()

    def __call__(self, case: Path, point: int | None = None, look: Path | None = None) -> tuple[str, str]:
        """Verdict and evidence of a look, or what makes every look idle."""
        with self._lock:
            if self._process is None:
                command = [sys.executable, "-m", "rlparity", "sensitivity", "--judge"]
                pipe = subprocess.PIPE
                self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)
            assert self._process.stdin is not None and self._process.stdout is not None
            asked = {"case": str(case), "point": point, "look": None if look is None else str(look)}
            self._process.stdin.write(json.dumps(asked) + "\n")
            self._process.stdin.flush()
            verdict, evidence = json.loads(self._process.stdout.readline())
            return verdict, evidence

    def close(self) -> None:
        """Let it end."""
        if self._process is not None:
            assert self._process.stdin is not None
            self._process.stdin.close()
            self._process.wait()


class Runner:
    """Makes the trials of a plan."""

    def __init__(self, plan: Plan, results: Path, reports: Path):
        self._plan, self._reports = plan, reports
        self.folder = results / plan.name
        self._judge, self._cases = Judge(), dict[tuple[str, str], Path | str]()

    def run(self, jobs: int, say: Say) -> list[dict[str, Any]]:
        """All outcomes, in the plan's order; `say` gets a line as each trial ends. Writes OUTCOMES."""
        outcomes: dict[Trial, Outcome] = {}
        trials = self._plan.trials()
        try:
            for _, group in groupby(trials, lambda trial: (trial.layer, trial.mutation == BASELINE)):
                self._all(list(group), outcomes, jobs, say, len(trials))
        finally:
            self._judge.close()
        rows = [{**trial._asdict(), **outcomes[trial]} for trial in trials]
        write_bytes(self.folder / OUTCOMES, json.dumps(rows, indent=1).encode())
        return rows

    def _all(
        self, trials: list[Trial], outcomes: dict[Trial, Outcome], jobs: int, say: Say, total: int
    ) -> None:
        with ThreadPoolExecutor(jobs) as pool:
            waiting = {}
            for trial in trials:
                reason = _idle(outcomes.get(trial.baseline))
                if reason:
                    outcomes[trial] = not_run(reason)
                else:
                    waiting[pool.submit(self._outcome, trial)] = trial
            try:
                for ended in as_completed(waiting):
                    trial = waiting[ended]
                    outcomes[trial] = ended.result()
                    say(f"{len(outcomes)}/{total}  {_told(trial, outcomes[trial])}")
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _outcome(self, trial: Trial) -> Outcome:
        """The outcome that is kept, if it is still that of this code, else a new one."""
        file = self.folder / "trials" / trial.file
        case = None
        if trial.layer == "statistics":
            found = self._case(trial)
            if isinstance(found, str):
                return not_run(found)
            case = found
        key = self._key(trial, case)
        kept = _read(file)
        if kept is not None and kept.get("key") == key:
            return kept
        outcome = {**self._try(trial, file, case), "key": key}
        write_bytes(file, json.dumps(outcome, indent=1).encode())
        return outcome

    def _case(self, trial: Trial) -> Path | str:
        """The file with what statistics train and judge by, or why they cannot."""
        pair = (trial.agent, trial.environment)
        with _CASES:
            if pair not in self._cases:
                self._cases[pair] = self._make_case(*pair)
        return self._cases[pair]

    def _make_case(self, agent: str, environment: str) -> Path | str:
        assert self._plan.statistics is not None
        try:
            content = sensitivity_training.case(self._plan.statistics, agent, environment, self._reports)
        except UserError as error:
            return str(error)
        file = self.folder / "cases" / Trial("", agent, environment, "").file.name
        write_bytes(file, json.dumps(content, indent=1).encode())
        _, obstacle = self._judge(file)
        return obstacle or file

    def _key(self, trial: Trial, case: Path | None) -> str:
        """Hash of what the outcome depends on: mutation, agent, layer, and the records it is judged by."""
        agent = settings.library().algorithms[trial.agent].agent
        layer = "rlparity.train" if case else f"rlparity.validation.{trial.layer}"
        modules = fingerprint.closure(
            (layer, registry.AGENTS[agent].module, registry.family(trial.environment))
        )
        parts = {
            "sources": {name: fingerprint.digest(name) for name in sorted(modules)},
            "mutation": "" if trial.mutation == BASELINE else planting(trial.mutation),
            "options": settings.library().lookup(trial.environment, agent).hyperparameters,
            "case": case and json.loads(case.read_text(encoding="utf-8")),
            "versions": {name: fingerprint.version(name) for name in ("torch", "numpy", "stable_baselines3")},
        }
        return fingerprint.text_hash(parts)

    def _try(self, trial: Trial, file: Path, case: Path | None) -> Outcome:
        looks = file.with_suffix("")
        shutil.rmtree(looks, ignore_errors=True)
        looks.mkdir(parents=True)
        command = [sys.executable, "-m", "rlparity", "sensitivity", "--trial", json.dumps(trial)]
        command += ["--into", str(file), *(["--case", str(case)] if case else [])]
        limit, started = self._plan.time_limits[trial.layer], time.monotonic()
        with (
            (looks / "log.txt").open("wb") as log,
            subprocess.Popen(
                command, stdout=log, stderr=log, env={**os.environ, "OMP_NUM_THREADS": "1"}
            ) as process,
        ):
            try:
                if case is None:
                    return _wait(process, file, limit)
                return self._watch(process, case, looks, limit, started)
            finally:
                process.kill()

    def _watch(
        self, process: subprocess.Popen[bytes], case: Path, looks: Path, limit: float, started: float
    ) -> Outcome:
        """Judge every look of a training as it comes; the first that decides ends it."""
        points = [point for point, _ in json.loads(case.read_text(encoding="utf-8"))["looks"]]
        verdict, evidence, seen = "", "", 0
        while True:
            ended = process.poll() is not None
            while seen < len(points) and (look := looks / f"look-{points[seen]}").is_dir():
                if not (look / "evaluations.parquet").is_file():
                    break
                verdict, evidence = self._judge(case, points[seen], look)
                seen += 1
                if verdict in ("WORSE", "BETTER") or seen == len(points):
                    said = f"{verdict}, {evidence}"
                    return done(verdict == "WORSE", time.monotonic() - started, said)
            seconds = time.monotonic() - started
            if ended:
                return _broken(looks, process.returncode, seconds)
            if seconds > limit:
                said = f"undecided when {limit:g} s were over: {evidence or 'no look yet'}"
                return done(None, seconds, said)
            time.sleep(POLL_S)


_CASES = Lock()


def _wait(process: subprocess.Popen[bytes], file: Path, limit: float) -> Outcome:
    started = time.monotonic()
    try:
        process.wait(limit)
    except subprocess.TimeoutExpired:
        return done(True, limit, f"it did not come to an end in {limit:g} s")
    outcome = _read(file)
    if process.returncode or outcome is None:
        return done(True, time.monotonic() - started, f"the process ended with status {process.returncode}")
    return outcome


def _broken(looks: Path, status: int, seconds: float) -> Outcome:
    """A training that ended before its last look: seeds have failed, or the process has."""
    failed = (_read(looks / "end.json") or {}).get("failed", {})
    reasons = "; ".join(dict.fromkeys(str(reason) for reason in failed.values()))
    said = f"{len(failed)} seeds failed: {reasons}" if failed else f"the process ended with status {status}"
    return done(True, seconds, said)


def _idle(baseline: Outcome | None) -> str:
    """Why mutations need not be tried where the code as it is has this outcome."""
    if baseline is None:
        return ""
    if baseline["status"] == "not run":
        return str(baseline["reason"])
    if baseline["caught"] is None:
        return f"undecided without a mutation: {baseline['evidence']}"
    return f"alarms without a mutation: {baseline['evidence']}" if baseline["caught"] else ""


def _told(trial: Trial, outcome: Mapping[str, Any]) -> str:
    words = {True: "caught", False: "silent", None: "undecided"}
    word = words[outcome["caught"]] if outcome["status"] == "done" else f"not run, {outcome['reason']}"
    seconds = "" if outcome["seconds"] is None else f" ({outcome['seconds']:.0f} s)"
    return f"{trial.mutation or 'baseline'} {trial.agent} {trial.environment} {trial.layer}: {word}{seconds}"


def _read(file: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def planting(id: str) -> str:
    """The source of the function that plants a mutation, and of those of its room that it calls."""
    plant = corpus.find(id).plant
    room = inspect.getmodule(plant)
    called = (getattr(room, name, None) for name in plant.__code__.co_names)
    inner = (each for code in plant.__code__.co_consts if inspect.iscode(code) for each in code.co_names)
    found = [*called, *(getattr(room, name, None) for name in inner)]
    own = [each for each in found if getattr(each, "__module__", None) == getattr(room, "__name__", "")]
    return "\n".join(map(inspect.getsource, [plant, *own]))
