"""Pictures resized and blurred by a product with a matrix for their rows and one for their columns.

Resizing matrices are what OpenCV and Pillow, which the path on the CPU uses, make of an identity matrix: the
same weights and borders, on any device.
"""

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor


def resize_matrix(before: int, after: int, method: int | None = None) -> Tensor:
    """(after, before) float32: `cv2.resize` of a column by one of OpenCV's interpolations; None: cubic."""
    import cv2

    method = cv2.INTER_CUBIC if method is None else method
    return torch.from_numpy(
        cv2.resize(np.eye(before, dtype=np.float32), (before, after), interpolation=method)
    )


def crop_matrix(before: int, start: float, stop: float, after: int) -> Tensor:
    """(after, before) float32: `photo.crop_square` of a column, from `start` to `stop`; in between, no border
    is near. Averages areas where it shrinks, else cubic.
    """
    kernel = Image.Resampling.BOX if stop - start > after else Image.Resampling.BICUBIC
    rows = Image.fromarray(np.eye(before, dtype=np.float32))
    return torch.from_numpy(np.array(rows.resize((before, after), kernel, (0, start, before, stop))))


def place_matrix(places: np.ndarray, cells: int) -> Tensor:
    """(N, cells) float32: linear interpolation at places (N,) among cells 0, 1, ...; beyond them is 0."""
    apart = np.abs(places[:, None] - np.arange(cells))
    return torch.from_numpy(np.maximum(1 - apart, 0).astype(np.float32))


def resize_pictures(pictures: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Pictures (..., h, w) float32 by matrices (h', h) and (w', w), on their device: (..., h', w')."""
    return rows @ pictures @ columns.mT


def blur_pictures(pictures: Tensor, deviations: Sequence[float], reach: int = 4) -> Tensor:
    """`cv2.GaussianBlur` of pictures (F, C, h, w) float32, each with its own standard deviation in pixels.

    Args:
        reach: standard deviations to which a kernel goes; OpenCV's are 4 of float pictures, 3 of uint8.
    """
    height, width = pictures.shape[-2:]
    rows, columns = (blur_matrices(size, deviations, reach, pictures.device) for size in (height, width))
    return resize_pictures(pictures, rows[:, None], columns[:, None])


def blur_matrices(size: int, deviations: Sequence[float], reach: int, device: torch.device | str) -> Tensor:
    """(F, size, size) float32: the blur of a column that is mirrored at its ends (reflect 101)."""
    deviation = np.asarray(deviations, np.float64)
    radius = (np.rint(deviation * reach * 2 + 1).astype(int) | 1) // 2
    steps = np.arange(radius.max() + 1)
    kernel = np.where(steps <= radius[:, None], np.exp(-0.5 * (steps / deviation[:, None]) ** 2), 0)
    kernel /= kernel[:, :1] + 2 * kernel[:, 1:].sum(axis=1, keepdims=True)
    kernels = torch.from_numpy(kernel.astype(np.float32)).to(device)
    kernels = torch.nn.functional.pad(kernels, (0, max(0, 2 * size - kernels.shape[1])))
    here = torch.arange(size, device=device)
    to, source = here[:, None], here[None]
    # a column's pixel j also lies at -j and at 2 (size - 1) - j
    above, below = (to + source) * (source > 0), (2 * (size - 1) - source - to) * (source < size - 1)
    beyond = [kernels[:, way] * (way > 0) for way in (above, below)]
    return kernels[:, (to - source).abs()] + beyond[0] + beyond[1]


def to_levels(pictures: Tensor) -> Tensor:
    """float32 -> uint8, the nearest of 0 to 255."""
    return pictures.round().clamp(0, 255).to(torch.uint8)
