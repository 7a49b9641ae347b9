"""The warp prior's displacement field: a thin-plate spline through the landmarks.

- The field is backward: the frame's colour at p is the photo's colour at p + field(p).
- It is sampled on a coarse grid over REGION, in crop units.
- REGION is wider than the network's crop, so that the motion fades out smoothly beyond it.
"""

import numpy as np
import torch
from torch import Tensor

from atldiff.landmarks import (
    JAW,
    LEFT_EYE,
    NOSE,
    RIGHT_EYE,
)
from atldiff.rendering.warp.guard_points import guard_points, keep_apart
from atldiff.smoothstep import smoothstep

REGION = (-0.35, 1.35)  # the field's extent on both axes, crop units; its border does not move
GRID = 80  # cells of the field per axis, about 2.7 pixels of the 128-pixel crop each
SMOOTHING = 1e-4  # regularisation of the spline: lets a landmark miss its target
JAW_SMOOTHING = 0.06  # jaw points slide along the outline in trackers, which would drag cheeks and neck
NOSE_SMOOTHING, EYE_SMOOTHING = 3e-3, 1e-3  # these points jitter more than the features they mark
_ANCHORS_PER_SIDE = 4
_BLOCK = 800  # positions per block of the spline basis, 0.3 MB
_MARGIN = 3  # cells round the features that are evaluated at full resolution
_FADE = 0.12  # width of the fade to zero at the region's border, crop units


def _anchors() -> np.ndarray:
    """The fixed points on the region's border, (16, 2) crop units."""
    low, high = REGION
    line = np.linspace(low, high, _ANCHORS_PER_SIDE + 1)[:-1]
    top = np.stack([line, np.full_like(line, low)], -1)
    turn = np.array([[0.0, 1.0], [-1.0, 0.0]])
    centre = (low + high) / 2
    sides = [top]
    for _ in range(3):
        sides.append((sides[-1] - centre) @ turn + centre)
    return np.concatenate(sides)


def grid_points(cells: int = GRID) -> Tensor:
    """Centres of the field's cells, (cells, cells, 2) float64 crop units."""
    low, high = REGION
    line = low + (torch.arange(cells, dtype=torch.float64) + 0.5) * (high - low) / cells
    y, x = torch.meshgrid(line, line, indexing="ij")
    return torch.stack([x, y], dim=-1)


def _kernel(squared: Tensor) -> Tensor:
    """The thin-plate spline kernel U(r) = r^2 log r^2, from r^2."""
    return squared * torch.log(squared.clamp(min=1e-12))


def _squared_distance(a: Tensor, b: Tensor) -> Tensor:
    """Squared distances of points (..., N, 2) and (..., M, 2): (..., N, M)."""
    return (a[..., :, None, 0] - b[..., None, :, 0]) ** 2 + (a[..., :, None, 1] - b[..., None, :, 1]) ** 2


def point_smoothing(count: int) -> Tensor:
    """Regularisation of the `count` points of `spline_points`, (count,) float64; largest at the jaw."""
    smoothing = torch.full((count,), SMOOTHING, dtype=torch.float64)
    smoothing[JAW], smoothing[NOSE] = JAW_SMOOTHING, NOSE_SMOOTHING
    smoothing[RIGHT_EYE], smoothing[LEFT_EYE] = EYE_SMOOTHING, EYE_SMOOTHING
    return smoothing


def spline_weights(target: Tensor, source: Tensor, smoothing: Tensor) -> Tensor:
    """Solves for the spline that maps frame points to photo points.

    Args:
        target: (F, N, 2) float64 points in each frame, crop units.
        source: (N, 2) float64 points in the photo, crop units.
        smoothing: (N,) float64 regularisation; 0 = exact interpolation.

    Returns:
        (F, N + 3, 2) float32 weights: N of the kernel, then 3 affine ones.
    """
    frames, count, _ = target.shape
    offset = source - target
    system = torch.zeros(frames, count + 3, count + 3, dtype=target.dtype)
    system[:, :count, :count] = _kernel(_squared_distance(target, target))
    system[:, range(count), range(count)] += smoothing
    affine = torch.cat([torch.ones(frames, count, 1, dtype=target.dtype), target], dim=-1)
    system[:, :count, count:] = affine
    system[:, count:, :count] = affine.transpose(1, 2)
    values = torch.cat([offset, torch.zeros(frames, 3, 2, dtype=target.dtype)], dim=1)
    return torch.linalg.solve(system, values).float()


