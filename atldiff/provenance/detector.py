"""Finds the watermark in pictures, over all shifts and a range of sizes.

- The tile repeats, so its waves lie on a lattice of the picture's spectrum. One spectrum serves all sizes.
- Strong waves and long ones count more: encoders spare them. The phases alone can match, so the score is the
  highest correlation over all shifts, in deviations of random phases.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np

from atldiff.provenance.tile import KEY, REFERENCE, SIDE, noise_tile, wave_band

THRESHOLD = 7.2  # see docs/provenance.md: less than one false alarm in 100,000 pictures
SIZES = 0.5, 2.3  # the shorter side of the picture over that of the whole video in it
_STEP = 1.006  # between two sizes
_SIDE = 1024  # pixels of the shorter side at which a large picture is searched
_LONGEST = 2  # sides of the searched part over its shorter one
_WINDOW = 15  # pixels of the local mean and deviation, for a shorter side of 512
_CLIP = 2.0  # deviations


@dataclass(frozen=True)
class Trace:
    """The best match of the watermark in a picture.

    Attributes:
        score: correlation in deviations of chance; the mark is there from THRESHOLD on.
        size: shorter side of the picture over that of the whole video in it; 1 = neither cut nor extended.
        mirrored: whether the picture is a mirror image.
    """

    score: float = 0.0
    size: float = 1.0
    mirrored: bool = False

    @property
    def found(self) -> bool:
        """Whether the mark is there."""
        return self.score >= THRESHOLD


def find_mark(picture: np.ndarray, key: str = KEY) -> Trace:
    """Searches a picture for the mark.

    Args:
        picture: (H, W) levels from 0 to 255, uint8 or float; for a video the mean of several frames.
        key: of the tile.

    Returns:
        The best match; one without a score for a picture of fewer than 64 pixels.
    """
    if min(picture.shape) < SIDE // 2:
        return Trace()
    spectrum, side = _spectrum(picture)
    best = Trace()
    for size in _sizes():
        for score, mirrored in zip(_match_both(spectrum, side, size, key), (False, True), strict=True):
            if score > best.score:
                best = Trace(score, size, mirrored)
    return best


def score_unchanged(picture: np.ndarray, key: str = KEY) -> float:
    """The score of the mark in a picture (H, W), 64 pixels or more, that is neither cut nor mirrored."""
    return _match_both(*_spectrum(picture), 1.0, key)[0]


def _match_both(spectrum: np.ndarray, side: int, size: float, key: str) -> tuple[float, float]:
    """The best scores over all shifts, straight and mirrored, of the tile at a size."""
    waves, straight, mirror = _tile_waves(key)
    heard = _read_waves(spectrum, waves / SIDE * (size * REFERENCE / side))
    return _highest_match(heard * straight, waves), _highest_match(heard * mirror, waves)


@cache
def _tile_waves(key: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One of each two opposite waves of the tile, and what they are compared with.

    Returns:
        waves (2, n) int, waves a tile along rows and columns; their conjugate phases over their frequencies,
        (n,) complex, of the tile and of its mirror image.
    """
    plane, half = np.fft.fft2(noise_tile(key)), wave_band()
    half[SIDE // 2 + 1 :] = False
    half[0, SIDE // 2 + 1 :] = False
    rows, columns = np.nonzero(half)
    waves = np.stack([rows, np.where(columns > SIDE // 2, columns - SIDE, columns)])
    lengths = SIDE / np.hypot(*waves)
    straight, mirror = (lengths * np.exp(-1j * np.angle(plane[rows, sign * columns])) for sign in (1, -1))
    return waves, straight.astype(np.complex64), mirror.astype(np.complex64)


def _sizes() -> Iterator[float]:
    """The sizes to try."""
    size, last = SIZES
    while size <= last:
        yield size
        size *= _STEP


def _spectrum(picture: np.ndarray) -> tuple[np.ndarray, int]:
    """The flattened picture's spectrum, zero frequency first, and the picture's shorter side in pixels.

    The picture is padded to twice its sides, so that its spectrum can be read between the frequencies.
    """
    import cv2

    height, width = picture.shape
    side = min(height, width)
    top, left = (max(0, (n - _LONGEST * side) // 2) for n in (height, width))
    part = np.ascontiguousarray(picture[top : height - top, left : width - left], np.float32)
    if side > _SIDE:
        scale = _SIDE / side
        part = cv2.resize(part, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        side = _SIDE
    part = _flatten(part, side)
    rows, columns = (cv2.getOptimalDFTSize(2 * n) for n in part.shape)
    padded = np.zeros((rows, columns), np.float32)
    padded[: part.shape[0], : part.shape[1]] = part
    # The middle becomes the origin: then neighbouring frequencies have neighbouring phases.
    padded = np.roll(padded, (-(part.shape[0] // 2), -(part.shape[1] // 2)), (0, 1))
    plane = cv2.dft(padded, flags=cv2.DFT_COMPLEX_OUTPUT)
    return plane.view(np.complex64)[..., 0], side


def _flatten(part: np.ndarray, side: int) -> np.ndarray:
    """Takes away what the picture shows: local mean 0, outliers clipped, weighted by the local variance.

    The mark is best seen where the picture is plain: the weight of a pixel is that of a matched filter in
    noise of the local deviation.
    """
    import cv2

    reach = max(3, round(_WINDOW * side / REFERENCE)) | 1
    fine = part - cv2.blur(part, (reach, reach))
    wide = (2 * reach + 1, 2 * reach + 1)
    deviation = np.sqrt(np.maximum(cv2.blur(fine * fine, wide), 0))
    softened = deviation + 0.5
    return np.clip(fine / softened, -_CLIP, _CLIP) / softened


def _read_waves(spectrum: np.ndarray, frequencies: np.ndarray) -> np.ndarray:
    """The spectrum at frequencies (2, n) in cycles a pixel, roots of its magnitudes: (n,) complex."""
    rows, columns = spectrum.shape
    y, x = frequencies[0] * rows, frequencies[1] * columns
    top, left = np.floor(y).astype(int), np.floor(x).astype(int)
    down, right = (y - top).astype(np.float32), (x - left).astype(np.float32)
    upper = spectrum[top % rows, left % columns] * (1 - right)
    upper += spectrum[top % rows, (left + 1) % columns] * right
    lower = spectrum[(top + 1) % rows, left % columns] * (1 - right)
    lower += spectrum[(top + 1) % rows, (left + 1) % columns] * right
    value = upper * (1 - down) + lower * down
    inside = (np.abs(frequencies) < 0.5).all(0)
    return np.where(inside, value / np.sqrt(np.maximum(np.abs(value), 1e-12)), 0)


def _highest_match(products: np.ndarray, waves: np.ndarray) -> float:
    """The highest correlation over all shifts, in deviations, from the products (n,) of the waves."""
    import cv2

    plane = np.zeros((SIDE, SIDE), np.complex64)
    plane[waves[0], waves[1]] = products
    plane[-waves[0], -waves[1]] = products.conj()
    channels = plane.view(np.float32).reshape(SIDE, SIDE, 2)
    shifts = cv2.dft(channels, flags=cv2.DFT_INVERSE | cv2.DFT_REAL_OUTPUT)
    power = 2 * float(np.vdot(products, products).real)
    return float(shifts.max()) / max(power, 1e-12) ** 0.5
