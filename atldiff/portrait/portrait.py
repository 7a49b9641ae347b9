"""The portrait: one face in a photo, with its landmarks, its crop and its matte."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from atldiff.config import FRAME_SIZE
from atldiff.errors import InputError
from atldiff.landmarks import crop_box
from atldiff.portrait import tasks
from atldiff.portrait.face_networks import NEAR
from atldiff.portrait.fan import Fan
from atldiff.portrait.finder import Face, Finder, longest_side
from atldiff.portrait.matting import segment
from atldiff.portrait.mesh import check_detector, photo_mesh
from atldiff.portrait.mouth_cover import is_covered
from atldiff.portrait.photo import LONG_SIDE, crop_square, open_photo
from atldiff.portrait.quality import check_place, photo_advice
from atldiff.portrait.search import FINEST, FRONTAL, Scene, is_long, search
from atldiff.portrait.zoom import zoom_to_face
from atldiff.provenance.origin import fingerprint

if TYPE_CHECKING:
    from atldiff.portrait.head import Head

MIN_FACE = 64  # pixels; larger side of the landmarks' box
_COVERED = "The mouth seems to be covered. Lips and teeth would be drawn on what covers it."
_PART = "The photo is very long: only the part round the face is shown."


class SmallFace(InputError):
    """The face has too few pixels in the reduced photo; a zoom may give it more."""


@dataclass(frozen=True, eq=False)
class Portrait:
    """One face in one photo.

    Attributes:
        image: (H, W, 3) uint8 RGB, upright, the photo or a part of it; the longer side is at most 2048.
        landmarks: (68, 2) float32 pixels of `image`.
        box: (4,) float32 x0, y0, x1, y1: the network's square crop, pixels; may reach beyond the photo.
        alpha: (H, W) float32 in [0, 1], 1 = person, or None.
        faces: boxes of all faces, (4,) float32 x0, y0, x1, y1 pixels each, the largest first.
        face: number of this face in `faces`, from 1.
        warnings: one sentence for each fault that the video will show.
        fingerprint: SHA-256 of the photo's file, or of its pixels where there was no file.
    """

    image: np.ndarray
    landmarks: np.ndarray
    box: np.ndarray
    alpha: np.ndarray | None = None
    faces: tuple[np.ndarray, ...] = ()
    face: int = 1
    warnings: tuple[str, ...] = ()
    fingerprint: str = ""

    def crop(self, size: int) -> np.ndarray:
        """The network's square crop, (size, size, 3) uint8; the photo's border is repeated beyond it."""
        return crop_square(self.image, self.box, size)

    @cached_property
    def mesh(self) -> np.ndarray | None:
        """(478, 3) of the face, pixels, z towards the camera; None: the networks see no face."""
        return photo_mesh(self.image, self.landmarks)

    @cached_property
    def head(self) -> "Head | None":
        """Depth and share of the head, for a head that turns; None without a mesh."""
        from atldiff.portrait.head import Head  # imports torch, which reading a photo does not need

        if self.mesh is None:
            return None
        alpha = segment(self.image) if self.alpha is None else self.alpha
        height, width = self.image.shape[:2]
        return Head.from_mesh(self.mesh, self.landmarks, self.box, (height, width), alpha)


def load_portrait(
    source: str | Path | np.ndarray | Image.Image | Portrait,
    face: int = 1,
    detector: str = "mediapipe",
    matte: bool = False,
    zoom: float = 1.0,
    aspect: float | None = None,
) -> Portrait:
    """Reads a photo and finds its face.

    A photo on its side is turned upright. A very long one is cut to the part round the face. Both give a
    warning.

    Args:
        source: a path, array or Pillow image (see `open_photo`), or a Portrait, which is kept.
        face: number of the face, 1 = the largest.
        detector: "mediapipe", "mediapipe-tasks" (the same by MediaPipe's runtime), or "face-alignment" (the
            paper's; fetches its weights at first use).
        matte: also compute `alpha`.
        zoom: above 1, take the part round the face, in the photo's full resolution.
        aspect: width / height of the picture; None = the photo's. The picture is a part of the photo.

    Raises:
        InputError: no picture, no face, a face below 64 pixels or half outside the photo, no face of that
            number, no weights, no package for the detector, no part of that aspect with all of the face.
    """
    check_detector(detector)
    if isinstance(source, Portrait):
        return replace(source, alpha=segment(source.image)) if matte and source.alpha is None else source
    finder = Finder(tasks.detect if detector == "mediapipe-tasks" else NEAR)
    scene = search(source, finder)
    if not scene.faces:
        raise InputError("No face was found in the photo", FRONTAL)
    if not 1 <= face <= len(scene.faces):
        raise InputError(f"The photo has no face number {face}", f"Choose from 1 to {len(scene.faces)}")
    image, boxes, chosen = _frame_face(source, scene, finder, face, zoom, aspect)
    landmarks = chosen.landmarks
    if longest_side(landmarks) < MIN_FACE:
        remedy = "Use a photo taken from closer, or zoom to the head if the photo is a large one"
        raise SmallFace(f"The face is smaller than {MIN_FACE} pixels", remedy)
    if detector == "face-alignment":
        landmarks = Fan().fit(image, landmarks)
    check_place(landmarks, image.shape)
    advice = photo_advice(image, landmarks, len(boxes), face)
    notes = [
        (scene.turns > 0, "The photo was not upright and was turned."),
        (_needs_crop(scene, face), _PART),
        (is_covered(image, chosen.landmarks, chosen.spread), _COVERED),
    ]
    return Portrait(
        image,
        landmarks,
        crop_box(landmarks),
        segment(image) if matte else None,
        tuple(boxes),
        face,
        (*(sentence for applies, sentence in notes if applies), *advice),
        fingerprint(source),
    )


def _frame_face(
    source: str | Path | np.ndarray | Image.Image,
    scene: Scene,
    finder: Finder,
    face: int,
    zoom: float,
    aspect: float | None,
) -> tuple[np.ndarray, list[np.ndarray], Face]:
    """The video's picture of a scene, its longer side at most 2048; its boxes, and the chosen face."""
    part = _needs_crop(scene, face)
    scene = _crop_scene(scene, scene.faces[face - 1]) if part else scene
    image, boxes, chosen = scene.image, [other.box for other in scene.faces], scene.faces[face - 1]
    if zoom <= 1 and aspect is None and max(image.shape[:2]) <= LONG_SIDE:
        return image, boxes, chosen
    fine = image
    if zoom > 1 and not part:
        fine = np.rot90(open_photo(source, round(LONG_SIDE * min(zoom, FINEST)), scene.frame), scene.turns)
    framing = max(zoom, 1.0), aspect
    close_up, boxes, landmarks = zoom_to_face(fine, image.shape, boxes, chosen.landmarks, *framing)
    refined = finder.fit(close_up, boxes[face - 1])
    return close_up, boxes, Face(boxes[face - 1], landmarks, chosen.spread) if refined is None else refined


def _crop_scene(scene: Scene, face: Face) -> Scene:
    """Cuts a long scene to LONG_SIDE pixels round a face along its longer side."""
    size = np.array(scene.image.shape[1::-1])
    x, y = np.clip(face.landmarks.mean(axis=0) - LONG_SIDE / 2, 0, np.maximum(size - LONG_SIDE, 0)).astype(
        int
    )
    corner = np.array([x, y], np.float32)
    faces = (Face(f.box - np.tile(corner, 2), f.landmarks - corner, f.spread) for f in scene.faces)
    image = np.ascontiguousarray(scene.image[y : y + LONG_SIDE, x : x + LONG_SIDE])
    return replace(scene, image=image, faces=tuple(faces))


def _needs_crop(scene: Scene, face: int) -> bool:
    """Does the photo need a crop, because it is long and its face would be small?"""
    shrink, box = LONG_SIDE / max(scene.image.shape[:2]), crop_box(scene.faces[face - 1].landmarks)
    return shrink < 1 and is_long(scene.image) and bool((box[2] - box[0]) * shrink < FRAME_SIZE)
