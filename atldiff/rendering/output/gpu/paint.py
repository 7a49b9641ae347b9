"""Paints irises, the opened mouth, closed lids and closed lips into many frames at once on any device.

- OpenCV fills the outlines on the CPU, as uint8 masks of the painted rectangle only.
- The mouth's colours are computed on the device.
"""

import numpy as np
import torch
from torch import Tensor

from atldiff.landmarks import inter_ocular_distance
from atldiff.rendering.face_parts.gaze import Gaze
from atldiff.rendering.face_parts.light import EYE_SPAN
from atldiff.rendering.face_parts.mouth import LayeredMouth, fill_outline
from atldiff.rendering.face_parts.mouth_layers import paint_layers
from atldiff.rendering.face_parts.overlay import Closures
from atldiff.rendering.face_parts.shapes import Layers, Rect, enclose
from atldiff.rendering.output.filters import blur_pictures
from atldiff.rendering.warp.guard_points import keep_apart
from atldiff.smoothstep import smoothstep


def paint_mouths(
    moving: Tensor, mouth: LayeredMouth, landmarks: np.ndarray, outlines: np.ndarray, shares: np.ndarray
) -> None:
    """Paints the inside of the mouth into frames, in place; see `LayeredMouth.paint`.

    Args:
        moving: (F, C, H, W) uint8 frames.
        mouth: of the photo.
        landmarks: (F, 68, 2) of the frames, their pixels.
        outlines: (F, 8, 2) from `opened_mouth`, their pixels.
        shares: (F,) opacities in [0, 1]; 0 changes nothing.
    """
    size, device = (moving.shape[2], moving.shape[3]), moving.device
    rects = [mouth.rect(*frame, size) for frame in zip(landmarks, outlines, strict=True)]
    frames = _painted_frames(rects, shares)
    if not frames:
        return
    rects, landmarks, outlines = [rects[i] for i in frames], landmarks[frames], outlines[frames]
    bounds = enclose(rects)
    inside = _upload(np.stack([fill_outline(outline, bounds) for outline in outlines])[:, None], device)
    sizes = inter_ocular_distance(landmarks) / EYE_SPAN
    shadow, blur, edge = zip(*(mouth.blurs(float(mm)) for mm in sizes), strict=True)
    poses = [mouth.pose(marks) for marks in landmarks]
    painting = paint_layers(mouth.shape, mouth.teeth, mouth.slope, poses, bounds, device)
    depth = smoothstep(0.5, 1.0, blur_pictures(inside, shadow))
    painting = blur_pictures(painting * (mouth.shape.shadow + (1 - mouth.shape.shadow) * depth), blur)
    share = torch.from_numpy(shares[frames].astype(np.float32)).to(device).view(-1, 1, 1, 1)
    alpha = blur_pictures(inside, edge) * share * _rect_masks(rects, bounds, device)
    _blend(moving, frames, bounds, [(painting, alpha)])


def paint_closures(moving: Tensor, closures: Closures, landmarks: np.ndarray) -> None:
    """Draws closed lids and lips into frames, in place; see `Closures.paint`.

    Args:
        moving: (F, C, H, W) uint8 frames.
        closures: of the photo.
        landmarks: (F, 68, 2) of the frames, their pixels.
    """
    size, apart = (moving.shape[2], moving.shape[3]), keep_apart(landmarks, closures.still)
    for part in closures.parts:
        amounts = np.array([part.closing(marks) for marks in landmarks], np.float32)
        rects = [part.area(marks, size) for marks in apart]
        for frame in _painted_frames(rects, amounts):
            layers = part.layers(apart[frame], float(amounts[frame]), rects[frame])
            _blend_layers(moving, frame, rects[frame], layers)


def paint_gaze(moving: Tensor, gaze: Gaze, landmarks: np.ndarray, shifts: np.ndarray) -> None:
    """Moves both irises in frames, in place; see `Gaze.paint`.

    Args:
        moving: (F, C, H, W) uint8 frames.
        gaze: of the photo.
        landmarks: (F, 68, 2) of the frames, their pixels.
        shifts: (F, 2) from `iris_shifts`.
    """
    size, amounts = (moving.shape[2], moving.shape[3]), np.linalg.norm(shifts, axis=1)
    for iris in gaze.irises:
        rects = [iris.area(marks, size) for marks in landmarks]
        for frame in _painted_frames(rects, amounts):
            layers = iris.layers(landmarks[frame], shifts[frame], rects[frame])
            _blend_layers(moving, frame, rects[frame], layers)


def _blend_layers(moving: Tensor, frame: int, rect: Rect, layers: Layers) -> None:
    """Blends layers into a rectangle of one frame, in place; see `shapes.blend_layers`."""
    device = moving.device
    paints = [(_to_planes(colour, device), _to_planes(alpha, device)) for colour, alpha in layers]
    _blend(moving, [frame], rect, paints)


def _to_planes(x: np.ndarray, device: torch.device) -> Tensor:
    """Colours (h, w, 3) -> (3, h, w), one colour (3,) -> (3, 1, 1), alphas (h, w) -> (1, h, w)."""
    planes = x[None] if x.ndim == 2 else x[:, None, None] if x.ndim == 1 else x.transpose(2, 0, 1)
    return torch.from_numpy(np.ascontiguousarray(planes, dtype=np.float32)).to(device)


def _painted_frames(rects: list[Rect], shares: np.ndarray) -> list[int]:
    """Indices of the frames with a positive share and a non-empty rectangle."""
    return [i for i, (x0, y0, x1, y1) in enumerate(rects) if shares[i] > 0 and x0 < x1 and y0 < y1]


def _upload(masks: np.ndarray, device: torch.device) -> Tensor:
    """uint8 masks -> float32 in [0, 1] on the device."""
    return torch.from_numpy(masks).to(device).float() / 255


def _rect_masks(rects: list[Rect], bounds: Rect, device: torch.device) -> Tensor:
    """Masks (F, 1, h, w) bool of the pixels of `bounds` that lie in each frame's own rectangle."""
    x0, y0, x1, y1 = bounds
    low_x, low_y, high_x, high_y = torch.tensor(rects, device=device).T[:, :, None, None, None]
    x, y = torch.arange(x0, x1, device=device), torch.arange(y0, y1, device=device)[:, None]
    return (x >= low_x) & (x < high_x) & (y >= low_y) & (y < high_y)


def _blend(moving: Tensor, frames: list[int], rect: Rect, paints: list[tuple[Tensor, Tensor]]) -> None:
    """Blends layers (colour, alpha), the lowest first, into a rectangle of some frames, in place."""
    x0, y0, x1, y1 = rect
    index = torch.tensor(frames, device=moving.device)
    part = moving[index, :3, y0:y1, x0:x1].float()
    for colour, alpha in paints:
        part = part + (colour - part) * alpha
    moving[index, :3, y0:y1, x0:x1] = (part + 0.5).clamp(0, 255).to(torch.uint8)
