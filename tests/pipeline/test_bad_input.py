"""Bad commands, and names that are HTML. Each command ends in a clear line and a status that is not zero;
none in a traceback, and none leaves a record. Nothing in a file is run."""

from __future__ import annotations

from pathlib import Path

import pytest
from refusals import refused

pytestmark = pytest.mark.usefixtures("in_checkout")
ROOT = Path(__file__).parents[1]


# --- the command line

COMMANDS: dict[str, tuple[str, ...]] = {
    "no command": (),
    "an unknown command": ("fly",),
    "a suite that there is not": ("plan", "smok"),
    "a suite that is a folder": ("plan", "."),
    "a suite of 300 letters": ("plan", "a" * 300),
    "a suite of 5,000 letters": ("plan", "a" * 5000),
    "a training of nobody's": ("train", "pppo", "CartPole-v1"),
    "a training nowhere": ("train", "ppo", "CartPole-v999"),
    "a training without an end": ("train", "a2c", "odd_environments:Forever-v0"),
    "a training of the reference without an end": (
        *("train", "a2c", "odd_environments:Forever-v0", "--implementation", "sb3"),
    ),
    "a training of no steps": ("train", "ppo", "CartPole-v1", "--budget", "0"),
    "a training of text": ("train", "ppo", "CartPole-v1", "--budget", "many"),
    "a training with half a setting": ("train", "ppo", "CartPole-v1", "--set", "gamma"),
    "a training with a setting that is no YAML": ("train", "ppo", "CartPole-v1", "--set", "gamma=[1"),
    "a training with a seed that is none": ("train", "ppo", "CartPole-v1", "--seeds", "x"),
    "a cell that is no JSON": ("dev", "cell", "--cell", "{", "--into", "results/x"),
    "a cell of another shape": ("dev", "cell", "--cell", "{}", "--into", "results/x"),
    "a cell without a folder": ("dev", "cell", "--cell", "{}"),
    "a cell that is not there": ("dev", "cell", "--cell", "not/there.json"),
    "a play of a folder that is none": ("play", "not/there"),
    "a comparison with nothing": ("diff", "not/there", "nor/here"),
    "a report of nothing": ("report", "not-there"),
    "a vouching for nothing": (
        "dev",
        "vouch",
    ),
    "a vouching for too much": ("dev", "vouch", "smoke", "--share", "7"),
    "a restoration of nothing": ("restore",),
    "a page of nothing": ("dev", "render", "not-there"),
    "a benchmark of no rounds": ("bench", "--rounds", "0"),
    "a benchmark of seeds that are none": ("bench", "--seeds", "a,b"),
    "a benchmark without a reference": ("bench", "--algorithms", "reinforce", "--seeds", "1"),
    "a validation of nothing": ("validate", "--against", "sb3/ppo", "--suite", "cartpole"),
    "a validation against nobody": ("validate", "a:b", "--against", "sb9/ppo", "--suite", "cartpole"),
    "a validation of a module that is not there": (
        *("validate", "not.there:F", "--against", "sb3/ppo", "--suite", "cartpole"),
    ),
    "a lock-step of no steps": ("dev", "lockstep", "--steps", "0"),
    "a lock-step of nobody's": ("dev", "lockstep", "pppo"),
    "a parity of nobody's": ("dev", "parity", "pppo"),
    "a sensitivity of nothing": (
        "dev",
        "sensitivity",
    ),
    "a calibration of nothing": ("dev", "calibrate", "not-there"),
}


@pytest.mark.parametrize("arguments", COMMANDS.values(), ids=COMMANDS)
def test_a_command_that_cannot_be(
    arguments: tuple[str, ...],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    for name in ("workflow", "Snakefile"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    refused(capsys, *arguments)
    assert not list(tmp_path.glob("results/**/run.json"))


# --- text that is HTML


def test_names_in_html_are_text_in_a_report(tmp_path: Path) -> None:
    from rlparity.reporting.pages.simple_page import Section, SimplePage

    evil = "<script>alert(1)</script>"
    section = Section(evil, [evil], [(evil, evil)])
    SimplePage(evil, evil, evil, evil, [section], [(evil, evil)]).render(tmp_path)
    page = (tmp_path / "index.html").read_text()
    assert evil not in page.split("<body", 1)[1] and "&lt;script&gt;" in page
