"""Compare two live trainings, attribute by attribute, without the code that checkpoints are made with.

Everything that an object of this package holds is compared to the last bit: numbers, arrays, generators, and
what lies within. Left out is what no later step reads: gradients, clocks, compiled code, and places of a
memory that hold nothing yet.
"""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Iterable, Iterator
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor

from rlparity.buffers.replay import Replay
from rlparity.buffers.trajectories import Trajectories
from rlparity.nn.networks import Network
from rlparity.training.recorder import Recorder

WALKED = (__name__.partition(".")[0], "minatar")  # packages whose objects are looked into
PASSING = {  # attributes that are written anew before they are read
    Network: ("grad", "kernel", "_token", "_grad_stacks", "_grad_vectors", "_written"),
    Recorder: ("_started", "on_policy", "training_time_s", "cell", "env_step"),
    Replay: ("_fields",),  # compared by `read`
    Trajectories: ("_running",),  # compared as far as episodes have come
}
CODE = (type, FunctionType, BuiltinFunctionType, MethodType, ModuleType, torch.dtype, torch.device)
SHARED = "alive"  # the attribute that several objects hold together


def difference(one: Any, other: Any) -> str | None:
    """The first place where two things differ, and how; None if they are the same."""
    return next(_differences(one, other, type(one).__name__, {}), None)


def _differences(a: Any, b: Any, where: str, seen: dict[int, int]) -> Iterator[str]:
    if isinstance(a, CODE) or _is_setting(a):
        return
    if type(a) is not type(b) and not (isinstance(a, int | float) and isinstance(b, int | float)):
        yield f"{where} is {type(a).__name__} in one and {type(b).__name__} in the other"
    elif isinstance(a, Tensor):
        yield from _unlike(where, same_numbers(a.detach().cpu().numpy(), b.detach().cpu().numpy()))
    elif isinstance(a, np.ndarray):
        yield from _unlike(where, same_numbers(a, b))
    elif isinstance(a, np.random.Generator):
        yield from _unlike(where, str(a.bit_generator.state) == str(b.bit_generator.state))
    elif isinstance(a, torch.Generator):
        yield from _unlike(where, torch.equal(a.get_state(), b.get_state()))
    elif isinstance(a, dict):
        yield from _unlike(f"keys of {where}", a.keys() == b.keys())
        for key in a.keys() & b.keys():
            yield from _differences(a[key], b[key], f"{where}[{key!r}]", seen)
    elif isinstance(a, list | tuple | deque):
        yield from _unlike(f"length of {where}", len(a) == len(b))
        for i, (x, y) in enumerate(zip(a, b, strict=False)):
            yield from _differences(x, y, f"{where}[{i}]", seen)
    elif isinstance(a, gym.Env):
        yield from _of_gymnasium(a, b, where)
    elif isinstance(a, np.random.RandomState):
        yield from _unlike(where, str(a.get_state()) == str(b.get_state()))
    elif _is_walked(a):
        yield from _of_object(a, b, where, seen)
    elif isinstance(a, None | bool | int | float | str | set):
        yield from _unlike(where, a == b or (a != a and b != b), f": {a!r} and {b!r}")


def same_numbers(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two arrays have the same kind, shape and bits."""
    return (a.dtype, a.shape) == (b.dtype, b.shape) and a.tobytes() == b.tobytes()


def _unlike(where: str, same: bool, values: str = "") -> Iterable[str]:
    return () if same else (f"{where} differs{values}",)


def _is_setting(value: Any) -> bool:
    return dataclasses.is_dataclass(value) and value.__dataclass_params__.frozen  # type: ignore[union-attr]


def _of_object(a: Any, b: Any, where: str, seen: dict[int, int]) -> Iterator[str]:
    if id(a) in seen:
        yield from _unlike(where, seen[id(a)] == id(b), ": no longer the object that it was elsewhere")
        return
    seen[id(a)] = id(b)
    skipped = {name for kind, names in PASSING.items() if isinstance(a, kind) for name in names}
    mine, its = ({k: v for k, v in vars(x).items() if k not in skipped} for x in (a, b))
    yield from _unlike(f"attributes of {where}", mine.keys() == its.keys())
    for name in mine.keys() & its.keys():
        x, y = mine[name], its[name]
        if name == SHARED and isinstance(x, Tensor):
            together = seen.setdefault(id(x), id(y)) == id(y)
            yield from _unlike(f"{where}.{name}", together, ": no longer shared by those who shared it")
        yield from _differences(x, y, f"{where}.{name}", seen)
    if isinstance(a, Replay) and a.added and a.added == b.added:
        first = a.added - a.size
        names = getattr(type(a._fields), "_fields", None) or range(99)
        for name, x, y in zip(names, a.read(first, a.added), b.read(first, b.added), strict=False):
            yield from _differences(x, y, f"{where}, {name} of its transitions", seen)
    if isinstance(a, Trajectories):
        for x, y in zip(_running(a), _running(b), strict=True):
            yield from _differences(x, y, f"{where}, episodes under way", seen)


def _running(memory: Trajectories) -> list[Tensor]:
    """The episodes under way, each field of each sub-environment as far as it has come."""
    times = memory._time
    return [x[s, n, : times[s, n]] for x in memory._running if x.numel() for s, n in np.ndindex(*times.shape)]


def _of_gymnasium(a: Any, b: Any, where: str) -> Iterator[str]:
    """Generators, and numbers that wrappers and the environment itself hold."""
    while True:
        for name, value in vars(a).items():
            plain = isinstance(value, bool | int | float | np.ndarray | np.random.Generator)
            if plain or _is_walked(value):
                yield from _differences(value, vars(b).get(name), f"{where}.{name}", {})
        if a.unwrapped is a:
            return
        a, b = a.env, b.env


def _is_walked(value: Any) -> bool:
    return type(value).__module__.partition(".")[0] in WALKED and not isinstance(value, gym.Env)
