"""What the inside of somebody's mouth looks like: how bright above, amid and below, and of what colour.

The shape of the lips says next to nothing about it (3 % of the variance of the brightness inside 2,453 open
mouths of 111 people), who it is another 52 %: light, teeth, how much of them is shown. A network that is
not told makes the mean of all. So it is told in four numbers; of a photo whose mouth is shut they are drawn.
"""

from zlib import crc32

import numpy as np

from atldiff.landmarks import OUTER_LIPS, mouth_opening
from atldiff.rendering.face_parts.light import LUMA
from atldiff.rendering.face_parts.lip_outline import mouth_outline

STYLE_DIM = 4
MIN_OPENING = 0.04  # inter-ocular distances: less shows too little of the inside
OWN_SHARE = 0.7  # of what one frame shows, the share that other frames of the same person do
TYPICAL = np.array([1.5, -1.1, -0.5, -0.2])  # bright, most of all above: the smile of a good photo
SPREAD = 0.9  # deviation of drawn styles; that of people is 1
MOST = 2.5  # beyond it the network has seen nobody
_ROWS, _COLUMNS, _FINE = 3, 8, 8  # brightness is told apart so; samples of each in either direction
_RIM = 0.1  # of the height, above and below, is not looked at
_HALF_BLACK = 2.0  # levels, added so that black has a logarithm
# Of 122 training people: means of `_features`, and what makes of them whitened principal components.
_MEAN = np.array([-0.45, -0.42, -0.251, -0.715, -0.672, -0.491, 0.153, -0.044])
_BASIS = np.array(
    [
        [0.678, -2.065, 0.869, 0.483],
        [0.639, -0.539, -1.075, -2.375],
        [0.392, 0.728, -2.564, 0.272],
        [0.395, 0.776, 2.133, 0.582],
        [0.384, 1.577, 1.148, -1.026],
        [0.274, 1.833, -0.18, 0.363],
        [-0.3, -0.157, 0.401, -2.708],
        [0.053, -0.064, -0.187, 6.338],
    ]
)


def mouth_style(picture: np.ndarray, landmarks: np.ndarray) -> np.ndarray | None:
    """The style (4,) float32 of the open mouth in a picture (H, W, 3) uint8 with landmarks (68, 2), pixels;
    over many people of mean 0 and deviation 1. None if the mouth is shut.
    """
    if float(mouth_opening(landmarks)) < MIN_OPENING:
        return None
    return ((_features(picture, landmarks) - _MEAN) @ _BASIS).astype(np.float32)


def portrait_style(picture: np.ndarray, landmarks: np.ndarray, seed: int) -> np.ndarray:
    """The style (4,) float32 to give a portrait (H, W, 3) uint8: its own if its mouth is open, else one that
    is drawn; the same for the same picture and seed.
    """
    own = mouth_style(picture, landmarks)
    if own is not None:
        style = TYPICAL + OWN_SHARE * (own - TYPICAL)
    else:
        rng = np.random.default_rng((seed, crc32(picture.tobytes())))
        style = rng.normal(TYPICAL, SPREAD)
    return style.clip(-MOST, MOST).astype(np.float32)


def _features(picture: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """Logarithms (8,) of the inside's colours over the lips' own: brightness above, amid and below, each in
    the middle and at the sides; red over green, blue over green.
    """
    inside = _inside(picture, landmarks) + _HALF_BLACK
    relative = inside / (_lip_colour(picture, landmarks) + _HALF_BLACK)
    bright, quarter = np.log(relative @ LUMA), _COLUMNS // 4
    middle = bright[:, quarter:-quarter].mean(axis=1)
    sides = np.delete(bright, np.s_[quarter:-quarter], axis=1).mean(axis=1)
    red, green, blue = relative.mean(axis=(0, 1))
    return np.array([*middle, *sides, np.log(red / green), np.log(blue / green)])


def _inside(picture: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """Mean colours (rows, columns, 3) float64 between the lips, from corner to corner."""
    import cv2

    outline = mouth_outline(landmarks)
    half = len(outline) // 2
    corner, axis = outline[0], outline[half] - outline[0]
    across = np.array([-axis[1], axis[0]])  # down the face, as long as the mouth is wide
    places = (outline - corner) @ np.stack([axis, across], axis=1) / (axis @ axis)
    upper, lower = places[: half + 1], np.roll(places, -half, axis=0)[: half + 1][::-1]
    u = (np.arange(_COLUMNS * _FINE) + 0.5) / (_COLUMNS * _FINE)
    top, bottom = (np.interp(u, *side.T) for side in (upper, lower))
    v = _RIM + (1 - 2 * _RIM) * (np.arange(_ROWS * _FINE)[:, None] + 0.5) / (_ROWS * _FINE)
    down = top + (bottom - top) * v
    at = (corner + u[:, None] * axis + down[..., None] * across).astype(np.float32)
    found = cv2.remap(picture, at[..., 0], at[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return found.reshape(_ROWS, _FINE, _COLUMNS, _FINE, 3).mean(axis=(1, 3))


def _lip_colour(picture: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """Mean colour (3,) of the lips."""
    import cv2

    mask = np.zeros(picture.shape[:2], np.uint8)
    for outline, value in ((landmarks[OUTER_LIPS], 1), (mouth_outline(landmarks), 0)):
        cv2.fillPoly(mask, [np.round(outline).astype(np.int32)], value)
    return np.array(cv2.mean(picture, mask)[:3])
