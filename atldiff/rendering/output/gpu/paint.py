"""Irises, the opened mouth, closed lids and closed lips, painted into many frames at once on any device.

Outlines are filled with OpenCV's smooth edges on the CPU, as uint8 masks no larger than what is painted; all
that has a colour is made on the device.
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
from atldiff.rendering.face_parts.shapes import Rect, enclosing
from atldiff.rendering.output.filters import blurred
from atldiff.rendering.warp.guard_points import parted
from atldiff.smoothstep import smoothstep


def paint_mouths(
    moving: Tensor, mouth: LayeredMouth, landmarks: np.ndarray, outlines: np.ndarray, shares: np.ndarray
) -> None:
    """`LayeredMouth.paint` of frames (F, C, H, W) uint8, in place."""
    size, device = (moving.shape[2], moving.shape[3]), moving.device
    rects = [mouth.rect(*frame, size) for frame in zip(landmarks, outlines, strict=True)]
    shown = _shown(rects, shares)
    if not shown:
        return
    rects, landmarks, outlines = [rects[i] for i in shown], landmarks[shown], outlines[shown]
    whole = enclosing(rects)
    inside = _uploaded(np.stack([fill_outline(outline, whole) for outline in outlines])[:, None], device)
    sizes = inter_ocular_distance(landmarks) / EYE_SPAN
    shadow, blur, edge = zip(*(mouth.blurs(float(mm)) for mm in sizes), strict=True)
    poses = [mouth.pose(marks) for marks in landmarks]
    painting = paint_layers(mouth.shape, mouth.teeth, mouth.slope, poses, whole, device)
    depth = smoothstep(0.5, 1.0, blurred(inside, shadow))
    painting = blurred(painting * (mouth.shape.shadow + (1 - mouth.shape.shadow) * depth), blur)
    share = torch.from_numpy(shares[shown].astype(np.float32)).to(device).view(-1, 1, 1, 1)
    alpha = blurred(inside, edge) * share * _within(rects, whole, device)
    _blend(moving, shown, whole, [(painting, alpha)])


def paint_closures(moving: Tensor, closures: Closures, landmarks: np.ndarray) -> None:
    """`Closures.paint` of frames (F, C, H, W) uint8, in place."""
    size, apart = (moving.shape[2], moving.shape[3]), parted(landmarks, closures.still)
    for part in closures.parts:
        amounts = np.array([part.closing(marks) for marks in landmarks], np.float32)
        rects = [part.area(marks, size) for marks in apart]
        for frame in _shown(rects, amounts):
            layers = part.layers(apart[frame], float(amounts[frame]), rects[frame])
            paints = [(_on(colour, moving.device), _on(alpha, moving.device)) for colour, alpha in layers]
            _blend(moving, [frame], rects[frame], paints)


def paint_gaze(moving: Tensor, gaze: Gaze, landmarks: np.ndarray, shifts: np.ndarray) -> None:
    """`Gaze.paint` of frames (F, C, H, W) uint8, in place."""
    size, amounts = (moving.shape[2], moving.shape[3]), np.linalg.norm(shifts, axis=1)
    for iris in gaze.irises:
        rects = [iris.area(marks, size) for marks in landmarks]
        for frame in _shown(rects, amounts):
            layers = iris.layers(landmarks[frame], shifts[frame], rects[frame])
            paints = [(_on(colour, moving.device), _on(alpha, moving.device)) for colour, alpha in layers]
            _blend(moving, [frame], rects[frame], paints)


def _on(x: np.ndarray, device: torch.device) -> Tensor:
    """Colours (h, w, 3) as (3, h, w), one colour (3,) as (3, 1, 1), alphas (h, w) as (1, h, w)."""
    planes = x[None] if x.ndim == 2 else x[:, None, None] if x.ndim == 1 else x.transpose(2, 0, 1)
    return torch.from_numpy(np.ascontiguousarray(planes, dtype=np.float32)).to(device)


def _shown(rects: list[Rect], shares: np.ndarray) -> list[int]:
    """The frames in which there is something to paint."""
    return [i for i, (x0, y0, x1, y1) in enumerate(rects) if shares[i] > 0 and x0 < x1 and y0 < y1]


def _uploaded(masks: np.ndarray, device: torch.device) -> Tensor:
    """uint8 masks as float32 in [0, 1] on the device."""
    return torch.from_numpy(masks).to(device).float() / 255


def _within(rects: list[Rect], whole: Rect, device: torch.device) -> Tensor:
    """(F, 1, h, w): which pixels of `whole` lie in each frame's own rectangle."""
    x0, y0, x1, y1 = whole
    low_x, low_y, high_x, high_y = torch.tensor(rects, device=device).T[:, :, None, None, None]
    x, y = torch.arange(x0, x1, device=device), torch.arange(y0, y1, device=device)[:, None]
    return (x >= low_x) & (x < high_x) & (y >= low_y) & (y < high_y)


def _blend(moving: Tensor, shown: list[int], whole: Rect, paints: list[tuple[Tensor, Tensor]]) -> None:
    """Paints (colour, alpha), one over the other, into a part of some frames."""
    x0, y0, x1, y1 = whole
    frames = torch.tensor(shown, device=moving.device)
    part = moving[frames, :3, y0:y1, x0:x1].float()
    for colour, alpha in paints:
        part = part + (colour - part) * alpha
    moving[frames, :3, y0:y1, x0:x1] = (part + 0.5).clamp(0, 255).to(torch.uint8)
