"""Equality of numbers up to rounding, for the checks of our own agents."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

SUMS = 1e-5  # tolerance for sums in another order, relative and absolute
COMPUTED = 1e-4  # tolerance for longer computations in float32, relative and absolute


def close(a: Any, b: Any, tolerance: float = COMPUTED) -> bool:
    """Whether numbers, arrays or tensors are equal up to a relative and absolute tolerance."""
    a, b = (x.detach() if isinstance(x, Tensor) else x for x in (a, b))
    a, b = (np.asarray(x, np.float64) for x in (a, b))
    return bool(np.allclose(a, b, rtol=tolerance, atol=tolerance))
