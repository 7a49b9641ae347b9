"""Single photos of open mouths as training data.

The photo's mouth is closed by our own warp to make the portrait; the photo itself is the target. The network
learns real teeth in their own light.
"""

from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from atldiff import landmarks as lm
from atldiff.errors import InputError
from atldiff.rendering.diffusion.guide_noise import fill_masks
from atldiff.rendering.warp.photo_warp import warp_image
from atldiff.rendering.warp.spline import displacement_field
from atldiff.training.data.extract import STORED_SIZE
from atldiff.training.renderer.clips import Moment, StoredClip

FACES_FILE = "faces.npz"
UNREADABLE = (OSError, ValueError, KeyError, EOFError, BadZipFile)  # errors of a missing or broken file
SEAM = 0.45  # share of light that the line between the lips lacks
# Outer-lip points next to each inner one, in the order of `lm.UPPER_INNER_LIP` and `lm.LOWER_INNER_LIP`.
_UPPER_OUTER, _LOWER_OUTER = ((49, 50), (51,), (52, 53)), ((59, 58), (57,), (56, 55))
_JAW_FOLLOWS = {4: 0.3, 5: 0.6, 6: 0.8, 7: 0.9, 8: 0.9, 9: 0.9, 10: 0.8, 11: 0.6, 12: 0.3}


def load_faces(out: Path, split: str) -> list[StoredClip]:
    """The photos of `split` that `prepare_faces` wrote to `out`, each a clip of one frame.

    Raises:
        InputError: the file is missing or broken.
    """
    try:
        with np.load(out / FACES_FILE) as arrays:
            jpeg, offsets, points = arrays["jpeg"], arrays["offsets"], arrays["points"] * STORED_SIZE
            chosen = np.flatnonzero(arrays["split"] == split)
            identity = arrays["identity"]
    except UNREADABLE as error:
        problem = f"{out / FACES_FILE} does not exist or is broken"
        raise InputError(problem, "Run `python -m atldiff prepare-faces` first") from error
    clips = []
    for i in chosen:
        data = jpeg[offsets[i] : offsets[i + 1]].copy()
        ends, marks = np.array([0, len(data)]), points[i : i + 1].astype(np.float32)
        clips.append(StoredClip(f"face{i}", str(identity[i]), data, ends, marks, np.ones(1, bool)))
    return clips


def closed_landmarks(points: np.ndarray, meet: float = 0.3) -> np.ndarray:
    """Landmarks (68, 2) of the same face with closed lips.

    Args:
        meet: where the lips meet, as a share of the gap from the upper lip down.
    """
    closed = points.copy()
    gap = points[list(lm.LOWER_INNER_LIP)] - points[list(lm.UPPER_INNER_LIP)]
    for i in range(3):
        down, up = meet * gap[i], -(1 - meet) * gap[i]
        closed[[lm.UPPER_INNER_LIP[i], *_UPPER_OUTER[i]]] += down
        closed[[lm.LOWER_INNER_LIP[i], *_LOWER_OUTER[i]]] += up
    for index, share in _JAW_FOLLOWS.items():
        closed[index] -= share * (1 - meet) * gap[1]
    return closed


def close_mouth(photo: np.ndarray, points: np.ndarray, closed: np.ndarray) -> np.ndarray:
    """Warps a photo (S, S, 3) uint8 from landmarks `points` to landmarks `closed`, both (68, 2) pixels.

    The lips' skin first covers the teeth, which would show again in the opened mouth. It is darker in the
    middle, where it closes to the line between the lips.
    """
    import cv2

    size = photo.shape[0]
    inside = fill_masks((points / size)[None].astype(np.float32), size)[0, 0]
    reach = max(3, round(0.06 * float(lm.inter_ocular_distance(points)))) | 1
    rim = cv2.dilate(
        (inside > 0.02).astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach,) * 2)
    )
    skin = cv2.inpaint(np.ascontiguousarray(photo), rim, 3, cv2.INPAINT_TELEA).astype(np.float32)
    line = cv2.GaussianBlur(cv2.erode(inside, np.ones((3, 3), np.uint8)), (0, 0), 1.0)
    skin *= 1 - SEAM * line[..., None]
    box = lm.crop_box(points)
    field = displacement_field(lm.to_crop(closed[None], box), lm.to_crop(points, box))[0]
    return warp_image(skin.round().astype(np.uint8), field, box, (0, 0, photo.shape[1], size))


def reopen_mouth(photo: StoredClip, rng: np.random.Generator) -> Moment:
    """A moment with the photo, its mouth closed by our own warp, as portrait and the photo as true frame."""
    points, picture = photo.points[0], photo.frame(0)
    closed = closed_landmarks(points, rng.uniform(0.1, 0.5)).astype(np.float32)
    portrait = close_mouth(picture, points, closed)
    return Moment(portrait, closed, picture[None], points[None], photo.emotion, photo.style)
