"""Eyelids that close: skin replaces the eye and its lashes, and the photo's own fold stays.

- No edge is hard. The skin's opacity fades, the lash line tapers, and a shade continues below it.
- The lid is drawn in the photo's own pixels, then moved with the corners of the eye.
- Lengths are widths of the eye.
"""

from dataclasses import dataclass

import numpy as np

from atldiff.landmarks import BROWS, LEFT_EYE, RIGHT_EYE
from atldiff.rendering.face_parts.eye_maps import EyeShape, LidMaps, eye_width
from atldiff.rendering.face_parts.shapes import Layers, Rect, fill_polygon, rect_around
from atldiff.smoothstep import smoothstep

_FULL_WAY = 0.66  # closed share of the photo's gap at which the lid is down
_BEGIN, _COMPLETE = 0.33, 0.58  # shares of that way at which the drawing begins, and is opaque
_MIN_GAP = 0.1  # least gap of an open eye in the photo
_MARGIN = 0.8  # margin of the photo's part round the eye
_LASH_REACH = 0.14  # reach of the eye and its lashes beyond the landmarks
_ABOVE, _BELOW, _FADE = 0.18, 0.05, 0.18  # reach of the new skin above and below the eye, and its fade
_FLAT = 0.84  # share of the gap at which the lash line of a closed eye lies
_EDGE = 0.014  # softness of the lid's edge
_CORE, _SOFT = 0.042, 0.11  # thickness of the lash line and of the softness round it
_LASH = 0.042  # distance of neighbouring lashes
_GLOW, _CREASE, _SHADE = 0.03, 0.25, 0.4  # light on the ball, shade beside the line, shade below it
_AREA = 0.54  # reach of the drawing beyond the landmarks
_LIGHTEST = 1.35  # highest luma of skin, in usual lumas of the skin
_DARKEST = (0.6, 0.35)  # lowest luma of skin beside the lid, and farther away, likewise
_LIT, _MOST_LIT = 1.05, 1.3  # least light of the photo's lid over the new skin that counts; highest gain
_GRAIN = 4.0  # levels; largest amplitude of the skin's texture


