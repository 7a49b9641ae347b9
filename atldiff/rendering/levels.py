"""Conversion between uint8 levels and the networks' range, float in [-1, 1]."""

from torch import Tensor

UNIT = 127.5  # levels per unit of the networks' range


def to_signed(levels: Tensor) -> Tensor:
    """Levels 0 to 255, any shape -> float32 in [-1, 1], same shape."""
    return levels.float() / UNIT - 1


def from_signed(signed: Tensor) -> Tensor:
    """Pictures in [-1, 1], any shape -> the nearest levels, uint8, same shape; values beyond are clipped."""
    return ((signed + 1) * UNIT).round().clamp(0, 255).byte()
