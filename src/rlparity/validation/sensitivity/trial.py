"""One trial, in a separate process: plant a mutation, run a layer, and report whether it raised an alarm.

An outcome is a dict for JSON: `status` (of STATUS), `caught` (None if undecided), `seconds` of processor time
of the process, imports included (with one thread, these do not depend on how busy the machine is), `evidence`
in one line, and `reason` if the trial was not run.
"""

from __future__ import annotations

import json
import resource
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from rlparity import registry
from rlparity.errors import UserError
from rlparity.records import write_bytes
from rlparity.runs import malloc
from rlparity.suites import hyperparameters
from rlparity.validation.checks import Check
from rlparity.validation.mutations import corpus
from rlparity.validation.mutations.mutation import planted
from rlparity.validation.sensitivity import training as sensitivity_training
from rlparity.validation.sensitivity.plan import BASELINE, Trial

STATUS = ("done", "not run")
Outcome = dict[str, Any]


def done(caught: bool | None, seconds: float, evidence: str = "") -> Outcome:
    """The outcome of a layer that was run."""
    return {
        "status": "done",
        "caught": caught,
        "seconds": round(seconds, 2),
        "evidence": evidence,
        "reason": "",
    }


def not_run(reason: str) -> Outcome:
    """The outcome of a layer that was not run."""
    return {"status": "not run", "caught": None, "seconds": None, "evidence": "", "reason": reason}


def main(fields: Sequence[str], into: Path, limit: int, case: Path | None) -> None:
    """Run the trial with these fields and write its outcome. For statistics: train the case in the file
    `case` and write evaluations to a folder beside the outcome. SIGXCPU ends the process after `limit`
    seconds."""
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 5))
    trial = Trial(*fields)
    torch.set_num_threads(1)
    malloc.keep_freed_memory()
    if trial.way:
        from rlparity.validation.sensitivity.ways import trial as ways

        content = json.loads(case.read_text(encoding="utf-8")) if case is not None else {}
        outcome = judged(lambda: ways.checks(trial, content), ways.processor_time)
        write_bytes(into, json.dumps(outcome, indent=1).encode())
        return
    with nullcontext() if trial.mutation == BASELINE else planted(corpus.find(trial.mutation)):
        if case is not None:
            sensitivity_training.learn(case, into.with_suffix(""))
            return
        outcome = judged(_layer(trial), time.process_time)
    write_bytes(into, json.dumps(outcome, indent=1).encode())


def judged(run: Callable[[], list[Check]], clock: Callable[[], float]) -> Outcome:
    """Run a layer other than our own agents' statistics; an exception is an alarm."""
    try:
        checks = run()
    except UserError as error:
        return not_run(str(error))
    except Exception as error:
        text = (str(error).strip() or "no message").splitlines()[0]
        return done(True, clock(), f"it raised {type(error).__name__}: {text}")
    failed = [check for check in checks if not check.passed]
    evidence = f"{len(checks)} checks pass"
    if failed:
        first, more = failed[0], f" and {len(failed) - 1} more" * (len(failed) > 1)
        evidence = f"{first.name}{more}: {first.detail}"
    return done(bool(failed), clock(), evidence)


def _layer(trial: Trial) -> Callable[[], list[Check]]:
    module: Any = import_module(registry.LAYERS[trial.layer])
    if trial.layer == "contract":
        return lambda: list(module.check_agent(trial.agent, trial.environment))
    agent = hyperparameters.library().algorithms[trial.agent].agent
    return lambda: list(module.check(agent))
