"""Numbers and lists as people type them in a shell: `1e5`, `100k`, `0-4`, `0,1,2`, `[ppo, dqn]`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from itertools import pairwise
from typing import Any

from rlparity.errors import UserError
from rlparity.suites import yaml_reader
from rlparity.suites.environments import LARGEST_SEED, SEEDS

UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}
MOST_STEPS = 10**15
STEPS = "write a whole number from 1, such as 100000, 100_000, 100k, 1e5 or 2M"
RANGES = "write ranges such as 0-4, or single seeds such as 0,1,2"


def steps(text: str | int | float, where: str) -> int:
    """A number of environment steps. Raises UserError."""
    match = re.fullmatch(r"([0-9][0-9_]*(?:\.[0-9]+)?(?:e\+?[0-9]{1,2})?)([kmg]?)", str(text).strip().lower())
    try:
        number = Decimal(match[1].replace("_", "")) * UNITS[match[2]] if match else Decimal(0)
    except InvalidOperation:
        number = Decimal(0)
    if not 1 <= number <= MOST_STEPS or number != int(number):
        raise UserError(f"{where} {yaml_reader.short(str(text))}: {STEPS}")
    return int(number)


def seeds(texts: Sequence[str | int], where: str) -> list[str]:
    """Blocks of seeds as a suite writes them, "0-4" or "7": neighbours stand in one block.

    Commas, blanks and brackets separate alike. Raises UserError for what is no seed, and for one that comes
    twice.
    """
    words = [word for text in texts for word in re.split(r"[\s,\[\]'\"]+", str(text)) if word]
    found: list[int] = []
    for word in words:
        match = re.fullmatch(r"([0-9]{1,19})(?:-([0-9]{1,19}))?", word)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, -1)
        if last < first or last > LARGEST_SEED or len(found) + last - first >= SEEDS:
            raise UserError(f"{where} {yaml_reader.short(word)}: {RANGES}")
        found += range(first, last + 1)
    if not found:
        raise UserError(f"{where}: {RANGES}")
    found.sort()
    if twice := [a for a, b in pairwise(found) if a == b]:
        raise UserError(f"{where}: seed {twice[0]} is there twice")
    return blocks(found)


def blocks(numbers: Sequence[int]) -> list[str]:
    """Increasing seeds as ranges of neighbours: "0-4", "7"."""
    starts = [i for i, seed in enumerate(numbers) if i == 0 or seed != numbers[i - 1] + 1]
    parts = [numbers[i:j] for i, j in pairwise([*starts, len(numbers)])]
    return [f"{part[0]}-{part[-1]}" if len(part) > 1 else str(part[0]) for part in parts]


def names(value: Any) -> list[str]:
    """A list of names, given as one or as text with commas: "ppo,dqn" or "[ppo, dqn]"."""
    if isinstance(value, str):
        return [
            word for word in re.split(r"[\s,]+", value.strip().removeprefix("[").removesuffix("]")) if word
        ]
    return [str(one) for one in value] if isinstance(value, list | tuple) else [str(value)]


def plain(value: Any, where: str) -> Any:
    """A value whose texts are read as YAML values: Snakemake leaves those inside a mapping as texts."""
    if isinstance(value, Mapping):
        return {str(key): plain(inner, where) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner, where) for inner in value]
    return yaml_reader.parse(value, where) if isinstance(value, str) else value


def pairs(words: Sequence[str], where: str) -> dict[str, Any]:
    """`KEY=VALUE` words as a mapping, values in YAML. Raises UserError."""
    found: dict[str, Any] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or not name:
            raise UserError(f"{where} {word}: write KEY=VALUE, such as learning_rate=1e-3")
        found[name] = yaml_reader.parse(text, f"{where} {name}")
    return found
