"""Rectangles of whole pixels, in which things are painted: x0, y0, x1, y1, the last two not included; and
outlines filled in them.
"""

from collections.abc import Sequence

import numpy as np

Rect = tuple[int, int, int, int]
Layers = list[tuple[np.ndarray, np.ndarray]]  # colours (h, w, 3) or (3,) and alphas (h, w), float32


def rect_round(points: np.ndarray, margin: float, size: tuple[int, int]) -> Rect:
    """The pixels round points (N, 2) and `margin` beyond them, within a picture of size (height, width).

    It is empty where the points lie outside the picture: x0 == x1 or y0 == y1.
    """
    x0, y0 = np.clip(np.floor(points.min(axis=0) - margin), 0, size[::-1]).astype(int)
    x1, y1 = np.clip(np.ceil(points.max(axis=0) + margin), 0, size[::-1]).astype(int)
    return int(x0), int(y0), int(x1), int(y1)


def enclosing(rects: Sequence[Rect]) -> Rect:
    """The smallest rectangle that holds all of them that are not empty; of none, an empty one."""
    full = [rect for rect in rects if rect[0] < rect[2] and rect[1] < rect[3]]
    if not full:
        return 0, 0, 0, 0
    low, high = np.min(full, axis=0)[:2], np.max(full, axis=0)[2:]
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def filled(outline: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The outline (N, 2), pixels, filled with smooth edges: (height, width) uint8."""
    import cv2

    mask = np.zeros(size, np.uint8)
    if not mask.size:  # OpenCV takes no empty picture
        return mask
    cv2.fillPoly(mask, [np.round((outline - 0.5) * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    return mask
