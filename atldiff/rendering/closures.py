"""What closes: lids over open eyes, lips over shown teeth. The spline leaves them apart; here what closes is
drawn over what it leaves.
"""

from dataclasses import dataclass
from math import comb
from typing import Protocol

import numpy as np

from atldiff.easing import smoothstep
from atldiff.landmarks import INNER_LIPS, LOWER_INNER_LIP, UPPER_INNER_LIP, inter_ocular_distance
from atldiff.rendering.lids import Lid
from atldiff.rendering.rects import Rect, rect_round
from atldiff.rendering.warp import parted

Layers = list[tuple[np.ndarray, np.ndarray]]  # colours (h, w, 3) or (3,) and alphas (h, w), float32

_CLOSING = (0.45, 0.65)  # how far lips are closed where their cover begins to be drawn, and is drawn in full
_SHOWS_TEETH = (0.02, 0.05)  # opening of the photo's mouth, inter-ocular distances
_THICKNESS, _REACH = 0.03, 0.03  # of the lips' line, and of the cover beyond it, shares of the mouth's width


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
class ShutLips:
    """The lips, in their own colour; only where the photo shows what is between them.

    Attributes:
        gap: mean gap of the photo's inner lips, inter-ocular distances.  strength: of the drawing, 0 to 1.
        skin, dark: (3,) colours of cover and line.
    """

    gap: float
    strength: float
    skin: np.ndarray
    dark: np.ndarray

    @classmethod
    def of(cls, image: np.ndarray, still: np.ndarray) -> "ShutLips":
        """Of the face with landmarks `still` (68, 2), pixels of `image` (H, W, >=3) uint8."""
        outer = still[[50, 51, 52, 58, 57, 56]]
        inner = still[[*UPPER_INNER_LIP, *LOWER_INNER_LIP]]
        skin = np.median(_pixels(image, inner + 0.5 * (outer - inner)), axis=0)
        gap = _lip_gap(still)
        return cls(gap, float(smoothstep(*_SHOWS_TEETH, np.array(gap))), skin, 0.5 * skin)

    def closing(self, landmarks: np.ndarray) -> float:
        """See `Closure`."""
        closed = 1 - _lip_gap(landmarks) / max(self.gap, 1e-6)
        return self.strength * float(smoothstep(*_CLOSING, np.array(closed)))

    def area(self, landmarks: np.ndarray, size: tuple[int, int]) -> Rect:
        """See `Closure`."""
        return rect_round(landmarks[INNER_LIPS], 0.32 * _lip_width(landmarks) + 2, size)

    def layers(self, apart: np.ndarray, closing: float, rect: Rect) -> Layers:
        """See `Closure`."""
        import cv2

        width, ring = _lip_width(apart), apart[INNER_LIPS]
        curves = ring, smooth_curve(ring[[0, 7, 6, 5, 4]])
        outline, line = (np.round((curve - rect[:2] - 0.5) * 16).astype(np.int32) for curve in curves)
        masks = np.zeros((2, rect[3] - rect[1], rect[2] - rect[0]), np.uint8)
        cv2.fillPoly(masks[0], [outline], 255, cv2.LINE_AA, 4)
        cv2.polylines(masks[0], [outline], True, 255, max(1, round(2 * _REACH * width)), cv2.LINE_AA, 4)
        masks[0] = cv2.GaussianBlur(masks[0], (0, 0), max(0.6, 0.5 * _REACH * width))
        cv2.polylines(masks[1], [line], False, 255, max(1, round(_THICKNESS * width)), cv2.LINE_AA, 4)
        soft = max(0.6, 0.025 * width)
        alphas = (cv2.GaussianBlur(mask, (0, 0), soft).astype(np.float32) * (closing / 255) for mask in masks)
        return list(zip((self.skin, self.dark), alphas, strict=True))


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


def smooth_curve(points: np.ndarray, count: int = 17) -> np.ndarray:
    """The Bezier curve (count, 2) from the first to the last of points (N, 2), drawn to the others."""
    t, degree = np.linspace(0, 1, count), len(points) - 1
    weights = [comb(degree, k) * t**k * (1 - t) ** (degree - k) for k in range(degree + 1)]
    return np.stack(weights, axis=1) @ points


def _lip_gap(landmarks: np.ndarray) -> float:
    apart = landmarks[list(UPPER_INNER_LIP)] - landmarks[list(LOWER_INNER_LIP)]
    return float(np.linalg.norm(apart, axis=-1).mean() / inter_ocular_distance(landmarks))


def _lip_width(landmarks: np.ndarray) -> float:
    return max(float(np.linalg.norm(landmarks[60] - landmarks[64])), 1e-6)


def _pixels(image: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Colours (N, 3) at points (N, 2), the nearest pixel's."""
    columns, rows = np.clip(np.round(points - 0.5), 0, np.array(image.shape[1::-1]) - 1).astype(int).T
    return image[rows, columns, :3].astype(np.float32)
