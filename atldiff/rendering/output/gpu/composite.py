"""Composites many frames at once on any device, as `output.composite` does one on the CPU."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from atldiff.config import FRAME_SIZE
from atldiff.rendering.face_parts.light import LUMA
from atldiff.rendering.face_parts.shapes import Rect
from atldiff.rendering.levels import UNIT
from atldiff.rendering.output.composite import COARSE, fading_window, to_moving
from atldiff.rendering.output.filters import (
    blur_pictures,
    crop_matrix,
    resize_matrix,
    resize_pictures,
    to_levels,
)
from atldiff.rendering.warp.canvas import Canvas


@dataclass(frozen=True, eq=False)
class TensorView:
    """One of the network's views on a device.

    Attributes:
        box: x0, y0, x1, y1 in pixels of the moving part; its side is called side below.
        size: pixels a side for the network.
        reduce: (size, side) resizing matrix.
        enlarge: (side, size) resizing matrix.
        fade: (size, size) window, 1 inside and smoothly 0 at the border.
        wide: (side, side), the same window enlarged.
    """

    box: Rect
    size: int
    reduce: Tensor
    enlarge: Tensor
    fade: Tensor
    wide: Tensor

    @classmethod
    def from_canvas(cls, canvas: Canvas, view: int, size: int, device: torch.device | str) -> "TensorView":
        """Prepares a view of a canvas.

        Args:
            canvas: layout of the video.
            view: index of the view.
            size: pixels a side for the network.
            device: of the tensors.
        """
        import cv2

        box = to_moving(canvas, canvas.views[view])
        side = box[2] - box[0]
        method = cv2.INTER_AREA if side > size else cv2.INTER_CUBIC
        windows = (torch.from_numpy(fading_window(*sizes)[..., 0]) for sizes in ((size,), (size, side)))
        matrices = resize_matrix(side, size, method), resize_matrix(size, side, cv2.INTER_LINEAR)
        return cls(box, size, *(tensor.to(device) for tensor in (*matrices, *windows)))

    def crop(self, moving: Tensor) -> Tensor:
        """Crops the view from moving parts (F, C, h, w) uint8: (F, 3, size, size) uint8."""
        return to_levels(resize_pictures(self.part(moving).float(), self.reduce, self.reduce))

    def part(self, moving: Tensor) -> Tensor:
        """The box's colours (F, 3, side, side) in moving parts (F, C, h, w), as a tensor view."""
        x0, y0, x1, y1 = self.box
        return moving[:, :3, y0:y1, x0:x1]


@dataclass(frozen=True, eq=False)
class TensorComposite:
    """Composites frames from moving parts and residuals.

    Attributes:
        canvas: layout of the video.
        views: the network's views.
        photo: (H, W, C) uint8, the canvas's picture.
        tone: (256, 3) uint8 or None, see `find_tone`.
    """

    canvas: Canvas
    views: tuple[TensorView, ...]
    photo: Tensor
    tone: Tensor | None

    @classmethod
    def from_canvas(
        cls, canvas: Canvas, sizes: Sequence[int], device: torch.device | str
    ) -> "TensorComposite":
        """Prepares a canvas; `sizes` are pixels a side of its views for the network."""
        views = tuple(TensorView.from_canvas(canvas, index, size, device) for index, size in enumerate(sizes))
        tone = None if canvas.tone is None else torch.from_numpy(canvas.tone).to(device)
        return cls(canvas, views, torch.from_numpy(canvas.image).to(device), tone)

    def frames(self, moving: Tensor, residuals: Sequence[Tensor], unseen: Sequence[Tensor]) -> Tensor:
        """Composites frames; see `output.composite.composite`.

        Args:
            moving: (F, C, h, w) uint8, the warped moving parts; changed in place.
            residuals: (F, 3, size, size) float32 in [-2, 2] for each view.
            unseen: (F, size, size) float32 in [0, 1] for each view.

        Returns:
            (F, height, width, C) uint8.
        """
        photos = [view.part(moving).float() for view in self.views]
        for index, view in enumerate(self.views):
            change = residuals[index] * UNIT
            if self.canvas.keeps_detail:
                coarse = blur_pictures(change, [COARSE * view.size])
                change = coarse + (change - coarse) * unseen[index][:, None]
            change = resize_pictures(change * view.fade, view.enlarge, view.enlarge)
            patch = view.part(moving)
            if index:  # this view replaces the residuals of the views before it
                change = change + (photos[index] - patch.float()) * view.wide
            patch.copy_(self._apply_tone(to_levels(patch.float() + change)))
        return self._place(moving)

    def _apply_tone(self, pictures: Tensor) -> Tensor:
        """`toning.apply_tone` of pictures (F, 3, h, w) uint8."""
        if self.tone is None:
            return pictures
        luma = to_levels(
            pictures.float().mul(torch.from_numpy(LUMA).to(pictures.device).view(3, 1, 1)).sum(1)
        )
        return self.tone[luma.long()].permute(0, 3, 1, 2)

    def _place(self, moving: Tensor) -> Tensor:
        """Puts moving parts (F, C, h, w) in their place: frames (F, height, width, C)."""
        x0, y0, x1, y1 = self.canvas.rect
        moving = moving.permute(0, 2, 3, 1)
        if not self.canvas.keeps_detail:
            return self._crop_frame(moving, self.canvas.frame_box - np.array([x0, y0] * 2, np.float32))
        height, width = self.photo.shape[:2]
        left, top, right, bottom = max(x0, 0), max(y0, 0), min(x1, width), min(y1, height)
        frames = self.photo.expand(len(moving), *self.photo.shape).clone()
        frames[:, top:bottom, left:right] = moving[:, top - y0 : bottom - y0, left - x0 : right - x0]
        return frames

    def _crop_frame(self, moving: Tensor, box: np.ndarray) -> Tensor:
        """Crops a box (4,) from pictures (F, h, w, C) at the network's size."""
        x0, y0, x1, y1 = (float(value) for value in box)
        rows = crop_matrix(moving.shape[1], y0, y1, FRAME_SIZE).to(moving.device)
        columns = crop_matrix(moving.shape[2], x0, x1, FRAME_SIZE).to(moving.device)
        return to_levels(resize_pictures(moving.permute(0, 3, 1, 2).float(), rows, columns)).permute(
            0, 2, 3, 1
        )
