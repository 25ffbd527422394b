"""Methods of agents as CUDA graphs: recorded once for each kind of arguments, then replayed in one launch.

A gradient step is some sixty small operations, which take a GPU less time than Python takes to ask for them.
A method can be recorded if it changes arrays in place only, looks at no value of an array, and keeps no count
of its own in Python. What it computes with Python numbers is the same in every replay, with one exception:
the agent's `env_steps` is an array on the device while the method runs, so that rates can fall.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

WARM_UP = 3  # calls before a method is recorded, on the recorder's stream: libraries allocate in the first


class Recorder(Protocol):
    """How operations are recorded."""

    def warm_up(self, call: Callable[[], Any]) -> Any:
        """Run a call as it will be recorded, and return its result."""

    def record(self, call: Callable[[], Any]) -> tuple[Callable[[], None], Any]:
        """What replays the operations of a call, which is not run, and where its results will be."""


class CudaRecorder:
    """Record on a stream of its own; all graphs share their memory, since they are replayed one by one."""

    def __init__(self) -> None:
        self._stream, self._pool = torch.cuda.Stream(), torch.cuda.graph_pool_handle()

    def warm_up(self, call: Callable[[], Any]) -> Any:
        """See `Recorder`."""
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            result = call()
        torch.cuda.current_stream().wait_stream(self._stream)
        return result

    def record(self, call: Callable[[], Any]) -> tuple[Callable[[], None], Any]:
        """See `Recorder`."""
        graph, before = torch.cuda.CUDAGraph(), torch.cuda.current_stream()
        try:
            with torch.cuda.graph(graph, pool=self._pool, stream=self._stream):
                result = call()
        except RuntimeError as error:  # PyTorch leaves its stream current, and its own error hides the first
            torch.cuda.set_stream(before)
            self._pool = torch.cuda.graph_pool_handle()
            raise RuntimeError(str(error.__context__ or error)) from error
        return graph.replay, result


class _Graph(NamedTuple):
    inputs: Sequence[Tensor]
    replay: Callable[[], None]
    result: Any


class Graphs:
    """A method of an agent that is recorded.

    What a replay returns is copied: graphs share their memory, and the next one may write over it.
    """

    STATELESS = True  # checkpoints leave it out: a training may go on with graphs or without

    def __init__(self, agent: Any, method: Callable[..., Any], recorder: Recorder):
        """`agent` has `env_steps`; arguments of `method` are plain values, and arrays on its device."""
        self._agent, self._method, self._recorder = agent, method, recorder
        self._clock = torch.zeros((), dtype=torch.float64)
        self._graphs: dict[Any, _Graph] = {}
        self._calls: Counter[Any] = Counter()
        self._failed = False

    def __call__(self, *arguments: Any) -> Any:
        """As the method itself."""
        if self._failed:
            return self._method(*arguments)
        leaves, structure = pytree.tree_flatten(arguments)
        arrays = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
        if elsewhere := {str(x.device) for x in arrays if x.device != self._clock.device}:
            raise ValueError(f"arguments on {', '.join(elsewhere)}, expected {self._clock.device}")
        kind = (str(structure), *map(_kind, leaves))
        self._clock.fill_(self._agent.env_steps)
        if kind not in self._graphs:
            self._calls[kind] += 1
            if self._calls[kind] <= WARM_UP or not self._record(kind, leaves, structure):
                with self._clocked():
                    return self._recorder.warm_up(lambda: self._method(*arguments))
        graph = self._graphs[kind]
        for own, given in zip(graph.inputs, arrays, strict=True):
            own.copy_(given, non_blocking=True)
        graph.replay()
        return pytree.tree_map(lambda x: x.clone() if isinstance(x, Tensor) else x, graph.result)

    def _record(self, kind: Any, leaves: Sequence[Any], structure: Any) -> bool:
        """Record the method for arguments of this kind; false if that is not possible, said once."""
        own = [leaf.clone() if isinstance(leaf, Tensor) else leaf for leaf in leaves]
        try:
            with self._clocked():
                replay, result = self._recorder.record(
                    lambda: self._method(*pytree.tree_unflatten(own, structure))
                )
        except RuntimeError as error:
            self._failed = True
            why = str(error).splitlines()[0]
            print(f"note     updates are not recorded as CUDA graphs, and slower: {why}", file=sys.stderr)
            return False
        self._graphs[kind] = _Graph([leaf for leaf in own if isinstance(leaf, Tensor)], replay, result)
        return True

    @contextmanager
    def _clocked(self) -> Iterator[None]:
        """The agent's clock is the array that replays read."""
        steps = self._agent.env_steps
        self._agent.env_steps = self._clock
        try:
            yield
        finally:
            self._agent.env_steps = steps


def _kind(leaf: Any) -> Any:
    return (tuple(leaf.shape), leaf.dtype) if isinstance(leaf, Tensor) else leaf
