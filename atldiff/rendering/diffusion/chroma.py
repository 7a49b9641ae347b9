"""Coarse colours inside generated mouths.

- Cameras and codecs store colour coarsely; luma carries the detail.
- The network leaves flecks and rims of colour in mouths that no film has. This blur removes them.
"""

from math import ceil

from torch import Tensor

from atldiff.rendering.face_parts.light import LUMA
from atldiff.rendering.output.filters import blur_pictures

FINEST = 1 / 64  # standard deviation of the colours' blur, share of a view's side


def soft_colours(prior: Tensor, residual: Tensor, mouth: Tensor) -> Tensor:
    """Removes fine colour inside the mouth from the residual; the picture's luma does not change.

    Args:
        prior: (B, 3, F, S, S) in [-1, 1].
        residual: (B, 3, F, S, S) that is added to it.
        mouth: (B, 1, F, S, S) mask in [0, 1] of the mouth's inside.

    Returns:
        (B, 3, F, S, S) residual.
    """
    deviation = [FINEST * residual.shape[-1]]
    margin = 2 * ceil(4 * deviation[0])  # twice the blur's reach: for the changed pixels and their neighbours
    part = _bounds(mouth, margin)
    picture, mouth = prior[part] + residual[part], mouth[part]
    if not mouth.numel():
        return residual
    luma = picture.new_tensor(LUMA).view(3, 1, 1, 1)
    colour = picture - (picture * luma).sum(dim=1, keepdim=True)
    near = (2 * blur_pictures(mouth, deviation)).clamp(max=1)  # includes the lips' rim, where colours change
    softened = residual.clone()
    softened[part] += near * (blur_pictures(colour, deviation) - colour)
    return softened


def _bounds(mask: Tensor, margin: int) -> tuple:
    """The index of the smallest box round all positive pixels of masks (..., S, S), plus a margin."""
    flat = mask.flatten(0, -3)
    return ..., _extent(flat.amax(dim=(0, 2)), margin), _extent(flat.amax(dim=(0, 1)), margin)


def _extent(line: Tensor, margin: int) -> slice:
    """From the first to the last positive value of a line (S,), plus a margin."""
    positions = line.nonzero()
    if not len(positions):
        return slice(0)
    return slice(max(int(positions[0]) - margin, 0), int(positions[-1]) + margin + 1)
