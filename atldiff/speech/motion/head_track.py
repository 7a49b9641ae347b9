"""The motion of a head in a clip: poses and brows from the face meshes of its frames."""

import numpy as np
import torch

from atldiff.config import FRAME_RATE
from atldiff.rendering.warp.turn import pose_shifts

_EYES, _BROWS = [33, 263], [105, 334, 66, 296]  # mesh points: outer eye corners, middle and inner brows
# Points that move with the skull: eye corners, nose, forehead, temples, cheek bones.
_RIGID = (
    [33, 263, 133, 362, 168, 6, 197, 195, 5, 4, 1, 2, 98, 327, 10, 151, 9, 67, 297, 103, 332]
    + [127, 356, 234, 454, 54, 284, 21, 251]
)  # fmt: skip


def head_track(meshes: np.ndarray, fps: float) -> np.ndarray:
    """Measures the motion of a head, relative to the frame nearest to the clip's median.

    Args:
        meshes: (F, 478, 3) pixels, z towards the camera.
        fps: frames a second of the meshes.

    Returns:
        (n, 7) at FRAME_RATE: yaw, pitch and roll in degrees; x and y shift of the eyes' middle without the
        shift that a turn causes, inter-ocular distances; logarithm of the size; rise of the brows.
    """
    middle = np.median(meshes, axis=0)
    from_nose = meshes - meshes[:, [1]] - (middle - middle[1])
    still = meshes[np.argmin((from_nose**2).sum(axis=(1, 2)))][_RIGID]
    width = np.linalg.norm(meshes[:, _EYES[1]] - meshes[:, _EYES[0]], axis=1)
    usual = float(np.median(width))
    turns = np.stack([_rotation(still, mesh[_RIGID]) for mesh in meshes])
    angles = np.stack(
        [
            np.arctan2(-turns[:, 2, 0], turns[:, 2, 2]),
            np.arcsin(np.clip(turns[:, 1, 2], -1, 1)),
            np.arctan2(-turns[:, 0, 1], turns[:, 1, 1]),
        ],
        axis=1,
    )
    eyes = meshes[:, _EYES].mean(axis=1)
    shift = (eyes - middle[_EYES].mean(axis=0))[:, :2] / usual
    up = np.einsum("fi,fij->fj", eyes - meshes[:, _BROWS].mean(axis=1), turns)[:, 1] / width
    poses = np.column_stack([np.rad2deg(angles), np.zeros_like(shift), np.log(width / usual)])
    poses[:, 3:5] = shift - _eyes_shift(poses)
    track, times = np.column_stack([poses, up]), np.arange(len(poses)) / fps
    at = np.arange(int(len(track) / fps * FRAME_RATE)) / FRAME_RATE
    return np.stack([np.interp(at, times, column) for column in track.T], axis=1)


def _rotation(still: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The rotation (3, 3) that best turns `still` (N, 3) to `points` (N, 3) (Kabsch)."""
    u, _, v = np.linalg.svd((still - still.mean(axis=0)).T @ (points - points.mean(axis=0)))
    return ((u * [1, 1, np.sign(np.linalg.det(u @ v))]) @ v).T


def _eyes_shift(poses: np.ndarray) -> np.ndarray:
    """(F, 2) shift of the eyes' middle in poses (F, 6), face units."""
    return pose_shifts(torch.zeros(3, 1, dtype=torch.float64), torch.from_numpy(poses))[..., 0].numpy()
