"""Eyes of drawn figures, which are larger than a person's and reach beyond all landmarks.

GrabCut (Rother et al. 2004) tells the colours of an eye from those round it. A large eye is round, much
larger than the landmarks' eye, and white beyond them. Both eyes of a face are large, or none. Glasses,
make-up and shades in photos do not pass.
"""

from dataclasses import dataclass

import numpy as np

from atldiff.landmarks import BROWS, LEFT_EYE, RIGHT_EYE
from atldiff.rendering.face_parts.eye_maps import EyeShape, eye_width
from atldiff.rendering.face_parts.shapes import fill_polygon

_WIDTH = 32  # pixels of the landmarks' eye in the picture that is searched
_SIZE = (80, 96)  # height and width of that picture
_REACH = np.array((0.95, 0.85))  # half axes of the ellipse in which an eye may lie, landmarks' widths
_BROW = 0.22  # thickness of a brow, likewise
_ROUNDS = 3  # of GrabCut
_LARGE = 1.5  # least area of a large eye, in areas of the landmarks'
_RIM, _RING = 9, 27  # pixels across the white that surely, and that perhaps, surrounds an iris
_WHITE, _ALL_WHITE = 0.1, 0.6  # least areas of white beyond the landmarks, and beyond a first cut, likewise
_CONVEX = 0.9  # least share of the convex hull
_TALL, _ROUND = 0.5, 0.72  # least shares of the circle round an eye, and round an iris
_BRIGHT, _PALE = 0.75, 0.8  # white is at least so bright, and at most so saturated, in the skin's measure
_ALIKE = 1.8  # largest ratio of the areas of both eyes


def eye_shapes(image: np.ndarray, still: np.ndarray) -> tuple[EyeShape, EyeShape]:
    """The openings of both eyes in a photo: the landmarks', or those of a drawn figure's large eyes.

    Args:
        image: (H, W, >= 3) uint8.
        still: (68, 2) landmarks, pixels of `image`.

    Returns:
        The right eye's and the left eye's.
    """
    found = []
    for eye, brow in zip((RIGHT_EYE, LEFT_EYE), still[BROWS].reshape(2, 5, 2), strict=True):
        shape = _find(_View.round_eye(image, still[eye], brow))
        if shape is None:
            break
        found.append(shape)
    areas = [_area(shape.outline) for shape in found]
    if len(found) == 2 and max(areas) <= _ALIKE * min(areas):
        return found[0], found[1]
    return EyeShape.from_landmarks(still[RIGHT_EYE]), EyeShape.from_landmarks(still[LEFT_EYE])


