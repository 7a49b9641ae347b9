"""Eyes that close: the upper lid comes down over the eyeball, with skin that the open eye hides in its fold.

The skin is what surrounds the eye in the photo, continued over it from all sides, so that nobody sees where
it begins; it is made once for a portrait and moves with the eye's corners. The spline leaves the eye open
(`keep_apart`).
"""

from dataclasses import dataclass

import numpy as np

from atldiff.landmarks import BROWS, LEFT_EYE, RIGHT_EYE
from atldiff.rendering.face_parts.shapes import Rect, fill_polygon, rect_around
from atldiff.smoothstep import smoothstep

_CLOSING = (0.3, 0.62)  # share of the gap that is closed where the lid begins to be drawn, and has come down
_MIN_GAP = 0.1  # of the photo's eye over its width: else it is closed already
_REACH = 0.18  # lashes, corners and liner lie this far beyond the landmarks, share of the eye's width
_FOLD = 0.09  # and so far beyond these the fold over the eye
_MARGIN = 0.75  # of the skin looked at round the eye
_LIGHTEST = 1.35  # of the skin's usual luma: what is lighter is no skin
_DARKEST = (0.6, 0.35)  # of it too: what is darker beside the lid, and farther away
_LOW = 0.14  # how far above its lashes a lid is darker
_LOW_SHADE = np.array([0.17, 0.22, 0.25], np.float32)  # and how much: light that comes through skin is red
_LASHES = 0.05  # half thickness of the line of the lashes
_STRAIGHT = 0.2  # share of its sag that a shut eye's line loses
_OVERLAP = 0.05  # how far a lid that has come down reaches over the lower one
_BELOW = 0.06  # how far its skin goes on below its edge: the line of the lashes covers the seam
_GRAIN = 4.0  # levels of the skin's texture, at most
_CURVE = 33  # points of a lid's edge


