"""One trial, in a process of its own: plant a mutation, let a layer look, say whether it alarmed.

An outcome is a dict that JSON can hold: `status` of STATUS, `caught` (None where nothing was decided),
`seconds` of processor time that the process took, imports included (one thread, so that they are seconds of
an idle machine, however busy this one is), `evidence` in a line, and `reason` where it was not run.
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
    """The outcome of a layer that looked."""
    return {
        "status": "done",
        "caught": caught,
        "seconds": round(seconds, 2),
        "evidence": evidence,
        "reason": "",
    }


def not_run(reason: str) -> Outcome:
    """The outcome of a layer that did not look."""
    return {"status": "not run", "caught": None, "seconds": None, "evidence": "", "reason": reason}


def main(fields: Sequence[str], into: Path, limit: int, case: Path | None) -> None:
    """Make the trial of these fields and write its outcome. Of statistics: train as the file `case` says, and
    leave what there is to judge in a folder beside it. SIGXCPU ends it after `limit` seconds."""
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 5))
    trial = Trial(*fields)
    torch.set_num_threads(1)
    malloc.keep_freed_memory()
    with nullcontext() if trial.mutation == BASELINE else planted(corpus.find(trial.mutation)):
        if case is not None:
            sensitivity_training.learn(case, into.with_suffix(""))
            return
        outcome = _look(trial)
    write_bytes(into, json.dumps(outcome, indent=1).encode())


def _look(trial: Trial) -> Outcome:
    """What a layer without training says; an exception is an alarm."""
    try:
        checks = _layer(trial)()
    except UserError as error:
        return not_run(str(error))
    except Exception as error:
        text = (str(error).strip() or "no message").splitlines()[0]
        return done(True, time.process_time(), f"it raised {type(error).__name__}: {text}")
    failed = [check for check in checks if not check.passed]
    evidence = f"{len(checks)} checks pass"
    if failed:
        first, more = failed[0], f" and {len(failed) - 1} more" * (len(failed) > 1)
        evidence = f"{first.name}{more}: {first.detail}"
    return done(bool(failed), time.process_time(), evidence)


def _layer(trial: Trial) -> Callable[[], list[Check]]:
    room: Any = import_module(registry.LAYERS[trial.layer])
    if trial.layer == "contract":
        return lambda: list(room.check_agent(trial.agent, trial.environment))
    agent = hyperparameters.library().algorithms[trial.agent].agent
    return lambda: list(room.check(agent))
