"""How everything fades that fades: in pictures, masks and movements alike."""

import numpy as np


def smoothstep(start: float, stop: float, x: np.ndarray) -> np.ndarray:
    """0 at `start`, 1 at `stop` (which may be the smaller one), smooth and level at both; same shape as x."""
    t = np.clip((x - start) / (stop - start), 0, 1)
    return t * t * (3 - 2 * t)