@dataclass(frozen=True, eq=False)
class Lid:
    """One eye's upper lid.

    Attributes:
        ring: landmarks round the eye, from corner to corner over the upper lid and back.
        still: (68, 2) the photo's landmarks, and of it `rect`, whose skin (h, w, 3) float32 and share of it
            (h, w) float32 in [0, 1] are what is drawn.  dark: (3,) colour of the lashes.
    """

    ring: tuple[int, ...]
    still: np.ndarray
    rect: Rect
    skin: np.ndarray
    share: np.ndarray
    dark: np.ndarray

    @classmethod
    def from_photo(cls, image: np.ndarray, still: np.ndarray, side: int) -> "Lid":
        """The right (0) or left (1) eye's, of the face with landmarks `still`, pixels of `image`.

        An eye outside the picture has no skin to draw, and never closes.
        """
        eye = (RIGHT_EYE, LEFT_EYE)[side]
        ring = tuple(range(eye.start, eye.stop))
        width = _width(still[list(ring)])
        rect = rect_around(still[list(ring)], _MARGIN * width, (image.shape[0], image.shape[1]))
        part = image[rect[1] : rect[3], rect[0] : rect[2], :3].astype(np.float32)
        if not part.size:
            return cls(ring, still, rect, part, part[..., 0], np.zeros(3, np.float32))
        outline, size = still[list(ring)] - rect[:2], (rect[3] - rect[1], rect[2] - rect[0])
        hidden = _grown(outline, size, (_REACH + _FOLD) * width)
        brow = _grown(still[BROWS].reshape(2, 5, 2)[side] - rect[:2], size, 0.08 * width)
        skin = _continued(part, hidden, brow, width)
        skin += _grain(part, hidden, width)
        share = smoothstep(0.1, 0.75, _blurred(hidden.astype(np.float32), _FOLD * width))
        return cls(ring, still, rect, skin, share, _lash_colour(part, skin, outline, width))

    def closing(self, landmarks: np.ndarray) -> float:
        """How far the lid of landmarks (68, 2) has come down over the photo's open eye, in [0, 1]."""
        open_gap = self._gap(self.still)
        if open_gap < _MIN_GAP or not self.skin.size:
            return 0.0
        return float(smoothstep(*_CLOSING, np.array(1 - self._gap(landmarks) / open_gap)))

    def area(self, landmarks: np.ndarray, size: tuple[int, int]) -> Rect:
        """The pixels that may change in a frame of size (H, W) with landmarks (68, 2)."""
        return rect_around(landmarks[list(self.ring)], 3 * _REACH * self.width(landmarks) + 2, size)

    def width(self, landmarks: np.ndarray) -> float:
        """From corner to corner of landmarks (68, 2), in their unit."""
        return _width(landmarks[list(self.ring)])

    def layers(self, apart: np.ndarray, closing: float, rect: Rect) -> list[tuple[np.ndarray, np.ndarray]]:
        """Skin and lashes over the pixels `rect` of a frame with landmarks `apart` (68, 2) from `keep_apart`.

        Returns:
            Colours (h, w, 3) and alphas (h, w), float32; to be drawn in this order.
        """
        import cv2

        size, width = (rect[3] - rect[1], rect[2] - rect[0]), self.width(apart)
        to_frame = self._moved(apart, rect)
        skin, share = (
            cv2.warpAffine(x, to_frame, size[::-1], flags=cv2.INTER_LINEAR, borderMode=border)
            for x, border in ((self.skin, cv2.BORDER_REPLICATE), (self.share, cv2.BORDER_CONSTANT))
        )
        edge = self._edge(apart, closing)
        down = _down(apart[list(self.ring)])
        wider = edge + (edge - edge.mean(axis=0))  # no straight sides: the skin's share ends it there
        above = np.concatenate([edge + _BELOW * down, wider[::-1] - down])
        soft = max(0.5, 0.012 * width)
        lid = _blurred(fill_polygon(above - rect[:2], size) / np.float32(255), soft)
        thick = _LASHES * self._taper()[:, None] * down
        straight = np.linspace(apart[self.ring[0]], apart[self.ring[3]], _CURVE)
        seam = edge + _STRAIGHT * closing * (straight - edge)  # the lids meet above the open eye's lower edge
        lashes = np.concatenate([seam - 0.6 * thick, seam[::-1] + thick[::-1]])
        band = np.concatenate([seam, seam[::-1] - _LOW * down])
        low = _blurred(fill_polygon(band - rect[:2], size) / np.float32(255), 0.06 * width)
        shade = 1 - closing * (_LOW_SHADE * low[..., None])
        line = _blurred(fill_polygon(lashes - rect[:2], size) / np.float32(255), 1.2 * soft)
        faded = min(1.0, 3 * closing)
        return [
            (skin * shade, lid * share * faded),
            (np.broadcast_to(self.dark, skin.shape), 0.85 * faded * line),
        ]

    def _gap(self, landmarks: np.ndarray) -> float:
        """Mean gap across the line between the corners, over its length."""
        eye = landmarks[list(self.ring)]
        along = (eye[3] - eye[0]) / _width(eye)
        apart = eye[[5, 4]] - eye[[1, 2]]
        return float((along[0] * apart[:, 1] - along[1] * apart[:, 0]).mean()) / _width(eye)

    def _edge(self, apart: np.ndarray, closing: float) -> np.ndarray:
        """The lid's edge from corner to corner, (N, 2)."""
        first, a, b, last, c, d = apart[list(self.ring)]
        upper, lower = (_curve(first, *middle, last) for middle in ((a, b), (d, c)))
        beyond = _OVERLAP * np.sin(np.linspace(0, np.pi, _CURVE))[:, None] * _down(apart[list(self.ring)])
        return upper + closing * (lower + beyond - upper)

    def _taper(self) -> np.ndarray:
        """Thickness of the lashes along the edge (N,), none at the inner corner."""
        outwards = np.linspace(1, 0, _CURVE) if self.ring[0] == RIGHT_EYE.start else np.linspace(0, 1, _CURVE)
        return smoothstep(0.02, 0.5, outwards) * (1 - 0.6 * smoothstep(0.8, 1.0, outwards))

    def _moved(self, apart: np.ndarray, rect: Rect) -> np.ndarray:
        """(2, 3) from pixels of `self.rect` to those of `rect`: turned, scaled and moved with the corners."""
        ends = [0, len(self.ring) // 2]
        then, now = (points[[self.ring[i] for i in ends]] for points in (self.still, apart))
        z, w = (p[:, 0] + 1j * p[:, 1] for p in (then - self.rect[:2] - 0.5, now - rect[:2] - 0.5))
        turn = (w[1] - w[0]) / (z[1] - z[0] if z[1] != z[0] else 1)
        shift = w.mean() - turn * z.mean()
        return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])


def _width(eye: np.ndarray) -> float:
    return max(float(np.linalg.norm(eye[3] - eye[0])), 1e-6)


def _down(eye: np.ndarray) -> np.ndarray:
    """(2,) across the line between the corners of an eye (6, 2) and as long, to the lower lid."""
    return np.array([eye[0, 1] - eye[3, 1], eye[3, 0] - eye[0, 0]])


