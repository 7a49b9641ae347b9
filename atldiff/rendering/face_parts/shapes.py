"""Rectangles of whole pixels, outlines filled in them, and layers blended into them.

A rectangle is x0, y0, x1, y1; x1 and y1 are excluded.
"""

from collections.abc import Sequence

import numpy as np

Rect = tuple[int, int, int, int]
Layers = list[tuple[np.ndarray, np.ndarray]]  # colours (h, w, 3) or (3,) and alphas (h, w), float32


def rect_around(points: np.ndarray, margin: float, size: tuple[int, int]) -> Rect:
    """The rectangle round points, cut to the picture.

    Args:
        points: (N, 2) pixels.
        margin: pixels added on each side.
        size: (height, width) of the picture.

    Returns:
        The rectangle; it is empty (x0 == x1 or y0 == y1) if the points lie outside the picture.
    """
    x0, y0 = np.clip(np.floor(points.min(axis=0) - margin), 0, size[::-1]).astype(int)
    x1, y1 = np.clip(np.ceil(points.max(axis=0) + margin), 0, size[::-1]).astype(int)
    return int(x0), int(y0), int(x1), int(y1)


def enclose(rects: Sequence[Rect]) -> Rect:
    """The smallest rectangle that contains all non-empty ones; an empty one if there are none."""
    full = [rect for rect in rects if rect[0] < rect[2] and rect[1] < rect[3]]
    if not full:
        return 0, 0, 0, 0
    low, high = np.min(full, axis=0)[:2], np.max(full, axis=0)[2:]
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def blend_layers(image: np.ndarray, rect: Rect, layers: Layers) -> None:
    """Blends layers, the lowest first, into a rectangle of a picture (H, W, >= 3) uint8, in place."""
    if not layers:
        return
    x0, y0, x1, y1 = rect
    pixels = image[y0:y1, x0:x1, :3].astype(np.float32)
    for colour, alpha in layers:
        pixels += (colour - pixels) * alpha[..., None]
    image[y0:y1, x0:x1, :3] = np.clip(pixels + 0.5, 0, 255).astype(np.uint8)


def fill_polygon(outline: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Fills an outline (N, 2), pixels, with smooth edges: (height, width) uint8."""
    import cv2

    mask = np.zeros(size, np.uint8)
    if not mask.size:  # OpenCV takes no empty picture
        return mask
    cv2.fillPoly(mask, [np.round((outline - 0.5) * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    return mask
