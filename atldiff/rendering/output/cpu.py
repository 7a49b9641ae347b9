"""A video's pictures on the CPU, with numpy and OpenCV: what goes into the network, and what comes of it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from atldiff.rendering.levels import to_signed
from atldiff.rendering.output.composite import composite, view_of
from atldiff.rendering.warp.canvas import Canvas
from atldiff.rendering.warp.prior import StillPhoto, WarpedPhoto, moving_photo


@dataclass(frozen=True, eq=False)
class HostFrames:
    """The pictures of one canvas, made one by one; `TensorFrames` makes the same ones on a GPU.

    Attributes:
        photo: what moves.  sizes: pixels a side of each of the network's views.
    """

    canvas: Canvas
    photo: WarpedPhoto | StillPhoto
    sizes: tuple[int, ...]

    @classmethod
    def of(cls, canvas: Canvas, prior: str, sizes: tuple[int, ...]) -> "HostFrames":
        """Of a canvas with the prior named "warp" or "identity"."""
        return cls(canvas, moving_photo(canvas, prior), sizes)

    def moving(self, points: np.ndarray, poses: np.ndarray | None = None) -> list[np.ndarray]:
        """The canvas's moving part in each frame, before the network: (h, w, C) uint8 each.

        Args:
            points: (F, 68, 2) of the unturned head, canvas pixels.
            poses: (F, 6) of the head; left out, it does not turn.
        """
        return list(self.photo.frames(points, poses))

    def seen(self, moving: Iterable[np.ndarray], view: int) -> list[np.ndarray]:
        """What a view of the network shows of each moving part: (S, S, 3) uint8."""
        return [view_of(self.canvas, part, view, self.sizes[view]) for part in moving]

    def signed(self, seen: Sequence[np.ndarray]) -> Tensor:
        """The network's prior (1, 3, F, S, S) float32 in [-1, 1]."""
        return to_signed(torch.from_numpy(np.stack(seen))).permute(3, 0, 1, 2)[None]

    def finished(
        self, moving: Sequence[np.ndarray], residuals: Sequence[Tensor], unseen: Sequence[np.ndarray]
    ) -> Iterator[np.ndarray]:
        """Frames (height, width, C) uint8, each composited when it is asked for.

        Args:
            residuals: (1, 3, >=F, S, S) for each view, the network's.
            unseen: (>=F, S, S) float32 in [0, 1] for each view.
        """
        changes = [residual[0].permute(1, 2, 3, 0).float().cpu().numpy() for residual in residuals]
        for frame, part in enumerate(moving):
            yield composite(self.canvas, part, [c[frame] for c in changes], [u[frame] for u in unseen])
