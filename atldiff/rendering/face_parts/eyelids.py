"""A lid that closes as skin: the photo's own fold stays, new skin comes only where eye and lashes were.

Nothing ends in an edge: the skin's share fades, the line of the lashes tapers, the shade goes on below it.
All is drawn in the photo's own pixels and moved with the corners of the eye.
"""

from dataclasses import dataclass

import numpy as np

from atldiff.landmarks import BROWS, LEFT_EYE, RIGHT_EYE
from atldiff.rendering.face_parts.shapes import Rect, fill_polygon, rect_around
from atldiff.smoothstep import smoothstep

_SHUT = 0.66  # share of the gap from which on a lid is all the way down
_BEGINS, _COMES = 0.33, 0.58  # of that way: the lid begins to be visible, and is drawn in full
_MIN_GAP = 0.1  # of the photo's eye over its width: else it is closed already
_MARGIN = 0.8  # of the photo looked at round the eye, eye widths, as all below
_HIDDEN = 0.14  # beyond the landmarks, what the open eye and its lashes hide
_KEPT_ABOVE, _KEPT_BELOW, _FADE = 0.18, 0.05, 0.18  # the photo stays beyond these, over a soft border
_FLAT = 0.84  # of the gap, where the line of a shut eye lies: it is flatter than the open eye's lower lid
_EDGE = 0.014  # softness of the lid's edge
_CORE, _SOFT = 0.042, 0.11  # thickness of the lashes' line and of the softness round it
_LASH = 0.042  # distance of one drawn lash from the next
_GLOW, _CREASE, _SHADE = 0.03, 0.25, 0.4  # light on the ball, shade beside the line, shade below it
_AREA = 0.54  # beyond the landmarks, where anything is drawn
_LIGHTEST = 1.35  # of the skin's usual luma: what is lighter is no skin
_DARKEST = (0.6, 0.35)  # of it too: what is darker beside the lid, and farther away
_LIT, _MOST_LIT = 1.05, 1.3  # the photo's own lid over the new skin: counts from the first on, gain at most
_GRAIN = 4.0  # levels of the skin's texture, at most
_CURVE = 33  # points of a lid's edge


@dataclass(frozen=True, eq=False)
class LidMaps:
    """Where the pixels of a photo's eye lie, (h, w) float32 each, in eye widths.

    Attributes:
        along: from the left corner (0) to the right one (1).
        below: how far below the upper lid.
        gap: from the upper to the lower lid there; 0 beyond the corners.
        outer: from the inner corner (0) to the outer one (1).
        arch: how far from the corners, in [0, 1].  taper: thickness of the lashes' line, in [0, 1].
    """

    along: np.ndarray
    below: np.ndarray
    gap: np.ndarray
    outer: np.ndarray
    arch: np.ndarray
    taper: np.ndarray

    @classmethod
    def from_eye(cls, eye: np.ndarray, size: tuple[int, int], side: int) -> "LidMaps":
        """Of the right (0) or left (1) eye with landmarks (6, 2), pixels of a part of size (h, w)."""
        width = _width(eye)
        axes = np.stack([(eye[3] - eye[0]) / width, _down(eye) / width])
        rows, columns = np.mgrid[: size[0], : size[1]]
        at = np.stack([columns + 0.5, rows + 0.5], axis=-1) - eye[0]
        along, across = np.moveaxis(at @ axes.T / width, -1, 0)

        def height(a: np.ndarray, b: np.ndarray) -> np.ndarray:
            curve = (_curve(eye[0], a, b, eye[3]) - eye[0]) @ axes.T / width
            return np.interp(along, curve[:, 0], curve[:, 1], 0, 0)

        up, low = height(eye[1], eye[2]), height(eye[5], eye[4])
        outer = 1 - along if side == 0 else along
        arch = np.clip(1.6 * np.sin(np.pi * np.clip(along, 0, 1)), 0, 1)
        taper = 0.25 + 0.75 * smoothstep(0, 0.45, outer) * smoothstep(1.08, 0.75, outer)
        maps = (along, across - up, low - up, outer, arch, taper)
        return cls(*(x.astype(np.float32) for x in maps))

    def cut(self, rows: slice, columns: slice) -> "LidMaps":
        """The maps of some rows and columns."""
        return LidMaps(*(np.ascontiguousarray(values[rows, columns]) for values in vars(self).values()))