def _curve(first: np.ndarray, a: np.ndarray, b: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Smooth curve (N, 2) from corner to corner through two points: t (1 - t) (p + q t) off the chord."""
    chord = last - first
    t = np.array([(point - first) @ chord for point in (a, b)]) / max(float(chord @ chord), 1e-9)
    t = np.clip(t, [0.1, 0.55], [0.45, 0.9])
    off = np.stack([a, b]) - first - t[:, None] * chord
    p, q = np.linalg.solve(np.stack([np.ones(2), t], axis=1), off / (t * (1 - t))[:, None])
    t = np.linspace(0, 1, _CURVE)[:, None]
    return first + t * chord + t * (1 - t) * (p + q * t)


def _grown(outline: np.ndarray, size: tuple[int, int], reach: float) -> np.ndarray:
    """(h, w) bool: the filled outline (N, 2) and what is nearer to it than `reach` pixels."""
    import cv2

    mask, thick = fill_polygon(outline, size), max(1, round(2 * reach))
    cv2.polylines(mask, [np.round((outline - 0.5) * 16).astype(np.int32)], True, 255, thick, cv2.LINE_8, 4)
    return mask > 127


def _blurred(x: np.ndarray, sigma: float) -> np.ndarray:
    import cv2

    return cv2.GaussianBlur(x, (0, 0), max(sigma, 0.3), borderType=cv2.BORDER_REPLICATE)


def _grain(part: np.ndarray, hidden: np.ndarray, width: float) -> np.ndarray:
    """The fine texture of the skin below the eye, moved up over it: pores, film grain, brush strokes."""
    way = min(round(0.66 * width), len(part))
    fine = np.clip(part - _blurred(part, 0.04 * width), -_GRAIN, _GRAIN) * ~hidden[..., None]
    return np.concatenate([fine[way:], np.zeros_like(fine[:way])])


def _lash_colour(part: np.ndarray, skin: np.ndarray, outline: np.ndarray, width: float) -> np.ndarray:
    """(3,) how dark the line is in which the upper lid ends, of the eye (6, 2), pixels of `part`."""
    import cv2

    line = np.zeros(part.shape[:2], np.uint8)
    curve = [np.round((_curve(*outline[:4]) - 0.5) * 16).astype(np.int32)]
    cv2.polylines(line, curve, False, 255, max(1, round(0.08 * width)), cv2.LINE_8, 4)
    if not line.any():
        return np.zeros(3, np.float32)
    dark = np.percentile(part[line > 0], 25, axis=0)
    return np.minimum(dark, 0.75 * skin[line > 0].mean(axis=0)).astype(np.float32)


def _continued(part: np.ndarray, hidden: np.ndarray, brow: np.ndarray, width: float) -> np.ndarray:
    """The picture (h, w, 3) with what is hidden (h, w) made up of the skin round it, from its rim inwards: as
    the photo's light and the shade of its fold go on from one side to the other.
    """
    import cv2

    luma, reach = part.mean(axis=2), 2 * max(1, round(0.1 * width)) + 1
    seen = ~(hidden | brow)
    rim = seen & (cv2.dilate(hidden.astype(np.uint8), np.ones((reach, reach), np.uint8)) > 0)
    if not rim.any():
        return part
    usual = float(np.percentile(luma[rim], 65))
    darkest = np.where(rim, *_DARKEST) * usual
    seen = seen & (luma > darkest) & (luma < _LIGHTEST * usual)  # no hair, liner, glasses or glints
    if not seen.any():
        return part
    filled_in = _push_pull(part, seen.astype(np.float32))
    return np.where(hidden[..., None], _blurred(filled_in, 0.05 * width), filled_in)


def _push_pull(part: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """The picture (h, w, 3) where its weight (h, w) is 1, and where it is 0 what is round that, smoothly
    (Gortler et al. 1996): the mean of ever larger neighbourhoods until there is one.
    """
    import cv2

    if min(weight.shape) < 4:
        below = (part * weight[..., None]).sum(axis=(0, 1)) / max(float(weight.sum()), 1e-6)
    else:
        less = cv2.pyrDown(weight)
        small = cv2.pyrDown(part * weight[..., None]) / np.maximum(less, 1e-6)[..., None]
        below = _push_pull(small, np.minimum(1, 2 * less))
        below = cv2.resize(below, weight.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return below + (part - below) * weight[..., None]
