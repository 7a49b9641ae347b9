"""Photos in one tone, grey or sepia: what is painted into them must have no colour of its own."""

import numpy as np

from atldiff.rendering.face_parts.light import LUMA

_MEAN, _MOST = 1.5, 5.0  # levels by which the colours of such a photo stray from its tone: mean, 95 %
_SAMPLES = 20_000  # pixels that are looked at


def toning(image: np.ndarray) -> np.ndarray | None:
    """The tone of a photo (H, W, >=3) uint8: (256, 3) uint8, the colour of each luma; None if it has many.

    A tone is a colour that follows from the luma alone, smoothly: quadratic in each channel.
    """
    pixels = image[..., :3].reshape(-1, 3)
    pixels = pixels[:: max(1, len(pixels) // _SAMPLES)].astype(np.float32)
    luma = pixels @ LUMA / 255
    powers = np.stack([np.ones_like(luma), luma, luma**2], axis=-1)
    curve, *_ = np.linalg.lstsq(powers, pixels, rcond=None)
    stray = np.abs(pixels - powers @ curve).max(axis=1)
    if stray.mean() > _MEAN or np.quantile(stray, 0.95) > _MOST:
        return None
    level = np.arange(256, dtype=np.float32) / 255
    tone = np.stack([np.ones_like(level), level, level**2], axis=-1) @ curve
    return np.clip(np.round(tone), 0, 255).astype(np.uint8)


def toned(picture: np.ndarray, tone: np.ndarray) -> np.ndarray:
    """A picture (h, w, 3) uint8 in that tone, its luma kept."""
    luma = np.clip(np.round(picture @ LUMA), 0, 255).astype(np.uint8)
    return tone[luma]
