"""Draws landmarks on a picture for display."""

import numpy as np

from atldiff import landmarks as lm


def draw_landmarks(image: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Draws landmarks (68, 2), pixels, as dots and outlines on a copy of a picture (H, W, 3) uint8."""
    import cv2

    canvas = np.ascontiguousarray(image).copy()
    unit = max(1, round(float(lm.inter_ocular_distance(points)) / 60))
    fixed = np.round(points * 16).astype(np.int32)
    outlines = [(lm.JAW, False), (slice(17, 22), False), (slice(22, 27), False), (slice(27, 31), False)]
    outlines += [(slice(31, 36), False), (lm.RIGHT_EYE, True), (lm.LEFT_EYE, True)]
    outlines += [(lm.OUTER_LIPS, True), (lm.INNER_LIPS, True)]
    for part, closed in outlines:
        cv2.polylines(canvas, [fixed[part]], closed, (90, 220, 255), unit, cv2.LINE_AA, 4)
    for x, y in fixed:
        cv2.circle(canvas, (int(x), int(y)), 16 * unit, (255, 255, 255), -1, cv2.LINE_AA, 4)
    return canvas
