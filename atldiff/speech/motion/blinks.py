"""Blinks: their times and the motion of the lids."""

import numpy as np

from atldiff.config import FRAME_RATE
from atldiff.landmarks import LOWER_LIDS, UPPER_LIDS
from atldiff.speech.motion.lips import gaps

# Rate, upper lid's share of the motion, and share of the gap that closes: a narrower gap folds the lashes.
_BLINKS_A_MINUTE, _LID_SHARE, _LID_CLOSED = 17.0, 0.9, 0.8


def blink_curve(num_frames: int, rate: float, seed: int) -> np.ndarray:
    """Draws the blinks of a video: (num_frames,) in [0, 1], 1 = closed.

    Intervals are gamma distributed and at least 0.8 s long. No blink begins in the first half second.

    Args:
        num_frames: length of the video at 30 fps.
        rate: 1 = the natural rate, 0 = no blinks.
        seed: of the intervals.
    """
    closed = np.zeros(num_frames)
    if rate <= 0:
        return closed
    rng = np.random.default_rng([seed, 1])
    frames, interval = np.arange(num_frames), 60 / (_BLINKS_A_MINUTE * rate)
    moment = 0.7 + interval * rng.uniform(0.1, 0.7)
    while True:
        peak, fall, rise = round(moment * FRAME_RATE), rng.uniform(1.8, 2.6), rng.uniform(3.5, 5.5)
        if peak - fall > num_frames:
            return closed
        phase = np.maximum(frames - peak - 1, 0) / rise + np.maximum(peak - frames, 0) / fall
        closed = np.maximum(closed, 0.5 + 0.5 * np.cos(np.pi * np.minimum(phase, 1)))
        moment += max(0.8, rng.gamma(4.0, interval / 4.0))


def _blink(points: np.ndarray, closed: np.ndarray) -> np.ndarray:
    """Closes both eyes of landmarks (F, 68, 2), face units, by `closed` (F,) in [0, 1]; brows stay.

    The lids move across the line through each eye's corners.
    """
    points, closing = points.copy(), _LID_CLOSED * closed[:, None]
    eyes: tuple = ((UPPER_LIDS[:2], LOWER_LIDS[:2], (36, 39)), (UPPER_LIDS[2:], LOWER_LIDS[2:], (42, 45)))
    for upper, lower, corners in eyes:
        down, gap = gaps(points, upper, lower, corners)
        shift = np.where(gap > 0, closing * gap, gap)[..., None] * down
        points[:, list(upper)] += _LID_SHARE * shift
        points[:, list(lower)] -= (1 - _LID_SHARE) * shift
    return points
