"""What PSNR does not see of a mouth: is it as sharp, as rich in contrast and as bright as a real one?"""

import numpy as np

from atldiff.rendering.face_parts.light import LUMA

INSIDE = 0.9  # of a pixel must lie inside the inner lips
MIN_PIXELS = 12  # a narrower opening shows nothing that could be measured
HELD = 0.01  # inter-ocular distances by which a held mouth may open or close from frame to frame
NAMES = ("gradient", "deviation", "brightness")


def inside_statistics(frames: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Mean gradient, standard deviation and mean of the luma inside the inner lips.

    Args:
        frames: (F, H, W, 3) uint8.  inside: (F, H, W) share of each pixel between the inner lips, as
            `guide.fill_masks` gives it.

    Returns:
        (F, 3) in levels of 255; NaN where the mouth is all but closed.
    """
    luma = frames.astype(np.float32) @ LUMA
    down, right = np.gradient(luma, axis=(1, 2))
    slope = np.hypot(down, right)
    result = np.full((len(frames), 3), np.nan)
    for index, where in enumerate(inside > INSIDE):
        if where.sum() >= MIN_PIXELS:
            values = luma[index][where]
            result[index] = slope[index][where].mean(), values.std(), values.mean()
    return result


def inside_ratios(made: np.ndarray, real: np.ndarray) -> dict[str, float]:
    """Statistics (N, 3) of made over those of real mouths: 1 is perfect.

    Means are taken first: a single flat mouth does not outweigh all others.
    """
    both = np.isfinite(made).all(axis=1) & np.isfinite(real).all(axis=1)
    if not both.any():
        return dict.fromkeys(NAMES, float("nan"))
    ratios = made[both].mean(axis=0) / np.maximum(real[both].mean(axis=0), 1e-6)
    return dict(zip(NAMES, (float(r) for r in ratios), strict=True))


def held_flicker(frames: np.ndarray, inside: np.ndarray, openings: np.ndarray) -> np.ndarray:
    """Change of luma from frame to frame inside a mouth that is held open: what boils, not what moves.

    Args:
        frames, inside: as in `inside_statistics`.  openings: (F,) `landmarks.mouth_opening`.

    Returns:
        (P,) mean absolute change, levels of 255, of each pair of frames whose opening differs by less
        than HELD; empty where there are none.
    """
    luma = frames.astype(np.float32) @ LUMA
    both = (inside[1:] > INSIDE) & (inside[:-1] > INSIDE)
    held = (np.abs(np.diff(openings)) < HELD) & (both.sum(axis=(1, 2)) >= MIN_PIXELS)
    change = np.abs(np.diff(luma, axis=0))
    return np.array([change[pair][both[pair]].mean() for pair in np.flatnonzero(held)])
