"""Suites whose seeds grow: which cells each look needs, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from resolved import resolve

from rlparity.errors import UserError
from rlparity.suites import growth
from rlparity.suites.growth import Growth, Judged

pytestmark = pytest.mark.usefixtures("in_checkout")
GROW = {"start": 5, "step": 5, "until": "decided", "at_most": 15}
CANDIDATE = {"mine": {"entry": "examples/sb3_ppo.py:SB3PPO", "against": "ppo"}}


def grown(**changes: Any) -> Any:
    return resolve(**{"algorithms": ["random", "reinforce", "ppo"], "seeds": GROW, **changes})


def blocks(cells: Any, implementation: str, algorithm: str) -> list[str]:
    return [c.block for c in cells if (c.implementation, c.algorithm) == (implementation, algorithm)]


def test_blocks_of_looks() -> None:
    one = Growth(100, (5, 8))
    assert one.blocks == (tuple(range(100, 105)), tuple(range(105, 108)))
    assert one.plan() == {"first": 100, "seeds": [5, 8]}


def test_each_look_adds_seeds_of_open_pairs_alone() -> None:
    made = grown(algorithms=["random", "reinforce", "ppo", "a2c"])
    ppo = Judged("CartPole-v1", "scratch", "ppo")
    first, second = growth.at(made, 1), growth.at(made, 2, {ppo})
    assert blocks(first, "scratch", "ppo") == blocks(first, "scratch", "reinforce") == ["seeds-0-4"]
    assert len(blocks(first, "scratch", "random")) == 3 and len(blocks(first, "sb3", "a2c")) == 15
    assert [(c.algorithm, c.block) for c in second] == [("ppo", "seeds-5-9")]
    assert blocks(made.cells, "scratch", "reinforce") == ["seeds-0-4"]


def test_a_split_block_and_a_candidate_grow_by_the_same_looks() -> None:
    made = grown(split=2, candidates=CANDIDATE)
    assert blocks(growth.at(made, 2), "scratch", "ppo") == ["seeds-5-7", "seeds-8-9"]
    assert blocks(growth.at(made, 3), "mine", "ppo") == [f"seeds-{k}-{k}" for k in range(10, 15)]


def test_an_arm_that_others_are_judged_against_has_all_its_seeds_at_once() -> None:
    judge = {"reinforce-baseline": {"implementation": "scratch", "algorithm": "reinforce"}}
    made = grown(algorithms=["random", "reinforce", "reinforce-baseline"], reference=judge)
    assert len(blocks(growth.at(made, 1), "scratch", "reinforce")) == 3
    assert blocks(growth.at(made, 1), "scratch", "reinforce-baseline") == ["seeds-0-4"]


def test_reached_follows_the_files_of_looks(tmp_path: Path) -> None:
    made = grown(algorithms=["random", "ppo", "a2c"])
    ppo, a2c = (Judged("CartPole-v1", "scratch", name) for name in ("ppo", "a2c"))

    def reached(until: int | None = None) -> list[list[str]]:
        cells = growth.reached(made, tmp_path, until)
        return [blocks(cells, "scratch", name) for name in ("ppo", "a2c")]

    assert reached() == [["seeds-0-4"]] * 2
    growth.write(growth.file(tmp_path, made, 1), [ppo, a2c])
    growth.write(growth.file(tmp_path, made, 2), [a2c])
    three = ["seeds-0-4", "seeds-5-9", "seeds-10-14"]
    assert reached() == [three[:2], three] and reached(until=2) == [three[:2]] * 2
    growth.write(growth.file(tmp_path, made, 1), [])  # taken again, with other records
    assert reached() == [["seeds-0-4"]] * 2
    fixed = resolve()
    assert growth.reached(fixed, tmp_path) == list(fixed.cells) and growth.settled(fixed, tmp_path) is fixed


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {"seeds": {**GROW, "at_most": 13}},
            "seeds.at_most: 13 is not 5 (start) and a multiple of 5 (step) more",
        ),
        ({"seeds": {**GROW, "start": 3}}, "seeds.start"),
        ({"seeds": {**GROW, "until": "bored"}}, "seeds.until"),
        ({"seeds": {"start": 5}}, "seeds"),
        ({"seeds": {**GROW, "step": 1, "at_most": 2000}}, "seeds.step: 1 makes more than 1,000 looks"),
        (
            {"environments": [{"id": "CartPole-v1", "seeds": [0]}]},
            "environments[0].seeds: the seeds of this suite grow",
        ),
        (
            {"algorithms": ["ppo", "ppo-bfloat16"], "environments": ["ALE/Pong-v5@nature"]},
            "algorithms: 'ppo-bfloat16' is judged against 'ppo' too, whose seeds grow as well",
        ),
        (
            {"candidates": {"other": {"command": "true {seed}", "against": "ppo"}}},
            "candidates.other: scores of a command or of logs depend on all their seeds",
        ),
        (
            {"candidates": {"mine": {**CANDIDATE["mine"], "deterministic": True}}},
            "mine/ppo is declared deterministic",
        ),
    ],
)
def test_what_cannot_grow_is_refused(changes: dict[str, Any], line: str) -> None:
    with pytest.raises(UserError) as caught:
        grown(**changes)
    assert line in str(caught.value)


def test_config_cannot_choose_seeds_of_a_growing_suite() -> None:
    with pytest.raises(UserError, match="--config seeds: the seeds of this suite grow"):
        grown(narrow={"seeds": ["0-4"]})
    part = grown(narrow={"algorithms": ["ppo"]})
    assert part.growth is not None and blocks(part.cells, "scratch", "ppo")
