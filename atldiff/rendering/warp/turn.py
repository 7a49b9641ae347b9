"""Turns the head: a pose moves every place of the photo by its depth (`portrait.head`).

- A pose is yaw, pitch, roll in degrees, shift x and y in inter-ocular distances, logarithm of the size.
  A glance may follow (`face_parts.gaze`); it turns no head.
- Positive values: the near side moves to the picture's right, moves down, clockwise, right, down, larger.
- A turn is a field on the spline's grid. Fixed-point steps invert it.
- The inverse is composed with the spline's field, so that a frame's pixel needs one look-up.
- Landmarks move by the same depth. All devices do the same arithmetic in torch.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from atldiff.landmarks import to_crop
from atldiff.portrait.head import Head
from atldiff.portrait.portrait import Portrait
from atldiff.rendering.warp.spline import GRID, REGION
from atldiff.sequence import HEAD_PARTS, LandmarkSequence

PIVOT = (0.0, 0.35, -0.5)  # fixed point of a turn, face units: below and behind the eyes
CAMERA = 9.0  # distance of the camera from the eyes, face units
MOST = (15.0, 10.0, 8.0, 0.25, 0.2, 0.15)  # limit of each part of a pose
MOST_YAW = 25.0  # degrees; limit of the photo's own yaw and the turn together
LEAST_ROOM = 3.0  # degrees; least yaw that every photo may turn
_STEPS = 6  # fixed-point steps of the inversion
_CELLS = GRID / (REGION[1] - REGION[0])  # cells a crop unit


def limit_poses(poses: np.ndarray, photo_yaw: float = 0.0) -> np.ndarray:
    """Limits poses (F, >= 6) softly (tanh) to MOST, and their yaw so that the face shows at most MOST_YAW.

    Args:
        poses: (F, >= 6) as above.
        photo_yaw: degrees, yaw of the head in the photo.
    """
    head = poses[:, :HEAD_PARTS]
    most = np.broadcast_to(np.array(MOST), head.shape).copy()
    room = np.where(poses[:, 0] > 0, MOST_YAW - photo_yaw, MOST_YAW + photo_yaw)
    most[:, 0] = np.clip(room, LEAST_ROOM, MOST[0])
    return np.concatenate([most * np.tanh(head / most), poses[:, HEAD_PARTS:]], axis=1)


def rotations(angles: Tensor) -> Tensor:
    """Rotations (F, 3, 3) by yaw, then pitch, then roll, from angles (F, 3) in degrees."""
    (a, b, c), (d, e, f) = (func(torch.deg2rad(angles)).unbind(-1) for func in (torch.cos, torch.sin))
    zero, one = torch.zeros_like(a), torch.ones_like(a)

    def matrix(*rows: Tensor) -> Tensor:
        return torch.stack(rows, dim=-1).unflatten(-1, (3, 3))

    yaw = matrix(a, zero, d, zero, one, zero, -d, zero, a)
    pitch = matrix(one, zero, zero, zero, b, e, zero, -e, b)
    roll = matrix(c, -f, zero, f, c, zero, zero, zero, one)
    return roll @ pitch @ yaw


def pose_shifts(points: Tensor, poses: Tensor) -> Tensor:
    """Displacements of points in each pose, in mild perspective.

    Args:
        points: (3, N) or (F, 3, N), face units: x, y, and the depth towards the camera.
        poses: (F, >= 6) as above.

    Returns:
        (F, 2, N) face units; exactly 0 for a pose of zeros.
    """
    turn = rotations(poses[:, :3]) - torch.eye(3, dtype=poses.dtype, device=poses.device)
    pivot = torch.tensor(PIVOT, dtype=poses.dtype, device=poses.device)[:, None]
    shift = torch.cat([poses[:, 3:5], -CAMERA * torch.expm1(-poses[:, 5:HEAD_PARTS])], dim=1)
    motion = turn @ (points - pivot) + shift[..., None]
    nearer = motion[:, 2:] / (CAMERA - points[..., 2:, :] - motion[:, 2:])  # growth of the picture
    return motion[:, :2] + (points[..., :2, :] + motion[:, :2]) * nearer


def turn_fields(head: Head, poses: np.ndarray, device: torch.device | str = "cpu") -> Tensor:
    """Displacements of all places of the photo in poses (F, >= 6): (F, 2, GRID, GRID) float32 crop units."""
    points = np.stack([head.places[..., 0], head.places[..., 1], head.depth]).reshape(3, -1)
    surface, share, axes, angles = (
        _float(x).to(device) for x in (points, head.share.reshape(-1), head.frame.axes.T, poses)
    )
    return (axes @ pose_shifts(surface, angles) * share).unflatten(-1, (GRID, GRID))


def compose_fields(fields: Tensor, turns: Tensor) -> Tensor:
    """Composes the spline's fields with turns of the head.

    Args:
        fields: (F, 2, GRID, GRID) backward displacements of the unturned landmarks, crop units.
        turns: (F, 2, GRID, GRID) of `turn_fields`.

    Returns:
        (F, 2, GRID, GRID) backward displacements, crop units; exactly `fields` for a turn of zeros.
    """
    line = torch.arange(GRID, dtype=turns.dtype, device=turns.device)
    own = torch.stack(torch.meshgrid(line, line, indexing="xy"))
    back = -turns
    for _ in range(_STEPS):  # the fixed point is the inverse; it converges for slopes below 1
        back = -_look_up(turns, own + back * _CELLS)
    total = back + _look_up(fields, own + back * _CELLS)
    still = (turns == 0).flatten(1).all(dim=1)
    return torch.where(still[:, None, None, None], fields, total)


def turn_points(head: Head, points: np.ndarray, poses: np.ndarray) -> np.ndarray:
    """Turns points of a head.

    Args:
        head: of the portrait.
        points: (F, N, 2) of the unturned head, crop units.
        poses: (F, >= 6) as above.

    Returns:
        (F, N, 2) float32; exactly `points` where a pose is zeros.
    """
    cells = (torch.from_numpy(np.asarray(points, np.float32)) - REGION[0]) * _CELLS - 0.5
    maps = torch.from_numpy(np.stack([head.depth, head.share]))[None]
    depth, share = _look_up(maps, cells.flatten(0, 1).T[None, :, None])[0, :, 0].unflatten(1, cells.shape[:2])
    face = torch.from_numpy(head.frame.to_face(points).astype(np.float32))
    shifts = pose_shifts(torch.stack([face[..., 0], face[..., 1], depth], dim=1), _float(poses))
    shifts = _float(head.frame.axes.T) @ shifts * share[:, None]
    return np.asarray(points, np.float32) + shifts.mT.numpy()


def turn_pixels(head: Head, points: np.ndarray, poses: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Turns points (F, N, 2), pixels of a picture with the network's crop `box` (4,); see `turn_points`."""
    pixels = turn_points(head, to_crop(points, box), poses) * (box[2] - box[0]) + box[:2]
    turns = np.any(poses[:, :HEAD_PARTS], axis=1)[:, None, None]
    return np.where(turns, pixels, points).astype(np.float32)


def portrait_poses(portrait: Portrait, poses: np.ndarray) -> np.ndarray:
    """Limits poses (F, >= 6) to the turns that a portrait allows (`limit_poses`); zeros without a head."""
    if not poses.any() or portrait.head is None:
        return np.zeros_like(poses)
    return limit_poses(poses, portrait.head.yaw).astype(np.float32)


def turn_landmarks(portrait: Portrait, sequence: LandmarkSequence) -> np.ndarray:
    """The landmarks (F, 68, 2) that a sequence's video shows, pixels of the portrait's image."""
    poses = portrait_poses(portrait, sequence.pose)
    if not poses.any() or portrait.head is None:
        return sequence.points
    return turn_pixels(portrait.head, sequence.points, poses, portrait.box)


def _float(x: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(x, np.float32))


def _look_up(fields: Tensor, cells: Tensor) -> Tensor:
    """Interpolates fields (F, C, GRID, GRID) linearly at places (F, 2, h, w), x and y in cells."""
    grid = (cells * (2 / (GRID - 1)) - 1).permute(0, 2, 3, 1)
    return F.grid_sample(fields, grid, mode="bilinear", padding_mode="border", align_corners=True)
