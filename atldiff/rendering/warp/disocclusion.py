"""Disoccluded areas, which the photo does not show: the inside of a newly opened mouth.

The spline can only stretch lip skin over an opening, so `face_parts.mouth` paints the inside. Inside the mask
a frame takes the network's fine detail; outside it takes only the coarse part.
"""

import numpy as np

from atldiff.landmarks import (
    INNER_LIPS,
    UPPER_INNER_LIP,
    mouth_opening,
    to_crop,
)
from atldiff.rendering.diffusion.guide_noise import fill_masks
from atldiff.rendering.warp.guard_points import SHOWS_TEETH, visible_gap

_OUTER_EIGHT = [48, 50, 51, 52, 54, 56, 57, 58]  # the outer lips, a point to each inner one


def opened_mouth(landmarks: np.ndarray, still: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The part of the mouth's inside that frames show and the photo does not.

    Args:
        landmarks: (F, 68, 2) of the frames.
        still: (68, 2) of the photo, same unit.

    Returns:
        Outlines (F, 8, 2), and the opacity (F,) in [0, 1] with which they are painted.
    """
    outline = landmarks[:, INNER_LIPS].copy()
    outline[:, 1:4] = landmarks[:, UPPER_INNER_LIP] + visible_gap(landmarks, still)
    now = mouth_opening(landmarks)
    share = (now - mouth_opening(still)) / np.maximum(now, 0.02)
    return outline, np.clip(3 * share, 0, 1)


def unseen_mask(landmarks: np.ndarray, still: np.ndarray, view: np.ndarray, size: int) -> np.ndarray:
    """A soft mask of what frames show and the photo does not.

    The mask holds the opened mouth, and the lips while they close over teeth that the photo shows. Closed
    lids are left out, because `eyelids` draws them at full resolution.

    Args:
        landmarks: (F, 68, 2) of the frames.
        still: (68, 2) of the photo, same unit.
        view: (4,) the square box of the mask, in the landmarks' unit.
        size: pixels a side of the mask.

    Returns:
        (F, size, size) float32 in [0, 1].
    """
    import cv2

    outlines, opacity = opened_mouth(landmarks, still)
    shapes = landmarks.copy()
    shapes[:, INNER_LIPS] = outlines
    mask = fill_masks(to_crop(shapes, view), size)[:, 0] * opacity[:, None, None]
    then = float(mouth_opening(still))
    if then > SHOWS_TEETH:
        shapes[:, INNER_LIPS] = landmarks[:, _OUTER_EIGHT]
        lips = fill_masks(to_crop(shapes, view), size)[:, 0]
        mask = np.maximum(
            mask, lips * np.clip(1.5 - 2 * mouth_opening(landmarks) / then, 0, 1)[:, None, None]
        )
    soft = [cv2.GaussianBlur(cv2.dilate(frame, np.ones((3, 3), np.uint8)), (0, 0), 1.0) for frame in mask]
    return np.stack(soft)
