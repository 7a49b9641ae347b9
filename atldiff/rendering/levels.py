"""The value range of the networks' pictures: uint8 levels outside, float in [-1, 1] inside."""

from torch import Tensor

UNIT = 127.5  # levels that 1 in the networks' range is worth


def to_signed(levels: Tensor) -> Tensor:
    """Levels 0 to 255, any shape -> float32 in [-1, 1], same shape."""
    return levels.float() / UNIT - 1


def from_signed(signed: Tensor) -> Tensor:
    """Pictures in [-1, 1], any shape -> uint8, the nearest level, same shape; what lies beyond is cut."""
    return ((signed + 1) * UNIT).round().clamp(0, 255).byte()
