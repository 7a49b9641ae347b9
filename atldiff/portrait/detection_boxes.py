"""Where in a photo to look for faces, and the geometry of the boxes round them."""

import numpy as np

from atldiff.landmarks import EYE_CORNERS


def whole(image: np.ndarray) -> list[tuple[int, int, np.ndarray]]:
    """The image (H, W, 3) as the only part of itself: (x, y, part), as `padded` and `tiles`."""
    return [(0, 0, image)]


def padded(image: np.ndarray) -> list[tuple[int, int, np.ndarray]]:
    """The image with a border of half its longer side: a face that fills it becomes an ordinary one."""
    margin = max(image.shape[:2]) // 2
    return [(-margin, -margin, np.pad(image, ((margin, margin), (margin, margin), (0, 0)), mode="edge"))]


def tiles(image: np.ndarray) -> list[tuple[int, int, np.ndarray]]:
    """Squares of 0.42 of the longer side that overlap by half, for small faces; in a long picture squares of
    its shorter side that overlap by two thirds.
    """
    longer, shorter = max(image.shape[:2]), min(image.shape[:2])
    side = min(int(0.42 * longer), shorter)
    step = max(1, side // (3 if side == shorter else 2))
    rows, columns = (range(0, max(1, length - step), step) for length in image.shape[:2])
    return [(x, y, image[y : y + side, x : x + side]) for y in rows for x in columns]


def holds(box: np.ndarray, point: np.ndarray) -> bool:
    """Does the point (x, y) lie in the box (x0, y0, x1, y1)?"""
    return bool((point > box[:2]).all() and (point < box[2:]).all())


def distinct_boxes(boxes: list[np.ndarray]) -> list[np.ndarray]:
    """Leaves out each box (4,) that holds the middle of an earlier one or has its own in it."""
    kept: list[np.ndarray] = []
    for box in boxes:
        middle = (box[:2] + box[2:]) / 2
        if not any(holds(other, middle) or holds(box, (other[:2] + other[2:]) / 2) for other in kept):
            kept.append(box)
    return kept


def is_upright(landmarks: np.ndarray) -> bool:
    """Do the eyes of a face (68, 2) lie side by side, the right one on the left?"""
    x, y = landmarks[EYE_CORNERS[1]] - landmarks[EYE_CORNERS[0]]
    return bool(x > abs(y))


def longest_side(corners: np.ndarray) -> float:
    """The larger side of the box round points (n, 2) or of a box (4,)."""
    return float(np.ptp(corners.reshape(-1, 2), axis=0).max())
