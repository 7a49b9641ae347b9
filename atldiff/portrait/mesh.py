"""Face meshes of a photo and of the frames of a clip, and the landmarks that lie on them."""

from collections.abc import Iterable, Iterator

import numpy as np

from atldiff.errors import InputError
from atldiff.landmarks import NUM_LANDMARKS, mesh_to_landmarks
from atldiff.options import DETECTORS
from atldiff.portrait import tasks
from atldiff.portrait.face_networks import NEAR, FaceDetector, Square, find_meshes, fit_meshes
from atldiff.portrait.fan import Fan
from atldiff.portrait.photo import crop_square

_CROPS = (1.7, 2.0, 2.5)  # sides of the crops / larger side of the landmarks' box
_CROP_SIZE = 512  # pixels
_TOWARDS_CAMERA = np.array([1, 1, -1], np.float32)  # the networks' z points away from the camera


def photo_mesh(image: np.ndarray, landmarks: np.ndarray) -> np.ndarray | None:
    """Fits the mesh of one face: the median over several crops.

    Args:
        image: (H, W, 3) uint8 RGB.
        landmarks: (68, 2) of the face, pixels.

    Returns:
        (478, 3) float pixels; z grows towards the camera. None: no crop shows a face.
    """
    low, high = landmarks.min(axis=0), landmarks.max(axis=0)
    centre, fits = (low + high) / 2, []
    for scale in _CROPS:
        half = scale * float((high - low).max()) / 2
        square = np.concatenate([centre - half, centre + half])
        for mesh in find_meshes(crop_square(image, square, _CROP_SIZE)):
            fits.append(mesh * _TOWARDS_CAMERA * (2 * half / _CROP_SIZE) + [*square[:2], 0])
    return np.median(fits, axis=0) if fits else None


def track_meshes(
    frames: Iterable[np.ndarray], detect: FaceDetector = NEAR
) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
    """Tracks the mesh of one face through the frames of a clip.

    Args:
        frames: (H, W, 3) uint8 RGB each.
        detect: finds the face where no track leads to it.

    Yields:
        The frame, and its mesh (478, 3) float32 pixels, z towards the camera; None: no face.
    """
    mesh = None
    for frame in frames:
        if mesh is not None:
            (mesh,) = fit_meshes(frame, [Square.from_mesh(mesh)])
        if mesh is None:  # the first frame, or the track is lost
            mesh = next(iter(find_meshes(frame, detect=detect)), None)
        yield frame, None if mesh is None else mesh * _TOWARDS_CAMERA


def track_landmarks(frames: Iterable[np.ndarray], detector: str = "mediapipe") -> np.ndarray:
    """Tracks the landmarks of one face through the frames of a clip.

    Args:
        frames: (H, W, 3) uint8 RGB each.
        detector: "mediapipe", "mediapipe-tasks", or "face-alignment", which fits each frame near the tracked
            mesh.

    Returns:
        (F, 68, 2) float32 pixels; NaN in frames without a face.

    Raises:
        InputError: the detector is unknown, or its package or weights are missing.
    """
    check_detector(detector)
    fan = Fan() if detector == "face-alignment" else None
    detect = tasks.detect if detector == "mediapipe-tasks" else NEAR
    rows = []
    for frame, mesh in track_meshes(frames, detect):
        marks = np.full((NUM_LANDMARKS, 2), np.nan) if mesh is None else mesh_to_landmarks(mesh[:, :2])
        rows.append(fan.fit(frame, marks) if fan and mesh is not None else marks)
    return np.array(rows, np.float32).reshape(-1, NUM_LANDMARKS, 2)


def check_detector(name: str) -> None:
    """Raises InputError if no detector has that name, or its package is missing."""
    if name not in DETECTORS:
        raise InputError(f"There is no detector {name!r}", f"Choose one of {', '.join(DETECTORS)}")
    if name == "mediapipe-tasks":
        tasks.check_installed()
