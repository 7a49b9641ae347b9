"""Blinks: when the lids close, and how far."""

import numpy as np

from atldiff.config import FRAME_RATE
from atldiff.landmarks import (
    LOWER_LIDS,
    UPPER_LIDS,
)
from atldiff.speech.motion.lips import gaps

# Blinks as 346 of them look in 1,156 s of tracked speech: 18 a minute, shut within two frames, open
# again within about six, nine tenths of the way by the upper lid, brows at rest. Of a shut eye the
# tracker leaves a fifth to a third of the gap; less than that would fold the warped lashes.
_BLINKS_A_MINUTE, _LID_SHARE, _LID_CLOSED = 17.0, 0.9, 0.8


def blink_curve(num_frames: int, rate: float, seed: int) -> np.ndarray:
    """How far the eyes are shut, (num_frames,) in [0, 1].

    Intervals are gamma distributed, none below 0.8 s; none begins within the first half second.
    """
    closed = np.zeros(num_frames)
    if rate <= 0:
        return closed
    rng = np.random.default_rng([seed, 1])
    frames, mean = np.arange(num_frames), 60 / (_BLINKS_A_MINUTE * rate)
    at = 0.7 + mean * rng.uniform(0.1, 0.7)
    while True:
        peak, shut, opened = round(at * FRAME_RATE), rng.uniform(1.8, 2.6), rng.uniform(3.5, 5.5)
        if peak - shut > num_frames:
            return closed
        since = np.maximum(frames - peak - 1, 0) / opened + np.maximum(peak - frames, 0) / shut
        closed = np.maximum(closed, 0.5 + 0.5 * np.cos(np.pi * np.minimum(since, 1)))
        at += max(0.8, rng.gamma(4.0, mean / 4.0))


def _blink(points: np.ndarray, closed: np.ndarray) -> np.ndarray:
    """Shuts both eyes by `closed` (F,) in [0, 1] along each eye's own perpendicular."""
    points, closing = points.copy(), _LID_CLOSED * closed[:, None]
    eyes: tuple = ((UPPER_LIDS[:2], LOWER_LIDS[:2], (36, 39)), (UPPER_LIDS[2:], LOWER_LIDS[2:], (42, 45)))
    for upper, lower, corners in eyes:
        down, gap = gaps(points, upper, lower, corners)
        shift = np.where(gap > 0, closing * gap, gap)[..., None] * down
        points[:, list(upper)] += _LID_SHARE * shift
        points[:, list(lower)] -= (1 - _LID_SHARE) * shift
    return points
