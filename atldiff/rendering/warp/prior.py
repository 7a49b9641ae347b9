"""The prior: the frame to which the network's residual is added.

- It is the photo moved by its landmarks (`WarpedPhoto`), or the still photo, the paper's (`StillPhoto`).
- This is its only definition. Rendering, training and validation take their prior frames from here.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from atldiff import landmarks as lm
from atldiff.rendering.face_parts.gaze import Gaze, iris_shifts
from atldiff.rendering.face_parts.large_eyes import eye_shapes
from atldiff.rendering.face_parts.mouth import LayeredMouth
from atldiff.rendering.face_parts.overlay import Closures
from atldiff.rendering.warp.canvas import Canvas
from atldiff.rendering.warp.disocclusion import opened_mouth
from atldiff.rendering.warp.photo_warp import FinePhoto
from atldiff.rendering.warp.spline import displacement_field
from atldiff.rendering.warp.turn import compose_fields, turn_fields


def moving_photo(canvas: Canvas, prior: str) -> "WarpedPhoto | StillPhoto":
    """Makes a canvas's prior, by its name "warp" or "identity" (see `config.Preset`)."""
    return WarpedPhoto.from_canvas(canvas) if prior == "warp" else StillPhoto.from_canvas(canvas)


@dataclass(frozen=True, eq=False)
class WarpedPhoto:
    """The photo moved by the spline, with irises, mouth, lids and lips painted in; one serves a video.

    Attributes:
        canvas: layout of the video.
        photo: the canvas's picture, prepared for many warps.
        mouth: paints the opened mouth.
        closures: draw closed lids and lips.
        gaze: moves the irises; None: they keep their place.
    """

    canvas: Canvas
    photo: FinePhoto
    mouth: LayeredMouth
    closures: Closures
    gaze: Gaze | None = None

    @classmethod
    def from_canvas(cls, canvas: Canvas) -> "WarpedPhoto":
        """Prepares the picture of a canvas and measures its face."""
        photo, eyes = (canvas.image, canvas.landmarks), eye_shapes(canvas.image, canvas.landmarks)
        gaze = None if canvas.mesh is None else Gaze.from_photo(*photo, canvas.mesh, eyes)
        return cls(
            canvas,
            FinePhoto.from_photo(canvas.image, canvas.rect),
            LayeredMouth.from_photo(*photo),
            Closures.from_photo(*photo, eyes),
            gaze,
        )

    def frames(self, points: np.ndarray, poses: np.ndarray | None = None) -> Iterator[np.ndarray]:
        """Yields the canvas's moving part in each frame.

        Args:
            points: (F, 68, 2) of the unturned head, canvas pixels.
            poses: (F, >= 6) of the head; None: it does not turn.

        Yields:
            (rect height, rect width, C) uint8.
        """
        return self.paint(self.warp(points, poses), self.canvas.turn(points, poses), poses)

    def warp(self, points: np.ndarray, poses: np.ndarray | None = None) -> Iterator[np.ndarray]:
        """Yields the same parts as `frames`, without any painting."""
        canvas, face = self.canvas, self.canvas.views[0]
        fields = displacement_field(lm.to_crop(points, face), lm.to_crop(canvas.landmarks, face))
        if canvas.head is not None and poses is not None:
            planes = torch.from_numpy(fields).permute(0, 3, 1, 2)
            fields = compose_fields(planes, turn_fields(canvas.head, poses)).permute(0, 2, 3, 1).numpy()
        for field in fields:
            yield self.photo.warp(np.ascontiguousarray(field), face, canvas.rect)

    def paint(
        self, moving: Iterable[np.ndarray], points: np.ndarray, poses: np.ndarray | None = None
    ) -> Iterator[np.ndarray]:
        """Paints irises, mouth, lids and lips into the parts of `warp`, in place, and yields each part.

        Args:
            moving: the parts (h, w, C) uint8.
            points: (F, 68, 2) of the turned head, canvas pixels.
            poses: (F, 6) of the head; None: it does not turn.
        """
        canvas = self.canvas
        corner = np.array(canvas.rect[:2], np.float32)
        outlines, shares = opened_mouth(points, canvas.landmarks)
        points, outlines = points - corner, outlines - corner
        size = canvas.rect[3] - canvas.rect[1], canvas.rect[2] - canvas.rect[0]
        layers = self.mouth.layers(points, outlines, size)
        shifts = np.zeros((len(points), 2)) if poses is None else iris_shifts(poses)
        frames = zip(moving, points, outlines, shares, layers, shifts, strict=True)
        for part, marks, outline, share, painting, shift in frames:
            if self.gaze is not None:
                self.gaze.paint(part, marks, shift)
            self.mouth.blend(part, marks, outline, share, painting)
            self.closures.paint(part, marks)
            yield part


@dataclass(frozen=True, eq=False)
class StillPhoto:
    """The still photo, the paper's prior.

    Attributes:
        part: (h, w, C) uint8, the canvas's moving part.
    """

    part: np.ndarray

    @classmethod
    def from_canvas(cls, canvas: Canvas) -> "StillPhoto":
        """Cuts the moving part out of a canvas's picture."""
        return cls(moving_part(canvas.image, canvas))

    def frames(self, points: np.ndarray, poses: np.ndarray | None = None) -> Iterator[np.ndarray]:
        """Yields the same part for each frame; arguments as in `WarpedPhoto.frames`."""
        for _ in points:
            yield self.part.copy()


def moving_part(picture: np.ndarray, canvas: Canvas) -> np.ndarray:
    """Cuts the canvas's moving part (h, w, C) out of a picture of the canvas's size.

    Beyond the picture its border is repeated.
    """
    x0, y0, x1, y1 = canvas.rect
    rows = np.clip(np.arange(y0, y1), 0, picture.shape[0] - 1)
    columns = np.clip(np.arange(x0, x1), 0, picture.shape[1] - 1)
    return picture[rows][:, columns]
