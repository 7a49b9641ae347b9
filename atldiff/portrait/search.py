"""In which picture of a photo a face is looked for: its frames, its parts, its own resolution."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from atldiff.errors import InputError
from atldiff.portrait.finder import Face, Finder, padded, tiles, whole
from atldiff.portrait.photo import LONG_SIDE, frames_to_try, open_photo

FRONTAL = "Use a sharp photo that shows one face from the front, upright"
MIN_PHOTO = 32  # pixels; shorter side of a photo that can show a face
FINEST = 4.0  # times the usual size, the photo from which a part is taken
FINER = 2.0  # times the usual size, the photo in which a face is looked for that is not found at once
LONG_RATIO = 4.0  # longer over shorter side of panoramas and long screenshots


@dataclass(frozen=True, eq=False)
class Scene:
    """A photo and the faces in it.

    Attributes:
        image: (H, W, 3) uint8, upright; may be larger than what a video shows.
        faces: in pixels of `image`, the largest first.
        turns: quarter turns by which the photo was turned.
        frame: which frame of an animation this is.
    """

    image: np.ndarray
    faces: tuple[Face, ...]
    turns: int = 0
    frame: int = 0


def search(source: str | Path | np.ndarray | Image.Image, finder: Finder) -> Scene:
    """Looks for faces in a photo, as `open_photo` takes it.

    The first frame with a face is taken of an animation. A panorama is searched in its own resolution, and
    so is a large photo in which no face is found at first.

    Returns:
        The scene; without faces where none is found.

    Raises:
        InputError: no picture, or too small a one.
    """
    scene = _searched(source, finder, 0)
    if scene.faces:
        return scene
    for frame in frames_to_try(source)[1:]:
        other = _searched(source, finder, frame)
        if other.faces:
            return other
    if max(scene.image.shape) == LONG_SIDE:
        fine = open_photo(source, round(FINER * LONG_SIDE))
        return Scene(fine, finder.faces(fine, (tiles,)))
    return scene


def is_long(image: np.ndarray) -> bool:
    """Is a picture (H, W, 3) a panorama, or a long screenshot?"""
    return max(image.shape[:2]) >= LONG_RATIO * min(image.shape[:2])


def _searched(source: str | Path | np.ndarray | Image.Image, finder: Finder, frame: int) -> Scene:
    """The faces of one frame."""
    image = open_photo(source, frame=frame)
    if is_long(image) and max(image.shape) == LONG_SIDE:
        image = open_photo(source, round(FINEST * LONG_SIDE), frame)
    if min(image.shape[:2]) < MIN_PHOTO:
        raise InputError("The photo is too small to show a face", FRONTAL)
    image, turns = finder.upright(image)
    looks = (tiles, whole, padded) if is_long(image) else (whole, padded, tiles)
    return Scene(image, finder.faces(image, looks), turns, frame)
