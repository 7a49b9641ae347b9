"""Any photo -> Portrait; frames -> tracked landmarks (MediaPipe, or face-alignment)."""

from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from pickle import UnpicklingError

import numpy as np
from PIL import Image

from atldiff import landmarks as points
from atldiff.errors import InputError
from atldiff.landmarks import NUM_LANDMARKS, crop_box, mesh_to_landmarks
from atldiff.options import MAX_FACES
from atldiff.portrait.detection_boxes import (
    distinct_boxes,
    holds,
    is_upright,
    longest_side,
    padded,
    tiles,
    whole,
)
from atldiff.portrait.matting import mediapipe_solutions, segment
from atldiff.portrait.photo import LONG_SIDE, crop_square, open_photo
from atldiff.portrait.photo_quality import photo_advice
from atldiff.portrait.stderr_filter import quiet_start
from atldiff.portrait.zoom import nearer

DETECTORS = ("mediapipe", "face-alignment")
MIN_FACE = 64  # pixels; larger side of the landmarks' box
MESH_SIZE = 512  # pixels; the square a face is brought to before the mesh is fitted
# Each face is fitted in these crops (side over the detector's box), plain and mirrored, and the median
# taken: one crop alone moves drawn and painted faces by several per cent of the eyes' distance.
MESH_SCALES = (1.7, 2.0, 2.5)
FINEST = 4.0  # times the usual size, the photo from which a zoomed part is taken
TURN_MARGIN = 0.1  # how much surer of a face the detector must be to turn the photo

_FRONTAL = "Use a sharp photo that shows one face from the front, upright"


class SmallFace(InputError):
    """The face has too few pixels in the photo as it is read; nearer to it there may be more."""


@dataclass(frozen=True, eq=False)
class Portrait:
    """One face in one photo.

    Attributes:
        image: (H, W, 3) uint8 RGB, upright, the whole photo or the part of it that was zoomed to, its
            longer side at most 2048.
        landmarks: (68, 2) float32 pixels of `image`.
        box: (4,) float32 x0, y0, x1, y1: the network's square crop, pixels; may reach beyond the photo.
        alpha: (H, W) float32 in [0, 1], 1 = person, or None.
        faces: every face found, (4,) float32 x0, y0, x1, y1 pixels each, the largest first.
        face: which of `faces` this is, from 1.
        warnings: one sentence for each thing that will make the video worse.
    """

    image: np.ndarray
    landmarks: np.ndarray
    box: np.ndarray
    alpha: np.ndarray | None = None
    faces: tuple[np.ndarray, ...] = ()
    face: int = 1
    warnings: tuple[str, ...] = ()

    def crop(self, size: int) -> np.ndarray:
        """The network's square crop, (size, size, 3) uint8; the photo's border is repeated beyond it."""
        return crop_square(self.image, self.box, size)


