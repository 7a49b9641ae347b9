"""Measures of landmarks and of the mouth's motion.

- Landmarks are (F, 68, 2) at the frame rate, curves (F,); excluded frames are NaN.
- Measures of single frames are returned as (F,) float64, which the caller averages.
"""

import numpy as np

from atldiff.landmarks import WHOLE_FACE, inter_ocular_distance, mouth_opening

_CORNERS, _TOP, _BOTTOM = (48, 54), (50, 51, 52), (58, 57, 56)  # of the outer lips


def landmark_distance(predicted: np.ndarray, truth: np.ndarray, part: slice = WHOLE_FACE) -> np.ndarray:
    """LMD in the landmarks' unit (the paper's: pixels); with part=MOUTH the paper's M-LMD.

    Returns:
        (F,) mean Euclidean distance of the points; NaN where either face is missing.
    """
    return np.linalg.norm(predicted[:, part] - truth[:, part], axis=-1).mean(axis=-1)


def relative_landmark_distance(
    predicted: np.ndarray, truth: np.ndarray, part: slice = WHOLE_FACE
) -> np.ndarray:
    """LMD or M-LMD (F,) in % of the true face's inter-ocular distance, independent of picture size."""
    return 100 * landmark_distance(predicted, truth, part) / inter_ocular_distance(truth)


def mouth_width(landmarks: np.ndarray) -> np.ndarray:
    """Distance (F,) between the corners of the mouth of landmarks (F, 68, 2), in inter-ocular distances."""
    right, left = (landmarks[:, corner] for corner in _CORNERS)
    return np.linalg.norm(left - right, axis=-1) / inter_ocular_distance(landmarks)


def mouth_roundness(landmarks: np.ndarray) -> np.ndarray:
    """Height of the outer lips over the mouth's width, (F,), of landmarks (F, 68, 2): high for an o."""
    height = np.linalg.norm(landmarks[:, _BOTTOM] - landmarks[:, _TOP], axis=-1).mean(axis=-1)
    return height / inter_ocular_distance(landmarks) / mouth_width(landmarks)


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson correlation of two (F,) curves over the frames in which both are finite; NaN if one is flat."""
    both = np.isfinite(a) & np.isfinite(b)
    if both.sum() < 2:
        return float("nan")
    a, b = a[both] - a[both].mean(), b[both] - b[both].mean()
    scale = np.sqrt((a * a).sum() * (b * b).sum())
    return float((a * b).sum() / scale) if scale > 1e-12 else float("nan")


def best_lag(curve: np.ndarray, reference: np.ndarray, reach: int = 10) -> tuple[int, float]:
    """The lag of a curve, such as the mouth's opening, behind its reference, by correlation.

    Args:
        curve, reference: (F,).
        reach: the largest lag in frames, either way. Lags with fewer than half of the most comparable frames
            are excluded.

    Returns:
        (lag in frames, correlation at the lag); lag > 0: the curve is late. (0, NaN) if a curve is flat.
    """
    assert len(curve) == len(reference), (len(curve), len(reference))
    reach = min(reach, len(curve) // 2)
    scores, pairs = {}, {}
    for lag in sorted(range(-reach, reach + 1), key=abs):  # the smallest lag wins a tie
        late = curve[max(lag, 0) : len(curve) + min(lag, 0)]
        early = reference[max(-lag, 0) : len(curve) + min(-lag, 0)]
        scores[lag] = correlation(late, early)
        pairs[lag] = np.isfinite(late + early).sum()
    most = max(pairs.values())
    scores = {lag: r for lag, r in scores.items() if np.isfinite(r) and 2 * pairs[lag] >= most}
    if not scores:
        return 0, float("nan")
    lag = max(scores, key=scores.__getitem__)
    return lag, scores[lag]


def silent_lip_motion(
    landmarks: np.ndarray, activity: np.ndarray, threshold: float = 0.1, margin: int = 5
) -> float:
    """Motion of the lips in silence: mean change of the mouth's opening from frame to frame.

    Args:
        landmarks: (F, 68, 2).
        activity: (F,) voice activity in [0, 1].
        threshold: activity below it is silence.
        margin: excluded frames around speech, in which the lips part and close.

    Returns:
        % of the inter-ocular distance; 0 for lips at rest; NaN without silence.
    """
    near = np.convolve(activity >= threshold, np.ones(2 * margin + 1), "same") > 0
    pairs = ~near[1:] & ~near[:-1]
    change = np.abs(np.diff(mouth_opening(landmarks)))
    return float(100 * change[pairs].mean()) if pairs.any() else float("nan")
