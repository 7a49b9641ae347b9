"""Blinks: their times and the motion of the lids."""

import math

import numpy as np

from atldiff.config import FRAME_RATE
from atldiff.landmarks import LOWER_LIDS, UPPER_LIDS
from atldiff.speech.motion.lips import gaps

_BLINKS_A_MINUTE = 17.0
_LID_SHARE = 0.9  # the upper lid's share of the motion
_GAP_SHARE = 0.8  # share of the gap that closes; a narrower gap would fold the lashes
_SPOKEN = 0.5  # voice activity from which on somebody speaks
_EARLIEST, _LATEST = 0.6, 1.2  # of an interval: from then on a phrase's end makes a blink, then time does
_LEAST = 0.8 * FRAME_RATE  # frames between two blinks
_JITTER = 6  # frames by which a blink may come later


def blink_curve(activity: np.ndarray, rate: float, seed: int) -> np.ndarray:
    """Draws the blinks of a video: (F,) in [0, 1], 1 = closed.

    Args:
        activity: (F,) of the voice, 0 to 1, at 30 fps.
        rate: 1 = the natural rate, 0 = no blinks.
        seed: of the intervals.
    """
    return Blinks(rate, seed).push(activity)


class Blinks:
    """`blink_curve` of a voice that is still being heard; it needs no frame of what follows.

    Intervals are gamma distributed and at least 0.8 s long. A blink comes with the first phrase that ends
    round its time, else later. People blink at the end of phrases and in pauses (Nakano and Kitazawa 2010).
    No blink begins in the first half second.
    """

    def __init__(self, rate: float, seed: int) -> None:
        self._rate, self._rng = rate, np.random.default_rng([seed, 1])
        self._spoke, self._frame = False, 0
        self._mean = 60 * FRAME_RATE / (_BLINKS_A_MINUTE * max(rate, 1e-6))
        self._peak, self._fall, self._rise = -math.inf, 2.0, 4.0  # of the newest blink, frames
        self._last = 0.5 * FRAME_RATE
        self._wait = self._mean * self._rng.uniform(0.1, 0.7)

    def push(self, activity: np.ndarray) -> np.ndarray:
        """Takes the activity (n,) of further frames; gives the (n,) closures of the same frames."""
        return np.array([self._next(value >= _SPOKEN) for value in activity])

    def _next(self, speaks: bool) -> float:
        ends, self._spoke = self._spoke and not speaks, speaks
        since = self._frame - self._last
        due = max(_LEAST, (_EARLIEST if ends else _LATEST) * self._wait)
        if self._rate > 0 and since >= due:
            self._fall, self._rise = self._rng.uniform(1.8, 2.6), self._rng.uniform(3.5, 5.5)
            self._peak = self._frame + 2 + int(self._rng.integers(0, _JITTER))
            self._last = float(self._peak)
            self._wait = self._rng.gamma(4.0, self._mean / 4.0)
        way = self._frame - self._peak
        phase = max(way - 1, 0) / self._rise + max(-way, 0) / self._fall
        self._frame += 1
        return 0.5 + 0.5 * math.cos(math.pi * min(phase, 1))


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