def evaluate_spline(target: Tensor, source: Tensor, positions: Tensor, smoothing: Tensor) -> Tensor:
    """Backward displacements of the spline at positions (P, 2) of the frame; see `spline_weights`.

    Returns:
        (F, P, 2) float32.
    """
    (frames, count, _), weights = target.shape, spline_weights(target, source, smoothing)
    positions, target = positions.float(), target.float()
    flat = torch.cat([torch.ones(len(positions), 1), positions], dim=-1)
    result = flat @ weights[:, count:]
    # Work in place, in blocks whose basis stays in the cache.
    for block in torch.arange(len(positions)).split(_BLOCK):
        x, y = positions[block[0] : block[-1] + 1].split(1, dim=1)
        for frame in range(frames):
            squared = (x - target[frame, :, 0]).square_().add_((y - target[frame, :, 1]).square_())
            basis = squared.clamp(min=1e-12).log_().mul_(squared)
            result[frame, block[0] : block[-1] + 1].addmm_(basis, weights[frame, :count])
    return result


def spline_points(landmarks: np.ndarray, identity: np.ndarray) -> tuple[Tensor, Tensor]:
    """Control points of the spline: landmarks, guard points and anchors.

    Args:
        landmarks: (F, 68, 2) of the frames, from `keep_apart`, crop units.
        identity: (68, 2) of the photo, crop units.

    Returns:
        Target (F, N, 2) and source points (N, 2), float64 crop units.
    """
    anchors = _anchors()
    source = np.concatenate([identity, guard_points(identity[None], identity)[0], anchors])
    fixed = np.broadcast_to(anchors, (len(landmarks), *anchors.shape))
    target = np.concatenate([landmarks, guard_points(landmarks, identity), fixed], axis=1)
    return torch.from_numpy(target).double(), torch.from_numpy(source).double()


def displacement_field(landmarks: np.ndarray, identity: np.ndarray) -> np.ndarray:
    """The displacement field of each frame.

    The spline is evaluated at every cell round brows, eyes, nose and mouth. Elsewhere it is smooth:
    there it is evaluated at every second cell and interpolated by cubic resizing.

    Args:
        landmarks: (F, 68, 2) of the frames, crop units.
        identity: (68, 2) of the photo, crop units.

    Returns:
        (F, GRID, GRID, 2) float32 backward displacements in crop units, zero at the region's border.
    """
    import cv2

    landmarks = keep_apart(landmarks, identity)
    target, source = spline_points(landmarks, identity)
    grid, coarse = grid_points(GRID), grid_points(GRID // 2)
    rows, columns = feature_cells(landmarks)
    near = grid[rows, columns]
    positions = torch.cat([coarse.reshape(-1, 2), near.reshape(-1, 2)])
    values = evaluate_spline(target, source, positions, point_smoothing(len(source)))
    smooth, exact = values.split([coarse[..., 0].numel(), near[..., 0].numel()], 1)
    field = np.empty((len(landmarks), GRID, GRID, 2), np.float32)
    for full, half in zip(field, smooth.view(-1, *coarse.shape).numpy(), strict=True):
        cv2.resize(half, (GRID, GRID), dst=full, interpolation=cv2.INTER_CUBIC)
    field[:, rows, columns] = exact.view(-1, *near.shape).numpy()
    field *= border_fade(grid)
    return field


def feature_cells(landmarks: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns of the field's cells round all landmarks (F, 68, 2) except the jaw."""
    low, high = REGION
    cells = (landmarks[:, JAW.stop :].reshape(-1, 2) - low) * (GRID / (high - low)) - 0.5
    first = np.clip(np.floor(cells.min(axis=0)) - _MARGIN, 0, GRID).astype(int)
    last = np.clip(np.ceil(cells.max(axis=0)) + _MARGIN + 1, 0, GRID).astype(int)
    return slice(first[1], last[1]), slice(first[0], last[0])


def border_fade(grid: Tensor) -> np.ndarray:
    """The fade at grid points (cells, cells, 2): (cells, cells, 1) float32, 1 inside, 0 at the border."""
    border = torch.minimum(grid - REGION[0], REGION[1] - grid).amin(dim=-1)
    return smoothstep(0, _FADE, border.numpy()).astype(np.float32)[..., None]


def region_rect(box: np.ndarray) -> tuple[int, int, int, int]:
    """The whole pixels x0, y0, x1, y1 that a field over the crop `box` can move; may exceed the photo."""
    side = float(box[2] - box[0])
    x0, y0 = np.floor(box[:2] + REGION[0] * side)
    x1, y1 = np.ceil(box[:2] + REGION[1] * side)
    return int(x0), int(y0), int(x1), int(y1)
