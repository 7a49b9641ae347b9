"""Two of THEval's measures (arXiv 2511.04520), as its published code computes them from MediaPipe's mesh.

Its other six need networks or a voice detector of others. THEval judges a video by how near its value is to
that of the true clips: 1 - |value - true| / |true|.
"""

from itertools import combinations

import numpy as np

_SIDE = 256  # pixels of both sides, for lips
_LIPS = [
    *(61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 185, 40, 39, 37, 0, 267, 269, 270, 409),
    *(78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 191, 80, 81, 82, 13, 312, 311, 310, 415),
]
_EYES = (
    [33, 7, 163, 144, 145, 153, 154, 155, 133, 246, 161, 160, 159, 158, 157, 173],
    [263, 249, 390, 373, 374, 380, 381, 382, 362, 466, 388, 387, 386, 385, 384, 398],
)
_BROWS = (
    [46, 53, 52, 65, 55, 70, 63, 105, 66, 107],
    [276, 283, 282, 295, 285, 300, 293, 334, 296, 336],
)


def lip_dynamics(meshes: np.ndarray, height: int, width: int) -> float:
    """Deviation in time of the distances between the lips' points, mean over all 780 pairs.

    Args:
        meshes: (F, >= 468, >= 2) pixels; NaN without a face.
        height, width: of the frames; they are taken as 256x256.

    Returns:
        Pixels of 256; NaN without a face.
    """
    lips = meshes[:, _LIPS, :2] * (_SIDE / np.array([width, height]))
    lips = lips[np.isfinite(lips).all(axis=(1, 2))]
    if not len(lips):
        return float("nan")
    one, other = np.array(list(combinations(range(len(_LIPS)), 2))).T
    return float(np.linalg.norm(lips[:, one] - lips[:, other], axis=-1).std(axis=0).mean())


def eyebrow_dynamics(meshes: np.ndarray) -> float:
    """Mean change from frame to frame of the distance from brow to eye, over the distance between the eyes.

    Args:
        meshes: (F, >= 468, >= 2) pixels; NaN without a face. Such frames are left out.

    Returns:
        A share a frame, mean of both sides; NaN with fewer than two faces.
    """
    seen = meshes[np.isfinite(meshes[..., :2]).all(axis=(1, 2)), :, :2]
    if len(seen) < 2:
        return float("nan")
    eyes, brows = (np.stack([seen[:, side].mean(axis=1) for side in parts]) for parts in (_EYES, _BROWS))
    gaps = np.linalg.norm(brows - eyes, axis=-1) / np.linalg.norm(eyes[0] - eyes[1], axis=-1)
    return float(np.abs(np.diff(gaps, axis=1)).mean())
