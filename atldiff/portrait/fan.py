"""The paper's landmark network (FAN), by the package face-alignment."""

import sys
from pathlib import Path
from pickle import UnpicklingError

import numpy as np

from atldiff.errors import InputError

ABOVE_BROWS = 0.25  # share of the landmarks' height; the network's boxes reach up to the hair
WEIGHTS, CHECKSUM = "2DFAN4-11f355bf06.pth.tar", "11f355bf06"  # the weights' file, and how its SHA-256 begins


class Fan:
    """The network; it is loaded once for many pictures.

    Raises:
        InputError: the package is missing; its weights cannot be fetched or read.
    """

    def __init__(self) -> None:
        import torch

        try:
            import face_alignment
        except ImportError as error:
            remedy = "Install it: pip install 'atldiff[face-alignment]'"
            raise InputError("The detector face-alignment is not installed", remedy) from error
        kind = face_alignment.LandmarksType.TWO_D
        try:
            _fetch_weights()
            self._network = face_alignment.FaceAlignment(
                kind, device="cpu", face_detector="folder", compile=False
            )
        except (OSError, RuntimeError, EOFError, UnpicklingError) as error:
            raise InputError(
                "The weights of face-alignment could not be loaded",
                f"Use the detector mediapipe, or put {WEIGHTS} from www.adrianbulat.com into "
                f"{torch.hub.get_dir()}/checkpoints",
            ) from error

    def fit(self, image: np.ndarray, near: np.ndarray) -> np.ndarray:
        """Fits the landmarks (68, 2) float32, pixels, of one face.

        Args:
            image: (H, W, 3) uint8.
            near: (68, 2) pixels, the landmarks of another detector; they choose the face.
        """
        low, high = near.min(axis=0), near.max(axis=0)
        low[1] -= ABOVE_BROWS * (high[1] - low[1])
        boxes = [np.concatenate([low, high]).tolist()]  # floats: torch refuses those of numpy 2
        return np.asarray(self._network.get_landmarks_from_image(image, boxes)[0], np.float32)


def _fetch_weights() -> None:
    """Fetches the weights, if they are missing, to where face-alignment looks for them.

    The package's own download writes to stderr and does not compare the checksum.
    """
    import torch
    from face_alignment.api import models_urls

    file = Path(torch.hub.get_dir(), "checkpoints", WEIGHTS)
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        url, progress = models_urls["2DFAN-4"], sys.stderr.isatty()
        torch.hub.download_url_to_file(url, str(file), CHECKSUM, progress)
