"""Measures of tracked faces in time. Landmarks are (F, 68, 2), curves (F,); frames without a face are NaN."""

from itertools import groupby

import numpy as np

from atldiff.config import FRAME_RATE
from atldiff.evaluation.landmarks import best_lag, landmark_distance
from atldiff.landmarks import WHOLE_FACE

OPEN_EYE = 0.8  # quantile of the lids' gap that is an open eye
BLINK = 0.6  # of an open eye's gap: below it the eye is closed; the tracker leaves 0.35 of a shut one
LONGEST_BLINK = 0.5  # seconds


def centred_distance(predicted: np.ndarray, truth: np.ndarray, part: slice = WHOLE_FACE) -> np.ndarray:
    """LMD (F,) after the mean of the part's points is taken from each face: shape, without its place."""
    predicted, truth = (points - points[:, part].mean(axis=1, keepdims=True) for points in (predicted, truth))
    return landmark_distance(predicted, truth, part)


def velocity_error(predicted: np.ndarray, truth: np.ndarray, part: slice = WHOLE_FACE) -> np.ndarray:
    """Mean distance (F - 1,) of the points' motions from frame to frame, in the landmarks' unit a frame."""
    return landmark_distance(np.diff(predicted, axis=0), np.diff(truth, axis=0), part)


def lags_by_second(curve: np.ndarray, reference: np.ndarray, reach: int = 6) -> np.ndarray:
    """The lag of each whole second of a curve behind its reference.

    Args:
        curve, reference: (F,) at FRAME_RATE.
        reach: the largest lag in frames, either way.

    Returns:
        (seconds,) frames; lag > 0: the curve is late. NaN where one of them is flat.
    """
    lags = []
    for start in range(0, len(curve) - FRAME_RATE + 1, FRAME_RATE):
        part = slice(start, start + FRAME_RATE)
        lag, score = best_lag(curve[part], reference[part], reach)
        lags.append(lag if np.isfinite(score) else np.nan)
    return np.array(lags, np.float64)


def blink_rate(opening: np.ndarray) -> float:
    """Blinks a minute: runs of at most LONGEST_BLINK seconds in which the eye is closed.

    Args:
        opening: (F,) `landmarks.eye_opening` at FRAME_RATE.

    Returns:
        Blinks a minute; NaN without a face.
    """
    values = opening[np.isfinite(opening)]
    if not len(values):
        return float("nan")
    closed = values < BLINK * np.quantile(values, OPEN_EYE)
    runs = [len(list(run)) for is_closed, run in groupby(closed) if is_closed]
    blinks = sum(run <= LONGEST_BLINK * FRAME_RATE for run in runs)
    return blinks * 60 * FRAME_RATE / len(opening)


def head_statistics(track: np.ndarray) -> dict[str, float]:
    """Range and pace of a head's motion.

    Args:
        track: (F, >= 3) yaw, pitch and roll in degrees at FRAME_RATE, such as by `head_track`.

    Returns:
        head range: the deviation of the angles, degrees (root of the sum of the three variances);
        head speed: the mean speed, degrees a second (length of the three angles' change).
    """
    angles = track[:, :3]
    change = np.linalg.norm(np.diff(angles, axis=0), axis=1)
    speed = float(change.mean() * FRAME_RATE) if len(change) else float("nan")
    return {"head range": float(np.sqrt(angles.var(axis=0).sum())), "head speed": speed}
