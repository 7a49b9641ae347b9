"""What closes: lids over open eyes, lips over shown teeth. The spline squeezes them to a slit; here it is
covered with skin, and the line of the lashes or of the lips is drawn.
"""

from dataclasses import dataclass
from math import comb

import numpy as np

from atldiff.easing import smoothstep
from atldiff.landmarks import (
    BROWS,
    INNER_LIPS,
    LEFT_EYE,
    LOWER_INNER_LIP,
    LOWER_LIDS,
    RIGHT_EYE,
    UPPER_INNER_LIP,
    UPPER_LIDS,
    inter_ocular_distance,
)
from atldiff.rendering.rects import Rect, rect_round
from atldiff.rendering.warp import parted

_CLOSING = (0.45, 0.65)  # how far a part is closed where its cover begins to be drawn, and is drawn in full
_EYE_REACH = 0.12  # a drawn eye's lashes and corners lie beyond its landmarks
_SHOWS_TEETH = (
    0.02,
    0.05,
)  # opening of the photo's mouth, inter-ocular distances


@dataclass(frozen=True, eq=False)
class Closure:
    """One part of a face that can close.

    Attributes:
        ring: landmarks round it, from corner to corner and back.  line: those its line is drawn along.
        upper, lower: pairs whose distance is its gap.  strength: in [0, 1] of all that is drawn.
        thickness: of the line, share of the part's width; reach: of the cover beyond the ring.
        skin, dark: (3,) colours of cover and line.
    """

    ring: tuple[int, ...]
    line: tuple[int, ...]
    upper: tuple[int, ...]
    lower: tuple[int, ...]
    thickness: float
    reach: float
    skin: np.ndarray
    dark: np.ndarray
    strength: float = 1.0

    def gap(self, landmarks: np.ndarray) -> float:
        """Mean gap of landmarks (68, 2) over the part's width."""
        apart = landmarks[list(self.upper)] - landmarks[list(self.lower)]
        return float(np.linalg.norm(apart, axis=-1).mean()) / self.width(landmarks)

    def width(self, landmarks: np.ndarray) -> float:
        """From corner to corner, in the landmarks' unit."""
        ends = landmarks[self.ring[0]] - landmarks[self.ring[len(self.ring) // 2]]
        return max(float(np.linalg.norm(ends)), 1e-6)

    def draw(self, image: np.ndarray, landmarks: np.ndarray, weight: float) -> None:
        """Covers the part of landmarks (68, 2), pixels of the frame `image`, in place."""
        import cv2

        height, width = image.shape[:2]
        x0, y0, x1, y1 = rect = self.rect(landmarks, (height, width))
        if weight <= 0 or x0 >= x1 or y0 >= y1:
            return
        masks, soft = self.masks(landmarks, rect), self.softness(landmarks)
        part = image[y0:y1, x0:x1, :3]
        drawn = part.astype(np.float32)
        for mask, colour in zip(masks, (self.skin, self.dark), strict=True):
            alpha = cv2.GaussianBlur(mask, (0, 0), soft).astype(np.float32)[..., None] * (weight / 255)
            drawn += (colour - drawn) * alpha
        part[:] = np.clip(drawn + 0.5, 0, 255).astype(np.uint8)

    def rect(self, landmarks: np.ndarray, size: tuple[int, int]) -> Rect:
        """The pixels that drawing may change in a picture of size (H, W)."""
        return rect_round(landmarks[list(self.ring)], 0.32 * self.width(landmarks) + 2, size)

    def softness(self, landmarks: np.ndarray) -> float:
        """Standard deviation in pixels of the blur of the masks."""
        return max(0.6, 0.025 * self.width(landmarks))

    def masks(self, landmarks: np.ndarray, rect: Rect) -> np.ndarray:
        """Cover and line, (2, h, w) uint8 of the pixels `rect`, before they are blurred."""
        import cv2

        width = self.width(landmarks)
        curves = landmarks[list(self.ring)], smooth_curve(landmarks[list(self.line)])
        outline, line = (np.round((curve - rect[:2] - 0.5) * 16).astype(np.int32) for curve in curves)
        masks = np.zeros((2, rect[3] - rect[1], rect[2] - rect[0]), np.uint8)
        cv2.fillPoly(masks[0], [outline], 255, cv2.LINE_AA, 4)
        cv2.polylines(masks[0], [outline], True, 255, max(1, round(2 * self.reach * width)), cv2.LINE_AA, 4)
        masks[0] = cv2.GaussianBlur(masks[0], (0, 0), max(0.6, 0.5 * self.reach * width))
        cv2.polylines(masks[1], [line], False, 255, max(1, round(self.thickness * width)), cv2.LINE_AA, 4)
        return masks


@dataclass(frozen=True, eq=False)
class Closures:
    """What closes in one person's face; `still` are the photo's landmarks (68, 2)."""

    still: np.ndarray
    parts: tuple[Closure, ...]

    @classmethod
    def of(cls, image: np.ndarray, still: np.ndarray) -> "Closures":
        """Of the face with landmarks `still`, pixels of `image` (H, W, >=3) uint8."""
        parts = [_eye(image, still, side) for side in (0, 1)]
        return cls(still, (*parts, _lips(image, still)))

    def paint(self, image: np.ndarray, landmarks: np.ndarray) -> None:
        """Draws what is closed in a frame with landmarks (68, 2), in its pixels, in place."""
        apart = parted(landmarks[None], self.still)[0]
        for part in self.parts:
            part.draw(image, apart, self.weight(part, landmarks))

    def weight(self, part: Closure, landmarks: np.ndarray) -> float:
        """In [0, 1]: how much of a part's cover is drawn over a face with landmarks (68, 2)."""
        closed = 1 - part.gap(landmarks) / max(part.gap(self.still), 1e-6)
        return part.strength * float(smoothstep(*_CLOSING, np.array(closed)))


def _eye(image: np.ndarray, still: np.ndarray, side: int) -> Closure:
    """The right (0) or left (1) eye, in the colour of the skin above it."""
    eye = (RIGHT_EYE, LEFT_EYE)[side]
    ring = tuple(range(eye.start, eye.stop))
    upper, lower = (lids[2 * side : 2 * side + 2] for lids in (UPPER_LIDS, LOWER_LIDS))
    lid = still[list(upper)]
    to_brow = still[BROWS].reshape(2, 5, 2)[side][1:4].mean(axis=0) - lid
    above = lid[:, None] + np.linspace(0.2, 0.45, 4)[:, None] * to_brow[:, None]
    skin = np.median(_pixels(image, above.reshape(-1, 2)), axis=0)
    lashes = np.percentile(_pixels(image, still[list(ring)]), 20, axis=0)
    line = (ring[0], ring[5], ring[4], ring[3])
    return Closure(ring, line, upper, lower, 0.04, _EYE_REACH, skin, np.minimum(lashes, 0.55 * skin))


def _lips(image: np.ndarray, still: np.ndarray) -> Closure:
    """The lips, in their own colour; only where the photo shows what is between them."""
    ring = tuple(range(INNER_LIPS.start, INNER_LIPS.stop))
    upper, lower = UPPER_INNER_LIP, LOWER_INNER_LIP
    outer = still[[50, 51, 52, 58, 57, 56]]
    inner = still[[*upper, *lower]]
    skin = np.median(_pixels(image, inner + 0.5 * (outer - inner)), axis=0)
    opening = np.linalg.norm(still[list(upper)] - still[list(lower)], axis=-1).mean()
    shows = smoothstep(*_SHOWS_TEETH, np.array(opening / inter_ocular_distance(still)))
    line = (ring[0], ring[7], ring[6], ring[5], ring[4])
    return Closure(ring, line, upper, lower, 0.03, 0.03, skin, 0.5 * skin, float(shows))


def smooth_curve(points: np.ndarray, count: int = 17) -> np.ndarray:
    """The Bezier curve (count, 2) from the first to the last of points (N, 2), drawn to the others."""
    t, degree = np.linspace(0, 1, count), len(points) - 1
    weights = [comb(degree, k) * t**k * (1 - t) ** (degree - k) for k in range(degree + 1)]
    return np.stack(weights, axis=1) @ points


def _pixels(image: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Colours (N, 3) at points (N, 2), the nearest pixel's."""
    columns, rows = np.clip(np.round(points - 0.5), 0, np.array(image.shape[1::-1]) - 1).astype(int).T
    return image[rows, columns, :3].astype(np.float32)
