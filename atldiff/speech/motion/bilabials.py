"""Closes the lips for p, b and m, which the landmark network does not always close completely.

- The phonetic encoder recognises a bilabial; the edit closes the narrowest moment just before it.
- The moment lies before, because a recogniser trained with CTC responds about three frames late.
"""

import numpy as np

from atldiff.config import FRAME_RATE
from atldiff.speech.features import SpeechFeatures
from atldiff.speech.mel import FEATURE_RATE
from atldiff.speech.motion.lips import LIPS, gaps, narrow_mouth

SURE = 0.5  # lowest probability of a bilabial
BEFORE, AFTER = 5, 1  # frames round a recognised bilabial in which the lips close
_REACH = 3.0  # frames from closed lips to their original opening


def recognised_bilabials(features: SpeechFeatures) -> np.ndarray | None:
    """Frames (N,) of a recording's p, b and m; None: the encoder recognises no phonemes."""
    if features.bilabial is None:
        return None
    return bilabial_frames(features.bilabial[0].float().cpu().numpy(), FEATURE_RATE)


def bilabial_frames(probability: np.ndarray, rate: float) -> np.ndarray:
    """Finds the moments of p, b and m.

    Args:
        probability: (T,) in [0, 1], probability of a bilabial.
        rate: values of `probability` a second.

    Returns:
        (N,) int, numbers of the frames with a peak of at least SURE.
    """
    series = np.pad(np.asarray(probability, np.float64), 1)
    peak = (series[1:-1] >= SURE) & (series[1:-1] >= series[:-2]) & (series[1:-1] > series[2:])
    return np.round(np.flatnonzero(peak) * FRAME_RATE / rate).astype(int)


def shut_frames(gap: np.ndarray, bilabials: np.ndarray) -> np.ndarray:
    """The frame (N,) near each bilabial in which the gap (F,) between the lips is narrowest."""
    spans = [(max(0, frame - BEFORE), min(len(gap), frame + AFTER + 1)) for frame in bilabials]
    return np.array([start + int(np.argmin(gap[start:stop])) for start, stop in spans if start < stop], int)


def close_bilabials(points: np.ndarray, bilabials: np.ndarray, strength: float = 1.0) -> np.ndarray:
    """Closes the lips near each bilabial.

    Args:
        points: (F, 68, 2) landmarks in face units.
        bilabials: (N,) frames.
        strength: share of the gap to close, 0 to 1.

    Returns:
        (F, 68, 2) landmarks in face units.
    """
    down, gap = gaps(points, *LIPS)
    shut = shut_frames(gap.mean(axis=1), bilabials)
    if not len(shut):
        return points
    distance = np.abs(np.arange(len(points))[:, None] - shut).min(axis=1)
    closing = strength * (0.5 + 0.5 * np.cos(np.pi * np.minimum(distance / _REACH, 1)))
    return narrow_mouth(points, down, closing[:, None] * np.maximum(gap, 0))
