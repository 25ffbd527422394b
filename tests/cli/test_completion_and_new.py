"""The completion script, and skeletons that can be validated as they stand."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from rlparity.__main__ import main
from rlparity.cli.parser import ORDER
from rlparity.validation.contract import check as contract

COMPLETE = """
source {script}
COMP_WORDS=({words}); COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))
_shtab_rlparity
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_bash_completes_commands_and_options(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dev", "completion", "bash"]) == 0
    script = tmp_path / "completion.sh"
    script.write_text(capsys.readouterr().out)

    def completed(*words: str) -> list[str]:
        text = COMPLETE.format(script=script, words=" ".join(f"'{word}'" for word in ("rlparity", *words)))
        done = subprocess.run(["bash", "-c", text], capture_output=True, text=True, check=True)
        return sorted(done.stdout.split())

    assert completed("") == sorted([*ORDER, "dev"])
    assert completed("dev", "co") == ["collect", "completion", "confirm"]
    assert "--against" in completed("train", "--a") and "layer" not in completed("dev", "l")


def test_a_skeleton_keeps_the_contract(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], in_checkout: None
) -> None:
    assert main(["new", "candidate", "my_ppo", "--folder", str(tmp_path)]) == 0
    words = f"rlparity validate {tmp_path / 'my_ppo.py'}:MyPpo --against sb3/ppo --suite cartpole"
    assert words in capsys.readouterr().out
    assert main(["new", "candidate", "my_ppo", "--folder", str(tmp_path)]) == 4
    assert "my_ppo.py is there already" in capsys.readouterr().err
    for environment, algorithm in (("CartPole-v1", "ppo"), ("Pendulum-v1", "sac")):
        checks = contract.check(f"{tmp_path / 'my_ppo.py'}:MyPpo", environment, algorithm)
        assert checks and all(check.passed for check in checks if check.looked), checks


@pytest.mark.parametrize("name", ["My-PPO", "1st", "class", "a/b", ""])
def test_a_name_that_is_none(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new", "candidate", name, "--folder", str(tmp_path)]) == 4
    assert "is no name of a module" in capsys.readouterr().err and not list(tmp_path.iterdir())
