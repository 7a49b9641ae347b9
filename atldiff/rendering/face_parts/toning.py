"""Photos in one tone, grey or sepia: painted parts must take the same tone."""

import numpy as np

from atldiff.rendering.face_parts.light import LUMA

_MEAN, _MOST = 1.5, 5.0  # levels by which colours may deviate from the tone: mean, 95th percentile
_SAMPLES = 20_000  # pixels of the fit


def find_tone(image: np.ndarray) -> np.ndarray | None:
    """Fits the tone of a photo: a quadratic curve from luma to each channel.

    Args:
        image: (H, W, >=3) uint8.

    Returns:
        (256, 3) uint8, the colour of each luma; None if the photo has other colours.
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


def apply_tone(picture: np.ndarray, tone: np.ndarray) -> np.ndarray:
    """Maps the luma of a picture (h, w, 3) uint8 through a tone (256, 3) uint8: (h, w, 3) uint8."""
    luma = np.clip(np.round(picture @ LUMA), 0, 255).astype(np.uint8)
    return tone[luma]
