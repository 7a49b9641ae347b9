"""The gap between the lips and how to narrow it: landmarks (F, 68, 2) in face units."""

import numpy as np

from atldiff.landmarks import JAW, LOWER_INNER_LIP, MOUTH, UPPER_INNER_LIP

# Outer-lip points and, for each, the inner-lip pair (0, 1, 2 from the right corner) it moves with.
_UPPER_OUTER, _UPPER_PAIR = (49, 50, 51, 52, 53), (0, 0, 1, 2, 2)
_LOWER_OUTER, _LOWER_PAIR = (55, 56, 57, 58, 59), (2, 2, 1, 0, 0)
LIPS = (UPPER_INNER_LIP, LOWER_INNER_LIP, (60, 64))
_UPPER_SHARE, _JAW_SHARE = 0.3, 0.5  # of a closing gap the upper lip's; of the lower lip's way the chin's
# How far each point belongs to speech: lips 1, along the jaw from 0 at the ears to 1 at the chin.
SPEECH_WEIGHT = np.zeros((68, 1))
SPEECH_WEIGHT[MOUTH], SPEECH_WEIGHT[JAW, 0] = 1, np.sin(np.linspace(0, np.pi, 17)) ** 2


def gaps(points: np.ndarray, upper: tuple, lower: tuple, corners: tuple) -> tuple[np.ndarray, np.ndarray]:
    """The unit vector (F, 1, 2) down across the line of the corners, and along it the gaps (F, pairs)."""
    along = points[:, corners[1]] - points[:, corners[0]]
    down = np.stack([-along[:, 1], along[:, 0]], axis=-1)
    down = (down / np.linalg.norm(down, axis=-1, keepdims=True))[:, None]
    return down, ((points[:, list(lower)] - points[:, list(upper)]) * down).sum(-1)


def narrow_mouth(points: np.ndarray, down: np.ndarray, amount: np.ndarray) -> np.ndarray:
    """Takes `amount` (F, 3) off the gaps of the inner lips (negative widens); outer lips and chin follow."""
    points, shift = points.copy(), amount[..., None] * down
    lift = shift * (1 - _UPPER_SHARE)
    points[:, list(UPPER_INNER_LIP)] += _UPPER_SHARE * shift
    points[:, list(_UPPER_OUTER)] += _UPPER_SHARE * shift[:, list(_UPPER_PAIR)]
    points[:, list(LOWER_INNER_LIP)] -= lift
    points[:, list(_LOWER_OUTER)] -= lift[:, list(_LOWER_PAIR)]
    points[:, JAW] -= _JAW_SHARE * SPEECH_WEIGHT[JAW] * lift.mean(axis=1, keepdims=True)
    return points