@dataclass(frozen=True, eq=False)
class Lid:
    """One eye's upper lid.

    Attributes:
        ring: landmarks round the eye, from corner to corner over the upper lid and back.
        still: (68, 2) the photo's landmarks.
        rect: the part of the photo that is redrawn.
        skin: (h, w, 3) float32 skin without an eye.
        share: (h, w) float32 in [0, 1], how much of `skin` is drawn.
        dark: (3,) colour of the lashes.
        maps: where the pixels of `rect` lie in the eye.
    """

    ring: tuple[int, ...]
    still: np.ndarray
    rect: Rect
    skin: np.ndarray
    share: np.ndarray
    dark: np.ndarray
    maps: LidMaps

    @classmethod
    def from_photo(cls, image: np.ndarray, still: np.ndarray, side: int) -> "Lid":
        """The right (0) or left (1) eye's, of the face with landmarks `still`, pixels of `image`.

        An eye outside the picture has no skin to draw, and never closes.
        """
        eye = (RIGHT_EYE, LEFT_EYE)[side]
        ring, outline = tuple(range(eye.start, eye.stop)), still[eye]
        width = _width(outline)
        rect = rect_around(outline, _MARGIN * width, (image.shape[0], image.shape[1]))
        part = image[rect[1] : rect[3], rect[0] : rect[2], :3].astype(np.float32)
        outline, size = outline - rect[:2], (part.shape[0], part.shape[1])
        maps = LidMaps.from_eye(outline, size, side)
        if not part.size:
            return cls(ring, still, rect, part, part[..., 0], np.zeros(3, np.float32), maps)
        hidden = _grown(outline, size, _HIDDEN * width)
        brow = _grown(still[BROWS].reshape(2, 5, 2)[side] - rect[:2], size, 0.08 * width)
        skin = _as_light_as_lid(_continued(part, hidden, brow, width), part, hidden, maps, width)
        dark = _lash_colour(part, skin, outline, width)
        skin = np.where(hidden[..., None], skin, _blurred(skin, 0.05 * width)) + _grain(part, hidden, width)
        area = (maps.below > -_KEPT_ABOVE) & (maps.below < maps.gap + _KEPT_BELOW)
        area &= (maps.along > -0.1) & (maps.along < 1.1)
        share = np.clip(1.6 * _blurred(area.astype(np.float32), _FADE * width) - 0.2, 0, 1)
        reach = min(_AREA * width + 2, _MARGIN * width)
        drawn = rect_around(still[eye], reach, (image.shape[0], image.shape[1]))
        x0, y0, x1, y1 = (int(v) for v in np.array(drawn) - np.tile(rect[:2], 2))
        rows, columns = slice(y0, y1), slice(x0, x1)
        skin = np.ascontiguousarray(skin[rows, columns], dtype=np.float32)
        share = np.ascontiguousarray(share[rows, columns])
        return cls(ring, still, drawn, skin, share, dark, maps.cut(rows, columns))

    def closing(self, landmarks: np.ndarray) -> float:
        """How far the lid of landmarks (68, 2) has come down over the photo's open eye, in [0, 1]; 0 also
        where it has hardly begun to.
        """
        open_gap = self._gap(self.still)
        if open_gap < _MIN_GAP or not self.skin.size:
            return 0.0
        way = float(np.clip((1 - self._gap(landmarks) / open_gap) / _SHUT, 0, 1))
        return way if way > _BEGINS else 0.0

    def area(self, landmarks: np.ndarray, size: tuple[int, int]) -> Rect:
        """The pixels that may change in a frame of size (H, W) with landmarks (68, 2)."""
        return rect_around(landmarks[list(self.ring)], _AREA * _width(landmarks[list(self.ring)]) + 2, size)

    def layers(self, apart: np.ndarray, closing: float, rect: Rect) -> list[tuple[np.ndarray, np.ndarray]]:
        """See `Closure`: the skin below the line, the lid, and the lashes with their shade."""
        import cv2

        maps, to = self.maps, self._moved(apart, rect)
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
        faded = float(smoothstep(_BEGINS, _COMES, np.array(closing)))

        def moved(x: np.ndarray) -> np.ndarray:
            return cv2.warpAffine(x.astype(np.float32), to, size)

        lit = np.clip(self.skin * self._light(off, closing)[..., None], 0, 255)
        black = np.zeros(3, np.float32) + self.dark
        return [
            (moved(self.skin), moved(under) * faded),
            (moved(lit), moved(lid) * faded),
            (black, moved(line) * faded),
        ]

    def _light(self, off: np.ndarray, closing: float) -> np.ndarray:
        """(h, w) by which the skin is lighter on the ball of the eye and darker at the line."""
        glow = _GLOW * np.exp(-(((self.maps.along - 0.5) / 0.36) ** 2) - ((off + 0.12) / 0.15) ** 2)
        crease = _CREASE * np.exp(-((off / 0.06) ** 2)) * self.maps.arch
        return 1 + closing * (glow - crease)

    def _line(self, off: np.ndarray) -> np.ndarray:
        """(h, w) in [0, 1]: the line of the lashes, soft above, with single lashes below."""
        outer, below = self.maps.outer, np.maximum(off, 0)
        at = outer - 0.9 * below * (outer - 0.25)  # lashes spread outwards
        uneven = 0.35 * np.sin(at / 0.0207) + 0.2 * np.sin(at / 0.0493)
        comb = 0.5 + 0.5 * np.sin(2 * np.pi * (at / _LASH + uneven))
        soft = self._ridge(off, 1.8, _SOFT) * (1 - 0.6 * comb * smoothstep(0.016, 0.066, off))
        line = np.maximum(0.8 * soft, 0.95 * self._ridge(off, 1.3, _CORE))
        return line * smoothstep(-0.06, 0.1, outer) * smoothstep(1.1, 0.97, outer)

    def _ridge(self, off: np.ndarray, steeper_above: float, thickness: float) -> np.ndarray:
        """(h, w): 1 at the lid's edge, falling to both sides."""
        way = np.where(off < 0, steeper_above * off, off) / (thickness * self.maps.taper)
        return np.exp(-(way**2))

    def _shade_below(self, off: np.ndarray) -> np.ndarray:
        return _SHADE * np.exp(-((off / 0.1) ** 2)) * (off > 0) * self.maps.arch

    def _gap(self, landmarks: np.ndarray) -> float:
        """Mean gap across the line between the corners, over its length."""
        eye = landmarks[list(self.ring)]
        along = (eye[3] - eye[0]) / _width(eye)
        apart = eye[[5, 4]] - eye[[1, 2]]
        return float((along[0] * apart[:, 1] - along[1] * apart[:, 0]).mean()) / _width(eye)

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


def _as_light_as_lid(
    skin: np.ndarray, part: np.ndarray, hidden: np.ndarray, maps: LidMaps, width: float
) -> np.ndarray:
    """The new skin (h, w, 3), no darker than what the photo shows of the lid between fold and lashes."""
    middle = (maps.along > 0.2) & (maps.along < 0.8)
    strip = middle & (maps.below > -_HIDDEN) & (maps.below < -0.05)
    cover = middle & (maps.below > 0) & (maps.below < maps.gap)
    if not strip.any() or not cover.any():
        return skin
    own, new = part[strip].mean(axis=0) / _LIT, np.maximum(skin[cover].mean(axis=0), 1)
    if own.mean() <= new.mean():
        return skin
    gain = np.clip(own / new, 1, _MOST_LIT) - 1
    soft = _blurred(hidden.astype(np.float32), 0.05 * width)
    return np.clip(skin * (1 + soft[..., None] * gain), 0, 255).astype(np.float32)


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