@dataclass(frozen=True, eq=False)
class Lid:
    """One eye's upper lid.

    Attributes:
        ring: indices of the landmarks round the eye, from corner to corner over the upper lid and back.
        still: (68, 2) landmarks of the photo, pixels.
        rect: the part of the photo round the eye.
        skin: (h, w, 3) float32 levels, skin in place of the eye.
        share: (h, w) float32 in [0, 1], opacity of `skin`.
        dark: (3,) float32 levels, colour of the lashes.
        maps: positions of the pixels of `rect`.
        reach: reach of the drawing beyond the landmarks, in their widths.
    """

    ring: tuple[int, ...]
    still: np.ndarray
    rect: Rect
    skin: np.ndarray
    share: np.ndarray
    dark: np.ndarray
    maps: LidMaps
    reach: float = _AREA

    @classmethod
    def from_photo(
        cls, image: np.ndarray, still: np.ndarray, side: int, shape: EyeShape | None = None
    ) -> "Lid":
        """Prepares one lid of a face. An eye outside the picture gets no skin and never closes.

        Args:
            image: (H, W, >= 3) uint8.
            still: (68, 2) landmarks, pixels of `image`.
            side: 0 = the right eye, 1 = the left one.
            shape: the eye's opening; None: the landmarks'.
        """
        eye = (RIGHT_EYE, LEFT_EYE)[side]
        ring, shape = tuple(range(eye.start, eye.stop)), shape or EyeShape.from_landmarks(still[eye])
        width, frame = shape.width, (image.shape[0], image.shape[1])
        rect = rect_around(shape.outline, _MARGIN * width, frame)
        part = image[rect[1] : rect[3], rect[0] : rect[2], :3].astype(np.float32)
        own, size = shape.moved(-np.array(rect[:2])), (part.shape[0], part.shape[1])
        outline, maps = own.outline, LidMaps.from_eye(own, size, side)
        if not part.size:
            return cls(ring, still, rect, part, part[..., 0], np.zeros(3, np.float32), maps)
        eye_area = _fill_around(outline, size, _LASH_REACH * width)
        brow = _fill_around(still[BROWS].reshape(2, 5, 2)[side] - rect[:2], size, 0.08 * width)
        skin = _light_skin(_continue_skin(part, eye_area, brow, width), part, eye_area, maps, width)
        dark = _lash_colour(part, skin, own.upper, width)
        skin = np.where(eye_area[..., None], skin, _blur(skin, 0.05 * width))
        skin += _grain(part, eye_area, width)
        area = (maps.below > -_ABOVE) & (maps.below < maps.gap + _BELOW)
        area &= (maps.along > -0.1) & (maps.along < 1.1)
        share = np.clip(1.6 * _blur(area.astype(np.float32), _FADE * width) - 0.2, 0, 1)
        reach = min(_AREA * width + 2, _MARGIN * width)
        drawn = rect_around(shape.outline, reach, frame)
        x0, y0, x1, y1 = (int(v) for v in np.array(drawn) - np.tile(rect[:2], 2))
        rows, columns = slice(y0, y1), slice(x0, x1)
        skin = np.ascontiguousarray(skin[rows, columns], dtype=np.float32)
        share = np.ascontiguousarray(share[rows, columns])
        farthest = shape.reach(still[eye], _AREA)
        return cls(ring, still, drawn, skin, share, dark, maps.cut(rows, columns), farthest)

    def closing(self, landmarks: np.ndarray) -> float:
        """See `Closure`; 0 until the lid has come down noticeably over the photo's open eye."""
        open_gap = self._gap(self.still)
        if open_gap < _MIN_GAP or not self.skin.size:
            return 0.0
        way = float(np.clip((1 - self._gap(landmarks) / open_gap) / _FULL_WAY, 0, 1))
        return way if way > _BEGIN else 0.0

    def area(self, landmarks: np.ndarray, size: tuple[int, int]) -> Rect:
        """See `Closure`."""
        eye = landmarks[list(self.ring)]
        return rect_around(eye, self.reach * eye_width(eye) + 2, size)

    def layers(self, apart: np.ndarray, closing: float, rect: Rect) -> Layers:
        """See `Closure`: the skin below the line, the lid, and the lashes with their shade."""
        import cv2

        maps, to = self.maps, self._placement(apart, rect)
        size = rect[2] - rect[0], rect[3] - rect[1]
        down = closing * np.maximum(_FLAT * maps.gap, 0)
        off = maps.below - down  # below the lid's edge
        visible = smoothstep(0, 0.03, down)
        full = smoothstep(0.3, 0.8, np.array(closing)) * (off < 0)
        lid = smoothstep(_EDGE, -_EDGE, off) * self.share * np.maximum(visible, full)
        under = smoothstep(-0.012, 0.012, off) * smoothstep(0.06, 0.02, maps.below - maps.gap)
        under *= np.maximum(self.share, smoothstep(0, 0.05, maps.gap)) * smoothstep(
            0.75, 1, np.array(closing)
        )
        line = np.maximum(self._line(off) * closing * visible, self._shade_below(off) * closing)
        opacity = float(smoothstep(_BEGIN, _COMPLETE, np.array(closing)))

        def place(x: np.ndarray) -> np.ndarray:
            return cv2.warpAffine(x.astype(np.float32), to, size)

        bright = np.clip(self.skin * self._light(off, closing)[..., None], 0, 255)
        return [
            (place(self.skin), place(under) * opacity),
            (place(bright), place(lid) * opacity),
            (self.dark, place(line) * opacity),
        ]

    def _light(self, off: np.ndarray, closing: float) -> np.ndarray:
        """Factors (h, w) of the skin's light: above 1 on the ball of the eye, below 1 at the lash line."""
        glow = _GLOW * np.exp(-(((self.maps.along - 0.5) / 0.36) ** 2) - ((off + 0.12) / 0.15) ** 2)
        crease = _CREASE * np.exp(-((off / 0.06) ** 2)) * self.maps.arch
        return 1 + closing * (glow - crease)

    def _line(self, off: np.ndarray) -> np.ndarray:
        """Opacity (h, w) in [0, 1] of the lash line, which is soft above and has single lashes below."""
        outer, below = self.maps.outer, np.maximum(off, 0)
        at = outer - 0.9 * below * (outer - 0.25)  # lashes spread outwards
        uneven = 0.35 * np.sin(at / 0.0207) + 0.2 * np.sin(at / 0.0493)
        comb = 0.5 + 0.5 * np.sin(2 * np.pi * (at / _LASH + uneven))
        soft = self._ridge(off, 1.8, _SOFT) * (1 - 0.6 * comb * smoothstep(0.016, 0.066, off))
        line = np.maximum(0.8 * soft, 0.95 * self._ridge(off, 1.3, _CORE))
        return line * smoothstep(-0.06, 0.1, outer) * smoothstep(1.1, 0.97, outer)

    def _ridge(self, off: np.ndarray, steeper_above: float, thickness: float) -> np.ndarray:
        """A ridge (h, w) in [0, 1] along the lid's edge, where it is 1."""
        way = np.where(off < 0, steeper_above * off, off) / (thickness * self.maps.taper)
        return np.exp(-(way**2))

    def _shade_below(self, off: np.ndarray) -> np.ndarray:
        return _SHADE * np.exp(-((off / 0.1) ** 2)) * (off > 0) * self.maps.arch

    def _gap(self, landmarks: np.ndarray) -> float:
        """Mean gap of an eye in landmarks (68, 2), across the line between its corners, in eye widths."""
        eye = landmarks[list(self.ring)]
        along = (eye[3] - eye[0]) / eye_width(eye)
        apart = eye[[5, 4]] - eye[[1, 2]]
        return float((along[0] * apart[:, 1] - along[1] * apart[:, 0]).mean()) / eye_width(eye)

    def _placement(self, apart: np.ndarray, rect: Rect) -> np.ndarray:
        """The similarity (2, 3) from pixels of `self.rect` to pixels of `rect`, by the corners of the eye."""
        ends = [0, len(self.ring) // 2]
        then, now = (points[[self.ring[i] for i in ends]] for points in (self.still, apart))
        z, w = (p[:, 0] + 1j * p[:, 1] for p in (then - self.rect[:2] - 0.5, now - rect[:2] - 0.5))
        turn = (w[1] - w[0]) / (z[1] - z[0] if z[1] != z[0] else 1)
        shift = w.mean() - turn * z.mean()
        return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])


