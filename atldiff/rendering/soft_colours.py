"""A made mouth has no finer colours than a film has: brightness tells its detail, colour only the coarse.

Cameras and codecs keep colour coarse, and nobody misses it. A network that paints mouths by itself leaves
flecks and rims of colour that no film has; a judge that saw nothing but colour told its mouths with AUC 0.98.
"""

from torch import Tensor

from atldiff.rendering.photo_light import LUMA
from atldiff.rendering.tensor_filters import blurred

FINEST = 1 / 64  # standard deviation of the blur of colours, share of a view's side


def soft_colours(prior: Tensor, residual: Tensor, mouth: Tensor) -> Tensor:
    """The residual less what the picture prior + residual has of fine colour in the mouth; luma is kept.

    Args:
        prior, residual: (B, 3, F, S, S).  mouth: (B, 1, F, S, S) in [0, 1], its inside.
    """
    deviation = [FINEST * residual.shape[-1]]
    picture = prior + residual
    luma = picture.new_tensor(LUMA).view(3, 1, 1, 1)
    colour = picture - (picture * luma).sum(dim=1, keepdim=True)
    near = (2 * blurred(mouth, deviation)).clamp(max=1)  # the lips' rim too, where colours change
    return residual + near * (blurred(colour, deviation) - colour)
