"""What the residual is added to: the photo moved by its landmarks, or the still photo (the paper's).

The only definition of it: rendering, training and validation all take their prior frames from here.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from atldiff import landmarks as lm
from atldiff.rendering.face_parts.gaze import Gaze, iris_shifts
from atldiff.rendering.face_parts.mouth import LayeredMouth
from atldiff.rendering.face_parts.overlay import Closures
from atldiff.rendering.warp.canvas import Canvas
from atldiff.rendering.warp.disocclusion import opened_mouth
from atldiff.rendering.warp.photo_warp import FinePhoto
from atldiff.rendering.warp.spline import displacement_field
from atldiff.rendering.warp.turn import compose_fields, turn_fields


def moving_photo(canvas: Canvas, prior: str) -> "WarpedPhoto | StillPhoto":
    """The prior named "warp" or "identity" (see `config.Preset`) of a canvas."""
    return WarpedPhoto.from_canvas(canvas) if prior == "warp" else StillPhoto.from_canvas(canvas)


@dataclass(frozen=True, eq=False)
class WarpedPhoto:
    """The photo moved by the spline, with what it does not show painted in; made once for a video."""

    canvas: Canvas
    photo: FinePhoto
    mouth: LayeredMouth
    closures: Closures
    gaze: Gaze | None = None

    @classmethod
    def from_canvas(cls, canvas: Canvas) -> "WarpedPhoto":
        """Of a canvas."""
        eyes = None if canvas.mesh is None else Gaze.from_photo(canvas.image, canvas.landmarks, canvas.mesh)
        return cls(
            canvas,
            FinePhoto.from_photo(canvas.image, canvas.rect),
            LayeredMouth.from_photo(canvas.image, canvas.landmarks),
            Closures.from_photo(canvas.image, canvas.landmarks),
            eyes,
        )

    def frames(self, points: np.ndarray, poses: np.ndarray | None = None) -> Iterator[np.ndarray]:
        """The canvas's moving part in each frame.

        Args:
            points: (F, 68, 2) of the unturned head, canvas pixels.
            poses: (F, >= 6) of the head; left out, it does not turn.

        Yields:
            (rect height, rect width, C) uint8.
        """
        return self.painted(self.warped(points, poses), self.canvas.turned(points, poses), poses)

    def warped(self, points: np.ndarray, poses: np.ndarray | None = None) -> Iterator[np.ndarray]:
        """As `frames`, with nothing painted in."""
        canvas, face = self.canvas, self.canvas.views[0]
        fields = displacement_field(lm.to_crop(points, face), lm.to_crop(canvas.landmarks, face))
        if canvas.head is not None and poses is not None:
            planes = torch.from_numpy(fields).permute(0, 3, 1, 2)
            fields = compose_fields(planes, turn_fields(canvas.head, poses)).permute(0, 2, 3, 1).numpy()
        for field in fields:
            yield self.photo.warped(np.ascontiguousarray(field), face, canvas.rect)

    def painted(
        self, moving: Iterable[np.ndarray], points: np.ndarray, poses: np.ndarray | None = None
    ) -> Iterator[np.ndarray]:
        """The moving parts of `warped`, each with its irises, mouth, lids and lips painted in place.

        Args:
            points: (F, 68, 2) of the head as it is turned, canvas pixels.
        """
        canvas = self.canvas
        corner = np.array(canvas.rect[:2], np.float32)
        outlines, shares = opened_mouth(points, canvas.landmarks)
        points, outlines = points - corner, outlines - corner
        size = canvas.rect[3] - canvas.rect[1], canvas.rect[2] - canvas.rect[0]
        layers = self.mouth.layers(points, outlines, size)
        shifts = np.zeros((len(points), 2)) if poses is None else iris_shifts(poses)
        frames = zip(moving, points, outlines, shares, layers, shifts, strict=True)
        for part, marks, outline, share, drawn, shift in frames:
            if self.gaze is not None:
                self.gaze.paint(part, marks, shift)
            self.mouth.blend(part, marks, outline, share, drawn)
            self.closures.paint(part, marks)
            yield part


@dataclass(frozen=True, eq=False)
class StillPhoto:
    """The photo's moving part (h, w, C) uint8, as it is (the paper's prior)."""

    part: np.ndarray

    @classmethod
    def from_canvas(cls, canvas: Canvas) -> "StillPhoto":
        """Of a canvas."""
        return cls(moving_part(canvas.image, canvas))

    def frames(self, points: np.ndarray, poses: np.ndarray | None = None) -> Iterator[np.ndarray]:
        """As `WarpedPhoto.frames`."""
        for _ in points:
            yield self.part.copy()


def moving_part(picture: np.ndarray, canvas: Canvas) -> np.ndarray:
    """The canvas's moving part (h, w, C) of a picture of the canvas's size, such as the true frame that a
    prior is compared with; beyond the picture its border is repeated.
    """
    x0, y0, x1, y1 = canvas.rect
    rows = np.clip(np.arange(y0, y1), 0, picture.shape[0] - 1)
    columns = np.clip(np.arange(x0, x1), 0, picture.shape[1] - 1)
    return picture[rows][:, columns]