@dataclass(frozen=True, eq=False)
class _View:
    """The picture round an eye, turned level, with the landmarks' eye _WIDTH pixels wide.

    Attributes:
        part: (h, w, 3) uint8.
        back: (2, 3) from its pixels to the photo's.
        scale: pixels of the photo in one of its own.
        inner: (h, w) bool, the landmarks' eye.
        outside: (h, w) bool, where no eye can be.
        skin: (3,) levels of the cheek.
    """

    part: np.ndarray
    back: np.ndarray
    scale: float
    inner: np.ndarray
    outside: np.ndarray
    skin: np.ndarray

    @classmethod
    def round_eye(cls, image: np.ndarray, eye: np.ndarray, brow: np.ndarray) -> "_View":
        """Cuts the picture round an eye (6, 2) with its brow (5, 2)."""
        import cv2

        along = (eye[3] - eye[0]) / eye_width(eye) ** 2 * _WIDTH
        turn = np.stack([along, [-along[1], along[0]]]).astype(np.float64)
        shift = np.array(_SIZE[::-1]) / 2 - turn @ eye[[0, 3]].mean(axis=0)
        to = np.column_stack([turn, shift])
        flags = cv2.INTER_AREA if np.linalg.norm(along) < 1 else cv2.INTER_LINEAR
        picture = np.ascontiguousarray(image[..., :3])
        part = cv2.warpAffine(picture, to, _SIZE[::-1], flags=flags, borderMode=cv2.BORDER_REPLICATE)
        own, above = eye @ turn.T + shift, brow @ turn.T + shift
        middle, at = own.mean(axis=0), np.moveaxis(np.mgrid[: _SIZE[0], : _SIZE[1]][::-1], 0, -1)
        line = np.zeros(_SIZE, np.uint8)
        cv2.polylines(line, [np.round(above).astype(np.int32)], False, 255, round(_BROW * _WIDTH))
        outside = (np.hypot(*np.moveaxis((at - middle) / (_REACH * _WIDTH), -1, 0)) > 1) | (line > 0)
        cheek = part[round(middle[1] + 0.75 * _WIDTH) :, round(middle[0]) - 12 : round(middle[0]) + 13]
        skin = np.median(cheek.reshape(-1, 3), axis=0) if cheek.size else np.full(3, 255.0)
        inner = fill_polygon(own, _SIZE) > 127
        back, scale = cv2.invertAffineTransform(to), eye_width(eye) / _WIDTH
        return cls(part, back, scale, inner, outside, skin)

    def cut(self, sure: np.ndarray, perhaps: np.ndarray) -> np.ndarray:
        """Cuts out (h, w) bool what has the colours of the eye, joined to what is surely of it."""
        import cv2

        mask = np.where(perhaps, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
        mask[sure], mask[self.outside] = cv2.GC_FGD, cv2.GC_BGD
        models = np.zeros((1, 65)), np.zeros((1, 65))
        cv2.setRNGSeed(0)
        cv2.grabCut(self.part, mask, None, *models, _ROUNDS, cv2.GC_INIT_WITH_MASK)
        eye = np.isin(mask, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8)
        _, labels = cv2.connectedComponents(cv2.morphologyEx(eye, cv2.MORPH_OPEN, np.ones((3, 3))))
        counts = np.bincount(labels[self.inner], minlength=2)
        counts[0] = 0
        return (labels == counts.argmax()) & (counts.max() > 0)

    def white(self, area: np.ndarray, within: np.ndarray) -> float:
        """The white of an area beyond another one (h, w) bool, in areas of the landmarks' eye."""
        pixels = self.part[area & ~_grown(within, 3)].astype(np.float64)
        bright = pixels.mean(axis=-1) > _BRIGHT * self.skin.mean()
        return float(
            (bright & (_saturation(pixels) < _PALE * _saturation(self.skin))).sum() / self.inner.sum()
        )


def _find(view: _View) -> EyeShape | None:
    """The opening of a large eye; None if there is none."""
    own = view.inner.sum()
    if not own or view.outside[view.inner].any():
        return None
    first = view.cut(view.inner, _grown(view.inner, 3))
    has_white = view.white(first, view.inner) >= _WHITE  # if not, the landmarks lay within an iris
    if first.sum() < _LARGE * own or _roundness(first) < (_TALL if has_white else _ROUND):
        return None
    whole = view.cut(first if has_white else _grown(first, _RIM), _grown(first, _RING))
    if view.white(whole, first) >= _ALL_WHITE and _convexity(whole) >= _CONVEX:
        return _shape(view, whole)
    return _shape(view, first) if has_white else None


def _shape(view: _View, area: np.ndarray) -> EyeShape:
    """The convex opening (in pixels of the photo) round an area of a view."""
    import cv2

    hull = _hull(area)
    left, right = hull[:, 0].argmin(), hull[:, 0].argmax()
    ring = np.roll(hull, -left, axis=0)
    turn = (right - left) % len(hull)
    chains = ring[: turn + 1], np.concatenate([ring[turn:], ring[:1]])[::-1]
    upper, lower = sorted(chains, key=lambda chain: chain[:, 1].mean())
    luma = view.part.mean(axis=2).astype(np.uint8)
    deep = cv2.erode(_fill(hull).astype(np.uint8), np.ones((3, 3))) > 0
    limit, _ = cv2.threshold(luma[deep].reshape(-1, 1), 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    _, labels, sizes, centres = cv2.connectedComponentsWithStats((deep & (luma <= limit)).astype(np.uint8))
    iris = 1 + int(sizes[1:, cv2.CC_STAT_AREA].argmax()) if len(sizes) > 1 else 0
    radius = np.sqrt(_fill(_hull(labels == iris)).sum() / np.pi) * view.scale

    def photo(points: np.ndarray) -> np.ndarray:
        return (points + 0.5) @ view.back[:, :2].T + view.back[:, 2]

    upper, lower = photo(upper), photo(lower)
    outline = np.concatenate([upper, lower[-2:0:-1]])
    return EyeShape(outline, upper, lower, (photo(centres[iris]), float(radius)))


def _hull(area: np.ndarray) -> np.ndarray:
    """The convex hull (N, 2) float64 of an area, its pixels' middles."""
    import cv2

    rows, columns = np.nonzero(area)
    return cv2.convexHull(np.stack([columns, rows], axis=-1).astype(np.int32))[:, 0].astype(np.float64)


def _fill(hull: np.ndarray) -> np.ndarray:
    """The pixels (h, w) bool within a hull."""
    import cv2

    mask = np.zeros(_SIZE, np.uint8)
    cv2.fillConvexPoly(mask, hull.astype(np.int32), 1)
    return mask > 0


def _convexity(area: np.ndarray) -> float:
    """The share of an area in its convex hull."""
    return float(area.sum() / _fill(_hull(area)).sum())


def _roundness(area: np.ndarray) -> float:
    """The share of an area in the circle round it."""
    import cv2

    _, radius = cv2.minEnclosingCircle(_hull(area).astype(np.float32))
    return float(area.sum() / (np.pi * (radius + 0.5) ** 2))


def _grown(area: np.ndarray, size: int) -> np.ndarray:
    """An area (h, w) bool with a rim of size // 2 pixels."""
    import cv2

    return cv2.dilate(area.astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))) > 0


def _area(outline: np.ndarray) -> float:
    """The area within an outline (N, 2)."""
    x, y = outline.T
    return 0.5 * abs(float(x @ np.roll(y, 1) - y @ np.roll(x, 1)))


def _saturation(levels: np.ndarray) -> np.ndarray:
    """The saturation of colours (..., 3), in [0, 1]."""
    return (levels.max(axis=-1) - levels.min(axis=-1)) / np.maximum(levels.max(axis=-1), 1)
