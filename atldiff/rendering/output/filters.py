"""Resizes and blurs pictures by matrix products over rows and columns.

OpenCV and Pillow, which the CPU path uses, resize an identity matrix. The result is a matrix with their
weights and borders for any device.
"""

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor


def resize_matrix(before: int, after: int, method: int | None = None) -> Tensor:
    """The matrix of `cv2.resize` along one axis.

    Args:
        before: pixels of the input.
        after: pixels of the result.
        method: interpolation of OpenCV; None = cubic.

    Returns:
        (after, before) float32.
    """
    import cv2

    method = cv2.INTER_CUBIC if method is None else method
    return torch.from_numpy(
        cv2.resize(np.eye(before, dtype=np.float32), (before, after), interpolation=method)
    )


def crop_matrix(before: int, start: float, stop: float, after: int) -> Tensor:
    """The matrix of `photo.crop_square` along one axis: area averages to shrink, cubic to enlarge.

    Args:
        before: pixels of the input.
        start: begin of the crop, in pixels, away from the picture's border.
        stop: end of the crop, likewise.
        after: pixels of the result.

    Returns:
        (after, before) float32.
    """
    kernel = Image.Resampling.BOX if stop - start > after else Image.Resampling.BICUBIC
    rows = Image.fromarray(np.eye(before, dtype=np.float32))
    return torch.from_numpy(np.array(rows.resize((before, after), kernel, (0, start, before, stop))))


def place_matrix(places: np.ndarray, cells: int) -> Tensor:
    """The matrix (N, cells) float32 of linear interpolation at places (N,) in cells; beyond them lies 0."""
    distance = np.abs(places[:, None] - np.arange(cells))
    return torch.from_numpy(np.maximum(1 - distance, 0).astype(np.float32))


def resize_pictures(pictures: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Resizes pictures (..., h, w) of floats by matrices (h', h) and (w', w): (..., h', w')."""
    return rows.to(pictures.dtype) @ pictures @ columns.mT.to(pictures.dtype)


def blur_pictures(pictures: Tensor, deviations: Sequence[float], reach: int = 4) -> Tensor:
    """Blurs pictures as `cv2.GaussianBlur` does.

    Args:
        pictures: (F, C, h, w) float32.
        deviations: standard deviation of each frame's blur, or one for all, pixels.
        reach: half width of the kernel in standard deviations; OpenCV uses 4 for float and 3 for uint8.

    Returns:
        (F, C, h, w) float32.
    """
    height, width = pictures.shape[-2:]
    rows, columns = (blur_matrices(size, deviations, reach, pictures.device) for size in (height, width))
    return resize_pictures(pictures, rows[:, None], columns[:, None])


def blur_matrices(size: int, deviations: Sequence[float], reach: int, device: torch.device | str) -> Tensor:
    """The matrices of a blur along one axis with mirrored ends (reflect 101).

    Args:
        size: pixels of the axis.
        deviations: standard deviation of each frame's blur, pixels.
        reach: see `blur_pictures`.
        device: of the result.

    Returns:
        (F, size, size) float32.
    """
    deviation = np.asarray(deviations, np.float64)
    radius = (np.rint(deviation * reach * 2 + 1).astype(int) | 1) // 2
    steps = np.arange(radius.max() + 1)
    kernel = np.where(steps <= radius[:, None], np.exp(-0.5 * (steps / deviation[:, None]) ** 2), 0)
    kernel /= kernel[:, :1] + 2 * kernel[:, 1:].sum(axis=1, keepdims=True)
    kernels = torch.from_numpy(kernel.astype(np.float32)).to(device)
    kernels = torch.nn.functional.pad(kernels, (0, max(0, 2 * size - kernels.shape[1])))
    here = torch.arange(size, device=device)
    to, source = here[:, None], here[None]
    # The mirror images of pixel j lie at -j and at 2 (size - 1) - j.
    above, below = (to + source) * (source > 0), (2 * (size - 1) - source - to) * (source < size - 1)
    beyond = [kernels[:, way] * (way > 0) for way in (above, below)]
    return kernels[:, (to - source).abs()] + beyond[0] + beyond[1]


def to_levels(pictures: Tensor) -> Tensor:
    """Float levels, any shape -> the nearest uint8 levels, same shape."""
    return pictures.round().clamp(0, 255).to(torch.uint8)
