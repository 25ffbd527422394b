"""Contract and parity of candidates that come as entry points, commands and finished logs."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from monitor_logs import monitor
from validating import findings, question, theirs, write_logs

from rlparity.candidates import process_group
from rlparity.validation import quick_layers, request
from rlparity.validation.checks import Check, NotRun
from rlparity.validation.contract.candidates import command as contract_command

pytestmark = pytest.mark.usefixtures("in_checkout")
ROOT = Path(__file__).parents[2]

# --- commands

LEARN = """
import random, sys
seed, budget = int(sys.argv[1]), int(sys.argv[2])
{seeding}
with open("monitor.csv", "w") as file:
    file.write('#{{"env_id": "CartPole-v1"}}\\nr,l,t\\n')
    for t in range(budget // 25):
        file.write(f"{{random.randint(15, 35)}},25,{{t}}\\n")
"""


def command(tiny: Path, seeding: str) -> list[Check]:
    (tiny.parent / "learn.py").write_text(LEARN.format(seeding=seeding))
    candidate = {"command": "python learn.py {seed} {budget}", "folder": str(tiny.parent)}
    plan = request.plan(question(tiny, candidate={**candidate, "returns": {"n_envs": 1}}))
    return contract_command.check(request.cells_of(plan, "learn")[0])


@pytest.mark.probes
@pytest.mark.parametrize(
    ("seeding", "failed"),
    [
        ("random.seed(seed)", ""),
        ("", "the same seed gives the same run"),
        ("random.seed(7)", "another seed gives another run"),
        ("if seed: raise SystemExit('no luck')", "runs and logs comparable returns"),
        ("budget //= 4", "runs and logs comparable returns"),
    ],
)
def test_contract_of_a_command(tiny: Path, seeding: str, failed: str) -> None:
    checks = command(tiny, seeding)
    assert [check.name for check in checks if not check.passed] == ([failed] if failed else [])
    assert all("\n" not in check.detail for check in checks)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("raise ValueError('no luck')", "ended with status 1: ValueError: no luck; wrote nothing"),
        (
            "import nowhere_at_all",
            "ModuleNotFoundError: No module named 'nowhere_at_all' ({python} looked in ",
        ),
        ("pass", "wrote nothing"),
    ],
)
def test_a_command_whose_first_run_fails_has_no_contract(tiny: Path, code: str, reason: str) -> None:
    (tiny.parent / "learn.py").write_text(code)
    made = theirs(tiny, command=f"{sys.executable} learn.py {{seed}}", folder=str(tiny.parent))
    with pytest.raises(NotRun) as raised:
        contract_command.check(made)
    assert reason.format(python=sys.executable) in str(raised.value)
    assert ("--folder names the folder" in str(raised.value)) == ("nowhere" in code)


def test_a_command_that_cannot_be_started_has_no_contract(tiny: Path) -> None:
    (tiny.parent / "learn").write_text("no program")
    with pytest.raises(NotRun, match=r"could not be started: .*learn: Permission denied"):
        contract_command.check(theirs(tiny, command="learn {seed}", folder=str(tiny.parent)))


@pytest.mark.parametrize(("given", "limit"), [({}, 120 + 4000 / 50), ({"time_limit_s": 900}, 900)])
def test_time_limit_of_the_contract_of_a_command(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, given: dict[str, float], limit: float
) -> None:
    limits = []

    def run(words: Any, where: Any, log: Any, limit_s: float, *_: Any) -> None:
        limits.append(limit_s)

    monkeypatch.setattr(process_group, "run", run)
    with pytest.raises(NotRun, match="wrote nothing"):
        contract_command.check(theirs(tiny, command="python learn.py {seed}", **given))
    assert limits == [limit] * 3


@pytest.mark.parametrize(
    ("environment", "n_envs", "steps"),
    [
        ("CartPole-v1", 1, 2_048),
        ("CartPole-v1", 8, 8_000),
        ("CartPole-v1", 20, 16_384),
        ("CartPole-v1", 64, 32_000),  # one episode each may take so long
        ("ALE/Pong-v5@nature", 8, 16_384),
    ],
)
def test_runs_of_the_contract_of_a_command_are_short(
    tiny: Path, environment: str, n_envs: int, steps: int
) -> None:
    cell = replace(theirs(tiny, command="x {seed}"), environment=environment, n_envs=n_envs)
    assert contract_command.budget(replace(cell, budget=10**7)) == steps
    assert contract_command.budget(replace(cell, budget=1_000)) == 1_000


# --- entry points, in another process

EXAMPLES = ROOT / "tests" / "support" / "examples"
CRASHES = """
import os, signal, sys
sys.path.append({examples!r})
from tiny_ppo import TinyPPO

class Crashes(TinyPPO):
    def load_reference(self, state):
        os.kill(os.getpid(), signal.SIGSEGV)
"""


@pytest.mark.whole
def test_a_crash_in_another_process_is_a_failed_check(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "crashes.py").write_text(CRASHES.format(examples=str(ROOT / "examples")))
    found = findings(tiny, ["EQUIVALENT"])
    found.checks = quick_layers.check_entry_point(
        "parity", theirs(tiny, entry="crashes:Crashes", folder=str(tmp_path))
    )
    assert [tuple(check)[:3] for check in found.checks] == [("parity", "comes to an end", False)]
    assert found.checks[0].detail.startswith("its process crashed by signal SIGSEGV")
    assert (found.status(), found.status(strict=True)) == (0, 1)


@pytest.mark.whole
def test_the_time_limit_reaches_the_contract(tiny: Path) -> None:
    made = theirs(tiny, entry="misbehaving.py:Hangs", folder=str(EXAMPLES), time_limit_s=0.5)
    with pytest.raises(NotRun, match=r"nothing happened for 0.5 s \(time_limit_s\)"):
        quick_layers.check_entry_point("contract", made)


@pytest.mark.parametrize(
    ("given", "inner", "outer"),
    [({}, 120, 1200), ({"time_limit_s": 5}, 5, 600), ({"time_limit_s": 300}, 300, 3000)],
)
def test_time_limits_of_layers(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, given: dict[str, float], inner: float, outer: float
) -> None:
    limits = []

    def run(words: list[str], where: Any, log: Any, limit_s: float, *_: Any) -> None:
        limits.append((json.loads(words[words.index("--request") + 1])["time_limit_s"], limit_s))
        raise process_group.Stopped("was stopped")

    monkeypatch.setattr(process_group, "run", run)
    (check,) = quick_layers.check_entry_point(
        "parity", theirs(tiny, entry="examples/tiny_ppo.py:TinyPPO", **given)
    )
    assert limits == [(inner, outer)] and (check.layer, check.passed) == ("parity", False)
    assert check.detail == "its process was stopped"


def test_a_process_without_a_result_has_failed_one_that_never_ran_has_not(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = theirs(tiny, entry="examples/tiny_ppo.py:TinyPPO")
    monkeypatch.setattr(process_group, "run", lambda *_: None)
    (check,) = quick_layers.check_entry_point("parity", made)
    assert not check.passed and check.detail == "its process ended without a result"
    with pytest.raises(NotRun, match="its process ended without a result"):
        quick_layers.check_entry_point("contract", made)

    def run(*_: Any) -> None:
        raise process_group.Stopped("could not be started: python: Cannot allocate memory")

    monkeypatch.setattr(process_group, "run", run)
    with pytest.raises(NotRun, match="Cannot allocate memory"):
        quick_layers.check_entry_point("contract", made)


def test_parity_is_not_run_with_images(tiny: Path) -> None:
    made = theirs(tiny, entry="examples/tiny_ppo.py:TinyPPO")
    with pytest.raises(NotRun, match="compared with vectors, and ALE/Pong-v5@nature shows images"):
        quick_layers.check_entry_point("parity", replace(made, environment="ALE/Pong-v5@nature"))


# --- finished logs


def logged(tiny: Path, folder: Path) -> list[Check]:
    candidate = {"logs": "seed-{seed}", "folder": str(folder)}
    plan = request.plan(question(tiny, candidate=candidate))
    return quick_layers.check_logs(request.cells_of(plan, "logs"))


def test_contract_of_logs(tiny: Path, tmp_path: Path) -> None:
    write_logs(tmp_path, seeds=3)
    assert all(check.passed for check in logged(tiny, tmp_path))
    (tmp_path / "seed-2" / "monitor.csv").write_text((tmp_path / "seed-0" / "monitor.csv").read_text())
    monitor(tmp_path / "seed-1" / "monitor.csv", [(1.0, 10, 1)])
    first, second = logged(tiny, tmp_path)
    assert not first.passed and "seed 1: " in first.detail and "trained 10 of 4,000" in first.detail
    assert not second.passed and second.detail == "seed 2 has the same records as seed 0"
    assert not first.ran and not second.ran  # neither says anything of the implementation


@pytest.mark.parametrize("value", [500.0, 9.0])
def test_equal_rows_of_seeds_at_a_bound_are_no_copies(tiny: Path, tmp_path: Path, value: float) -> None:
    """Every return of every seed is the same, as before a task is learned; two such seeds are not one."""
    for seed in range(3):
        steps = np.arange(1000, 4001, 1000)
        (tmp_path / f"seed-{seed}").mkdir()
        np.savez(
            tmp_path / f"seed-{seed}" / "evaluations.npz", timesteps=steps, results=np.full((4, 2), value)
        )
    readable, differ, copies = logged(tiny, tmp_path)
    assert readable.passed and differ.passed and not copies.looked
    assert copies.name == f"copies among seeds 0, 1, 2, all of whose returns are {value:g},"


def test_one_environment_without_readable_logs_leaves_the_other_to_be_judged(
    tiny: Path, tmp_path: Path
) -> None:
    write_logs(tmp_path / "CartPole-v1", seeds=2)
    for seed in range(2):
        monitor(tmp_path / "Acrobot-v1" / f"seed-{seed}" / "monitor.csv", [(1.0, 1, 0.0)])
    candidate = {"logs": "{environment}/seed-{seed}", "folder": str(tmp_path)}
    given = question(tiny, candidate={**candidate, "returns": {"n_envs": 1}}, name="logs", against="a2c")
    checks = quick_layers.check_logs(request.cells_of(request.plan(given), "logs"))
    assert [(check.name, check.looked) for check in checks] == [
        ("logs of CartPole-v1 can be compared", True),
        ("seeds of CartPole-v1 differ", True),
        ("logs of Acrobot-v1", False),
    ]


def test_logs_of_which_none_can_be_read_are_no_contract(tiny: Path, tmp_path: Path) -> None:
    monitor(tmp_path / "seed-1" / "monitor.csv", [(1.0, 10, 1)])
    with pytest.raises(NotRun, match="trained 10 of 4,000"):
        logged(tiny, tmp_path)
