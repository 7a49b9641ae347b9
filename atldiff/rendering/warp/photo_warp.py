"""A photo moved by a displacement field: fine enough for its own resolution, fast enough for a video."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from atldiff.rendering.output.filters import place_matrix, resize_matrix
from atldiff.rendering.warp.spline import GRID, REGION

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

        rows, columns, x, y = _to_pixels(rect, tuple(box), self.corner, self.factor)
        shifts = torch.from_numpy(field * np.float32((box[2] - box[0]) * self.factor))
        places = ((rows @ shifts[..., axis] @ columns.T).numpy() for axis in (0, 1))
        across, down = (np.add(place, own, out=place) for place, own in zip(places, (x, y), strict=True))
        method = cv2.INTER_CUBIC if self.factor == 1 else cv2.INTER_LINEAR
        return cv2.remap(self.pixels, across, down, method, borderMode=cv2.BORDER_REPLICATE)


@lru_cache(maxsize=2)
def _to_pixels(
    rect: tuple[int, int, int, int], box: tuple[float, ...], corner: tuple[int, int], factor: int
) -> tuple[Tensor, Tensor, np.ndarray, np.ndarray]:
    """Matrices of `field_matrix` for rows and columns of `rect`; and where, without a field, its columns
    (1, w) and rows (h, 1) lie in a photo enlarged by `factor` from `corner` on.
    """
    side, own, matrices = box[2] - box[0], [], []
    for axis in (0, 1):
        pixels = np.arange(rect[axis], rect[axis + 2])
        matrices.append(field_matrix(pixels, box[axis], side))
        own.append(((pixels - corner[axis]) * factor).astype(np.float32))
    return matrices[1], matrices[0], own[0][None], own[1][:, None]


def field_matrix(pixels: np.ndarray, start: float, side: float) -> Tensor:
    """What takes a line of a field's cells to the centres of whole pixels (N,): (N, GRID) float32.

    The field is made twice as fine (cubic), then interpolated linearly.

    Args:
        start, side: of the network's crop, in the same pixels.
    """
    low, high = REGION
    step = (high - low) * side / (2 * GRID)
    places = (pixels + 0.5 - start - low * side) / step - 0.5
    return place_matrix(places, 2 * GRID) @ resize_matrix(GRID, 2 * GRID)


def warp_image(
    image: np.ndarray, field: np.ndarray, box: np.ndarray, rect: tuple[int, int, int, int]
) -> np.ndarray:
    """As `FinePhoto.warped`, of a photo (H, W, C) uint8 that is warped but once."""
    return FinePhoto(image).warped(field, box, rect)
