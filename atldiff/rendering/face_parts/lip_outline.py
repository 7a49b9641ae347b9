"""The smooth outline of the inner lips, from their eight landmarks.

Six landmarks lie in the middle of the mouth. The lips curve strongly between them and the corners, where
straight lines would cut off much of an open mouth.
"""

import numpy as np

from atldiff.landmarks import INNER_LIPS

# Extra points from a corner to the next landmark: share of the way along the mouth, and up or down.
# Medians of training mouths; they hardly depend on the mouth's opening.
_UPPER = np.array([(0.20, 0.42), (0.41, 0.73), (0.67, 0.95)], np.float32)
_LOWER = np.array([(0.23, 0.38), (0.42, 0.62), (0.68, 0.84)], np.float32)
_CORNERS = 0, 10  # indices of the corners in `round_lips`
_CURVE = 3  # curve points per point of `round_lips`


def mouth_outline(landmarks: np.ndarray) -> np.ndarray:
    """Landmarks (..., 68, 2) -> the smooth outline of the inner lips (..., 60, 2), same unit."""
    return smooth_outline(landmarks[..., INNER_LIPS, :])


def smooth_outline(inner: np.ndarray) -> np.ndarray:
    """The Catmull-Rom curve (..., 60, 2) through `round_lips` of (..., 8, 2), with sharp corners."""
    points = round_lips(inner)
    before, after = np.roll(points, 1, axis=-2), np.roll(points, -1, axis=-2)
    beyond = np.roll(points, -2, axis=-2)
    for corner in _CORNERS:
        before[..., corner, :] = points[..., corner, :]
        beyond[..., corner - 1, :] = after[..., corner - 1, :]
    t = np.linspace(0, 1, _CURVE, endpoint=False, dtype=np.float32)[:, None]
    points, before, after, beyond = (x[..., None, :] for x in (points, before, after, beyond))
    cubic = 2 * points + (after - before) * t
    cubic = cubic + (2 * before - 5 * points + 4 * after - beyond) * t**2
    cubic = cubic + (3 * points - before - 3 * after + beyond) * t**3
    return (0.5 * cubic).reshape(*inner.shape[:-2], -1, 2)


def round_lips(inner: np.ndarray) -> np.ndarray:
    """Inner lips (..., 8, 2) with three more points on either side of each corner: (..., 20, 2)."""
    right, left = inner[..., 0, :], inner[..., 4, :]
    quarters = [
        _from_corner(right, inner[..., 1, :], left, _UPPER),
        _from_corner(left, inner[..., 3, :], right, _UPPER)[..., ::-1, :],
        _from_corner(left, inner[..., 5, :], right, _LOWER),
        _from_corner(right, inner[..., 7, :], left, _LOWER)[..., ::-1, :],
    ]
    upper = [inner[..., :1, :], quarters[0], inner[..., 1:4, :], quarters[1]]
    lower = [inner[..., 4:5, :], quarters[2], inner[..., 5:, :], quarters[3]]
    return np.concatenate(upper + lower, axis=-2)


def _from_corner(corner: np.ndarray, near: np.ndarray, other: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Extra points (..., 3, 2) from a corner to the landmark `near` it; `other` is the other corner."""
    axis, way = other - corner, near - corner
    length = np.maximum((axis * axis).sum(axis=-1, keepdims=True), 1e-12)
    along = axis * ((way * axis).sum(axis=-1, keepdims=True) / length)
    across = way - along
    return corner[..., None, :] + shares[:, :1] * along[..., None, :] + shares[:, 1:] * across[..., None, :]
