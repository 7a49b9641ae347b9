"""Measures and narrows the gap between the lips; landmarks are (F, 68, 2) in face units."""

import numpy as np

from atldiff.landmarks import JAW, LOWER_INNER_LIP, MOUTH, UPPER_INNER_LIP

# Points of the outer lip, and the pair of the inner lip (0, 1, 2 from the right corner) that moves each.
_UPPER_OUTER, _UPPER_PAIR = (49, 50, 51, 52, 53), (0, 0, 1, 2, 2)
_LOWER_OUTER, _LOWER_PAIR = (55, 56, 57, 58, 59), (2, 2, 1, 0, 0)
LIPS = (UPPER_INNER_LIP, LOWER_INNER_LIP, (60, 64))
_UPPER_SHARE, _JAW_SHARE = 0.3, 0.5  # upper lip's share of a closing gap; chin's share of the lower lip's way
# Share of each point in speech: 1 on the lips; along the jaw 0 at the ears, 1 at the chin.
SPEECH_WEIGHT = np.zeros((68, 1))
SPEECH_WEIGHT[MOUTH], SPEECH_WEIGHT[JAW, 0] = 1, np.sin(np.linspace(0, np.pi, 17)) ** 2


def gaps(points: np.ndarray, upper: tuple, lower: tuple, corners: tuple) -> tuple[np.ndarray, np.ndarray]:
    """Measures gaps between upper and lower points, across the line through two corners.

    Args:
        points: (F, 68, 2) landmarks.
        upper: indices of the upper points, one a pair.
        lower: indices of the lower points, one a pair.
        corners: indices of the right and the left corner.

    Returns:
        The unit vector (F, 1, 2) down across the line, and the gaps (F, pairs) along it.
    """
    along = points[:, corners[1]] - points[:, corners[0]]
    down = np.stack([-along[:, 1], along[:, 0]], axis=-1)
    down = (down / np.linalg.norm(down, axis=-1, keepdims=True))[:, None]
    return down, ((points[:, list(lower)] - points[:, list(upper)]) * down).sum(-1)


def narrow_mouth(points: np.ndarray, down: np.ndarray, amount: np.ndarray) -> np.ndarray:
    """Narrows the gaps of the inner lips by `amount` (F, 3), face units; outer lips and chin follow.

    A negative amount widens. `down` is the unit vector (F, 1, 2) of `gaps`.
    """
    points, shift = points.copy(), amount[..., None] * down
    lift = shift * (1 - _UPPER_SHARE)
    points[:, list(UPPER_INNER_LIP)] += _UPPER_SHARE * shift
    points[:, list(_UPPER_OUTER)] += _UPPER_SHARE * shift[:, list(_UPPER_PAIR)]
    points[:, list(LOWER_INNER_LIP)] -= lift
    points[:, list(_LOWER_OUTER)] -= lift[:, list(_LOWER_PAIR)]
    points[:, JAW] -= _JAW_SHARE * SPEECH_WEIGHT[JAW] * lift.mean(axis=1, keepdims=True)
    return points
