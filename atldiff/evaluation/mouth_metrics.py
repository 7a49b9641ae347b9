"""Measures of the mouth's interior that PSNR misses: sharpness, contrast, brightness, flicker."""

import numpy as np

from atldiff.rendering.face_parts.light import LUMA

INSIDE = 0.9  # least share of a pixel inside the inner lips
MIN_PIXELS = 12  # least size of the interior
STILL = 0.01  # inter-ocular distances; the largest change of a still mouth's opening between frames
NAMES = ("gradient", "deviation", "brightness")


def inside_statistics(frames: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Mean gradient, standard deviation and mean of the luma inside the inner lips.

    Args:
        frames: (F, H, W, 3) uint8.
        inside: (F, H, W) share of each pixel inside the inner lips, from `guide_noise.fill_masks`.

    Returns:
        (F, 3) in levels of 255; NaN if the mouth is almost closed.
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


def inside_ratios(generated: np.ndarray, real: np.ndarray) -> dict[str, float]:
    """Ratios of the statistics (N, 3) of generated to those of real mouths, by name: 1 is perfect.

    They are ratios of means, so that one flat mouth does not outweigh all others.
    """
    both = np.isfinite(generated).all(axis=1) & np.isfinite(real).all(axis=1)
    if not both.any():
        return dict.fromkeys(NAMES, float("nan"))
    ratios = generated[both].mean(axis=0) / np.maximum(real[both].mean(axis=0), 1e-6)
    return dict(zip(NAMES, (float(r) for r in ratios), strict=True))


def still_flicker(frames: np.ndarray, inside: np.ndarray, openings: np.ndarray) -> np.ndarray:
    """Change of luma between frames inside a still open mouth: flicker without motion.

    Args:
        frames, inside: as in `inside_statistics`.
        openings: (F,) `landmarks.mouth_opening`.

    Returns:
        (P,) mean absolute change in levels of 255, for each pair of frames with openings closer than STILL.
    """
    luma = frames.astype(np.float32) @ LUMA
    both = (inside[1:] > INSIDE) & (inside[:-1] > INSIDE)
    still = (np.abs(np.diff(openings)) < STILL) & (both.sum(axis=(1, 2)) >= MIN_PIXELS)
    change = np.abs(np.diff(luma, axis=0))
    return np.array([change[pair][both[pair]].mean() for pair in np.flatnonzero(still)])
