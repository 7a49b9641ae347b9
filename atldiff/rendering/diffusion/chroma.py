"""The colours of made mouths: as coarse as a film's.

Cameras and codecs keep colour coarse, and nobody misses it: brightness tells the detail. A network that
paints mouths by itself leaves flecks and rims of colour that no film has: a judge that saw nothing but colour
told its mouths with AUC 0.98.
"""

from math import ceil

from torch import Tensor

from atldiff.rendering.face_parts.light import LUMA
from atldiff.rendering.output.filters import blur_pictures

FINEST = 1 / 64  # standard deviation of the blur of colours, share of a view's side


def soft_colours(prior: Tensor, residual: Tensor, mouth: Tensor) -> Tensor:
    """The residual less what the picture prior + residual has of fine colour in the mouth; luma is kept.

    Args:
        prior, residual: (B, 3, F, S, S).  mouth: (B, 1, F, S, S) in [0, 1], its inside.
    """
    deviation = [FINEST * residual.shape[-1]]
    margin = 2 * ceil(4 * deviation[0])  # the blur's reach, twice: what it changes, and what that is made of
    part = _around(mouth, margin)
    picture, mouth = prior[part] + residual[part], mouth[part]
    if not mouth.numel():
        return residual
    luma = picture.new_tensor(LUMA).view(3, 1, 1, 1)
    colour = picture - (picture * luma).sum(dim=1, keepdim=True)
    near = (2 * blur_pictures(mouth, deviation)).clamp(max=1)  # the lips' rim too, where colours change
    softened = residual.clone()
    softened[part] += near * (blur_pictures(colour, deviation) - colour)
    return softened


def _around(mask: Tensor, margin: int) -> tuple:
    """The part of pictures (..., S, S) that holds what is above zero in any of them, and a margin."""
    flat = mask.flatten(0, -3)
    return ..., _reached(flat.amax(dim=(0, 2)), margin), _reached(flat.amax(dim=(0, 1)), margin)


def _reached(line: Tensor, margin: int) -> slice:
    """The places of a line (S,) that are not farther than `margin` from its first or last above zero."""
    found = line.nonzero()
    if not len(found):
        return slice(0)
    return slice(max(int(found[0]) - margin, 0), int(found[-1]) + margin + 1)
