"""The paper's measures of pictures (Sec. 3.3.1): PSNR, SSIM, FID; `landmarks` has those of landmarks.

Frames are (F, H, W, 3) uint8. Measures of single frames are returned as (F,) float64, which the caller
averages.
"""

import json
import math
from typing import Any

import numpy as np
import torch

from atldiff.errors import InputError
from atldiff.landmarks import WHOLE_FACE, inter_ocular_distance

SSIM_SIGMA, SSIM_RADIUS = 1.5, 5  # Wang et al. 2004: 11x11 Gaussian window
SSIM_C1, SSIM_C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
_BATCH = 16  # frames at once


def as_json(scores: Any) -> str:
    """Nested scores as JSON, with null for NaN, which JSON does not have."""

    def replace_nan(value: Any) -> Any:
        """The value with None for NaN."""
        if isinstance(value, dict):
            return {name: replace_nan(part) for name, part in value.items()}
        if isinstance(value, list | tuple):
            return [replace_nan(part) for part in value]
        return None if isinstance(value, float) and math.isnan(value) else value

    return json.dumps(replace_nan(scores), indent=1)


def psnr(frames: np.ndarray, truth: np.ndarray, boxes: np.ndarray | None = None) -> np.ndarray:
    """Peak signal-to-noise ratio in dB.

    Args:
        frames, truth: (F, H, W, 3) uint8.
        boxes: (F, 4) or (4,) pixels x0, y0, x1, y1 of the compared region; None = the whole frame.

    Returns:
        (F,) dB; infinite for equal regions.
    """
    _check(frames, truth)
    errors = ((a.astype(np.float64) - b) ** 2 for a, b in zip(frames, truth, strict=True))
    regions = frame_boxes(boxes, frames)
    mean = np.array([region(e, box).mean() for e, box in zip(errors, regions, strict=True)])
    with np.errstate(divide="ignore"):
        return 10 * np.log10(255**2 / mean)


def ssim(frames: np.ndarray, truth: np.ndarray, boxes: np.ndarray | None = None) -> np.ndarray:
    """Structural similarity with a Gaussian window, as scikit-image's `structural_similarity` with
    gaussian_weights=True, sigma=1.5, use_sample_covariance=False, channel_axis=-1.

    Args:
        frames, truth: (F, H, W, 3) uint8, at least 11 pixels wide and high.
        boxes: as in `psnr`; the map of the whole frame is averaged inside them.

    Returns:
        (F,) in [-1, 1], 1 = equal.
    """
    _check(frames, truth)
    edge = SSIM_RADIUS
    inner = np.array([edge, edge, frames.shape[2] - edge, frames.shape[1] - edge])
    regions = frame_boxes(inner if boxes is None else boxes, frames)
    pairs = zip(frames, truth, regions, strict=True)
    return np.array([region(_ssim_map(frame, true), box).mean() for frame, true, box in pairs])


def part_box(landmarks: np.ndarray, part: slice = WHOLE_FACE, margin: float = 0.15) -> np.ndarray:
    """The box around some landmarks, with a margin on each side.

    Args:
        landmarks: (..., 68, 2) pixels.
        part: slice of the 68, such as MOUTH.
        margin: in inter-ocular distances.

    Returns:
        (..., 4) pixels x0, y0, x1, y1.
    """
    points, pad = landmarks[..., part, :], margin * inter_ocular_distance(landmarks)[..., None]
    return np.concatenate([points.min(axis=-2) - pad, points.max(axis=-2) + pad], axis=-1)


class FrechetDistance:
    """Frechet Inception Distance of generated from true frames, added batch by batch; it needs thousands.

    Raises:
        InputError: torch-fidelity, which has the Inception network, or its weights are missing.
    """

    def __init__(self) -> None:
        try:
            from torchmetrics.image.fid import FrechetInceptionDistance

            self._measure = FrechetInceptionDistance(feature=2048)
        except (ImportError, OSError) as error:  # OSError: the weights could not be fetched
            remedy = "pip install 'atldiff[fid]' on a machine that can download its weights"
            raise InputError("FID needs the Inception network of torch-fidelity", remedy) from error

    def add(self, frames: np.ndarray, truth: np.ndarray) -> None:
        """Adds generated and true frames (F, H, W, 3) uint8."""
        for images, real in ((truth, True), (frames, False)):
            for first in range(0, len(images), _BATCH):
                batch = np.ascontiguousarray(images[first : first + _BATCH].transpose(0, 3, 1, 2))
                self._measure.update(torch.from_numpy(batch), real=real)

    @property
    def network(self) -> torch.nn.Module:
        """The Inception network: pictures (N, 3, H, W) uint8 -> features (N, 2048)."""
        return self._measure.inception

    def value(self) -> float:
        """The distance of all added frames."""
        return float(self._measure.compute())


def _check(frames: np.ndarray, truth: np.ndarray) -> None:
    assert frames.shape == truth.shape and frames.ndim == 4, (frames.shape, truth.shape)
    assert frames.dtype == truth.dtype == np.uint8, (frames.dtype, truth.dtype)


def frame_boxes(boxes: np.ndarray | None, frames: np.ndarray) -> np.ndarray:
    """A box for each frame, (F, 4); None gives the whole frame."""
    full = np.array([0, 0, frames.shape[2], frames.shape[1]], np.float64)
    return np.broadcast_to(full if boxes is None else boxes, (len(frames), 4))


def region(values: np.ndarray, box: np.ndarray) -> np.ndarray:
    """The part of (H, W, ...) values inside a box of pixels, rounded outwards, at least one pixel."""
    height, width = values.shape[:2]
    x0, y0 = np.clip(np.floor(box[:2]), 0, (width - 1, height - 1)).astype(int)
    x1, y1 = np.clip(np.ceil(box[2:]), (x0 + 1, y0 + 1), (width, height)).astype(int)
    return values[y0:y1, x0:x1]


def _ssim_map(frame: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Similarity (H, W, 3) of each pixel's neighbourhood, with mirrored edges."""
    a, b = frame.astype(np.float64), truth.astype(np.float64)
    mean_a, mean_b, aa, bb, ab = (_blur(x) for x in (a, b, a * a, b * b, a * b))
    contrast = 2 * (ab - mean_a * mean_b) + SSIM_C2
    spread = aa - mean_a**2 + bb - mean_b**2 + SSIM_C2
    level = (2 * mean_a * mean_b + SSIM_C1) / (mean_a**2 + mean_b**2 + SSIM_C1)
    return level * contrast / spread


def _blur(image: np.ndarray) -> np.ndarray:
    """Weighted mean in the SSIM window around each pixel of (H, W, C)."""
    import cv2

    window = cv2.getGaussianKernel(2 * SSIM_RADIUS + 1, SSIM_SIGMA)
    return cv2.sepFilter2D(image, cv2.CV_64F, window, window, borderType=cv2.BORDER_REFLECT_101)
