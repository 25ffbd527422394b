"""Logs that cannot be read: each is refused in one line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from refusals import NARROW

from rlparity.errors import UserError
from rlparity.log_readers import convert as logs
from rlparity.log_readers.checks import Expected
from rlparity.log_readers.series import Reading, Refused

EXPECTED = Expected("CartPole-v1", budget=100, n_envs=1, points=4, time_limit=20)
HEAD = '#{"t_start": 1.0, "env_id": "CartPole-v1"}\nr,l,t\n'
LOGS: dict[str, tuple[str, bytes]] = {
    "an empty monitor": ("monitor.csv", b""),
    "a monitor without rows": ("monitor.csv", HEAD.encode()),
    "a monitor without a header": ("monitor.csv", b"r,l,t\n1,2,3\n"),
    "a monitor whose header is no JSON": ("monitor.csv", b"#{t_start\nr,l,t\n1,2,3\n"),
    "a monitor whose header is a list": ("monitor.csv", b"#[1]\nr,l,t\n1,2,3\n"),
    "a monitor without returns": ("monitor.csv", HEAD.replace("r,l,t", "l,t").encode() + b"1,2\n"),
    "a monitor with text for a return": ("monitor.csv", HEAD.encode() + b"high,20,3\n" * 5),
    "a monitor with no number": ("monitor.csv", HEAD.encode() + b"nan,20,3\n" * 5),
    "a monitor with an infinite return": ("monitor.csv", HEAD.encode() + b"inf,20,3\n" * 5),
    "a monitor with an episode of no steps": ("monitor.csv", HEAD.encode() + b"1,0,3\n" * 5),
    "a monitor with a negative length": ("monitor.csv", HEAD.encode() + b"1,-5,3\n" * 5),
    "a monitor of another environment": (
        "monitor.csv",
        HEAD.replace("CartPole", "Pole").encode() + b"1,20,3\n" * 5,
    ),
    "a monitor that is too short": ("monitor.csv", HEAD.encode() + b"1,20,3\n"),
    "a monitor in UTF-16": ("monitor.csv", HEAD.encode("utf-16")),
    "a monitor of null bytes": ("monitor.csv", bytes(1000)),
    "an archive that is none": ("evaluations.npz", b"not a zip"),
    "an archive cut short": ("evaluations.npz", b"PK\x03\x04" + bytes(20)),
    "a table that is no Parquet": ("log.parquet", b"PAR1" + bytes(50) + b"PAR1"),
    "an empty Parquet": ("log.parquet", b""),
    "an event file of noise": ("events.out.tfevents.1.host", bytes(range(256)) * 4),
    "an empty event file": ("events.out.tfevents.1.host", b""),
    "JSON that is none": ("log.json", b"{"),
    "JSON of another shape": ("log.json", b"[1, 2, 3]"),
    "JSON of depth": ("log.json", b"[" * 100_000),
    "a pickle": ("log.pkl", b"\x80\x04\x95"),
    "a CSV without columns": ("log.csv", b"\n\n\n"),
    "a CSV of other columns": ("log.csv", b"a,b\n1,2\n"),
    "a CSV of uneven rows": ("log.csv", b"env_step,episode_return\n1,2,3,4\n5\n"),
    "a CSV with a quote left open": ("log.csv", b'env_step,episode_return\n"1,2\n'),
    "a CSV of ten thousand columns": ("log.csv", b",".join(b"x" for _ in range(10_000)) + b"\n"),
}


@pytest.mark.parametrize("log", LOGS.values(), ids=LOGS)
def test_logs_that_cannot_be_read(log: tuple[str, bytes], tmp_path: Path) -> None:
    name, content = log
    (tmp_path / name).write_bytes(content)
    with pytest.raises((Refused, UserError)) as caught:
        logs.read((tmp_path / name,), Reading(), EXPECTED, ("deterministic",), 0)
    assert str(caught.value) and "\n" not in str(caught.value)


@given(content=st.binary(max_size=200), name=st.sampled_from([name for name, _ in LOGS.values()]))
@NARROW
def test_any_bytes_are_logs_or_refused_in_words(
    content: bytes, name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.mktemp("logs") / name
    file.write_bytes(content)
    try:
        logs.read((file,), Reading(), EXPECTED, ("deterministic",), 0)
    except (Refused, UserError) as error:
        assert str(error) and "\n" not in str(error)
