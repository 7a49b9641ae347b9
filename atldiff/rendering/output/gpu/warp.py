"""Warps the photo on any device: the spline's fields and the moving parts of many frames at once.

The CPU solves for the spline, about 100 unknowns a frame in float64. The device evaluates it.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from atldiff import landmarks as lm
from atldiff.rendering.output.filters import resize_matrix, resize_pictures, to_levels
from atldiff.rendering.warp.canvas import Canvas
from atldiff.rendering.warp.guard_points import keep_apart
from atldiff.rendering.warp.photo_warp import FinePhoto, field_matrix
from atldiff.rendering.warp.spline import (
    GRID,
    border_fade,
    feature_cells,
    grid_points,
    point_smoothing,
    spline_points,
    spline_weights,
)


def tensor_field(landmarks: np.ndarray, identity: np.ndarray, device: torch.device | str) -> Tensor:
    """`spline.displacement_field` on a device: (F, 2, GRID, GRID) float32."""
    landmarks = keep_apart(landmarks, identity)
    target, source = spline_points(landmarks, identity)
    weights = spline_weights(target, source, point_smoothing(len(source))).to(device)
    target = target.float().to(device)
    grid, coarse = (grid_points(cells).float().to(device) for cells in (GRID, GRID // 2))
    enlarge = resize_matrix(GRID // 2, GRID).to(device)
    field = resize_pictures(_spline_values(weights, target, coarse), enlarge, enlarge)
    rows, columns = feature_cells(landmarks)
    field[:, :, rows, columns] = _spline_values(weights, target, grid[rows, columns])
    return field * torch.from_numpy(border_fade(grid_points(GRID))[..., 0]).to(device)


def _spline_values(weights: Tensor, target: Tensor, where: Tensor) -> Tensor:
    """Evaluates splines with weights (F, N + 3, 2) and points (F, N, 2) at places (h, w, 2): (F, 2, h, w)."""
    places, count = where.reshape(1, -1, 1, 2), target.shape[1]
    squared = (places - target[:, None]).square().sum(dim=-1)
    basis = squared * squared.clamp(min=1e-12).log()
    flat = where.reshape(-1, 2)
    affine = torch.cat([torch.ones_like(flat[:, :1]), flat], dim=-1) @ weights[:, count:]
    values = affine + basis @ weights[:, :count]
    return values.mT.reshape(len(target), 2, *where.shape[:2])


@dataclass(frozen=True, eq=False)
class TensorWarp:
    """A canvas's photo on a device, prepared for many warps like `FinePhoto`.

    Attributes:
        photo: (1, C, H, W) float32 levels, enlarged.
        factor: of the enlargement.
        rows: (h, GRID) matrix that interpolates a field at the rows of the canvas's `rect`.
        columns: (w, GRID) matrix, likewise for its columns.
        own: (h, w, 2) positions of these pixels in `photo`.
        scale: pixels of `photo` a crop unit.
    """

    photo: Tensor
    factor: int
    rows: Tensor
    columns: Tensor
    own: Tensor
    scale: float

    @classmethod
    def from_canvas(cls, canvas: Canvas, device: torch.device | str) -> "TensorWarp":
        """Enlarges the photo of a canvas on the CPU and moves it to the device."""
        fine, rect, box = FinePhoto.from_photo(canvas.image, canvas.rect), canvas.rect, canvas.views[0]
        side = float(box[2] - box[0])
        rows = field_matrix(np.arange(rect[1], rect[3]), float(box[1]), side)
        columns = field_matrix(np.arange(rect[0], rect[2]), float(box[0]), side)
        x, y = (
            torch.arange(rect[i], rect[i + 2], dtype=torch.float32, device=device) - fine.corner[i]
            for i in (0, 1)
        )
        own = torch.stack(torch.meshgrid(x * fine.factor, y * fine.factor, indexing="xy"), dim=-1)
        photo = torch.from_numpy(fine.pixels).to(device).permute(2, 0, 1)[None].float()
        return cls(photo, fine.factor, rows.to(device), columns.to(device), own, side * fine.factor)

    def warp(self, field: Tensor) -> Tensor:
        """Warps the moving part by fields (F, 2, GRID, GRID) of `tensor_field`: (F, C, h, w) uint8."""
        frames, (height, width) = len(field), self.own.shape[:2]
        places = resize_pictures(field * self.scale, self.rows, self.columns).permute(0, 2, 3, 1) + self.own
        last = torch.tensor(self.photo.shape[:1:-1], dtype=torch.float32, device=places.device) - 1
        grid = (places * (2 / last) - 1).reshape(1, frames * height, width, 2)
        mode = "bicubic" if self.factor == 1 else "bilinear"
        parts = F.grid_sample(self.photo, grid, mode, padding_mode="border", align_corners=True)
        return to_levels(parts.view(-1, frames, height, width)).transpose(0, 1).contiguous()


def crop_field(canvas: Canvas, points: np.ndarray, device: torch.device | str) -> Tensor:
    """`tensor_field` of frames with landmarks (F, 68, 2), canvas pixels, of an unturned head."""
    face = canvas.views[0]
    return tensor_field(lm.to_crop(points, face), lm.to_crop(canvas.landmarks, face), device)
