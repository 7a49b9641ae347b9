"""Composites full-resolution frames: the warped photo plus the enlarged residual."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from atldiff.config import FRAME_SIZE
from atldiff.rendering.face_parts.shapes import Rect
from atldiff.rendering.face_parts.toning import apply_tone
from atldiff.rendering.levels import UNIT
from atldiff.rendering.warp.canvas import Canvas, crop_channels
from atldiff.smoothstep import smoothstep

COARSE = 1 / 64  # standard deviation of the blur that keeps a residual's coarse part, share of a view's side
_FADE = 0.12  # width of the residual's fade at a view's border, share of its side


def crop_view(canvas: Canvas, moving: np.ndarray, view: int, size: int = FRAME_SIZE) -> np.ndarray:
    """Crops a view of the network from a moving part (h, w, C) uint8: (size, size, 3) uint8."""
    import cv2

    x0, y0, x1, y1 = to_moving(canvas, canvas.views[view])
    method = cv2.INTER_AREA if x1 - x0 > size else cv2.INTER_CUBIC
    return cv2.resize(moving[y0:y1, x0:x1, :3], (size, size), interpolation=method)


def to_moving(canvas: Canvas, box: np.ndarray) -> Rect:
    """Converts a box (4,) of whole canvas pixels to pixels of the moving part, which contains it."""
    moved: np.ndarray = box - np.array([*canvas.rect[:2]] * 2, np.float32)
    x0, y0, x1, y1 = (int(value) for value in moved)
    return x0, y0, x1, y1


def composite(
    canvas: Canvas,
    moving: np.ndarray,
    residuals: Sequence[np.ndarray],
    unseen: Sequence[np.ndarray],
) -> np.ndarray:
    """Composites one frame.

    Inside the masks the frame takes the whole residual. Elsewhere a larger output takes only its coarse part
    (light and shade), because the photo's own detail is finer.

    Args:
        canvas: layout of the video.
        moving: (h, w, C) uint8, the warped moving part; changed in place.
        residuals: (S, S, 3) float32 in [-2, 2] for each view, the network's r_0; S differs by view.
        unseen: (S, S) float32 in [0, 1] for each view, from `disocclusion.unseen_mask`.

    Returns:
        (height, width, C) uint8, with the channels of the canvas.
    """
    import cv2

    boxes = [to_moving(canvas, view) for view in canvas.views]
    photos = [np.ascontiguousarray(moving[y0:y1, x0:x1, :3]) for x0, y0, x1, y1 in boxes]
    for index, (x0, y0, x1, y1) in enumerate(boxes):
        change, side = residuals[index] * np.float32(UNIT), x1 - x0
        size = len(change)
        if canvas.keeps_detail:
            coarse = cv2.GaussianBlur(change, (0, 0), COARSE * size)
            change = coarse + (change - coarse) * unseen[index][..., None]
        change = cv2.resize(change * fading_window(size), (side, side), interpolation=cv2.INTER_LINEAR)
        patch = moving[y0:y1, x0:x1]
        if index:  # this view replaces the residuals of the views before it
            added = cv2.subtract(photos[index], np.ascontiguousarray(patch[..., :3]), dtype=cv2.CV_32F)
            change += added * fading_window(size, side)
        patch[..., :3] = cv2.add(np.ascontiguousarray(patch[..., :3]), change, dtype=cv2.CV_8U)
        if canvas.tone is not None:
            patch[..., :3] = apply_tone(patch[..., :3], canvas.tone)
    return _frame(canvas, moving)


@lru_cache(maxsize=8)
def fading_window(size: int, side: int | None = None) -> np.ndarray:
    """A window (size, size, 1) float32, 1 inside and smoothly 0 at the border; `side` enlarges it."""
    import cv2

    line = (np.arange(size) + 0.5) / size
    ramp = smoothstep(0, _FADE, np.minimum(line, 1 - line))
    window = (ramp[:, None] * ramp).astype(np.float32)
    window = window if side is None else cv2.resize(window, (side, side), interpolation=cv2.INTER_LINEAR)
    return window[..., None]


def _frame(canvas: Canvas, moving: np.ndarray) -> np.ndarray:
    """Puts the moving part in its place: the frame (height, width, C) uint8."""
    x0, y0, x1, y1 = canvas.rect
    if not canvas.keeps_detail:
        local: np.ndarray = canvas.frame_box - np.array([x0, y0] * 2, np.float32)
        return crop_channels(moving, local, FRAME_SIZE)
    height, width = canvas.image.shape[:2]
    left, top, right, bottom = max(x0, 0), max(y0, 0), min(x1, width), min(y1, height)
    frame = canvas.image.copy()
    frame[top:bottom, left:right] = moving[top - y0 : bottom - y0, left - x0 : right - x0]
    return frame
