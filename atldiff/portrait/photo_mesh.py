"""The 478 points of MediaPipe's face mesh in three dimensions, of a photo and of the frames of a clip."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack

import numpy as np

from atldiff.portrait.matting import mediapipe_solutions
from atldiff.portrait.photo import crop_square
from atldiff.portrait.stderr_filter import quiet_start

MESH_POINTS = 478  # 468 of the face, 5 of each iris
_CROPS = (1.7, 2.0, 2.5)  # sides of the crops that are fitted, over the larger side of the landmarks' box
_CROP_SIZE = 512  # pixels


def photo_mesh(image: np.ndarray, landmarks: np.ndarray) -> np.ndarray | None:
    """The mesh of one face: the median of its fits in several crops.

    Args:
        image: (H, W, 3) uint8 RGB.
        landmarks: (68, 2) of the face, pixels.

    Returns:
        (478, 3) float64 pixels; z grows towards the camera. None: no crop shows a face.
    """
    low, high = landmarks.min(axis=0), landmarks.max(axis=0)
    centre, fits = (low + high) / 2, []
    with ExitStack() as stack:
        with quiet_start():
            mesh = stack.enter_context(
                mediapipe_solutions().face_mesh.FaceMesh(True, max_num_faces=1, refine_landmarks=True)
            )
            mesh.process(np.zeros((128, 128, 3), np.uint8))
        for scale in _CROPS:
            half = scale * float((high - low).max()) / 2
            square = np.concatenate([centre - half, centre + half])
            faces = mesh.process(crop_square(image, square, _CROP_SIZE)).multi_face_landmarks
            for face in faces or ():
                fits.append(_points(face, 2 * half, 2 * half) + [*square[:2], 0])
    return np.median(fits, axis=0) if fits else None


def track_meshes(frames: Iterable[np.ndarray]) -> Iterator[np.ndarray | None]:
    """The mesh of the one face in each frame of a clip, followed from frame to frame.

    Args:
        frames: (H, W, 3) uint8 RGB each.

    Yields:
        (478, 3) float64 pixels, z towards the camera; None where no face is seen.
    """
    with ExitStack() as stack:
        with quiet_start():
            mesh = stack.enter_context(
                mediapipe_solutions().face_mesh.FaceMesh(False, max_num_faces=1, refine_landmarks=True)
            )
            mesh.process(np.zeros((128, 128, 3), np.uint8))
        for frame in frames:
            faces = mesh.process(np.ascontiguousarray(frame)).multi_face_landmarks
            yield _points(faces[0], frame.shape[1], frame.shape[0]) if faces else None


def _points(face, width: float, height: float) -> np.ndarray:
    """One of MediaPipe's answers for a picture of that size: (478, 3) pixels, z towards the camera."""
    return np.array([(point.x * width, point.y * height, -point.z * width) for point in face.landmark])