def load_portrait(
    source: str | Path | np.ndarray | Image.Image | Portrait,
    face: int = 1,
    detector: str = "mediapipe",
    matte: bool = False,
    zoom: float = 1.0,
) -> Portrait:
    """Finds the face of a photo.

    A photo that lies on its side is turned upright, with a warning.

    Args:
        source: a path, array or Pillow image (see `open_photo`), or a Portrait, taken as it is.
        face: which face, 1 = the largest.
        detector: "mediapipe", or "face-alignment" (the paper's; fetches its weights at first use).
        matte: also cut the person out (`alpha`).
        zoom: above 1, the part of the photo round the face is taken, as fine as the photo has it.

    Raises:
        InputError: no picture, no face, a face of less than 64 pixels, no such face, weights missing.
    """
    if detector not in DETECTORS:
        raise InputError(f"There is no detector {detector!r}", f"Choose one of {', '.join(DETECTORS)}")
    if isinstance(source, Portrait):
        return replace(source, alpha=segment(source.image)) if matte and source.alpha is None else source
    image = open_photo(source)
    if min(image.shape[:2]) < MIN_FACE // 2:
        raise InputError("The photo is too small to show a face", _FRONTAL)
    with quiet_start(), ExitStack() as stack:
        finder = _Finder(stack)
        image, turns = finder.upright(image)
        faces = finder.faces(image)
        if not faces:
            raise InputError("No face was found in the photo", _FRONTAL)
        if not 1 <= face <= len(faces):
            raise InputError(f"The photo has no face number {face}", f"Choose from 1 to {len(faces)}")
        boxes, landmarks = [box for box, _ in faces], faces[face - 1][1]
        if zoom > 1:
            fine = np.rot90(open_photo(source, round(LONG_SIDE * min(zoom, FINEST))), turns)
            image, boxes, landmarks = nearer(fine, image.shape, boxes, landmarks, zoom)
            refined = finder.fit(image, boxes[face - 1])
            landmarks = landmarks if refined is None else refined
    if longest_side(landmarks) < MIN_FACE:
        remedy = "Use a photo taken from closer, or zoom to the head if the photo is a large one"
        raise SmallFace(f"The face is smaller than {MIN_FACE} pixels", remedy)
    if detector == "face-alignment":
        landmarks = _face_alignment(image, landmarks)
    advice = photo_advice(image, landmarks, len(faces), face)
    return Portrait(
        image,
        landmarks,
        crop_box(landmarks),
        segment(image) if matte else None,
        tuple(boxes),
        face,
        ("The photo was not upright and was turned.", *advice) if turns else tuple(advice),
    )


def track_landmarks(frames: Iterable[np.ndarray]) -> np.ndarray:
    """The landmarks of the one face in each frame of a clip, tracked from frame to frame.

    Args:
        frames: (H, W, 3) uint8 RGB each.

    Returns:
        (F, 68, 2) float32 pixels; NaN rows where no face is found.
    """
    tracked, missing = [], np.full((NUM_LANDMARKS, 2), np.nan)
    options = {"static_image_mode": False, "max_num_faces": 1, "refine_landmarks": True}
    with ExitStack() as stack:
        with quiet_start():  # the graph starts in the background; its first answer ends the start
            mesh = stack.enter_context(mediapipe_solutions().face_mesh.FaceMesh(**options))
            mesh.process(np.zeros((128, 128, 3), np.uint8))
        for frame in frames:
            found = mesh.process(np.ascontiguousarray(frame)).multi_face_landmarks
            tracked.append(_pixels(found[0], frame) if found else missing)
    return np.array(tracked, np.float32).reshape(-1, NUM_LANDMARKS, 2)


