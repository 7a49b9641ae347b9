"""Landmarks-guide noise (Sec. 2.2, Eq. 5): landmarks -> masks, guide maps, guided noise.

- Landmarks are in crop units (0..1 across the frame).
- Masks are (..., size, size) in [0, 1].
"""

import numpy as np
import torch
from torch import Tensor

from atldiff.config import GuideConfig
from atldiff.landmarks import LEFT_EYE, RIGHT_EYE
from atldiff.rendering.face_parts.lip_outline import mouth_outline

_SUBPIXEL_BITS = 4  # cv2.fillPoly's fixed-point fraction


def gaussian_sigma(kernel: int) -> float:
    """Standard deviation of the blur of odd width `kernel`: 0.3((k - 1) / 2 - 1) + 0.8 (Eq. 5)."""
    return 0.3 * ((kernel - 1) / 2 - 1) + 0.8


def point_mask(landmarks: Tensor, size: int, kernel: int) -> Tensor:
    """The point mask of Eq. 5: blurred landmarks, 1 at a lone landmark.

    The paper sets the nearest pixel to 1. Here the four nearest pixels share a point, so that the mask moves
    smoothly with the landmarks. The blur is scaled so that the peak stays 1.

    Args:
        landmarks: (..., 68, 2) crop units.
        size: pixels a side of the mask.
        kernel: odd width of the blur in pixels.

    Returns:
        (..., size, size) in [0, 1].
    """
    lead = landmarks.shape[:-2]
    points = landmarks.reshape(-1, landmarks.shape[-2], 2) * size - 0.5
    low = points.floor()
    fraction = points - low
    image = torch.zeros(len(points), size * size, dtype=points.dtype, device=points.device)
    for dx in (0, 1):
        for dy in (0, 1):
            x, y = low[..., 0] + dx, low[..., 1] + dy
            weight = (fraction[..., 0] - (1 - dx)).abs() * (fraction[..., 1] - (1 - dy)).abs()
            inside = (x >= 0) & (x < size) & (y >= 0) & (y < size)
            index = (y * size + x).clamp(0, size * size - 1).long()
            image.scatter_add_(1, index, weight * inside)
    image = image.view(-1, size, size).clamp(max=1)
    offsets = torch.arange(kernel, dtype=points.dtype, device=points.device) - kernel // 2
    profile = torch.exp(-0.5 * (offsets / gaussian_sigma(kernel)) ** 2)  # peak 1, not sum 1
    line = torch.arange(size, device=points.device)
    taps = line[:, None] - line + kernel // 2
    blur = torch.where((taps >= 0) & (taps < kernel), profile[taps.clamp(0, kernel - 1)], 0)
    image = blur @ (image @ blur)
    return image.clamp(0, 1).view(*lead, size, size)


def fill_masks(landmarks: np.ndarray, size: int) -> np.ndarray:
    """Masks of the inner mouth and of the eyes.

    They are drawn at four times the size and averaged. A closed mouth or eye fills almost nothing.

    Args:
        landmarks: (F, 68, 2) crop units.
        size: pixels a side of the masks.

    Returns:
        (F, 2, size, size) float32 in [0, 1]: mouth, eyes.
    """
    import cv2

    scale = 4
    canvas = np.zeros((size * scale, size * scale), np.uint8)
    shapes = (mouth_outline(landmarks),), (landmarks[:, RIGHT_EYE], landmarks[:, LEFT_EYE])
    masks = np.zeros((len(landmarks), 2, size, size), np.float32)
    for channel, parts in enumerate(shapes):
        pixels = [np.clip(part, -1, 2) * (size * scale) - 0.5 for part in parts]
        fixed = [np.round(part * (1 << _SUBPIXEL_BITS)).astype(np.int32) for part in pixels]
        for frame, outlines in enumerate(zip(*fixed, strict=True)):
            corners = np.concatenate(outlines) >> _SUBPIXEL_BITS
            x0, y0 = np.clip(corners.min(axis=0) // scale - 1, 0, size)  # pixels of the mask
            x1, y1 = np.clip(corners.max(axis=0) // scale + 2, 0, size)
            if x0 >= x1 or y0 >= y1:
                continue
            area = canvas[y0 * scale : y1 * scale, x0 * scale : x1 * scale]
            cv2.fillPoly(canvas, outlines, 255, cv2.LINE_8, _SUBPIXEL_BITS)
            mask = cv2.resize(area, (int(x1 - x0), int(y1 - y0)), interpolation=cv2.INTER_AREA)
            masks[frame, channel, y0:y1, x0:x1] = mask
            area[:] = 0
    return masks / 255


def guide_maps(landmarks: Tensor, size: int, config: GuideConfig) -> tuple[Tensor | None, Tensor]:
    """The guide maps and the noise mask M of Eq. 5.

    Args:
        landmarks: (B, F, 68, 2) crop units.
        size: pixels a side of the maps.
        config: kernel of the point mask, least value of M, and whether there are maps.

    Returns:
        Maps (B, 3, F, size, size) in [0, 1]: points, mouth, eyes; None if the config has no maps.
        M (B, 1, F, size, size) in [minimum, 1], the noise's scale.
    """
    points = point_mask(landmarks, size, config.kernel)[:, None]
    if not config.maps:
        return None, points.clamp(min=config.minimum)
    flat = landmarks.detach().float().cpu().numpy().reshape(-1, *landmarks.shape[-2:])
    fills = torch.from_numpy(fill_masks(flat, size)).to(points)
    fills = fills.view(*landmarks.shape[:2], 2, size, size).transpose(1, 2)
    mask = torch.maximum(points, fills[:, :1]).clamp(min=config.minimum)
    return torch.cat([points, fills], dim=1), mask


def frame_noise(seed: int, frames: range, size: int, view: int = 0, steady: bool = False) -> Tensor:
    """The uniform noise of Eq. 5 for some frames of a video.

    Each frame draws from its own generator, keyed by (seed, view, frame index). So a frame's noise depends
    neither on its window nor on its batch.

    Args:
        seed: of the video.
        frames: their indices in the video.
        size: pixels a side.
        view: index of the network's view.
        steady: all frames share the noise of frame 0, so that details decided by noise do not flicker.

    Returns:
        (3, F, size, size) float32 in [-1, 1].
    """
    if steady:
        return frame_noise(seed, range(1), size, view).expand(-1, len(frames), -1, -1)
    keys = [(seed, view, frame) for frame in frames]
    noise = [np.random.default_rng(key).random((3, size, size), np.float32) for key in keys]
    return torch.from_numpy(np.stack(noise, axis=1) * 2 - 1)


def noisy_residual(residual: Tensor, noise: Tensor, mask: Tensor, alpha_bar: Tensor | float) -> Tensor:
    """The forward process with guided noise (Sec. 2.2): r_t = sqrt(a_t) r_0 + sqrt(1 - a_t) M eps.

    Args:
        residual: (B, 3, F, H, W) r_0.
        noise: (B, 3, F, H, W) eps in [-1, 1].
        mask: (B, 1, F, H, W) M in [0, 1].
        alpha_bar: a_t, scalar or (B,) in [0, 1].

    Returns:
        (B, 3, F, H, W) r_t.
    """
    alpha = torch.as_tensor(alpha_bar, dtype=residual.dtype, device=residual.device)
    alpha = alpha.reshape(-1, 1, 1, 1, 1)
    return alpha.sqrt() * residual + (1 - alpha).sqrt() * mask * noise