def _fill_around(outline: np.ndarray, size: tuple[int, int], reach: float) -> np.ndarray:
    """Fills an outline (N, 2) and a rim of `reach` pixels: (h, w) bool."""
    import cv2

    mask, thick = fill_polygon(outline, size), max(1, round(2 * reach))
    cv2.polylines(mask, [np.round((outline - 0.5) * 16).astype(np.int32)], True, 255, thick, cv2.LINE_8, 4)
    return mask > 127


def _blur(x: np.ndarray, sigma: float) -> np.ndarray:
    import cv2

    return cv2.GaussianBlur(x, (0, 0), max(sigma, 0.3), borderType=cv2.BORDER_REPLICATE)


def _grain(part: np.ndarray, eye_area: np.ndarray, width: float) -> np.ndarray:
    """The fine texture (h, w, 3) of the skin below the eye, moved up over it."""
    way = min(round(0.66 * width), len(part))
    fine = np.clip(part - _blur(part, 0.04 * width), -_GRAIN, _GRAIN) * ~eye_area[..., None]
    return np.concatenate([fine[way:], np.zeros_like(fine[:way])])


def _lash_colour(part: np.ndarray, skin: np.ndarray, upper: np.ndarray, width: float) -> np.ndarray:
    """The colour (3,) of the lashes along an upper lid's edge (M, 2), pixels of `part`."""
    import cv2

    line = np.zeros(part.shape[:2], np.uint8)
    curve = [np.round((upper - 0.5) * 16).astype(np.int32)]
    cv2.polylines(line, curve, False, 255, max(1, round(0.08 * width)), cv2.LINE_8, 4)
    if not line.any():
        return np.zeros(3, np.float32)
    dark = np.percentile(part[line > 0], 25, axis=0)
    return np.minimum(dark, 0.75 * skin[line > 0].mean(axis=0)).astype(np.float32)


def _continue_skin(part: np.ndarray, eye_area: np.ndarray, brow: np.ndarray, width: float) -> np.ndarray:
    """Continues the skin of a picture (h, w, 3) over the eye, with its light and the shade of its fold.

    Args:
        part: (h, w, 3) float32 levels.
        eye_area: (h, w) bool, the pixels to replace.
        brow: (h, w) bool, pixels that are no skin.
        width: of the eye in pixels.

    Returns:
        (h, w, 3) float32 levels; `part` itself if no skin is round the eye.
    """
    import cv2

    luma, reach = part.mean(axis=2), 2 * max(1, round(0.1 * width)) + 1
    usable = ~(eye_area | brow)
    rim = usable & (cv2.dilate(eye_area.astype(np.uint8), np.ones((reach, reach), np.uint8)) > 0)
    if not rim.any():
        return part
    usual = float(np.percentile(luma[rim], 65))
    darkest = np.where(rim, *_DARKEST) * usual
    usable = usable & (luma > darkest) & (luma < _LIGHTEST * usual)  # no hair, liner, glasses or glints
    if not usable.any():
        return part
    skin = _push_pull(part, usable.astype(np.float32))
    return np.where(eye_area[..., None], _blur(skin, 0.05 * width), skin)


def _light_skin(
    skin: np.ndarray, part: np.ndarray, eye_area: np.ndarray, maps: LidMaps, width: float
) -> np.ndarray:
    """Lights the new skin (h, w, 3) until it is no darker than the photo's lid between fold and lashes."""
    middle = (maps.along > 0.2) & (maps.along < 0.8)
    strip = middle & (maps.below > -_LASH_REACH) & (maps.below < -0.05)
    cover = middle & (maps.below > 0) & (maps.below < maps.gap)
    if not strip.any() or not cover.any():
        return skin
    own, new = np.median(part[strip], axis=0) / _LIT, np.maximum(skin[cover].mean(axis=0), 1)
    if own.mean() <= new.mean():
        return skin
    gain = np.clip(own / new, 1, _MOST_LIT) - 1
    soft = _blur(eye_area.astype(np.float32), 0.05 * width)
    return np.clip(skin * (1 + soft[..., None] * gain), 0, 255).astype(np.float32)


def _push_pull(part: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Fills the pixels of weight 0 smoothly from their surroundings (Gortler et al. 1996).

    A pixel takes the mean of the smallest neighbourhood that has weight.

    Args:
        part: (h, w, 3) float32; pixels of weight 1 stay.
        weight: (h, w) float32 in [0, 1].
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
