"""Evaluate a candidate from outside of its process, which only answers observations with actions.

Environments, random streams and records of an evaluation are in the process that trains the cell, so that
nothing that a candidate does to Gymnasium, NumPy or PyTorch in its own process reaches them. The candidate's
process asks for an evaluation when its training gets to one, and waits for the end of it.

A message is a line of JSON, and an array if the line has its `dtype` and `shape`. Nothing is unpickled.
"""

from __future__ import annotations

import json
import time
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rlparity.candidates import environments
from rlparity.candidates.environments import Misbehaved, bad_actions
from rlparity.cell import Cell
from rlparity.runs.row_checks import bad_point
from rlparity.seeding import Streams
from rlparity.training.evaluation import Evaluator, Policy
from rlparity.training.recorder import Recorder


class Examiner:
    """Evaluates the policy of the one seed of a cell in this process, and records what it measures."""

    def __init__(self, cell: Cell, recorder: Recorder):
        self._recorder, self._evaluator = recorder, Evaluator(cell, Streams(cell))

    def __call__(self, policy: Policy, point: int, env_step: int) -> None:
        """Evaluate at one of the protocol's points, which training reached at this environment step."""
        started = time.perf_counter()
        outcomes = self._evaluator(policy, _unchanged, point)
        self._recorder.evaluation_time_s += time.perf_counter() - started
        self._recorder.evaluated(env_step, outcomes, {})

    def close(self) -> None:
        """Close the environments."""
        self._evaluator.close()


def _unchanged(obs: Tensor) -> Tensor:
    """Observations as they are: a candidate normalises them itself."""
    return obs


class Answers:
    """In the candidate's process, in place of an `Examiner`: asks the other end to evaluate, and answers."""

    def __init__(self, link: Connection):
        self._link = link

    def __call__(self, policy: Policy, point: int, env_step: int) -> None:
        """Ask for an evaluation, and choose actions until it has ended. Misbehaved if the candidate does."""
        _send(self._link, {"point": point, "env_step": env_step})
        while True:
            message, obs = _receive(self._link)
            if obs is None:
                if "refused" in message:
                    raise Misbehaved(message["refused"])
                return
            explore = None if message["deterministic"] else torch.empty(0)
            try:
                action = policy.act(torch.from_numpy(obs), explore)
            except Misbehaved:
                _send(self._link, {"given_up": True})
                raise
            _send(self._link, {}, action.numpy())

    def close(self) -> None:
        """Close this end."""
        self._link.close()


class _GivenUp(Exception):
    """The candidate's process fails its seed."""


class _Distant:
    """The policy at the other end of a link, with S = 1."""

    uniforms = 1

    def __init__(self, link: Connection, environment: str):
        env = environments.make(environment)
        self._space, self._link = env.action_space, link
        env.close()

    def act(self, obs: Tensor, explore: Tensor | None = None) -> Tensor:
        """Map obs (1, E, *obs) to actions (1, E) or (1, E, *action)."""
        _send(self._link, {"deterministic": explore is None}, obs.numpy())
        message, action = _receive(self._link)
        if action is None:
            raise _GivenUp(message)
        if problem := bad_actions(action[0], self._space, (obs.shape[1],)):
            raise Misbehaved(f"act gave {problem}")
        return torch.from_numpy(action)


def serve(cell: Cell, recorder: Recorder, link: Connection) -> None:
    """Evaluate whenever the other end asks for it, until that closes. Points that are not the protocol's are
    refused there."""
    examiner, last = Examiner(cell, recorder), -1
    policy = _Distant(link, cell.environment)
    try:
        while True:
            asked, _ = _receive(link)
            point, env_step = asked["point"], asked["env_step"]
            try:
                if problem := bad_point(cell, last, point, env_step):
                    raise Misbehaved(problem)
                examiner(policy, point, env_step)
            except Misbehaved as error:
                _send(link, {"refused": str(error)})
                return
            last = point
            _send(link, {"evaluated": point})
    except (EOFError, BrokenPipeError, ConnectionResetError, _GivenUp):
        return
    finally:
        examiner.close()


def _send(link: Connection, message: dict[str, Any], array: np.ndarray | None = None) -> None:
    if array is not None:
        array = np.ascontiguousarray(array)
        message = {**message, "dtype": array.dtype.str, "shape": array.shape}
    link.send_bytes(json.dumps(message).encode())
    if array is not None:
        link.send_bytes(array.tobytes())


def _receive(link: Connection) -> tuple[dict[str, Any], np.ndarray | None]:
    message: dict[str, Any] = json.loads(link.recv_bytes())
    if "dtype" not in message:
        return message, None
    content = bytearray(link.recv_bytes())
    return message, np.frombuffer(content, np.dtype(message["dtype"])).reshape(message["shape"])
