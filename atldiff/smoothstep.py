"""Smoothstep, shared by masks, warps and motion."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:  # photos are read without torch, which takes a second to import
    import numpy as np
    from torch import Tensor

Values = TypeVar("Values", "np.ndarray", "Tensor")


def smoothstep(start: float | Tensor, stop: float | Tensor, x: Values) -> Values:
    """0 at `start`, 1 at `stop` (which may be the smaller one), smooth and level at both; same shape as x.

    Args:
        start, stop: numbers; of a tensor x also tensors that broadcast with it.
    """
    t = ((x - start) / (stop - start)).clip(0, 1)
    return t * t * (3 - 2 * t)
