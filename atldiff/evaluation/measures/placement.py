"""The similarity that lays one set of points onto another."""

import numpy as np


def similarity(source: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The similarity that best maps points (N, 2) to points (N, 2): p -> turn @ p + shift (Umeyama 1991).

    Returns:
        (2, 2) turn and scale, (2,) shift.
    """
    a, b = source - source.mean(axis=0), target - target.mean(axis=0)
    norm = (a * a).sum()
    cos, sin = (a * b).sum() / norm, (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum() / norm
    turn = np.array([[cos, -sin], [sin, cos]])
    return turn, target.mean(axis=0) - turn @ source.mean(axis=0)
