"""A new algorithm is begun by a command, and takes three files: the worked example of the documentation."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rlparity.cli.skeletons import agent as new_agent
from rlparity.errors import UserError
from rlparity.suites import yaml_reader

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "sarsa"
REGISTRY = Path("src", "rlparity", "registry.py")
AGENT, PAGE = Path("src", "rlparity", "agents", "value_based", "sarsa.py"), Path("docs", "agents", "sarsa.md")
INDEX = Path("docs", "index.md")
SETTINGS = """\
settings:
  CartPole-v1:
    sarsa:
      source: our own
      n_envs: 8
      hyperparameters: {learning_rate: 0.002, learning_rate_schedule: linear}
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The files that the command changes, and the folders that it writes to."""
    for file in (REGISTRY, new_agent.RESOURCES, INDEX, AGENT.parent / "dqn.py", PAGE.parent / "dqn.md"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, tmp_path / file)
    return tmp_path


def added(checkout: Path, file: Path) -> list[str]:
    """The lines that a file has more than ours; all of ours are there, in their order."""
    ours = iter((ROOT / file).read_text().splitlines())
    waiting, found = next(ours, None), []
    for line in (checkout / file).read_text().splitlines():
        if line == waiting:
            waiting = next(ours, None)
        else:
            found.append(line)
    assert waiting is None
    return found


def test_an_agent_is_written_and_entered(checkout: Path) -> None:
    written = new_agent.write(checkout, "my-sarsa", "My Sarsa", "value_based")
    assert written[:2] == [AGENT.with_stem("my_sarsa"), PAGE.with_stem("my-sarsa")]
    assert set(written[2:]) == {REGISTRY, new_agent.RESOURCES, INDEX}
    assert "class MySarsa:" in (checkout / written[0]).read_text()
    assert added(checkout, REGISTRY) == [
        '    "my_sarsa": Entry("rlparity.agents.value_based.my_sarsa:MySarsa"),'
    ]
    assert added(checkout, INDEX) == ["- [My Sarsa](agents/my-sarsa.md): configuration `my-sarsa`."]
    entry = yaml_reader.read(checkout / new_agent.RESOURCES)["algorithms"]["my-sarsa"]
    assert entry == {"title": "My Sarsa", "agent": "my_sarsa", "modes": ["deterministic", "sampled"]}
    assert len(added(checkout, new_agent.RESOURCES)) == 4


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Sarsa", "'Sarsa' is no name"),
        ("my sarsa", "'my sarsa' is no name"),
        ("../sarsa", "is no name"),
        ("dqn", "there is an algorithm 'dqn' already"),
        ("dqn-2013", "there is an algorithm 'dqn-2013' already"),
        ("actor-critic", "there is an algorithm 'actor-critic' already"),
    ],
)
def test_a_name_that_cannot_be_used_is_refused(checkout: Path, name: str, words: str) -> None:
    before = {file: file.read_bytes() for file in checkout.rglob("*") if file.is_file()}
    with pytest.raises(UserError, match=words) as refused:
        new_agent.write(checkout, name, "title", "value_based")
    assert "\n" not in str(refused.value)
    assert before == {file: file.read_bytes() for file in checkout.rglob("*") if file.is_file()}


def test_a_file_that_is_there_is_kept(checkout: Path) -> None:
    (checkout / AGENT).write_text("mine")
    with pytest.raises(UserError, match=r"there is a file .*sarsa\.py already"):
        new_agent.write(checkout, "sarsa", "title", "value_based")
    assert (checkout / AGENT).read_text() == "mine" and not (checkout / PAGE).exists()


def test_outside_of_a_checkout_it_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"it writes into a checkout of rlparity; .* has no src/rlparity"):
        new_agent.write(tmp_path, "sarsa", "title", "value_based")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.whole
def test_the_worked_example_passes_the_tests_of_agents(tmp_path: Path) -> None:
    """In a copy of the checkout: the command, then the example's agent, page and settings. A second agent
    stays as it is written, and learns what the probes ask."""
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in ("src", "docs", "tests", "workflow"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)

    def run(*words: str) -> str:
        variables = {**os.environ, "PYTHONPATH": str(tmp_path / "src"), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            [sys.executable, *words], cwd=tmp_path, env=variables, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    for words in (("sarsa", "--title", "One-step Sarsa"), ("as-written",)):
        run("-m", "rlparity", "new-agent", *words)
    shutil.copy(EXAMPLE / "sarsa.py", tmp_path / AGENT)
    shutil.copy(EXAMPLE / "sarsa.md", tmp_path / PAGE)
    resources = tmp_path / new_agent.RESOURCES
    text = resources.read_text()
    resources.write_text(text.replace("settings:\n  CartPole-v1:\n", SETTINGS, 1))
    files = ("tests/agents/test_agents.py", "tests/agents/test_probes.py")
    wanted = "sarsa or every_agent or leaves_out or (test_probe and as-written)"
    shown = run("-m", "pytest", *files, "-k", wanted, "-vv", "-p", "no:cacheprovider")
    assert shown.count("as-written") == 6 == shown.count("test_probe[sarsa")
    assert " passed" in shown and "test_a_page_shows_probe_results_that_a_probe_would_pass[sarsa]" in shown


def test_the_documented_settings_are_those_that_were_tried() -> None:
    assert SETTINGS in (ROOT / "docs" / "guide" / "add-an-algorithm.md").read_text()
