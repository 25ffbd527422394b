"""`rlparity dev settings`, and settings that a user declares: what is printed can be read back.

Mistakes are one line.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from validating import SUITE, question

from rlparity.__main__ import main
from rlparity.candidates import settings as candidate_settings
from rlparity.cell import Cell
from rlparity.cli.parser import build as _parser
from rlparity.cli.settings import flags
from rlparity.errors import UserError
from rlparity.suites import hyperparameters, value_checks
from rlparity.validation import request

pytestmark = pytest.mark.usefixtures("in_checkout")


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["dev", "settings", *words]) == 0
    return capsys.readouterr().out


def test_every_format_has_the_settings_that_a_program_is_given(
    tiny: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cell: Cell = request.cells_of(request.plan(question(tiny, name="theirs")), "theirs")[0]
    given = candidate_settings.given(cell)
    assert json.loads(printed(capsys, "sb3/ppo", "CartPole-v1", "--format", "json")) == given
    text = printed(capsys, "sb3/ppo", "CartPole-v1")
    assert text.startswith("# sb3/ppo in CartPole-v1: RL Baselines3 Zoo")
    assert yaml.safe_load(text) == given
    words = printed(capsys, "sb3/ppo", "CartPole-v1", "--format", "flags").split()
    parser = argparse.ArgumentParser()
    for name, value in given.items():
        kind: dict[str, Any] = {"type": type(value)}
        if isinstance(value, bool):
            kind = {"action": argparse.BooleanOptionalAction}
        elif isinstance(value, list):
            kind = {"type": int, "nargs": "+"}
        parser.add_argument(f"--{name.replace('_', '-')}", **kind)
    assert vars(parser.parse_args(words)) == given


def test_flags() -> None:
    values = {"gamma": 0.9, "normalize": False, "ortho_init": True, "net_arch": [64, 32], "target_kl": None}
    assert flags(values) == ["--gamma", "0.9", "--no-normalize", "--ortho-init", "--net-arch", "64", "32"]


@pytest.mark.parametrize(
    "name", [n for n, one in hyperparameters.library().algorithms.items() if one.reference]
)
def test_what_is_printed_can_be_declared(name: str) -> None:
    algorithm = hyperparameters.library().algorithms[name]
    continuous = algorithm.agent in ("ddpg", "td3", "sac")
    values, _ = request.reference_settings(name, "Pendulum-v1" if continuous else "CartPole-v1", None)
    assert value_checks.bad_settings(values, algorithm.agent, "x") == []
    assert not {"precision", "memory_mapped"} & values.keys()


def test_a_suite_may_replace_settings(tmp_path: Path) -> None:
    suite = tmp_path / "own.yaml"
    suite.write_text(SUITE + "hyperparameters: {ppo: {gamma: 0.5}}\n")
    values, source = request.reference_settings("sb3/ppo", "CartPole-v1", str(suite))
    assert values["gamma"] == 0.5 and source.endswith(f"replaced by suite {suite}: gamma")
    suite.write_text(SUITE + "hyperparameters: {ppo: {gama: 0.5}}\n")
    with pytest.raises(UserError, match="unknown hyper-parameter 'gama'"):
        request.reference_settings("sb3/ppo", "CartPole-v1", str(suite))


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("sb3/pop", "CartPole-v1"), "REFERENCE: unknown configuration 'pop'"),
        (("cleanrl/ppo", "CartPole-v1"), "REFERENCE 'cleanrl/ppo': only references of sb3"),
        (("sb3/ppo", "CartPole-v7"), "unknown environment 'CartPole-v7'"),
        (("sb3/sac", "CartPole-v1"), "algorithm 'sac' cannot act in 'CartPole-v1'"),
        (("sb3/ppo", "CartPole-v1", "--suite", "pop"), "unknown suite 'pop'"),
    ],
)
def test_mistakes_are_one_line(words: tuple[str, ...], line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dev", "settings", *words]) != 0
    error = capsys.readouterr().err
    assert line in error and error.count("\n") == 1


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("- gamma", "expected a mapping of settings to values, got ['gamma']"),
        ("", "expected a mapping of settings to values, got None"),
        ("gamma: [", "not valid YAML"),
        ("gama: 0.9", "unknown setting 'gama'; choose from"),
        ("gamma: high", "settings.gamma: expected float, got 'high'"),
        ("gamma: 7", "settings.gamma: 7 is out of range; allowed is 0 to 1"),
        ("n_envs: 1.5", "settings.n_envs: expected a whole number from 1, got 1.5"),
        ("normalize: 1", "settings.normalize: expected true or false, got 1"),
    ],
)
def test_a_file_of_settings_is_checked(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, line: str
) -> None:
    (tmp_path / "mine.yaml").write_text(content)
    folders = ["--results", str(tmp_path / "results"), "--reports", str(tmp_path / "reports")]
    words = ["--command", "x {seed}", "--settings", str(tmp_path / "mine.yaml"), *folders]
    assert main(["validate", "--against", "sb3/ppo", "--suite", str(tiny), *words]) != 0
    error = capsys.readouterr().err
    assert line in error and not (tmp_path / "results").exists()


def test_what_is_declared_is_the_candidates_and_changes_no_record(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("{gamma: 0.9, net_arch: [64, 64], target_kl: null}")
    words = [
        "validate",
        "--command",
        "x {seed}",
        "--against",
        "sb3/ppo",
        "--suite",
        str(tiny),
        "--name",
        "theirs",
    ]
    said = [
        "--settings",
        str(tmp_path / "mine.yaml"),
        "--departure",
        "no bootstrap",
        "--departure",
        "no clipping",
    ]
    asked, plain = (
        request.from_options(vars(_parser().parse_args([*words, *more])), tiny) for more in (said, [])
    )
    (cell, *_) = request.cells_of(request.plan(asked), "theirs")
    assert cell.candidate["settings"] == {"gamma": 0.9, "net_arch": [64, 64], "target_kl": None}
    assert cell.candidate["departures"] == ["no bootstrap", "no clipping"]
    (other, *_) = request.cells_of(request.plan(plain), "theirs")
    assert "settings" not in other.candidate and "departures" not in other.candidate
    assert cell.fingerprint == other.fingerprint and cell.hyperparameters == other.hyperparameters
