"""How made mouths are graded: colours as coarse as a film's, contrast as strong as a real mouth's.

Cameras and codecs keep colour coarse, and nobody misses it: brightness tells the detail. A network that
paints mouths by itself leaves flecks and rims of colour that no film has: a judge that saw nothing but colour
told its mouths with AUC 0.98. And what it cannot foretell it paints too flat, at all scales alike.
"""

from torch import Tensor

from atldiff.rendering.photo_light import LUMA
from atldiff.rendering.tensor_filters import blurred

FINEST = 1 / 64  # standard deviation of the blur of colours, share of a view's side
CONTRAST = 1.1  # deviation inside real mouths over made ones: training people 1.04, validation 1.12


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


def contrasted(prior: Tensor, residual: Tensor, unseen: Tensor) -> Tensor:
    """The residual with which the picture prior + residual has the contrast of a real mouth where the photo
    shows none; its mean colour is kept. After sampling, never in training: a network would make up for it.

    Args:
        prior, residual: (B, 3, F, S, S).  unseen: (F, S, S) in [0, 1], see `disocclusion.unseen_mask`.
    """
    picture, area = prior + residual, unseen.sum(dim=(-2, -1), keepdim=True).clamp(min=1)
    mean = (picture * unseen).sum(dim=(-2, -1), keepdim=True) / area
    return residual + (CONTRAST - 1) * unseen * (picture - mean)
