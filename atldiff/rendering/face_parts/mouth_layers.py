"""The layers of a painted mouth, from back to front: cavity, tongue, lower teeth, gum and upper teeth.

- Tensors over frames and pixels serve every device.
- Lengths are millimetres of an adult face.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from atldiff.smoothstep import smoothstep

# Borders between teeth from the midline outwards: sums of visible widths, adult means.
UPPER_TEETH = np.cumsum([0, 8.3, 6.4, 6.2, 4.6, 3.6, 2.6]).astype(np.float32)
LOWER_TEETH = np.cumsum([0, 5.3, 5.6, 5.8, 5.0, 4.5, 3.5]).astype(np.float32)
UPPER_STEPS = np.array([0, 0.8, 0.2, 1.0, 1.0, 1.0], np.float32)  # mm shorter than the first tooth


@dataclass(frozen=True)
class MouthShape:
    """Parameters shared by all people, fitted to training people (`training.renderer.fit_mouth`).

    Lights are shares of the teeth's light; lengths are mm.
    """

    edge: float = 4.88  # from the closed lips' line down to the upper row's edge
    jaw: float = 0.8  # share of the jaw's motion that the lower row follows
    overbite: float = 3.34  # from the upper row's edge up to the closed lower row's edge
    lower_show: float = 4.75  # most of the lower row that the lower lip leaves visible
    dim: float = 0.59  # opening that lets half of the light in
    pucker: float = 0.35  # share of its rest width at which a rounded mouth is dark
    upper_light: float = 1.16
    lower_light: float = 1.19
    tongue_light: float = 1.2
    cavity_light: float = 0.49
    falloff: float = 26.3  # half width at which the light fades towards the sides
    shadow: float = 0.43  # light right under the lips
    shadow_width: float = 1.94
    gap: float = 0.08  # darkness of the gaps between teeth
    blur: float = 0.34  # standard deviation of the painting's blur


@dataclass(frozen=True)
class MouthPose:
    """The pose of one frame's layers.

    Attributes:
        right: unit vector to the face's left side, which is right in the picture.
        origin: the point where the teeth's midline meets the upper row's edge. Pixels along `right`, and
            along its perpendicular down the face.
        mm: pixels per millimetre.
        drop: mm by which the jaw has dropped.
        low: mm from the upper row's edge to the lower row's edge.
        light: share of the light that enters the mouth.
    """

    right: tuple[float, float]
    origin: tuple[float, float]
    mm: float
    drop: float
    low: float
    light: float


def paint_layers(
    shape: MouthShape,
    teeth: np.ndarray,
    slope: float,
    poses: Sequence[MouthPose],
    rect: tuple[int, int, int, int],
    device: torch.device | str = "cpu",
) -> Tensor:
    """Paints all layers, without the lips' shadow.

    Args:
        shape: parameters shared by all people.
        teeth: (3,) colour of the teeth, levels.
        slope: relative change of light per mm to the right.
        poses: one a frame.
        rect: x0, y0, x1, y1 to paint, whole pixels.
        device: of the result.

    Returns:
        (F, 3, h, w) float32 levels, not clipped.
    """
    x, y, pixel = _places(poses, rect, device)
    drop, low, light_in = (_per_frame(values, device) for values in zip(*_numbers(poses), strict=True))
    side = torch.exp(-((x / shape.falloff) ** 4))
    low = low + 0.0036 * x * x
    painting = _colour((1.1, 0.55, 0.5), x) * shape.cavity_light
    # The tongue lies between the rows, dark under the upper teeth and light behind the lower ones.
    top, bottom = 0.8 + 0.22 * drop, low + 1.0
    height = (bottom - top).clamp(min=1.0)
    depth = ((y - top) / height).clamp(0, 1)
    reach = torch.sqrt((x / 20) ** 2 + ((y - bottom).clamp(max=0) / (height + 1)) ** 2)
    tongue = shape.tongue_light * (0.35 + 0.65 * depth) * (0.45 + 0.55 * side)
    painting = _blend_over(painting, (1.05, 0.68, 0.68), tongue, smoothstep(1.0, 0.7, reach))
    _, across, to_gap = _teeth(x, LOWER_TEETH)
    row = smoothstep(-0.2 - pixel, 0.2 + pixel, y - low - 0.35 * across**4)
    row = row * (x.abs() < LOWER_TEETH[-1].item())
    light = shape.lower_light * (1 - 0.16 * across**4) * _gaps(to_gap, shape.gap, pixel)
    light = light * (0.35 + 0.65 * side) * (0.75 + 0.25 * smoothstep(5, 0, y - low))
    painting = _blend_over(painting, (1.0, 0.97, 0.93), light, row)
    index, across, to_gap = _teeth(x, UPPER_TEETH)
    step = torch.from_numpy(UPPER_STEPS).to(device)[index]
    edge = -0.0035 * x * x - step - 0.7 * across.abs() ** 5
    row = smoothstep(0.2 + pixel, -0.2 - pixel, y - edge) * (x.abs() < UPPER_TEETH[-1].item())
    light = shape.upper_light * (1 - 0.14 * across**4) * _gaps(to_gap, shape.gap, pixel)
    light = light * (0.25 + 0.75 * side) * (0.9 + 0.1 * smoothstep(-1.2, -3, y - edge))
    gum = smoothstep(-8.6, -9.6, y + 1.2 * (1 - across**2) - step)
    colour = 1 - gum * _colour((0.22, 0.54, 0.55), x)
    painting = torch.lerp(painting, colour * light, row)
    return painting * _colour(teeth, x) * ((1 + slope * x) * light_in)


def _places(
    poses: Sequence[MouthPose], rect: tuple[int, int, int, int], device: torch.device | str
) -> tuple[Tensor, Tensor, Tensor]:
    """Pixel positions in mm: right of the teeth's midline, and below the upper row's edge.

    Returns:
        Both (F, 1, h, w), and half a pixel in mm (F, 1, 1, 1), the softness of edges.
    """
    x0, y0, x1, y1 = rect
    px = torch.arange(x0, x1, dtype=torch.float32, device=device) + 0.5
    py = torch.arange(y0, y1, dtype=torch.float32, device=device)[:, None] + 0.5
    rows = [(*pose.right, *pose.origin, pose.mm) for pose in poses]
    right_x, right_y, along, down, mm = (_per_frame(values, device) for values in zip(*rows, strict=True))
    x = (px * right_x + py * right_y - along) / mm
    y = (py * right_x - px * right_y - down) / mm
    return x, y, 0.5 / mm


def _numbers(poses: Sequence[MouthPose]) -> list[tuple[float, float, float]]:
    return [(pose.drop, pose.low, pose.light) for pose in poses]


def _per_frame(values: Sequence[float], device: torch.device | str) -> Tensor:
    """One number a frame as a tensor (F, 1, 1, 1)."""
    return torch.tensor(values, dtype=torch.float32, device=device).view(-1, 1, 1, 1)


def _colour(colour: Sequence[float] | np.ndarray, like: Tensor) -> Tensor:
    """A colour (3,) as a tensor (1, 3, 1, 1) on the device of `like`."""
    return torch.tensor(np.asarray(colour), dtype=torch.float32, device=like.device).view(1, 3, 1, 1)


def _teeth(x: Tensor, borders: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
    """The tooth at x mm from the midline: its index, the position across it (-1 to 1), mm to its border."""
    away, edges = x.abs(), torch.from_numpy(borders).to(x.device)
    index = (torch.searchsorted(edges, away, right=True) - 1).clamp(0, len(borders) - 2)
    width = edges[index + 1] - edges[index]
    across = ((away - edges[index]) / width * 2 - 1).clamp(-1, 1)
    return index, across, (1 - across.abs()) * width / 2


def _gaps(distance: Tensor, darkness: float, pixel: Tensor) -> Tensor:
    """The light of teeth near their borders: a dark line of 0.22 mm, wider and fainter on coarse pixels."""
    width = pixel.clamp(min=0.22)
    return 1 - darkness * (0.22 / width) * torch.exp(-((distance / width) ** 2))


def _blend_over(below: Tensor, tint: tuple[float, float, float], light: Tensor, alpha: Tensor) -> Tensor:
    return torch.lerp(below, _colour(tint, light) * light, alpha)
