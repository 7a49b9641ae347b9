"""Extra control points and limits that keep the spline from tearing at lips, lids, brows and nose."""

import numpy as np

from atldiff.landmarks import (
    BROWS,
    EYE_CORNERS,
    INNER_LIPS,
    LIDS_BELOW_BROWS,
    LOWER_INNER_LIP,
    LOWER_LIDS,
    UPPER_INNER_LIP,
    UPPER_LIDS,
    inter_ocular_distance,
    mouth_opening,
)
from atldiff.rendering.face_parts.lip_outline import round_lips

SHOWS_TEETH = 0.03  # mouth opening above which a photo shows the inside, inter-ocular distances
OPEN_LIDS, OPEN_LIPS = 0.75, 0.2  # least share of the photo's gap that the spline keeps
_UPPER_ROUND, _LOWER_ROUND = [2, 8], [18, 12]  # points of `round_lips` next to the corners
# Points of the outer lips, and the pair of the inner lips (0, 1, 2 from the right corner) that moves each.
_OUTER_LIPS = (([49, 50, 51, 52, 53], [0, 0, 1, 2, 2]), ([59, 58, 57, 56, 55], [0, 0, 1, 2, 2]))
_NOSE_BASE, _LIP_BELOW_NOSE = [31, 32, 33, 34, 35], [50, 50, 51, 52, 52]


def guard_points(landmarks: np.ndarray, still: np.ndarray) -> np.ndarray:
    """Extra control points of the spline.

    - Ten points below the brows move with the brows, so that a closing lid does not drag the brows.
    - Five points below the nose move with the nose, so that a closing smile does not stretch the nose.
    - Three points in the mouth hang from the upper lip, so that visible teeth are not stretched.
    - If the photo shows teeth, four more points next to the mouth's corners do the same there.

    Args:
        landmarks: (F, 68, 2) of the frames.
        still: (68, 2) of the photo, same unit.

    Returns:
        (F, 18, 2), or (F, 22, 2) if the photo shows teeth.
    """
    to_lids = 0.4 * (still[LIDS_BELOW_BROWS] - still[BROWS])
    below_brows = landmarks[:, BROWS] + turn_vectors(to_lids, landmarks, still)
    to_lip = 0.2 * (still[_LIP_BELOW_NOSE] - still[_NOSE_BASE])
    below_nose = landmarks[:, _NOSE_BASE] + turn_vectors(to_lip, landmarks, still)
    upper, gap = landmarks[:, UPPER_INNER_LIP], 0.9 * visible_gap(landmarks, still)
    points = [below_brows, below_nose]
    if float(mouth_opening(still)) > SHOWS_TEETH:
        lips, photo_lips = (round_lips(p[..., INNER_LIPS, :]) for p in (landmarks, still))
        above, below = lips[:, _UPPER_ROUND], lips[:, _LOWER_ROUND]
        photo_gap = photo_lips[_LOWER_ROUND] - photo_lips[_UPPER_ROUND]
        points += [above, above + _limit_gaps(below - above, photo_gap, landmarks, still)]
    return np.concatenate([*points, upper + gap], axis=1)


def keep_apart(landmarks: np.ndarray, still: np.ndarray) -> np.ndarray:
    """Moves lids and inner lips apart until they keep OPEN_LIDS and OPEN_LIPS of the photo's gap.

    Coinciding control points make a thin-plate spline overshoot: it repeats the brow on the lid. So the outer
    lips give way, too: a lip that is pinched between its two edges grows hooks at the mouth's corners.
    `eyelids` and `lips` draw over the gap that remains.

    Args:
        landmarks: (F, 68, 2) of the frames.
        still: (68, 2) of the photo, same unit.

    Returns:
        (F, 68, 2).
    """
    apart = landmarks.copy()
    for upper, lower, share, upper_share in (
        (UPPER_LIDS, LOWER_LIDS, OPEN_LIDS, 1.0),
        (UPPER_INNER_LIP, LOWER_INNER_LIP, OPEN_LIPS, 0.6),
    ):
        up, low = list(upper), list(lower)
        photo_gap = turn_vectors(still[low] - still[up], landmarks, still)
        length = np.maximum(np.linalg.norm(photo_gap, axis=-1, keepdims=True), 1e-9)
        down = photo_gap / length
        gap = ((landmarks[:, low] - landmarks[:, up]) * down).sum(axis=-1, keepdims=True)
        push = np.maximum(share * length - gap, 0) * down
        shifts = -upper_share * push, (1 - upper_share) * push
        apart[:, up] += shifts[0]
        apart[:, low] += shifts[1]
    for (points, pairs), shift in zip(_OUTER_LIPS, shifts, strict=True):
        apart[:, points] += shift[:, pairs]
    return apart


def visible_gap(landmarks: np.ndarray, still: np.ndarray) -> np.ndarray:
    """Vectors (F, 3, 2) from the upper inner lip to the lower end of the mouth's inside in the photo."""
    gap = landmarks[:, LOWER_INNER_LIP] - landmarks[:, UPPER_INNER_LIP]
    return _limit_gaps(gap, still[list(LOWER_INNER_LIP)] - still[list(UPPER_INNER_LIP)], landmarks, still)


def _limit_gaps(
    gap: np.ndarray, photo_gap: np.ndarray, landmarks: np.ndarray, still: np.ndarray
) -> np.ndarray:
    """Shortens gaps (F, N, 2) of frames to the photo's gaps (N, 2) at the frames' scale."""
    length = np.linalg.norm(gap, axis=-1, keepdims=True)
    scale = inter_ocular_distance(landmarks) / inter_ocular_distance(still)
    most = np.linalg.norm(photo_gap, axis=-1)[:, None] * scale[:, None, None]
    return gap * np.minimum(1, most / np.maximum(length, 1e-9))


def turn_vectors(vectors: np.ndarray, landmarks: np.ndarray, still: np.ndarray) -> np.ndarray:
    """Turns and scales vectors (N, 2) of the photo with the line between the eyes: (F, N, 2)."""
    eyes = [p[..., EYE_CORNERS[1], :] - p[..., EYE_CORNERS[0], :] for p in (landmarks, still)]
    now, then = (e[..., 0] + 1j * e[..., 1] for e in eyes)
    result = (now / then)[:, None] * (vectors[:, 0] + 1j * vectors[:, 1])
    return np.stack([result.real, result.imag], axis=-1)
