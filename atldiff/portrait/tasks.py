"""The detector of large faces, run by MediaPipe's own runtime: the optional package mediapipe.

- Its key points and scores are those of `face_networks.NEAR`; it cuts boxes to whole pixels.
- MediaPipe reports each use to Google and has no switch for it. Here it gets no certificates, so it trusts no
  server: the connection ends before a request is sent.
"""

import atexit
import os
from functools import cache
from typing import Any

import numpy as np

from atldiff.errors import InputError
from atldiff.portrait.face_networks import FOLDER, NEAR, Detection


def check_installed() -> None:
    """Raises InputError if the package mediapipe is missing, or older than version 1.2."""
    try:
        import mediapipe.tasks.python.vision.core.image  # noqa: F401
    except ImportError as error:
        remedy = "Install it: pip install 'atldiff[mediapipe]'"
        raise InputError("The detector mediapipe-tasks is not installed", remedy) from error


def detect(image: np.ndarray) -> list[Detection]:
    """Finds the large faces of an image (H, W, 3) uint8, the most probable first."""
    runtime = _runtime(os.getpid())
    from mediapipe.tasks.python.vision.core.image import Image, ImageFormat

    picture = Image(image_format=ImageFormat.SRGB, data=np.ascontiguousarray(image))
    answers = runtime.detect(picture).detections
    faces = [_detection(face, image.shape[1], image.shape[0]) for face in answers]
    return sorted(faces, key=lambda face: -face.score)


def _detection(face: Any, width: int, height: int) -> Detection:
    """Converts one detection of MediaPipe in a picture of that size, pixels."""
    box = face.bounding_box
    corners = [box.origin_x, box.origin_y, box.origin_x + box.width, box.origin_y + box.height]
    keypoints = [(point.x * width, point.y * height) for point in face.keypoints]
    score = float(face.categories[0].score)
    return Detection(np.array(corners, np.float32), np.array(keypoints, np.float32), score)


@cache
def _runtime(process: int) -> Any:
    """MediaPipe's detector in this process; a fork lacks the threads of its parent's."""
    from mediapipe.tasks.python.core.base_options import BaseOptions
    from mediapipe.tasks.python.vision.face_detector import FaceDetector, FaceDetectorOptions

    class Silent(BaseOptions):
        """Options that make MediaPipe trust no server."""

        def to_ctypes(self) -> Any:
            options = super().to_ctypes()
            options.ca_bundle_path = os.devnull.encode()
            return options

    options = FaceDetectorOptions(
        base_options=Silent(model_asset_path=str(FOLDER / f"{NEAR.name}.tflite")),
        min_detection_confidence=NEAR.threshold,
    )
    runtime = FaceDetector.create_from_options(options)
    # At Python's end its own closing fails with a traceback; the end of the process closes it.
    atexit.register(setattr, runtime, "_handle", None)
    return runtime