class _Finder:
    """MediaPipe's graphs for one photo; `stack` closes them."""

    def __init__(self, stack: ExitStack) -> None:
        detection, face_mesh = (
            mediapipe_solutions().face_detection.FaceDetection,
            mediapipe_solutions().face_mesh.FaceMesh,
        )
        # Model 0 sees large faces, model 1 faces from about a twentieth of the photo's side.
        self._detectors = [stack.enter_context(detection(0.5, model_selection=model)) for model in (0, 1)]
        self._mesh = stack.enter_context(face_mesh(True, max_num_faces=4, refine_landmarks=True))

    def upright(self, image: np.ndarray) -> tuple[np.ndarray, int]:
        """The photo in the quarter turn in which a face is surest and nearest to upright; how many turns."""
        best, surest, kept = image, 0.0, 0
        box: np.ndarray | None
        for turns in range(4):
            turned = np.ascontiguousarray(np.rot90(image, turns))
            found = [(score * np.cos(roll), box) for box, score, roll in self._detect(turned)]
            score, box = max(found, key=lambda face: face[0], default=(0.0, None))
            # The detector misjudges the roll of small faces; the mesh does not.
            if turns == 0 or (score > surest and box is not None and is_upright(self.fit(turned, box))):
                best, kept, surest = turned, turns, score + (TURN_MARGIN if turns == 0 else 0)
        return best, kept

    def faces(self, image: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        """(box (4,), landmarks (68, 2)) of each face, pixels, the largest first."""
        for looks in (whole, padded, tiles):
            boxes = [
                box + np.array([x, y, x, y], np.float32)
                for x, y, part in looks(image)
                for box, _, _ in sorted(self._detect(part), key=lambda face: -face[1])
            ]
            boxes = sorted(distinct_boxes(boxes), key=longest_side, reverse=True)[:MAX_FACES]
            found = [(box, self.fit(image, box)) for box in boxes]
            faces = [(box, landmarks) for box, landmarks in found if landmarks is not None]
            if faces:
                return sorted(faces, key=lambda face: -longest_side(face[1]))
        return []

    def _detect(self, image: np.ndarray) -> list[tuple[np.ndarray, float, float]]:
        """(box (4,) pixels, score 0..1, roll of the eyes in radians) of each face."""
        size, found = np.array(image.shape[1::-1], np.float32), []
        for detector in self._detectors:
            for face in detector.process(np.ascontiguousarray(image)).detections or ():
                box, eyes = face.location_data.relative_bounding_box, face.location_data.relative_keypoints
                corner = np.array([box.xmin, box.ymin], np.float32) * size
                extent = np.array([box.width, box.height], np.float32) * size
                x, y = (eyes[1].x - eyes[0].x) * size[0], (eyes[1].y - eyes[0].y) * size[1]
                found.append((np.concatenate([corner, corner + extent]), face.score[0], np.arctan2(y, x)))
        return found

    def fit(self, image: np.ndarray, box: np.ndarray) -> np.ndarray | None:
        """Landmarks (68, 2) pixels of the face in the detector's box: the median over several crops."""
        fits = []
        for scale in MESH_SCALES:
            centre, half = (box[:2] + box[2:]) / 2, scale * (box[2:] - box[:2]).max() / 2
            square = np.concatenate([centre - half, centre + half])
            crop = crop_square(image, square, MESH_SIZE)
            for mirrored in (False, True):
                found = self._mesh.process(np.ascontiguousarray(crop[:, ::-1] if mirrored else crop))
                fitted = [_pixels(face, crop) for face in found.multi_face_landmarks or ()]
                fitted = [points.mirror(face, MESH_SIZE) for face in fitted] if mirrored else fitted
                fits += [face * (2 * half / MESH_SIZE) + square[:2] for face in fitted]
        fits = [fit for fit in fits if holds(box, fit.mean(axis=0))]  # not those of a neighbour
        return np.median(fits, axis=0).astype(np.float32) if len(fits) >= len(MESH_SCALES) else None


def _face_alignment(image: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """The paper's landmark network (FAN) on the box of the face found by MediaPipe; (68, 2) pixels."""
    import torch

    try:
        import face_alignment
    except ImportError as error:
        remedy = "Install it: pip install 'atldiff[face-alignment]'"
        raise InputError("The detector face-alignment is not installed", remedy) from error
    low, high = landmarks.min(axis=0), landmarks.max(axis=0)
    low[1] -= 0.25 * (high[1] - low[1])  # its boxes reach up to the hair, the landmarks only to the brows
    kind = face_alignment.LandmarksType.TWO_D
    try:
        network = face_alignment.FaceAlignment(kind, device="cpu", face_detector="folder", compile=False)
    except (OSError, RuntimeError, UnpicklingError) as error:
        raise InputError(
            "The weights of face-alignment could not be loaded",
            "Use the detector mediapipe, or put 2DFAN4-11f355bf06.pth.tar from www.adrianbulat.com into "
            f"{torch.hub.get_dir()}/checkpoints",
        ) from error
    return network.get_landmarks_from_image(image, detected_faces=[np.concatenate([low, high])])[0]


def _pixels(face, image: np.ndarray) -> np.ndarray:
    """One of MediaPipe's meshes -> landmarks (68, 2) float32 in the image's pixels."""
    mesh = np.array([(point.x, point.y) for point in face.landmark])
    return (mesh_to_landmarks(mesh) * (image.shape[1], image.shape[0])).astype(np.float32)
