"""What closes: lids over open eyes, lips over shown teeth. The spline leaves them apart; here what closes is
drawn over what it leaves.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from atldiff.rendering.face_parts.eyelids import Lid
from atldiff.rendering.face_parts.lips import ShutLips
from atldiff.rendering.face_parts.shapes import Layers, Rect
from atldiff.rendering.warp.guard_points import parted


class Closure(Protocol):
    """One part of a face that can close."""

    def closing(self, landmarks: np.ndarray) -> float:
        """In [0, 1]: how much of what closes is drawn over a face with landmarks (68, 2); 0: nothing."""

    def area(self, landmarks: np.ndarray, size: tuple[int, int]) -> Rect:
        """The pixels that may change in a frame of size (H, W) with landmarks (68, 2)."""

    def layers(self, apart: np.ndarray, closing: float, rect: Rect) -> Layers:
        """What is drawn, one over the other, into the pixels `rect` of a frame with landmarks `apart` (68, 2)
        of `parted`.
        """


@dataclass(frozen=True, eq=False)
class Closures:
    """What closes in one person's face; `still` are the photo's landmarks (68, 2)."""

    still: np.ndarray
    parts: tuple[Closure, ...]

    @classmethod
    def of(cls, image: np.ndarray, still: np.ndarray) -> "Closures":
        """Of the face with landmarks `still`, pixels of `image` (H, W, >=3) uint8."""
        return cls(still, (*(Lid.of(image, still, side) for side in (0, 1)), ShutLips.of(image, still)))

    def paint(self, image: np.ndarray, landmarks: np.ndarray) -> None:
        """Draws what is closed in a frame with landmarks (68, 2), in its pixels, in place."""
        apart = parted(landmarks[None], self.still)[0]
        for part in self.parts:
            x0, y0, x1, y1 = rect = part.area(apart, (image.shape[0], image.shape[1]))
            closing = part.closing(landmarks)
            if closing <= 0 or x0 >= x1 or y0 >= y1:
                continue
            drawn = image[y0:y1, x0:x1, :3].astype(np.float32)
            for colour, alpha in part.layers(apart, closing, rect):
                drawn += (colour - drawn) * alpha[..., None]
            image[y0:y1, x0:x1, :3] = np.clip(drawn + 0.5, 0, 255).astype(np.uint8)
