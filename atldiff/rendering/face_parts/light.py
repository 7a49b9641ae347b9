"""Estimates a photo's light and sharpness, so that painted parts match it."""

import numpy as np

from atldiff.landmarks import EYE_CORNERS, LEFT_EYE, RIGHT_EYE

EYE_SPAN = 90.0  # mm between the outer corners of an adult's eyes
LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_SKIN = (2, 3, 13, 14, 31, 35, 29)  # landmarks round cheeks and nose, which enclose bare skin


def face_axes(landmarks: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Unit vectors (2,) along the eyes to the right and down the face, and pixels per millimetre."""
    right = landmarks[EYE_CORNERS[1]] - landmarks[EYE_CORNERS[0]]
    length = max(float(np.linalg.norm(right)), 1e-6)
    right = right / length
    return right, np.array([-right[1], right[0]]), length / EYE_SPAN


def teeth_colour(image: np.ndarray, still: np.ndarray) -> tuple[np.ndarray, float]:
    """Estimates the teeth's colour from the skin and the whites of the eyes.

    Args:
        image: (H, W, >=3) uint8.
        still: (68, 2) landmarks, pixels of `image`.

    Returns:
        Colour (3,) float32 levels of the teeth, and the light's relative change per mm to the right.
    """
    import cv2

    mask = np.zeros(image.shape[:2], np.uint8)
    hull = cv2.convexHull(np.round(still[list(_SKIN)]).astype(np.int32))
    cv2.fillConvexPoly(mask, hull, 1)
    ys, xs = np.nonzero(mask)
    if len(ys) == 0:
        return np.full(3, 160, np.float32), 0.0
    skin_pixels = image[ys, xs, :3].astype(np.float32)
    skin = np.median(skin_pixels, axis=0)
    mask[:] = 0
    cv2.fillPoly(mask, [np.round(still[eye]).astype(np.int32) for eye in (RIGHT_EYE, LEFT_EYE)], 1)
    eyes = image[mask > 0][:, :3].astype(np.float32)
    luma = max(float(skin @ LUMA), 1.0)
    white = float(np.percentile(eyes @ LUMA, 90)) if len(eyes) > 10 else luma
    level = np.clip(max(0.95 * luma, min(0.95 * white, 1.35 * luma)), 30, 225)
    tint = teeth_tint(skin, eyes)
    right, _, mm = face_axes(still)
    along = ((np.stack([xs, ys], -1) - still[33]) @ right) / mm
    relative = skin_pixels @ LUMA / luma - 1
    slope = float((along * relative).sum() / max((along * along).sum(), 1e-6))
    return (level * tint / (tint @ LUMA)).astype(np.float32), float(np.clip(slope, -0.012, 0.012))


def teeth_tint(skin: np.ndarray, eyes: np.ndarray) -> np.ndarray:
    """Estimates the teeth's colour at luma 1, by lines fitted to bright teeth of training people.

    The whites of the eyes show the colour of the light.

    Args:
        skin: (3,) colour of the skin, levels.
        eyes: (N, 3) pixels between the lids, levels.

    Returns:
        (3,) float32.
    """
    red, _, blue = skin / max(float(skin @ LUMA), 1.0)
    luma = eyes @ LUMA
    if len(eyes) > 10 and luma.max() > 1:
        white = eyes[luma >= np.percentile(luma, 85)].mean(axis=0)
        white = white / (white @ LUMA)
        red, blue = 0.277 + 0.328 * red + 0.381 * white[0], 0.285 + 0.4 * blue + 0.333 * white[2]
    else:
        red, blue = 0.415 + 0.563 * red, 0.423 + 0.604 * blue
    red, blue = np.clip([red, blue], (0.9, 0.5), (1.5, 1.2))
    return np.array([red, (1 - LUMA[0] * red - LUMA[2] * blue) / LUMA[1], blue], np.float32)


def softness(image: np.ndarray, still: np.ndarray) -> float:
    """Estimates the blur of a photo's edges between brows and chin.

    The ratio of a blurred edge's slope to its curvature grows with the blur. The line through that ratio is
    fitted to portraits with known blur of 0 to 4 pixels.

    Args:
        image: (H, W, >=3) uint8.
        still: (68, 2) landmarks, pixels of `image`.

    Returns:
        Standard deviation of the blur in pixels, >= 0.3; 0.3 = sharp.
    """
    import cv2

    low = np.maximum(np.floor(still[17:].min(axis=0)), 0).astype(int)
    high = np.minimum(np.ceil(still[17:].max(axis=0)), image.shape[1::-1]).astype(int)
    if (high - low).min() < 8:
        return 0.3
    grey = np.ascontiguousarray(image[low[1] : high[1], low[0] : high[0], :3])
    grey = cv2.GaussianBlur(cv2.cvtColor(grey, cv2.COLOR_RGB2GRAY).astype(np.float32), (0, 0), 0.7)
    slope = np.hypot(cv2.Sobel(grey, -1, 1, 0, scale=0.125), cv2.Sobel(grey, -1, 0, 1, scale=0.125))
    steep, steepest = np.percentile(slope, (80, 95))
    curvature = np.abs(cv2.Laplacian(grey, -1, ksize=1))[slope >= steep].mean()
    return max(0.3, (float(slope[slope >= steepest].mean() / max(curvature, 1e-3)) - 2.0) / 1.9)
