"""A lid that closes as skin: the photo's own fold stays, new skin comes only where eye and lashes were.

Nothing ends in an edge: the skin's share fades, the line of the lashes tapers, the shade goes on below it.
All is drawn in the photo's own pixels and moved with the corners of the eye.
"""

from dataclasses import dataclass

import numpy as np

from atldiff.landmarks import BROWS, LEFT_EYE, RIGHT_EYE
from atldiff.rendering.face_parts.eyelids import (
    Lid,
    _blurred,
    _continued,
    _curve,
    _down,
    _grain,
    _grown,
    _lash_colour,
)
from atldiff.rendering.face_parts.shapes import Rect, rect_around
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
        width = max(float(np.linalg.norm(eye[3] - eye[0])), 1e-6)
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


@dataclass(frozen=True, eq=False)
class SoftLid(Lid):
    """One eye's upper lid; see `Lid`. Its `closing` is the way that the lid has come, 1 = all of it.

    Attributes:
        maps: where the pixels of `skin` lie in the eye.
    """

    maps: LidMaps

    @classmethod
    def from_photo(cls, image: np.ndarray, still: np.ndarray, side: int) -> "SoftLid":
        """The right (0) or left (1) eye's, of the face with landmarks `still`, pixels of `image`."""
        eye = (RIGHT_EYE, LEFT_EYE)[side]
        ring, outline = tuple(range(eye.start, eye.stop)), still[eye]
        width = max(float(np.linalg.norm(outline[3] - outline[0])), 1e-6)
        rect = rect_around(outline, _MARGIN * width, (image.shape[0], image.shape[1]))
        part = image[rect[1] : rect[3], rect[0] : rect[2], :3].astype(np.float32)
        outline, size = outline - rect[:2], (part.shape[0], part.shape[1])
        hidden = _grown(outline, size, _HIDDEN * width)
        brow = _grown(still[BROWS].reshape(2, 5, 2)[side] - rect[:2], size, 0.08 * width)
        skin = _continued(part, hidden, brow, width)
        dark = _lash_colour(part, skin, outline, width)
        skin = np.where(hidden[..., None], skin, _blurred(skin, 0.05 * width)) + _grain(part, hidden, width)
        maps = LidMaps.from_eye(outline, size, side)
        area = (maps.below > -_KEPT_ABOVE) & (maps.below < maps.gap + _KEPT_BELOW)
        area &= (maps.along > -0.1) & (maps.along < 1.1)
        share = np.clip(1.6 * _blurred(area.astype(np.float32), _FADE * width) - 0.2, 0, 1)
        return cls(ring, still, rect, skin.astype(np.float32), share, dark, maps)

    def closing(self, landmarks: np.ndarray) -> float:
        """How far the lid of landmarks (68, 2) has come down over the photo's open eye, in [0, 1]; 0 also
        where it has hardly begun to.
        """
        open_gap = self._gap(self.still)
        if open_gap < _MIN_GAP:
            return 0.0
        way = float(np.clip((1 - self._gap(landmarks) / open_gap) / _SHUT, 0, 1))
        return way if way > _BEGINS else 0.0

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
