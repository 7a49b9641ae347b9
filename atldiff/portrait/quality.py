"""Advice on a photo: the faults that its video will show, in plain sentences."""

import numpy as np

from atldiff.config import FRAME_SIZE
from atldiff.errors import InputError
from atldiff.landmarks import MOUTH, crop_box, eye_opening, mouth_opening, to_crop, yaw
from atldiff.portrait.photo import crop_square

SIDE_FACE = 0.35  # |yaw|; a face beyond it hides its far cheek and eye corner
CLOSED_EYES = 0.12  # eye opening; narrow and smiling eyes lie above
OPEN_MOUTH = 0.1  # mouth opening; closed lips lie below, a smile with teeth above
WIDE_OPEN = 0.25  # mouth opening; a wider mouth does not close completely
SHARPNESS = 0.8  # see `sharpness`; a blur by 2 % of the eyes' distance lies below
SHARPNESS_SIZE = 256  # pixels; side of the crop for `sharpness` and `exposure`
DARK = 60.0  # level of a face's light parts; eyes and highlights of well-lit dark skin lie above
WHITE = 0.15  # white share of an overexposed face
_WHITE_LEVEL = 250
BLACK = 24  # level; a bar's pixels lie below, also after JPEG
_THINNEST_BAR, _BAR_EDGE = 0.015, 0.35  # of the photo's side; share of bright pixels next to a bar
MOST_OUTSIDE = 0.45  # highest share of a face's area outside the photo
MOST_MOUTH_OUTSIDE = 0.3  # highest share of a mouth's area outside the photo


def check_place(landmarks: np.ndarray, shape: tuple[int, ...]) -> None:
    """Refuses a face (68, 2), pixels, too far outside a photo of shape (H, W, ...).

    Raises:
        InputError: half of the face, or much of the mouth, lies outside.
    """
    remedy = "Use a photo that shows the whole face"
    if outside_share(landmarks, shape) > MOST_OUTSIDE:
        raise InputError("Half of the face lies outside the photo", remedy)
    mouth = outside_share(landmarks[MOUTH], shape)
    if mouth > MOST_MOUTH_OUTSIDE:
        part = "The mouth" if mouth > 0.9 else "A part of the mouth"
        raise InputError(f"{part} lies outside the photo", remedy)


def outside_share(points: np.ndarray, shape: tuple[int, ...]) -> float:
    """The share, 0 to 1, of the points' (N, 2) hull that lies outside a picture of shape (H, W, ...)."""
    import cv2

    height, width = shape[:2]
    hull = cv2.convexHull(points.astype(np.float32))
    frame = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    inside, _ = cv2.intersectConvexConvex(hull, frame)
    return 1 - float(inside) / max(cv2.contourArea(hull), 1e-6)


def photo_advice(image: np.ndarray, landmarks: np.ndarray, num_faces: int = 1, face: int = 1) -> list[str]:
    """Writes one sentence for each fault that the video will show.

    Args:
        image: (H, W, 3) uint8, the photo.
        landmarks: (68, 2) pixels.
        num_faces: number of faces in the photo.
        face: number of this face, 1 = the largest.
    """
    box = crop_box(landmarks)
    height, width = image.shape[:2]
    side = box[2] - box[0]
    brightest, white = exposure(image, landmarks)
    low, high = landmarks.min(axis=0), landmarks.max(axis=0)
    others = "The largest of them" if face == 1 else f"Number {face}"
    advice = [
        (
            num_faces > 1,
            f"The photo shows {num_faces} faces. {others} is animated; choose another by its number, "
            f"1 (the largest) to {num_faces}.",
        ),
        (
            abs(yaw(landmarks)) > SIDE_FACE,
            "The face is turned to the side. A photo from the front gives a better video.",
        ),
        (
            eye_opening(landmarks) < CLOSED_EYES,
            "The eyes seem to be closed. They will stay closed in the video.",
        ),
        (
            mouth_opening(landmarks) > WIDE_OPEN,
            "The mouth is wide open and will look torn when it closes. Take a photo with closed lips.",
        ),
        (
            OPEN_MOUTH < mouth_opening(landmarks) <= WIDE_OPEN,
            "The mouth is open. A photo with closed lips gives cleaner speech.",
        ),
        (
            has_black_bars(image),
            "The photo has black bars, and so will have the video. Cut them off, or zoom to the head.",
        ),
        (brightest < DARK, "The face is very dark, and so will be the video. Use a brighter photo."),
        (white > WHITE, "The face is overexposed: its light parts are white. Use a darker photo."),
        (side < FRAME_SIZE, "The face is small. A larger photo gives a sharper video."),
        (
            side >= FRAME_SIZE and sharpness(image, box) < SHARPNESS,
            "The face is blurred. A sharper photo gives a better video.",
        ),
        (
            (low < 0).any() or (high > (width, height)).any(),
            "A part of the face lies outside the photo.",
        ),
    ]
    return [sentence for applies, sentence in advice if applies]


def has_black_bars(image: np.ndarray) -> bool:
    """Whether two opposite edges of a photo (H, W, 3) uint8 are black bars, as of screenshots and films.

    A bar ends at a straight line. So a dark background, into which a head reaches, is none.
    """
    bright = image.max(axis=2) > BLACK
    return any(
        all(_is_bar(side) for side in (rows, rows[::-1]))
        for rows in (bright.mean(axis=1), bright.mean(axis=0))
    )


def _is_bar(shares: np.ndarray) -> bool:
    """Whether lines of a picture, by their shares of bright pixels (N,), begin with a black bar."""
    filled = np.flatnonzero(shares > 0.02)
    if not len(filled) or filled[0] < max(2, _THINNEST_BAR * len(shares)):
        return False
    return bool(shares[filled[0] : filled[0] + 4].max() > _BAR_EDGE)


def sharpness(image: np.ndarray, box: np.ndarray) -> float:
    """Strength of the finest detail in a photo's box (4,), relative to its edges; 1 = just sharp."""
    grey = crop_square(image, box, SHARPNESS_SIZE).astype(np.float32).mean(axis=2)
    inner = grey[1:-1, 1:-1]
    laplacian = 4 * inner - grey[:-2, 1:-1] - grey[2:, 1:-1] - grey[1:-1, :-2] - grey[1:-1, 2:]
    edges = np.hypot(np.diff(grey, axis=0)[:, 1:], np.diff(grey, axis=1)[1:]).mean()
    return float(laplacian.std() / (edges + 1))  # + 1 level makes a flat picture unsharp


def exposure(image: np.ndarray, landmarks: np.ndarray) -> tuple[float, float]:
    """The 95th percentile, 0 to 255, of the light in a face (68, 2), and its white share, 0 to 1."""
    import cv2

    box = crop_box(landmarks)
    crop = crop_square(image, box, SHARPNESS_SIZE).astype(np.float32)
    hull = cv2.convexHull(to_crop(landmarks, box) * SHARPNESS_SIZE)
    mask = np.zeros(crop.shape[:2], np.uint8)
    cv2.fillConvexPoly(mask, np.round(hull).astype(np.int32), 1)
    light = crop[mask > 0] @ np.array([0.299, 0.587, 0.114], np.float32)
    return float(np.percentile(light, 95)), float((light >= _WHITE_LEVEL).mean())
