"""Makes a video's pictures on the CPU with numpy and OpenCV: the network's priors and the final frames."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from atldiff.rendering.levels import to_signed
from atldiff.rendering.output.composite import composite, crop_view
from atldiff.rendering.warp.canvas import Canvas
from atldiff.rendering.warp.prior import StillPhoto, WarpedPhoto, moving_photo


@dataclass(frozen=True, eq=False)
class HostFrames:
    """Makes the pictures of one canvas one by one; `TensorFrames` makes the same ones on a GPU.

    Attributes:
        canvas: layout of the video.
        photo: the prior.
        sizes: pixels a side of each of the network's views.
    """

    canvas: Canvas
    photo: WarpedPhoto | StillPhoto
    sizes: tuple[int, ...]

    @classmethod
    def from_canvas(cls, canvas: Canvas, prior: str, sizes: tuple[int, ...]) -> "HostFrames":
        """Prepares a canvas.

        Args:
            canvas: layout of the video.
            prior: "warp" or "identity", see `config.Preset`.
            sizes: pixels a side of each of the network's views.
        """
        return cls(canvas, moving_photo(canvas, prior), sizes)

    def moving(self, points: np.ndarray, poses: np.ndarray | None = None) -> list[np.ndarray]:
        """The canvas's moving part in each frame, before the network: (h, w, C) uint8 each.

        Args:
            points: (F, 68, 2) of the unturned head, canvas pixels.
            poses: (F, >= 6) of the head; left out, it does not turn.
        """
        return list(self.photo.frames(points, poses))

    def crop_views(self, moving: Iterable[np.ndarray], view: int) -> list[np.ndarray]:
        """One view of the network from each moving part: (S, S, 3) uint8."""
        return [crop_view(self.canvas, part, view, self.sizes[view]) for part in moving]

    def stack_prior(self, views: Sequence[np.ndarray]) -> Tensor:
        """Stacks views (S, S, 3) uint8 to the network's prior (1, 3, F, S, S) float32 in [-1, 1]."""
        return to_signed(torch.from_numpy(np.stack(views))).permute(3, 0, 1, 2)[None]

    def finish(
        self, moving: Sequence[np.ndarray], residuals: Sequence[Tensor], unseen: Sequence[np.ndarray]
    ) -> Iterator[np.ndarray]:
        """Composites frames (height, width, C) uint8 lazily.

        Args:
            moving: the moving parts (h, w, C) uint8 of F frames; changed in place.
            residuals: (1, 3, >=F, S, S) of the network for each view.
            unseen: (>=F, S, S) float32 in [0, 1] for each view, from `disocclusion.unseen_mask`.
        """
        changes = [residual[0].permute(1, 2, 3, 0).float().cpu().numpy() for residual in residuals]
        for frame, part in enumerate(moving):
            yield composite(self.canvas, part, [c[frame] for c in changes], [u[frame] for u in unseen])
