"""Makes a video's pictures on a GPU, all pictures of a window at once.

- Landmarks, weights of splines and small masks go to the GPU. Each window's frames come back in one array.
- The same code runs on the CPU, where the tests compare it with `HostFrames`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from atldiff.rendering.face_parts.gaze import iris_shifts
from atldiff.rendering.levels import to_signed
from atldiff.rendering.output.gpu.composite import TensorComposite
from atldiff.rendering.output.gpu.paint import paint_closures, paint_gaze, paint_mouths
from atldiff.rendering.output.gpu.warp import TensorWarp, crop_field
from atldiff.rendering.warp.canvas import Canvas
from atldiff.rendering.warp.disocclusion import opened_mouth
from atldiff.rendering.warp.prior import StillPhoto, WarpedPhoto, moving_photo
from atldiff.rendering.warp.turn import compose_fields, turn_fields
from atldiff.sequence import POSE_PARTS

_AT_ONCE = 1 << 26  # most levels of a batch of moving parts; each float32 copy takes 256 MB


@dataclass(frozen=True, eq=False)
class TensorFrames:
    """Makes the pictures of `HostFrames` as tensors: moving parts (C, h, w) and views (3, S, S), uint8.

    Attributes:
        canvas: layout of the video.
        photo: the prior.
        warp: the photo on the device; None for the still photo.
        composite: puts the frames together.
        device: of all tensors.
    """

    canvas: Canvas
    photo: WarpedPhoto | StillPhoto
    warp: TensorWarp | None
    composite: TensorComposite
    device: torch.device

    @classmethod
    def from_canvas(
        cls, canvas: Canvas, prior: str, sizes: tuple[int, ...], device: torch.device
    ) -> "TensorFrames":
        """Prepares a canvas.

        Args:
            canvas: layout of the video.
            prior: "warp" or "identity", see `config.Preset`.
            sizes: pixels a side of each of the network's views.
            device: of the tensors.
        """
        warp = TensorWarp.from_canvas(canvas, device) if prior == "warp" else None
        composite = TensorComposite.from_canvas(canvas, sizes, device)
        return cls(canvas, moving_photo(canvas, prior), warp, composite, device)

    def moving(self, points: np.ndarray, poses: np.ndarray | None = None) -> list[Tensor]:
        """See `HostFrames.moving`."""
        if isinstance(self.photo, StillPhoto):
            part = torch.from_numpy(self.photo.part).to(self.device).permute(2, 0, 1)
            return [part] * len(points)
        turns = np.zeros((len(points), POSE_PARTS)) if poses is None else poses
        cuts = self._cuts(len(points))
        parts = zip(np.split(points, cuts), np.split(turns, cuts), strict=True)
        return [frame for part in parts for frame in self._warp(*part)]

    def _warp(self, points: np.ndarray, poses: np.ndarray) -> Tensor:
        """The moving parts (F, C, h, w) of one batch; arguments as in `moving`."""
        assert isinstance(self.photo, WarpedPhoto) and self.warp is not None
        field = crop_field(self.canvas, points, self.device)
        if self.canvas.head is not None:
            field = compose_fields(field, turn_fields(self.canvas.head, poses, self.device))
        moving, points = self.warp.warp(field), self.canvas.turn(points, poses)
        outlines, shares = opened_mouth(points, self.canvas.landmarks)
        corner = np.array(self.canvas.rect[:2], np.float32)
        if self.photo.gaze is not None:
            paint_gaze(moving, self.photo.gaze, points - corner, iris_shifts(poses))
        paint_mouths(moving, self.photo.mouth, points - corner, outlines - corner, shares)
        paint_closures(moving, self.photo.closures, points - corner)
        return moving

    def crop_views(self, moving: Sequence[Tensor], view: int) -> list[Tensor]:
        """See `HostFrames.crop_views`."""
        return list(self.composite.views[view].crop(torch.stack(list(moving)))) if moving else []

    def stack_prior(self, views: Sequence[Tensor]) -> Tensor:
        """See `HostFrames.stack_prior`."""
        return to_signed(torch.stack(list(views), dim=1)[None])

    def finish(
        self, moving: Sequence[Tensor], residuals: Sequence[Tensor], unseen: Sequence[np.ndarray]
    ) -> Iterator[np.ndarray]:
        """See `HostFrames.finish`; it composites the frames in batches and copies them to the CPU."""
        masks = [torch.from_numpy(mask[: len(moving)]).to(self.device) for mask in unseen]
        changes = [residual[0].transpose(0, 1).float() for residual in residuals]
        starts = [0, *self._cuts(len(moving))]
        batches = []
        for start, stop in zip(starts, [*starts[1:], len(moving)], strict=True):
            inputs = ([each[start:stop] for each in views] for views in (changes, masks))
            batches.append(self.composite.frames(torch.stack(list(moving[start:stop])), *inputs))
        return iter(torch.cat(batches).contiguous().cpu().numpy())

    def _cuts(self, frames: int) -> list[int]:
        """The frames at which a window of `frames` frames is cut into batches that fit the memory."""
        x0, y0, x1, y1 = self.canvas.rect
        at_once = max(1, _AT_ONCE // ((x1 - x0) * (y1 - y0) * self.canvas.image.shape[2]))
        return list(range(at_once, frames, at_once))
