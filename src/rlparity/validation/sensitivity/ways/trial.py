"""One trial of a way in which a user brings an implementation, in a separate process.

entry: a Python entry point without `update` and `prepare`: its contract. entry-update: the same with both:
its parity; its contract is that of `entry`. command: a program: the contract of commands. logs: finished logs
of a whole training: what reads logs, and the verdict.
"""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rlparity.candidates.protocol import Factory
from rlparity.errors import UserError
from rlparity.registry import REFERENCE
from rlparity.suites import hyperparameters, suite
from rlparity.validation import quick_layers
from rlparity.validation.checks import Check, NotRun
from rlparity.validation.contract import check as contract
from rlparity.validation.contract.candidates import command
from rlparity.validation.mutations import corpus
from rlparity.validation.sensitivity.plan import BASELINE, Trial
from rlparity.validation.sensitivity.ways import program
from rlparity.validation.sensitivity.ways.own_agent import OwnAgent, OwnAgentWithUpdate
from rlparity.validation.sensitivity.ways.planted_code import PlantedCode

OURS = (  # modules in whose place a candidate with an entry point is given the validator's
    "rlparity.environments.cartpole",
    "rlparity.training.evaluation",
    "rlparity.training.object_state",
)
PROGRAM = "python -m rlparity.validation.sensitivity.ways"
SHORT = 20_000  # budget of the contract of a command, which shortens it further


def processor_time() -> float:
    """Seconds of processor time of this process and of its children that have ended."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def checks(trial: Trial, case: Mapping[str, Any]) -> list[Check]:
    """Run the trial. Raises UserError where it cannot be run."""
    if trial.environment.startswith("ALE/"):
        raise UserError("Atari is left out: a short training takes minutes")
    try:
        return RUN[trial.way](trial, case)
    except NotRun as problem:
        raise UserError(str(problem)) from None


def _factory(trial: Trial, kind: type[OwnAgent]) -> Factory:
    planted = PlantedCode(None if trial.mutation == BASELINE else corpus.find(trial.mutation))
    agent = hyperparameters.library().algorithms[trial.agent].agent
    owners = planted.owners()
    if owners and owners <= set(OURS):
        raise UserError("an entry point is given the validator's environments, evaluations, checkpoints")
    return lambda space, actions, settings: kind(agent, planted, space, actions, settings)


def _entry(trial: Trial, case: Mapping[str, Any]) -> list[Check]:
    return contract.check(_factory(trial, OwnAgent), trial.environment, trial.agent)


def _entry_update(trial: Trial, case: Mapping[str, Any]) -> list[Check]:
    factory = _factory(trial, OwnAgentWithUpdate)
    found = quick_layers.check_parity(factory, trial.environment, trial.agent)
    return [check for check in found if check.looked]


def _command(trial: Trial, case: Mapping[str, Any]) -> list[Check]:
    words = f"{PROGRAM} '{trial.mutation or program.NONE}' {trial.agent} {{environment}} {{seed}} {{budget}}"
    cell = program.cell(trial.agent, trial.environment, (0,), SHORT)
    given = {"command": words, "folder": ".", "time_limit_s": 3600.0}
    try:
        return command.check(replace(cell, implementation="candidate", candidate=given), jobs=1)
    except NotRun as problem:  # it does not train: its user is told so, and nothing is judged
        return [Check("contract", "runs and logs comparable returns", False, str(problem), ran=False)]


def _logs(trial: Trial, case: Mapping[str, Any]) -> list[Check]:
    """Train all seeds to the end, and validate what was logged, as `rlparity validate --logs` does."""
    if trial.environment not in case["references"]:
        raise UserError(f"statistics run on {' and '.join(case['references'])} only")
    named = suite.find(case["references"][trial.environment])
    plan = suite.load(named)
    if trial.agent not in plan.algorithms or plan.algorithms[trial.agent].reference is None:
        raise UserError(f"no reference of {trial.agent} on {trial.environment} in suite {plan.name}")
    budget = next(cell.budget for cell in plan.cells if cell.environment == trial.environment)
    with tempfile.TemporaryDirectory(prefix="rlparity-") as folder:
        words = [trial.mutation or program.NONE, trial.agent, trial.environment]
        words += [f"0-{case['seeds'] - 1}", str(budget), f"{folder}/runs"]
        trained = subprocess.run(
            [sys.executable, *PROGRAM.split()[1:], *words], capture_output=True, text=True
        )
        if trained.returncode:
            reason = (trained.stderr.strip().splitlines() or ["no message"])[-1]
            return [Check("statistics", "the program trains to the end", False, reason)]
        return _validated(trial, named, Path(folder), Path(case["reports"]))


def _validated(trial: Trial, named: Path, folder: Path, reports: Path) -> list[Check]:
    shown = folder / "reports"
    shown.mkdir()
    for place in reports.resolve().iterdir():
        if (place / "records").is_dir():
            (shown / place.name).symlink_to(place)
    words = ["validate", "--logs", "runs/seed-{seed}", "--folder", str(folder), "--name", "theirs"]
    words += ["--against", f"{REFERENCE}/{trial.agent}", "--suite", str(named)]
    words += ["--environments", trial.environment, "--jobs", "1"]
    words += ["--results", str(folder / "results"), "--reports", str(shown)]
    done = subprocess.run([sys.executable, "-m", "rlparity", *words], capture_output=True, text=True)
    file = shown / "validate-theirs" / "validation.csv"
    if not file.is_file():
        raise UserError((done.stderr.strip().splitlines() or ["validate wrote nothing"])[-1])
    with file.open(encoding="utf-8", newline="") as rows:
        return [_check(row) for row in csv.DictReader(rows) if row["result"] != "not run"]


def _check(row: Mapping[str, str]) -> Check:
    """A row of validation.csv; an alarm is a failed check or WORSE."""
    alarm = row["result"] in ("FAIL", "WORSE")
    return Check(row["layer"], f"{row['layer']}: {row['name']} {row['result']}", not alarm, row["detail"])


RUN: Mapping[str, Callable[[Trial, Mapping[str, Any]], list[Check]]] = {
    "entry": _entry,
    "entry-update": _entry_update,
    "command": _command,
    "logs": _logs,
}
