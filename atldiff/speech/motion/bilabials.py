"""Lips that close for p, b and m: the landmark network's closures come at the right time but not always shut.

The phonetic encoder recognises phonemes; where it hears a bilabial, the narrowest moment just before it is
narrowed to nothing. A recogniser trained with CTC speaks up late: lips shut about three frames before.
"""

import numpy as np

from atldiff.config import FRAME_RATE
from atldiff.speech.features import SpeechFeatures
from atldiff.speech.mel import FEATURE_RATE
from atldiff.speech.motion.lips import LIPS, gaps, narrow_mouth

SURE = 0.5  # probability from which on a bilabial is believed
BEFORE, AFTER = 5, 1  # frames round a recognised bilabial in which the lips shut
_REACH = 3.0  # frames from shut to as open as before


def recognised_bilabials(features: SpeechFeatures) -> np.ndarray | None:
    """(N,) frames at which one recording's p, b and m are spoken; None where they are not recognised."""
    if features.bilabial is None:
        return None
    return bilabial_frames(features.bilabial[0].float().cpu().numpy(), FEATURE_RATE)


def bilabial_frames(probability: np.ndarray, rate: float) -> np.ndarray:
    """When p, b and m are spoken.

    Args:
        probability: (T,) that a bilabial is recognised, `rate` a second.

    Returns:
        (N,) frames, whole numbers: the peaks of at least SURE.
    """
    padded = np.pad(np.asarray(probability, np.float64), 1)
    peak = (padded[1:-1] >= SURE) & (padded[1:-1] >= padded[:-2]) & (padded[1:-1] > padded[2:])
    return np.round(np.flatnonzero(peak) * FRAME_RATE / rate).astype(int)


def shut_frames(gap: np.ndarray, bilabials: np.ndarray) -> np.ndarray:
    """(N,) the frame round each bilabial in which the lips' gap (F,) is narrowest."""
    spans = [(max(0, frame - BEFORE), min(len(gap), frame + AFTER + 1)) for frame in bilabials]
    return np.array([start + int(np.argmin(gap[start:stop])) for start, stop in spans if start < stop], int)


def close_bilabials(points: np.ndarray, bilabials: np.ndarray, strength: float = 1.0) -> np.ndarray:
    """Shuts the lips of landmarks (F, 68, 2), face units, at each of the bilabials (N,), frames.

    Args:
        strength: share of the gap that goes, 0 to 1.
    """
    down, gap = gaps(points, *LIPS)
    shut = shut_frames(gap.mean(axis=1), bilabials)
    if not len(shut):
        return points
    away = np.abs(np.arange(len(points))[:, None] - shut).min(axis=1)
    closing = strength * (0.5 + 0.5 * np.cos(np.pi * np.minimum(away / _REACH, 1)))
    return narrow_mouth(points, down, closing[:, None] * np.maximum(gap, 0))
