"""Nearer to a head: the part of a photo round a face, as fine as the photo has it."""

import numpy as np
from PIL import Image

from atldiff.landmarks import crop_box
from atldiff.portrait.photo import LONG_SIDE

ROOM = 1.25  # side of the smallest part over the network's crop


def nearer(
    fine: np.ndarray, shape: tuple[int, ...], boxes: list[np.ndarray], landmarks: np.ndarray, zoom: float
) -> tuple[np.ndarray, list[np.ndarray], np.ndarray]:
    """The part of a photo round a face, and what was found in the photo in the part's pixels.

    Args:
        fine: (H, W, 3) uint8, the photo at its own size.
        shape: (h, w, ...) of the photo in which boxes (4,) and landmarks (68, 2) were found, pixels.
        zoom: how many times the part goes into the photo, at least 1.

    Returns:
        The part (h', w', 3) uint8, its longer side at most 2048, the boxes and the landmarks.
    """
    x0, y0, x1, y1 = part = part_round(crop_box(landmarks), (shape[1], shape[0]), zoom)
    ratio = fine.shape[1] / shape[1]
    left, top, right, bottom = (round(float(value)) for value in part * ratio)
    picture = Image.fromarray(np.ascontiguousarray(fine[top:bottom, left:right]))
    picture.thumbnail((LONG_SIDE, LONG_SIDE), Image.Resampling.LANCZOS)
    corner = np.array([x0, y0], np.float32)
    scale = np.array([picture.width / (x1 - x0), picture.height / (y1 - y0)], np.float32)
    moved = [((box.reshape(2, 2) - corner) * scale).reshape(4) for box in boxes]
    return np.asarray(picture), moved, (landmarks - corner) * scale


def part_round(crop: np.ndarray, size: tuple[int, int], zoom: float) -> np.ndarray:
    """The part of a photo that a zoom shows: of the photo's shape, or as much wider or higher as the
    network's crop needs, its middle as near to the crop's as the photo's border lets it.

    Args:
        crop: (4,) x0, y0, x1, y1, pixels.  size: (width, height) of the photo.

    Returns:
        (4,) float32 x0, y0, x1, y1, pixels, within the photo.
    """
    whole = np.array(size, np.float32)
    extent = np.minimum(whole, np.maximum(whole / zoom, ROOM * (crop[2:] - crop[:2])))
    corner = np.clip((crop[:2] + crop[2:] - extent) / 2, 0, whole - extent)
    return np.concatenate([corner, corner + extent]).astype(np.float32)
