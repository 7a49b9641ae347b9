"""Positions of pixels in an eye, which lids and irises share. Lengths are widths of the eye."""

from dataclasses import dataclass

import numpy as np

from atldiff.smoothstep import smoothstep

_CURVE = 33  # points of a lid's edge


@dataclass(frozen=True, eq=False)
class EyeShape:
    """The opening of an eye in a photo, pixels.

    Attributes:
        outline: (N, 2), from the left corner over the upper lid to the right one, and back.
        upper: (M, 2), the upper lid's edge from the left corner to the right one.
        lower: (L, 2), the lower lid's, likewise.
        iris: centre (2,) and radius of the iris; None: those of the face's mesh.
    """

    outline: np.ndarray
    upper: np.ndarray
    lower: np.ndarray
    iris: tuple[np.ndarray, float] | None = None

    @classmethod
    def from_landmarks(cls, eye: np.ndarray) -> "EyeShape":
        """The opening between an eye's six landmarks (6, 2)."""
        return cls(eye, eye_curve(*eye[:4]), eye_curve(eye[0], eye[5], eye[4], eye[3]))

    @property
    def corners(self) -> np.ndarray:
        """The left and the right corner, (2, 2)."""
        return self.upper[[0, -1]]

    @property
    def width(self) -> float:
        """The distance between the corners."""
        return max(float(np.linalg.norm(self.corners[1] - self.corners[0])), 1e-6)

    def moved(self, by: np.ndarray) -> "EyeShape":
        """The same opening, moved by (2,) pixels."""
        iris = None if self.iris is None else (self.iris[0] + by, self.iris[1])
        return EyeShape(self.outline + by, self.upper + by, self.lower + by, iris)

    def reach(self, eye: np.ndarray, margin: float) -> float:
        """How far the opening and a margin, in its widths, reach beyond landmarks (6, 2), in their widths."""
        over = np.maximum(
            eye.min(axis=0) - self.outline.min(axis=0), self.outline.max(axis=0) - eye.max(axis=0)
        )
        width = eye_width(eye)
        return max(float(over.max()), 0.0) / width + margin * (self.width / width)


@dataclass(frozen=True, eq=False)
class LidMaps:
    """Positions of the pixels of a photo's eye, (h, w) float32 each, in eye widths.

    Attributes:
        along: position from the left corner (0) to the right one (1).
        below: distance below the upper lid.
        gap: distance from the upper to the lower lid; 0 beyond the corners.
        outer: position from the inner corner (0) to the outer one (1).
        arch: 0 at the corners, 1 in the middle.
        taper: thickness of the lash line, in [0, 1].
    """

    along: np.ndarray
    below: np.ndarray
    gap: np.ndarray
    outer: np.ndarray
    arch: np.ndarray
    taper: np.ndarray

    @classmethod
    def from_eye(cls, eye: EyeShape, size: tuple[int, int], side: int) -> "LidMaps":
        """Measures the positions.

        Args:
            eye: the opening, pixels of the part.
            size: (h, w) of the part.
            side: 0 = the right eye, 1 = the left one.
        """
        width, (left, right) = eye.width, eye.corners
        chord = (right - left) / width
        axes = np.stack([chord, [-chord[1], chord[0]]])
        rows, columns = np.mgrid[: size[0], : size[1]]
        at = np.stack([columns + 0.5, rows + 0.5], axis=-1) - left
        along, across = np.moveaxis(at @ axes.T / width, -1, 0)

        def height(edge: np.ndarray) -> np.ndarray:
            curve = (edge - left) @ axes.T / width
            curve = curve[curve[:, 0].argsort()]
            return np.interp(along, curve[:, 0], curve[:, 1], 0, 0)

        up, low = height(eye.upper), height(eye.lower)
        outer = 1 - along if side == 0 else along
        arch = np.clip(1.6 * np.sin(np.pi * np.clip(along, 0, 1)), 0, 1)
        taper = 0.25 + 0.75 * smoothstep(0, 0.45, outer) * smoothstep(1.08, 0.75, outer)
        maps = (along, across - up, low - up, outer, arch, taper)
        return cls(*(x.astype(np.float32) for x in maps))

    def cut(self, rows: slice, columns: slice) -> "LidMaps":
        """The maps of some rows and columns."""
        return LidMaps(*(np.ascontiguousarray(values[rows, columns]) for values in vars(self).values()))


def eye_width(eye: np.ndarray) -> float:
    """The distance between the corners of an eye (6, 2)."""
    return max(float(np.linalg.norm(eye[3] - eye[0])), 1e-6)


def eye_curve(first: np.ndarray, a: np.ndarray, b: np.ndarray, last: np.ndarray) -> np.ndarray:
    """A smooth curve (N, 2) through a and b; its distance from the chord is t (1 - t) (p + q t)."""
    chord = last - first
    t = np.array([(point - first) @ chord for point in (a, b)]) / max(float(chord @ chord), 1e-9)
    t = np.clip(t, [0.1, 0.55], [0.45, 0.9])
    off = np.stack([a, b]) - first - t[:, None] * chord
    p, q = np.linalg.solve(np.stack([np.ones(2), t], axis=1), off / (t * (1 - t))[:, None])
    t = np.linspace(0, 1, _CURVE)[:, None]
    return first + t * chord + t * (1 - t) * (p + q * t)
