"""What in a photo will make its video worse, in plain sentences."""

import numpy as np


def photo_advice(image: np.ndarray, landmarks: np.ndarray) -> list[str]:
    return []
