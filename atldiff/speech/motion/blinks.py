"""Blinks: their times and the motion of the lids."""

import numpy as np

from atldiff.config import FRAME_RATE
from atldiff.landmarks import LOWER_LIDS, UPPER_LIDS
from atldiff.speech.motion.lips import gaps

_BLINKS_A_MINUTE = 17.0
_LID_SHARE = 0.9  # the upper lid's share of the motion
_GAP_SHARE = 0.8  # share of the gap that closes; a narrower gap would fold the lashes


def blink_curve(num_frames: int, rate: float, seed: int) -> np.ndarray:
    """Draws the blinks of a video: (num_frames,) in [0, 1], 1 = closed.

    Intervals are gamma distributed and at least 0.8 s long. No blink begins in the first half second.

    Args:
        num_frames: length of the video at 30 fps.
        rate: 1 = the natural rate, 0 = no blinks.
        seed: of the intervals.
    """
    curve = np.zeros(num_frames)
    if rate <= 0:
        return curve
    rng = np.random.default_rng([seed, 1])
    frames, interval = np.arange(num_frames), 60 / (_BLINKS_A_MINUTE * rate)
    moment = 0.7 + interval * rng.uniform(0.1, 0.7)
    while True:
        peak, fall, rise = round(moment * FRAME_RATE), rng.uniform(1.8, 2.6), rng.uniform(3.5, 5.5)
        if peak - fall > num_frames:
            return curve
        phase = np.maximum(frames - peak - 1, 0) / rise + np.maximum(peak - frames, 0) / fall
        curve = np.maximum(curve, 0.5 + 0.5 * np.cos(np.pi * np.minimum(phase, 1)))
        moment += max(0.8, rng.gamma(4.0, interval / 4.0))


def close_eyes(points: np.ndarray, curve: np.ndarray) -> np.ndarray:
    """Closes both eyes; the lids move across the line through each eye's corners, and the brows stay.

    Args:
        points: (F, 68, 2) landmarks in face units.
        curve: (F,) in [0, 1] from `blink_curve`.

    Returns:
        (F, 68, 2) landmarks in face units.
    """
    points, closing = points.copy(), _GAP_SHARE * curve[:, None]
    eyes: tuple = ((UPPER_LIDS[:2], LOWER_LIDS[:2], (36, 39)), (UPPER_LIDS[2:], LOWER_LIDS[2:], (42, 45)))
    for upper, lower, corners in eyes:
        down, gap = gaps(points, upper, lower, corners)
        shift = np.where(gap > 0, closing * gap, gap)[..., None] * down
        points[:, list(upper)] += _LID_SHARE * shift
        points[:, list(lower)] -= (1 - _LID_SHARE) * shift
    return points
