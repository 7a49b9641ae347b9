"""Losses of the renderer, and the colours its samples are varied in."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from atldiff.rendering.diffusion.chroma import soft_colours
from atldiff.rendering.levels import to_signed

SHADING = 20.0  # weight of `shading_loss`: an error of 1/20 costs what it costs in L1
COARSE = 8  # pixels of a 128-pixel view; the critic decides what is finer inside the mouth


def residual_loss(
    prediction: Tensor,
    residual: Tensor,
    view: dict[str, Tensor],
    fine_share: float = 1.0,
    coarse_share: float = 1.0,
    across: Callable[[Tensor], Tensor] = lambda total: total,
) -> Tensor:
    """Weighted L1 of the residual, of its image gradients and, in windows, of its frame differences.

    Inside the mouth it is mostly the coarse picture that counts: an L1 loss on detail that nobody can
    foretell asks for its median. Coarse colours are told by L2: teeth that are seen more often than not are
    not to be seen always. Outside of it, where the prior is a warped photo, L2 joins too: the residual is
    mostly light and shade there, whose median is next to nothing.

    Args:
        prediction, residual: (B, 3, F, S, S).  view: its `weight` (B, 1, F, S, S) and, where the network
            has guide maps, `guide`, whose second map is the filled mouth.
        fine_share: of the weight of fine errors inside the mouth; 1 = as everywhere.
        coarse_share: of the weight of coarse errors there.
        across: makes of this batch's total weights their mean over the processes.
    """
    error, weight = prediction - residual, view["weight"]
    if "guide" in view:
        mouth = view["guide"][:, 1:2]
        fine = weight * (1 - (1 - fine_share) * mouth)
    else:
        mouth, fine = None, weight
    terms = [(error, fine)]
    terms.append((error[..., 1:, :] - error[..., :-1, :], fine[..., 1:, :]))
    terms.append((error[..., :, 1:] - error[..., :, :-1], fine[..., :, 1:]))
    if mouth is not None:
        inside, share, heavy = (_blocks(x) for x in (error * mouth, mouth, weight * mouth))
        terms.append((coarse_share * SHADING / 2 * (inside / (share + 0.05)).square(), heavy))
        terms.append((SHADING / 2 * error.square(), weight * (1 - mouth)))
    if error.shape[2] > 1:
        terms.append((error[:, :, 1:] - error[:, :, :-1], weight[:, :, 1:]))
    totals = across(torch.stack([3 * w.sum() for _, w in terms])).clamp(min=1e-6)
    return sum((term.abs() * w).sum() / total for (term, w), total in zip(terms, totals, strict=True))


def shading_loss(
    prediction: Tensor,
    residual: Tensor,
    view: dict[str, Tensor],
    across: Callable[[Tensor], Tensor] = lambda total: total,
) -> Tensor:
    """Weighted L2 of a face view beside a mouth view.

    Its residual is mostly light and shade, of which the mean is wanted; the median, which L1 asks for, is
    next to nothing. Arguments as of `residual_loss`.
    """
    error, weight = prediction - residual, view["weight"]
    return SHADING * (error.square() * weight).sum() / across(3 * weight.sum()).clamp(min=1e-6)


def _blocks(x: Tensor) -> Tensor:
    """Means of (B, C, F, S, S) over square blocks that overlap by half."""
    block = max(2, COARSE * x.shape[-1] // 128)
    return F.avg_pool2d(x.flatten(0, 2)[:, None], block, block // 2).unflatten(0, x.shape[:3])[..., 0, :, :]


def colours(generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """A random gain and offset of each channel, (3, 1, 1, 1)."""
    drawn = torch.rand(7, 1, 1, 1, generator=generator, device=generator.device) - 0.5
    return 1 + 0.2 * drawn[:3], 0.2 * drawn[6:] + 0.1 * drawn[3:6]


def varied_colours(
    still: Tensor, views: list[dict[str, Tensor]], gain: Tensor, offset: Tensor
) -> tuple[Tensor, list[dict[str, Tensor]]]:
    """uint8 pictures -> [-1, 1], all of a sample with its own gain and offset (B, 3, 1, 1, 1).

    Args:
        still: (B, 3, S, S) uint8.  views: with prior and target (B, 3, F, S, S) uint8.
    """
    coloured = []
    for view in views:
        pictures = {
            name: (to_signed(view[name]) * gain + offset).clamp(-1, 1) for name in ("prior", "target")
        }
        coloured.append(view | pictures)
    return (to_signed(still) * gain[..., 0] + offset[..., 0]).clamp(-1, 1), coloured


def softened(view: dict[str, Tensor]) -> dict[str, Tensor]:
    """The view with a target as soft in its mouth's colours as all that is made (`soft_colours`): a critic
    that sees the traces of a codec in real colours looks at nothing else.
    """
    if "guide" not in view:
        return view
    prior, mouth = view["prior"], view["guide"][:, 1:2]
    return view | {"target": prior + soft_colours(prior, view["target"] - prior, mouth)}
