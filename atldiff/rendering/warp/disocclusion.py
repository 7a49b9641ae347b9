"""What the photo does not show of a face that moves: the inside of an opened mouth.

The spline can only stretch lip skin over an opening; `mouth` paints it, and a mask says where the network's
detail is taken, not its coarse part alone.
"""

import numpy as np

from atldiff.landmarks import (
    INNER_LIPS,
    UPPER_INNER_LIP,
    mouth_opening,
    to_crop,
)
from atldiff.rendering.diffusion.guide_noise import fill_masks
from atldiff.rendering.warp.guard_points import SHOWS_TEETH, shown_gap

_OUTER_EIGHT = [48, 50, 51, 52, 54, 56, 57, 58]  # the outer lips, a point to each inner one


def opened_mouth(landmarks: np.ndarray, still: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What frames with landmarks (F, 68, 2) show of the mouth's inside and the photo (68, 2) does not.

    Returns:
        (F, 8, 2) outlines, and (F,) in [0, 1] how surely it is newly open.
    """
    outline = landmarks[:, INNER_LIPS].copy()
    outline[:, 1:4] = landmarks[:, UPPER_INNER_LIP] + shown_gap(landmarks, still)
    now = mouth_opening(landmarks)
    share = (now - mouth_opening(still)) / np.maximum(now, 0.02)
    return outline, np.clip(3 * share, 0, 1)


def unseen_mask(landmarks: np.ndarray, still: np.ndarray, view: np.ndarray, size: int) -> np.ndarray:
    """Where frames with landmarks (F, 68, 2) show what the photo (68, 2) does not.

    Args:
        view: (4,) the square box that is looked at, in the landmarks' unit.

    Returns:
        (F, size, size) float32 in [0, 1], soft: the opened mouth, and the lips by how far they close over
        teeth that the photo shows. Closed lids are no part of it: `closures` draws them finer.
    """
    import cv2

    outlines, opened = opened_mouth(landmarks, still)
    shapes = landmarks.copy()
    shapes[:, INNER_LIPS] = outlines
    mask = fill_masks(to_crop(shapes, view), size)[:, 0] * opened[:, None, None]
    then = float(mouth_opening(still))
    if then > SHOWS_TEETH:
        shapes[:, INNER_LIPS] = landmarks[:, _OUTER_EIGHT]
        lips = fill_masks(to_crop(shapes, view), size)[:, 0]
        mask = np.maximum(
            mask, lips * np.clip(1.5 - 2 * mouth_opening(landmarks) / then, 0, 1)[:, None, None]
        )
    soft = [cv2.GaussianBlur(cv2.dilate(frame, np.ones((3, 3), np.uint8)), (0, 0), 1.0) for frame in mask]
    return np.stack(soft)
