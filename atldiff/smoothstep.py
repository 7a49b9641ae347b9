"""Smoothstep, shared by masks, warps and motion."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:  # reading a photo must not import torch, which takes a second
    import numpy as np
    from torch import Tensor

Values = TypeVar("Values", "np.ndarray", "Tensor")


def smoothstep(start: float | Tensor, stop: float | Tensor, x: Values) -> Values:
    """The cubic from 0 at `start` to 1 at `stop`, level at both; it is constant beyond them.

    Args:
        start: a number, or a tensor that broadcasts with a tensor x.
        stop: likewise; it may be smaller than `start`.
        x: values of any shape.

    Returns:
        Values in [0, 1] with the shape of x.
    """
    t = ((x - start) / (stop - start)).clip(0, 1)
    return t * t * (3 - 2 * t)
