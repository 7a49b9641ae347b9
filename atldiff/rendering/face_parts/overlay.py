"""Draws closed eyelids and lips.

The warp never closes them completely (see `keep_apart`), because coinciding control points make a thin-plate
spline overshoot.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from atldiff.rendering.face_parts.eye_maps import EyeShape
from atldiff.rendering.face_parts.eyelids import Lid
from atldiff.rendering.face_parts.lips import ShutLips
from atldiff.rendering.face_parts.shapes import Layers, Rect, blend_layers
from atldiff.rendering.warp.guard_points import keep_apart


class Closure(Protocol):
    """One part of a face that can close."""

    def closing(self, landmarks: np.ndarray) -> float:
        """How far the part is closed in a frame with landmarks (68, 2), in [0, 1]; 0 draws nothing."""

    def area(self, landmarks: np.ndarray, size: tuple[int, int]) -> Rect:
        """The pixels that the part may change in a frame of size (H, W) with landmarks (68, 2)."""

    def layers(self, apart: np.ndarray, closing: float, rect: Rect) -> Layers:
        """The layers to blend into a frame, the lowest first.

        Args:
            apart: (68, 2) landmarks of the frame, from `keep_apart`.
            closing: from `closing`.
            rect: the frame's pixels to draw.
        """


@dataclass(frozen=True, eq=False)
class Closures:
    """The closing parts of one person's face.

    Attributes:
        still: (68, 2) landmarks of the photo, pixels.
        parts: both upper lids and the lips.
    """

    still: np.ndarray
    parts: tuple[Closure, ...]

    @classmethod
    def from_photo(
        cls,
        image: np.ndarray,
        still: np.ndarray,
        shapes: tuple[EyeShape | None, EyeShape | None] = (None, None),
    ) -> "Closures":
        """Prepares the parts of the photo's face.

        Args:
            image: (H, W, >=3) uint8.
            still: (68, 2) landmarks, pixels of `image`.
            shapes: the eyes' openings, right and left; None: the landmarks'.
        """
        lids = (Lid.from_photo(image, still, side, shape) for side, shape in enumerate(shapes))
        return cls(still, (*lids, ShutLips.from_photo(image, still)))

    def paint(self, image: np.ndarray, landmarks: np.ndarray) -> None:
        """Draws the closed parts into a frame, in place.

        Args:
            image: (H, W, >=3) uint8 frame.
            landmarks: (68, 2) of its face, its pixels.
        """
        apart = keep_apart(landmarks[None], self.still)[0]
        for part in self.parts:
            x0, y0, x1, y1 = rect = part.area(apart, (image.shape[0], image.shape[1]))
            closing = part.closing(landmarks)
            if closing <= 0 or x0 >= x1 or y0 >= y1:
                continue
            blend_layers(image, rect, part.layers(apart, closing, rect))
