"""A photo moved by a displacement field: fine enough for its own resolution, fast enough for a video."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from atldiff.rendering.warp import REGION

_REACH = 0.05  # how far beyond the moving part the warp looks up colours, share of its longer side
_MOST_BYTES = 64 << 20  # of an enlarged photo


@dataclass(frozen=True, eq=False)
class FinePhoto:
    """A photo prepared for being warped many times.

    Its moving part is enlarged once, by cubic interpolation that keeps the photo's own pixels: a frame
    then needs but a linear look-up a pixel, four times as fast as a cubic one and as sharp.

    Attributes:
        pixels: (h, w, C) uint8.  factor: of the enlargement; 1 = as it is, looked up by cubic interpolation.
        corner: the photo's pixel that is pixels[0, 0].
    """

    pixels: np.ndarray
    factor: int = 1
    corner: tuple[int, int] = (0, 0)

    @classmethod
    def of(cls, image: np.ndarray, rect: tuple[int, int, int, int]) -> "FinePhoto":
        """Of a photo (H, W, C) uint8 of which `rect` (x0, y0, x1, y1, whole pixels) will move."""
        import cv2

        margin = round(_REACH * max(rect[2] - rect[0], rect[3] - rect[1]))
        x0, y0 = max(rect[0] - margin, 0), max(rect[1] - margin, 0)
        part = image[y0 : rect[3] + margin, x0 : rect[2] + margin]
        factor = next((f for f in (3, 2) if f * f * part.size <= _MOST_BYTES), 1)
        if factor == 1 or not part.size:
            return cls(image)
        move, size = np.array([[1, 0, 0], [0, 1, 0]], np.float32) / factor, (part.shape[1], part.shape[0])
        flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        size = (factor * size[0] - factor + 1, factor * size[1] - factor + 1)
        fine = cv2.warpAffine(part, move, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
        return cls(fine, factor, (x0, y0))

    def warped(self, field: np.ndarray, box: np.ndarray, rect: tuple[int, int, int, int]) -> np.ndarray:
        """The part `rect` of the photo, warped.

        Args:
            field: (cells, cells, 2) of `displacement_field`.
            box: (4,) the network's crop in pixels of the photo.
            rect: x0, y0, x1, y1 whole pixels of the result; may reach beyond the photo.

        Returns:
            (y1 - y0, x1 - x0, C) uint8; beyond the photo its border is repeated.
        """
        import cv2

        x0, y0, x1, y1 = rect
        side, cells = float(box[2] - box[0]), 2 * len(field)
        low, high = REGION
        step = (high - low) * side / cells  # pixels a cell, after the field is made twice as fine
        finer = cv2.resize(
            field * np.float32(side * self.factor), (cells, cells), interpolation=cv2.INTER_CUBIC
        )
        # result pixel i has its centre at x0 + i + 0.5; cell j at box[0] + low * side + (j + 0.5) * step
        start_x = (x0 + 0.5 - box[0] - low * side) / step - 0.5
        start_y = (y0 + 0.5 - box[1] - low * side) / step - 0.5
        move = np.array([[1 / step, 0, start_x], [0, 1 / step, start_y]], np.float32)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        maps = cv2.warpAffine(finer, move, (x1 - x0, y1 - y0), flags=flags)
        maps += _own_places(rect, self.corner, self.factor)
        method = cv2.INTER_CUBIC if self.factor == 1 else cv2.INTER_LINEAR
        return cv2.remap(self.pixels, maps, None, method, borderMode=cv2.BORDER_REPLICATE)


@lru_cache(maxsize=2)
def _own_places(rect: tuple[int, int, int, int], corner: tuple[int, int], factor: int) -> np.ndarray:
    """(h, w, 2) float32: the pixels of `rect` in a photo enlarged by `factor` from `corner` on."""
    x, y = (np.arange(rect[i], rect[i + 2], dtype=np.float32) - corner[i] for i in (0, 1))
    return np.stack(np.meshgrid(x * factor, y * factor), axis=-1)


def warp_image(
    image: np.ndarray, field: np.ndarray, box: np.ndarray, rect: tuple[int, int, int, int]
) -> np.ndarray:
    """As `FinePhoto.warped`, of a photo (H, W, C) uint8 that is warped but once."""
    return FinePhoto(image).warped(field, box, rect)
