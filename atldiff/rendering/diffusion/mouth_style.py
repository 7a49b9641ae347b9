"""The mouth's style: four numbers that describe a mouth's interior (brightness at three heights, colour).

- Lip shape does not predict them; identity does. Without them the network would paint the mean mouth.
- They condition the U-Net.
- For a photo with a closed mouth they are sampled from the seed.
"""

from zlib import crc32

import numpy as np

from atldiff.landmarks import OUTER_LIPS, mouth_opening
from atldiff.rendering.face_parts.light import LUMA
from atldiff.rendering.face_parts.lip_outline import mouth_outline

STYLE_DIM = 4
MIN_OPENING = 0.04  # least mouth opening that shows enough of the inside, inter-ocular distances
OWN_SHARE = 0.7  # share of one frame's style that other frames of the same person have too
TYPICAL = np.array([1.5, -1.1, -0.5, -0.2])  # the smile of a good photo: bright, most of all at the top
SPREAD = 0.9  # standard deviation of sampled styles; 1 over people
MOST = 2.5  # limit of each number, beyond which there is no training data
_ROWS, _COLUMNS, _FINE = 3, 8, 8  # cells of the brightness grid, and samples per cell on each axis
_RIM = 0.1  # share of the height that is skipped at the top and at the bottom
_HALF_BLACK = 2.0  # levels, added so that black has a logarithm
# Means of `_features` over training people, and the basis of their whitened principal components.
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
    """Measures the style of an open mouth.

    Args:
        picture: (H, W, 3) uint8.
        landmarks: (68, 2) pixels of the picture.

    Returns:
        (4,) float32 with mean 0 and standard deviation 1 over people; None if the mouth is closed.
    """
    if float(mouth_opening(landmarks)) < MIN_OPENING:
        return None
    return ((_features(picture, landmarks) - _MEAN) @ _BASIS).astype(np.float32)


def portrait_style(picture: np.ndarray, landmarks: np.ndarray, seed: int) -> np.ndarray:
    """The style that conditions the U-Net for a portrait.

    An open mouth keeps its own style. For a closed one a style is sampled; equal pictures and seeds get equal
    styles.

    Args:
        picture: (H, W, 3) uint8.
        landmarks: (68, 2) pixels of the picture.
        seed: of the video.

    Returns:
        (4,) float32 within [-MOST, MOST].
    """
    own = mouth_style(picture, landmarks)
    if own is not None:
        style = TYPICAL + OWN_SHARE * (own - TYPICAL)
    else:
        rng = np.random.default_rng((seed, crc32(picture.tobytes())))
        style = rng.normal(TYPICAL, SPREAD)
    return style.clip(-MOST, MOST).astype(np.float32)


def _features(picture: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """Logarithms (8,) of the inside's colours relative to the lips.

    They are the brightness at three heights in the middle and at the sides, red over green, and blue over
    green.
    """
    inside = _inside(picture, landmarks) + _HALF_BLACK
    relative = inside / (_lip_colour(picture, landmarks) + _HALF_BLACK)
    bright, quarter = np.log(relative @ LUMA), _COLUMNS // 4
    middle = bright[:, quarter:-quarter].mean(axis=1)
    sides = np.delete(bright, np.s_[quarter:-quarter], axis=1).mean(axis=1)
    red, green, blue = relative.mean(axis=(0, 1))
    return np.array([*middle, *sides, np.log(red / green), np.log(blue / green)])


def _inside(picture: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """Mean colours (_ROWS, _COLUMNS, 3) float64 between the lips, from corner to corner."""
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
    colours = cv2.remap(picture, at[..., 0], at[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return colours.reshape(_ROWS, _FINE, _COLUMNS, _FINE, 3).mean(axis=(1, 3))


def _lip_colour(picture: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """Mean colour (3,) of the lips."""
    import cv2

    mask = np.zeros(picture.shape[:2], np.uint8)
    for outline, value in ((landmarks[OUTER_LIPS], 1), (mouth_outline(landmarks), 0)):
        cv2.fillPoly(mask, [np.round(outline).astype(np.int32)], value)
    return np.array(cv2.mean(picture, mask)[:3])
