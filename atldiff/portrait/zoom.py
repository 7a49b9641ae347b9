"""Cuts the part round a face out of a photo in full resolution: a zoom to the head, or another shape."""

import numpy as np
from PIL import Image

from atldiff.errors import InputError
from atldiff.landmarks import crop_box
from atldiff.portrait.photo import LONG_SIDE

ROOM = 1.25  # side of the smallest part / side of the network's crop
FACE = 0.8  # least side of a part of a given shape / side of the network's crop


def zoom_to_face(
    fine: np.ndarray,
    shape: tuple[int, ...],
    boxes: list[np.ndarray],
    landmarks: np.ndarray,
    zoom: float,
    aspect: float | None = None,
) -> tuple[np.ndarray, list[np.ndarray], np.ndarray]:
    """Cuts the part of a photo round a face, and moves boxes and landmarks into it.

    Args:
        fine: (H, W, 3) uint8, the photo in full resolution.
        shape: (h, w, ...) of the reduced photo.
        boxes: (4,) pixels of the reduced photo each.
        landmarks: (68, 2) pixels of the reduced photo.
        zoom: size of the photo / size of the part, at least 1.
        aspect: see `part_around`.

    Returns:
        The part (h', w', 3) uint8, its longer side at most 2048; boxes and landmarks in its pixels.

    Raises:
        InputError: see `part_around`.
    """
    x0, y0, x1, y1 = part = part_around(crop_box(landmarks), (shape[1], shape[0]), zoom, aspect)
    ratio = fine.shape[1] / shape[1]
    left, top, right, bottom = (round(float(value)) for value in part * ratio)
    picture = Image.fromarray(np.ascontiguousarray(fine[top:bottom, left:right]))
    picture.thumbnail((LONG_SIDE, LONG_SIDE), Image.Resampling.LANCZOS)
    corner = np.array([x0, y0], np.float32)
    scale = np.array([picture.width / (x1 - x0), picture.height / (y1 - y0)], np.float32)
    new_boxes = [((box.reshape(2, 2) - corner) * scale).reshape(4) for box in boxes]
    return np.asarray(picture), new_boxes, (landmarks - corner) * scale


def part_around(
    crop: np.ndarray, size: tuple[int, int], zoom: float, aspect: float | None = None
) -> np.ndarray:
    """The part of a photo that a zoom shows.

    It has the photo's shape, or is wider or higher to hold the network's crop. With an aspect it has exactly
    this one. Its middle is as near to the crop's as the photo's border allows.

    Args:
        crop: (4,) x0, y0, x1, y1, pixels.
        size: (width, height) of the photo.
        zoom: size of the photo / size of the part, at least 1.
        aspect: width / height of the part; None = the photo's.

    Returns:
        (4,) float32 x0, y0, x1, y1, pixels, within the photo.

    Raises:
        InputError: the face is larger than the largest part of that aspect.
    """
    full, least = np.array(size, np.float32), crop[2:] - crop[:2]
    extent = np.minimum(full, np.maximum(full / zoom, ROOM * least))
    if aspect is not None:
        shape = np.array([aspect, 1], np.float32)
        largest = shape * float((full / shape).min())
        if (largest < FACE * least).any():
            raise InputError(
                "The face fills the photo, so that no part of this shape holds it",
                "Choose another size, or a photo with more room",
            )
        extent = np.minimum(largest, shape * max(float((largest / shape / zoom)[0]), *(ROOM * least / shape)))
    corner = np.clip((crop[:2] + crop[2:] - extent) / 2, 0, full - extent)
    return np.concatenate([corner, corner + extent]).astype(np.float32)
