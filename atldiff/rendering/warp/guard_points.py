"""Points that keep the spline from tearing: guards beside the lips, lids that stay parted."""

import numpy as np

from atldiff.landmarks import (
    BROWS,
    EYE_CORNERS,
    INNER_LIPS,
    LOWER_INNER_LIP,
    LOWER_LIDS,
    UPPER_INNER_LIP,
    UPPER_LIDS,
    inter_ocular_distance,
    mouth_opening,
)
from atldiff.rendering.face_parts.lip_outline import round_lips

SHOWS_TEETH = 0.03  # opening of a photo's mouth from which on its inside is seen, inter-ocular distances
OPEN_LIDS, OPEN_LIPS = 0.75, 0.2  # of the photo's gap between them that the spline keeps at least
_LIDS_BELOW_BROWS = [36, 37, 38, 38, 39, 42, 43, 43, 44, 45]  # the eye's point under each brow point
_UPPER_ROUND, _LOWER_ROUND = [2, 8], [18, 12]  # of `round_lips`, next to the corners
_NOSE_BASE, _LIP_BELOW_NOSE = [31, 32, 33, 34, 35], [50, 50, 51, 52, 52]


def guards(landmarks: np.ndarray, still: np.ndarray) -> np.ndarray:
    """Further points of the spline in frames with landmarks (F, 68, 2) of a photo's (68, 2): (F, 18, 2), and
    (F, 22, 2) where the photo shows teeth.

    Ten below the brows, which move with the brows: a closing lid does not drag them along. Five below the
    nose, which move with it: a smile that closes does not draw it out. Three in the mouth: what the photo
    shows of its inside hangs from the upper lip and is not stretched. Where it shows any, four more next
    to the corners, likewise: else teeth stay bare there when the lips close.
    """
    to_lids = 0.4 * (still[_LIDS_BELOW_BROWS] - still[BROWS])
    below_brows = landmarks[:, BROWS] + turned(to_lids, landmarks, still)
    to_lip = 0.2 * (still[_LIP_BELOW_NOSE] - still[_NOSE_BASE])
    below_nose = landmarks[:, _NOSE_BASE] + turned(to_lip, landmarks, still)
    upper, shown = landmarks[:, UPPER_INNER_LIP], 0.9 * shown_gap(landmarks, still)
    points = [below_brows, below_nose]
    if float(mouth_opening(still)) > SHOWS_TEETH:
        rounds, shown_rounds = (round_lips(p[..., INNER_LIPS, :]) for p in (landmarks, still))
        above, below = rounds[:, _UPPER_ROUND], rounds[:, _LOWER_ROUND]
        seen = shown_rounds[_LOWER_ROUND] - shown_rounds[_UPPER_ROUND]
        points += [above, above + _no_longer(below - above, seen, landmarks, still)]
    return np.concatenate([*points, upper + shown], axis=1)


def parted(landmarks: np.ndarray, still: np.ndarray) -> np.ndarray:
    """Landmarks (F, 68, 2) whose lids and inner lips stay their share of the photo's gap apart.

    Where two points of the photo meet in one place a spline has no answer: it overshoots, and the brow is
    seen again on the lid. `lids` and `closures` draw over what is left open.
    """
    apart = landmarks.copy()
    for upper, lower, share, raised in (
        (UPPER_LIDS, LOWER_LIDS, OPEN_LIDS, 1.0),
        (UPPER_INNER_LIP, LOWER_INNER_LIP, OPEN_LIPS, 0.6),
    ):
        up, low = list(upper), list(lower)
        wanted = turned(still[low] - still[up], landmarks, still)
        length = np.maximum(np.linalg.norm(wanted, axis=-1, keepdims=True), 1e-9)
        down = wanted / length
        way = ((landmarks[:, low] - landmarks[:, up]) * down).sum(axis=-1, keepdims=True)
        missing = np.maximum(share * length - way, 0) * down
        apart[:, up] -= raised * missing
        apart[:, low] += (1 - raised) * missing
    return apart


def shown_gap(landmarks: np.ndarray, still: np.ndarray) -> np.ndarray:
    """From each upper inner-lip point to where the photo's inside of the mouth ends, (F, 3, 2)."""
    gap = landmarks[:, LOWER_INNER_LIP] - landmarks[:, UPPER_INNER_LIP]
    return _no_longer(gap, still[list(LOWER_INNER_LIP)] - still[list(UPPER_INNER_LIP)], landmarks, still)


def _no_longer(gap: np.ndarray, seen: np.ndarray, landmarks: np.ndarray, still: np.ndarray) -> np.ndarray:
    """Gaps (F, N, 2) in frames with landmarks (F, 68, 2), cut to the photo's (N, 2) at the frames' scale."""
    length = np.linalg.norm(gap, axis=-1, keepdims=True)
    scale = inter_ocular_distance(landmarks) / inter_ocular_distance(still)
    most = np.linalg.norm(seen, axis=-1)[:, None] * scale[:, None, None]
    return gap * np.minimum(1, most / np.maximum(length, 1e-9))


def turned(vectors: np.ndarray, landmarks: np.ndarray, still: np.ndarray) -> np.ndarray:
    """Vectors (N, 2) of the photo, turned and scaled with the line between the eyes, (F, N, 2)."""
    eyes = [p[..., EYE_CORNERS[1], :] - p[..., EYE_CORNERS[0], :] for p in (landmarks, still)]
    now, then = (e[..., 0] + 1j * e[..., 1] for e in eyes)
    turned = (now / then)[:, None] * (vectors[:, 0] + 1j * vectors[:, 1])
    return np.stack([turned.real, turned.imag], axis=-1)
