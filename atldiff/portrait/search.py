"""Searches a photo for faces: its frames, its parts, its own resolution."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from atldiff.errors import InputError
from atldiff.portrait.finder import Face, Finder, add_border, cut_tiles, take_all
from atldiff.portrait.photo import LONG_SIDE, frames_to_try, open_photo

FRONTAL = "Use a sharp photo that shows one face from the front, upright"
MIN_PHOTO = 64  # pixels; shorter side of a photo that can show a face
FINEST = 4.0  # size at which a part is cut out of the photo, in usual sizes
FINER = 2.0  # size of the second search for a face, in usual sizes
LONG_RATIO = 4.0  # longer / shorter side of panoramas and long screenshots


@dataclass(frozen=True, eq=False)
class Scene:
    """A photo and the faces in it.

    Attributes:
        image: (H, W, 3) uint8, upright; may be larger than a video shows.
        faces: in pixels of `image`, the largest first.
        turns: quarter turns from the photo to `image`.
        frame: number of the animation's frame, from 0.
    """

    image: np.ndarray
    faces: tuple[Face, ...]
    turns: int = 0
    frame: int = 0


def search(source: str | Path | np.ndarray | Image.Image, finder: Finder) -> Scene:
    """Searches a photo for faces.

    An animation gives its first frame with a face. A panorama is searched in its own resolution. So is a
    large photo in which the first search finds no face.

    Args:
        source: see `open_photo`.
        finder: the detectors.

    Returns:
        The scene; without faces if none is found.

    Raises:
        InputError: the source is no picture, or too small.
    """
    scene = _search_frame(source, finder, 0)
    if scene.faces:
        return scene
    for frame in frames_to_try(source)[1:]:
        other = _search_frame(source, finder, frame)
        if other.faces:
            return other
    if max(scene.image.shape) == LONG_SIDE:
        fine = open_photo(source, round(FINER * LONG_SIDE))
        return Scene(fine, finder.find_faces(fine, (cut_tiles,)))
    return scene


def is_long(image: np.ndarray) -> bool:
    """Is a picture (H, W, 3) a panorama, or a long screenshot?"""
    return max(image.shape[:2]) >= LONG_RATIO * min(image.shape[:2])


def _search_frame(source: str | Path | np.ndarray | Image.Image, finder: Finder, frame: int) -> Scene:
    """Searches one frame for faces."""
    image = open_photo(source, frame=frame)
    if is_long(image) and max(image.shape) == LONG_SIDE:
        image = open_photo(source, round(FINEST * LONG_SIDE), frame)
    if min(image.shape[:2]) < MIN_PHOTO:
        raise InputError("The photo is too small to show a face", FRONTAL)
    image, turns = finder.turn_upright(image)
    partitions = (take_all, add_border, cut_tiles)
    if is_long(image):
        partitions = (cut_tiles, take_all, add_border)
    return Scene(image, finder.find_faces(image, partitions), turns, frame)
