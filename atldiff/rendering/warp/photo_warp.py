"""Warps a photo at its own resolution by a displacement field, fast enough for video."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from atldiff.rendering.output.filters import place_matrix, resize_matrix
from atldiff.rendering.warp.spline import GRID, REGION

_REACH = 0.05  # look-up margin beyond the moving part, share of its longer side
_MOST_BYTES = 64 << 20  # largest enlarged photo


@dataclass(frozen=True, eq=False)
class FinePhoto:
    """A photo prepared for many warps.

    The moving part is enlarged once by cubic interpolation, which keeps the original pixels. Each frame
    then needs only a linear look-up, which is faster than a cubic one and as sharp.

    Attributes:
        pixels: (h, w, C) uint8, the enlarged part.
        factor: enlargement, >= 1; at 1 the look-up is cubic.
        corner: x, y of pixels[0, 0] in the photo.
    """

    pixels: np.ndarray
    factor: int = 1
    corner: tuple[int, int] = (0, 0)

    @classmethod
    def from_photo(cls, image: np.ndarray, rect: tuple[int, int, int, int]) -> "FinePhoto":
        """Enlarges the part of a photo that will move.

        Args:
            image: (H, W, C) uint8.
            rect: x0, y0, x1, y1 of the moving part, whole pixels.
        """
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

    def warp(self, field: np.ndarray, box: np.ndarray, rect: tuple[int, int, int, int]) -> np.ndarray:
        """Warps the part `rect` of the photo.

        Args:
            field: (GRID, GRID, 2) from `displacement_field`, crop units.
            box: (4,) the network's crop in photo pixels.
            rect: x0, y0, x1, y1 of the result, whole pixels; may reach beyond the photo.

        Returns:
            (y1 - y0, x1 - x0, C) uint8; the photo's border is repeated beyond it.
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
    """Sampling positions of the pixels of `rect` in a photo enlarged by `factor` from `corner` on.

    Returns:
        `field_matrix` for the rows, the same for the columns, and the unwarped positions: columns (1, w)
        and rows (h, 1) in enlarged pixels.
    """
    side, own, matrices = box[2] - box[0], [], []
    for axis in (0, 1):
        pixels = np.arange(rect[axis], rect[axis + 2])
        matrices.append(field_matrix(pixels, box[axis], side))
        own.append(((pixels - corner[axis]) * factor).astype(np.float32))
    return matrices[1], matrices[0], own[0][None], own[1][:, None]


def field_matrix(pixels: np.ndarray, start: float, side: float) -> Tensor:
    """The matrix (N, GRID) float32 that interpolates one axis of a field at pixel centres.

    The field is enlarged twice by cubic interpolation, then interpolated linearly.

    Args:
        pixels: (N,) whole pixels.
        start: first coordinate of the network's crop, in pixels.
        side: side of the crop, in pixels.
    """
    low, high = REGION
    step = (high - low) * side / (2 * GRID)
    places = (pixels + 0.5 - start - low * side) / step - 0.5
    return place_matrix(places, 2 * GRID) @ resize_matrix(GRID, 2 * GRID)


def warp_image(
    image: np.ndarray, field: np.ndarray, box: np.ndarray, rect: tuple[int, int, int, int]
) -> np.ndarray:
    """Warps a photo (H, W, C) uint8 once, without enlarging it; see `FinePhoto.warp`."""
    return FinePhoto(image).warp(field, box, rect)
