"""What recording a CUDA graph does, on a CPU: Python runs once, and its operations are made again.

A replay makes the same operations on the same memory. Python numbers are those of the recording, and a look
at a value is refused, as in `torch.cuda.graph`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

LOOKS = ("_local_scalar_dense", "nonzero", "is_nonzero", "equal", "masked_select", "unique")


class Operations(TorchDispatchMode):
    """The operations that were made, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.made: list[tuple[Any, Any, Any, Any]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func._schema.name.removeprefix("aten::") in LOOKS:
            raise RuntimeError(f"{func} looks at a value")
        result = func(*args, **(kwargs or {}))
        self.made.append((func, args, kwargs or {}, result))
        return result

    @torch.no_grad()
    def replay(self) -> None:
        """Make them again. What was new memory then is written anew."""
        for func, args, kwargs, results in self.made:
            again = func(*args, **kwargs)
            declared = func._schema.returns
            each = (results, again) if len(declared) != 1 else ([results], [again])
            for kind, old, new in zip(declared, *each, strict=True):
                if kind.alias_info is None:
                    for own, found in zip(pytree.tree_leaves(old), pytree.tree_leaves(new), strict=True):
                        own.copy_(found)


class CpuRecorder:
    """See `rlparity.training.cuda_graphs.Recorder`. Recording runs the call, so the first replay does not."""

    def __init__(self) -> None:
        self.recorded = 0

    def warm_up(self, call: Callable[[], Any]) -> Any:
        return call()

    def record(self, call: Callable[[], Any]) -> tuple[Callable[[], None], Any]:
        with Operations() as operations:
            result = pytree.tree_map(lambda x: x.detach() if isinstance(x, Tensor) else x, call())
        self.recorded += 1
        ran = iter([True])
        return lambda: None if next(ran, False) else operations.replay(), result
