"""Any photo -> Portrait; frames -> tracked landmarks (MediaPipe, or face-alignment)."""

import os
from collections.abc import Iterable

import numpy as np

from atldiff.landmarks import NUM_LANDMARKS, mesh_to_landmarks


def track_landmarks(frames: Iterable[np.ndarray]) -> np.ndarray:
    """The landmarks of the one face in each frame of a clip, tracked from frame to frame.

    Args:
        frames: (H, W, 3) uint8 RGB each.

    Returns:
        (F, 68, 2) float32 pixels; NaN rows where no face is found.
    """
    tracked = []
    with _mediapipe().face_mesh.FaceMesh(
        static_image_mode=False, max_num_faces=1, refine_landmarks=True
    ) as mesh:
        for frame in frames:
            found = mesh.process(np.ascontiguousarray(frame)).multi_face_landmarks
            tracked.append(_pixels(found[0], frame) if found else np.full((NUM_LANDMARKS, 2), np.nan))
    return np.array(tracked, np.float32).reshape(-1, NUM_LANDMARKS, 2)


def _mediapipe():
    """MediaPipe's solutions, imported when first needed; its C++ side logs errors only."""
    os.environ.setdefault("GLOG_minloglevel", "2")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import mediapipe

    return mediapipe.solutions


def _pixels(face, image: np.ndarray) -> np.ndarray:
    """One of MediaPipe's meshes -> landmarks (68, 2) float32 in the image's pixels."""
    mesh = np.array([(point.x, point.y) for point in face.landmark])
    return (mesh_to_landmarks(mesh) * (image.shape[1], image.shape[0])).astype(np.float32)
