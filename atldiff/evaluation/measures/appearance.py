"""Measures of pictures in time that need no true frames: flicker, sharpness, and their drift."""

import numpy as np

from atldiff.config import FRAME_RATE
from atldiff.evaluation.pictures import frame_boxes, region
from atldiff.rendering.face_parts.light import LUMA


def flicker(frames: np.ndarray, boxes: np.ndarray | None = None) -> np.ndarray:
    """Change of the change: the luma's second difference in time, which steady motion leaves at about 0.

    Args:
        frames: (F, H, W, 3) uint8.
        boxes: as in `pictures.psnr`.

    Returns:
        (F - 2,) mean absolute value in levels of 255; of the box of the middle frame.
    """
    luma = frames.astype(np.float32) @ LUMA
    second = np.abs(luma[2:] - 2 * luma[1:-1] + luma[:-2])
    middle = frame_boxes(boxes, frames)[1:-1]
    return np.array([region(change, box).mean() for change, box in zip(second, middle, strict=True)])


def sharpness(frames: np.ndarray, boxes: np.ndarray | None = None) -> np.ndarray:
    """Mean length (F,) of the luma's gradient, levels of 255 a pixel; boxes as in `pictures.psnr`."""
    luma = frames.astype(np.float32) @ LUMA
    down, right = np.gradient(luma, axis=(1, 2))
    slopes = np.hypot(down, right)
    return np.array(
        [region(slope, box).mean() for slope, box in zip(slopes, frame_boxes(boxes, frames), strict=True)]
    )


def drift(values: np.ndarray) -> float:
    """Slope of the best line through values (F,) at FRAME_RATE, in % of their mean a second.

    NaN for less than two values, or a mean of 0.
    """
    mean = values.mean() if len(values) > 1 else 0.0
    if not mean:
        return float("nan")
    slope = np.polyfit(np.arange(len(values)) / FRAME_RATE, values, 1)[0]
    return float(100 * slope / mean)
