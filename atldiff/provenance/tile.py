"""The watermark's pattern: a tile of noise that repeats over the whole picture.

- The tile is the same for all videos. Its key is public, so anyone can add it or take it away.
- The noise has waves of 6 to 24 pixels: finer ones are lost in encoding, coarser ones hide in the picture.
"""

import hashlib
from functools import cache

import numpy as np

KEY = "atldiff video mark 1"
SIDE = 128  # pixels of the tile
REFERENCE = 512  # pixels of a picture's shorter side for which the tile has its own size
SMALLEST = 256  # pixels of the shorter side from which pictures are marked
_COARSEST, _FINEST = 24, 6  # pixels of the longest and the shortest wave


def wave_band() -> np.ndarray:
    """The tile's waves: (128, 128) bool over the frequencies of `np.fft.fft2`."""
    waves = np.hypot(*np.meshgrid(np.fft.fftfreq(SIDE), np.fft.fftfreq(SIDE)))
    return (waves >= 1 / _COARSEST) & (waves <= 1 / _FINEST)


@cache
def noise_tile(key: str = KEY) -> np.ndarray:
    """The tile of a key: (128, 128) float32 with mean 0 and deviation 1, the same on every machine."""
    raw = np.frombuffer(hashlib.shake_256(key.encode()).digest(2 * SIDE * SIDE), "<u2")
    phases = raw.reshape(SIDE, SIDE) * (2 * np.pi / 2**16)
    waves = np.hypot(*np.meshgrid(np.fft.fftfreq(SIDE), np.fft.fftfreq(SIDE)))
    amplitudes = np.where(wave_band(), 1 / np.maximum(waves, 1 / SIDE), 0)
    tile = np.fft.ifft2(amplitudes * np.exp(1j * phases)).real
    return (tile / tile.std()).astype(np.float32)
