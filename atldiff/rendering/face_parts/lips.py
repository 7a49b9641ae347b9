"""Closed lips, drawn over the teeth that a photo shows."""

from dataclasses import dataclass
from math import comb

import numpy as np

from atldiff.landmarks import INNER_LIPS, inter_ocular_distance, mouth_opening
from atldiff.rendering.face_parts.lip_outline import round_lips, smooth_outline
from atldiff.rendering.face_parts.shapes import Layers, Rect, fill_polygon, rect_around
from atldiff.smoothstep import smoothstep

_SHADE, _LINE = 0.6, 0.35  # share of the skin's light near the line between the lips, and in it
_CLOSING = (0.45, 0.65)  # closed share of the photo's gap at which the drawing begins, and is complete
_SHOWS_TEETH = (0.02, 0.05)  # mouth openings of the photo between which the drawing fades in, inter-ocular
_REACH = 0.03  # reach of the drawing beyond the inner lips, of the mouth's width; twice that at its corners
_WIDEST = 0.55  # inter-ocular distances; a broader mouth is a grin, whose lips are no thicker
_TAPER = 0.3  # of the mouth's width, over which the line between the lips thins out towards a corner
# Samples of the lips' colours lie between points of `round_lips` and landmarks of the outer lips.
_UPPER_LIP = [2, 4, 5, 6, 8], [49, 50, 51, 52, 53]
_LOWER_LIP = [18, 16, 15, 14, 12], [59, 58, 57, 56, 55]
_ACROSS = 0.35, 0.5, 0.65  # positions of the samples between them
_STATIONS = 0.2, 0.35, 0.5, 0.65, 0.8  # positions of the samples along the mouth


@dataclass(frozen=True, eq=False)
class ShutLips:
    """The lips in the photo's colours. They are drawn only if the photo shows an open mouth.

    Attributes:
        gap: mean gap of the photo's inner lips, inter-ocular distances.
        strength: opacity of the drawing, 0 to 1.
        upper: (5, 3) colours of the upper lip, levels, from left to right in the picture.
        lower: (5, 3) colours of the lower lip, likewise.
    """

    gap: float
    strength: float
    upper: np.ndarray
    lower: np.ndarray

    @classmethod
    def from_photo(cls, image: np.ndarray, still: np.ndarray) -> "ShutLips":
        """Samples the lips' colours of the photo.

        Args:
            image: (H, W, >=3) uint8.
            still: (68, 2) landmarks, pixels of `image`.
        """
        inner, gap = round_lips(still[INNER_LIPS]), float(mouth_opening(still))
        strength = float(smoothstep(*_SHOWS_TEETH, np.array(gap)))
        colours = (
            np.median([_pixels(image, inner[near] + s * (still[far] - inner[near])) for s in _ACROSS], axis=0)
            for near, far in (_UPPER_LIP, _LOWER_LIP)
        )
        return cls(gap, strength, *colours)

    def closing(self, landmarks: np.ndarray) -> float:
        """See `Closure`."""
        closed = 1 - float(mouth_opening(landmarks)) / max(self.gap, 1e-6)
        return self.strength * float(smoothstep(*_CLOSING, np.array(closed)))

    def area(self, landmarks: np.ndarray, size: tuple[int, int]) -> Rect:
        """See `Closure`."""
        return rect_around(landmarks[INNER_LIPS], 0.32 * _lip_width(landmarks) + 2, size)

    def layers(self, apart: np.ndarray, closing: float, rect: Rect) -> Layers:
        """See `Closure`: the lips' colour, the shade towards the line between them, and the line."""
        import cv2

        width, size = _lip_width(apart), (rect[3] - rect[1], rect[2] - rect[0])
        unit = min(width, _WIDEST * float(inter_ocular_distance(apart)))
        seam = smooth_curve(apart[INNER_LIPS][[0, 7, 6, 5, 4]]) - rect[:2]
        cover = fill_polygon(smooth_outline(apart[INNER_LIPS]) - rect[:2], size)
        reach = max(3, round(2 * _REACH * unit)) | 1
        cover = cv2.dilate(cover, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach)))
        for corner in seam[[0, -1]]:  # the dark of an open mouth ends beyond its inner corners
            centre = tuple(int(v) for v in np.round((corner - 0.5) * 16))
            cv2.circle(cover, centre, round(32 * _REACH * unit), 255, -1, cv2.LINE_AA, 4)
        below = fill_polygon(np.concatenate([seam, seam[::-1] + [0, width]]), size)
        along = self._along(apart, rect)
        alphas = [_soft(cover, 0.03 * unit)]
        taper = 0.3 + 0.7 * smoothstep(0, _TAPER, np.minimum(along, 1 - along))
        for thickness, soft, strength in ((0.05, 0.03, 0.4), (0.012, 0.006, 0.8)):
            line = np.zeros(size, np.uint8)
            fixed = np.round((seam - 0.5) * 16).astype(np.int32)
            cv2.polylines(line, [fixed], False, 255, max(1, round(thickness * unit)), cv2.LINE_AA, 4)
            alphas.append(strength * taper * _soft(line, soft * unit))
        skin = self._skin(along, _soft(below, 0.01 * unit))
        colours = skin, _SHADE * skin, _LINE * skin
        return [(colour, closing * alpha) for colour, alpha in zip(colours, alphas, strict=True)]

    def _along(self, apart: np.ndarray, rect: Rect) -> np.ndarray:
        """(h, w): 0 at the right corner of the inner lips, 1 at the left one."""
        axis = apart[64] - apart[60]
        x, y = np.meshgrid(np.arange(rect[0], rect[2]) + 0.5, np.arange(rect[1], rect[3]) + 0.5)
        return ((x - apart[60, 0]) * axis[0] + (y - apart[60, 1]) * axis[1]) / max(float(axis @ axis), 1e-9)

    def _skin(self, along: np.ndarray, below: np.ndarray) -> np.ndarray:
        """Colours (h, w, 3) of the lips at each pixel; `below` (h, w) in [0, 1] is the lower lip's share."""
        lips = (
            np.stack([np.interp(along, _STATIONS, channel) for channel in lip.T], axis=-1)
            for lip in (self.upper, self.lower)
        )
        upper, lower = lips
        return (upper + (lower - upper) * below[..., None]).astype(np.float32)


def _lip_width(landmarks: np.ndarray) -> float:
    return max(float(np.linalg.norm(landmarks[60] - landmarks[64])), 1e-6)


def smooth_curve(points: np.ndarray, count: int = 17) -> np.ndarray:
    """The Bezier curve (count, 2) of the control points (N, 2)."""
    t, degree = np.linspace(0, 1, count), len(points) - 1
    weights = [comb(degree, k) * t**k * (1 - t) ** (degree - k) for k in range(degree + 1)]
    return np.stack(weights, axis=1) @ points


def _soft(mask: np.ndarray, deviation: float) -> np.ndarray:
    """Blurs a mask (h, w) uint8 by a standard deviation in pixels: float32 in [0, 1]."""
    import cv2

    return cv2.GaussianBlur(mask, (0, 0), max(0.6, deviation)).astype(np.float32) / 255


def _pixels(image: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Colours (N, 3) of the pixels nearest to points (N, 2)."""
    columns, rows = np.clip(np.round(points - 0.5), 0, np.array(image.shape[1::-1]) - 1).astype(int).T
    return image[rows, columns, :3].astype(np.float32)
