"""Detects a covered mouth: by a mask, a hand, a microphone, a cup.

A logistic regression weighs five measures of a covered mouth:
- the meshes of the face and of its mirror image disagree;
- no dark line lies between the lips;
- this line has the same depth everywhere;
- the colour of the lips is far from the colour of the skin;
- the two halves of the mouth look different.
"""

import numpy as np

from atldiff.landmarks import FaceFrame

COVERED = 1.5  # lowest log odds of a covered mouth
LEAST_CONTRAST = 5.0  # standard deviation of L* in the face, below which the measures fail
# The crop of the upright face: corner in face units, width and height in pixels, pixels a face unit.
_CORNER, _SIZE, _SCALE = np.array([-1.0, -0.5]), (128, 141), 64
_ACROSS, _DOWN = np.linspace(-0.4, 0.4, 17), np.linspace(-0.45, 0.55, 41)  # samples, in mouth widths
_ABOVE, _SEAM, _BELOW = slice(4, 14), slice(14, 27), slice(27, 37)  # rows of the samples
_LEAST_SPREAD = 0.003
_LEAST = np.array([-np.inf, -6.0, 0.0, 0.0, -1.0])  # bounds of the measures
_MOST = np.array([np.inf, 20.0, 9.0, 40.0, 1.0])
_WEIGHTS, _BIAS = np.array([5.04, -0.243, -0.665, 0.089, -2.462]), 26.476


def is_covered(image: np.ndarray, landmarks: np.ndarray, spread: float) -> bool:
    """Is the mouth of a face surely covered?

    Args:
        image: (H, W, 3) uint8.
        landmarks: (68, 2) pixels.
        spread: see `finder.Face`; NaN if unknown.
    """
    face, points = _upright_face(image, landmarks)
    if not np.isfinite(spread) or face[20:120, 24:104, 0].std() < LEAST_CONTRAST:
        return False
    return bool(_WEIGHTS @ _measures(face, points, spread) + _BIAS > COVERED)


def _upright_face(image: np.ndarray, landmarks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The face from brows to neck, (141, 128, 3) float32 CIE L*a*b*, and its landmarks (68, 2) in it."""
    import cv2

    frame, width, height = FaceFrame.from_landmarks(landmarks), *_SIZE
    corners = np.array([[0, 0], [width, 0], [0, height], [width, height]], np.float32)
    places = frame.from_face(corners / _SCALE + _CORNER)
    x0, y0, x1, y1 = rect = _pixels_around(places, image.shape)
    part, places = image[y0:y1, x0:x1], places - rect[:2]
    move = cv2.getAffineTransform(places[:3].astype(np.float32), corners[:3])
    scale = float(np.hypot(*move[0, :2]))
    if scale < 0.7:  # avoid aliasing of a large photo
        part = cv2.GaussianBlur(part, (0, 0), 0.4 / scale)
    part = cv2.warpAffine(part, move, _SIZE, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    lab = cv2.cvtColor(part.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    return lab, ((frame.to_face(landmarks) - _CORNER) * _SCALE).astype(np.float32)


def _pixels_around(places: np.ndarray, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """The bounds x0, y0, x1, y1 round places (N, 2) in an image of shape (H, W, ...); at least one pixel."""
    x0, y0 = np.clip(places.min(axis=0) - 4, 0, (shape[1] - 1, shape[0] - 1)).astype(int)
    x1, y1 = np.clip(places.max(axis=0) + 5, (x0 + 1, y0 + 1), shape[1::-1]).astype(int)
    return int(x0), int(y0), int(x1), int(y1)


def _measures(face: np.ndarray, points: np.ndarray, spread: float) -> np.ndarray:
    """The five measures of an upright face, in the order above."""
    light = _mouth(face, points)[..., 0]
    beside = np.minimum(np.median(light[_ABOVE], axis=0), np.median(light[_BELOW], axis=0))
    depth = beside - light[_SEAM].min(axis=0)
    alike = np.corrcoef(light.ravel(), light[:, ::-1].ravel())[0, 1] if light.std() > 0.5 else 0.0
    lips, skin = _median(face, _lips(points)), _median(face, _skin(points))
    strange = float(np.hypot(*(lips - skin)[1:]))
    measures = [np.log(spread + _LEAST_SPREAD), np.median(depth), depth.std(), strange, alike]
    return np.clip(measures, _LEAST, _MOST)


def _mouth(face: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Samples (41, 17, 3) across the mouth, along the line between its corners."""
    import cv2

    along = points[54] - points[48]
    down = np.array([-along[1], along[0]])
    places = (points[62] + points[66]) / 2 + _ACROSS[None, :, None] * along + _DOWN[:, None, None] * down
    x, y = places.astype(np.float32).transpose(2, 0, 1)
    return cv2.remap(face, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _lips(points: np.ndarray) -> np.ndarray:
    """(141, 128) bool: the lips without the mouth's interior."""
    import cv2

    outer, inner = _fill(points[48:60]), _fill(points[60:68])
    lips = outer & ~cv2.dilate(inner.astype(np.uint8), np.ones((2, 2))).astype(bool)
    return lips if lips.sum() >= 15 else outer


def _skin(points: np.ndarray) -> np.ndarray:
    """(141, 128) bool: cheeks and bridge of the nose, which a mask leaves partly free."""
    mask = _fill(points[[28, 28, 30, 30]] + np.array([[-4, 0], [4, 0], [5, 0], [-5, 0]]))
    for jaw, below, lid, wing, out in ((1, 2, 40, 31, -3), (15, 14, 47, 35, 3)):
        cheek = [
            (points[jaw] + points[lid]) / 2 + [0, 4],
            0.6 * points[lid] + 0.4 * points[wing] + [0, 4],
            points[wing] + [out, -4],
            (points[below] + points[wing]) / 2,
        ]
        mask |= _fill(np.array(cheek))
    return mask


def _median(face: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Median colour (3,) under a mask; a tiny mask gives the face's median."""
    return np.median(face[mask] if mask.sum() > 5 else face.reshape(-1, 3), axis=0)


def _fill(outline: np.ndarray) -> np.ndarray:
    import cv2

    mask = np.zeros(_SIZE[::-1], np.uint8)
    cv2.fillPoly(mask, [np.round(outline * 16).astype(np.int32)], 1, cv2.LINE_8, 4)
    return mask > 0
