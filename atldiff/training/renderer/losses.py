"""Losses of the renderer, and the colour augmentation of its samples."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from atldiff.rendering.diffusion.chroma import soft_colours
from atldiff.rendering.levels import to_signed

SHADING = 20.0  # weight of `shading_loss`: an error of 1/20 costs as much as in L1
COARSE = 8  # pixels of a 128-pixel view; finer detail inside the mouth is left to the critic


def residual_loss(
    prediction: Tensor,
    residual: Tensor,
    view: dict[str, Tensor],
    fine_share: float = 1.0,
    coarse_share: float = 1.0,
    across: Callable[[Tensor], Tensor] = lambda total: total,
) -> Tensor:
    """Weighted L1 of the residual, of its image gradients and, in windows, of its frame differences.

    - Inside the mouth, fine detail is down-weighted: it is unpredictable, and L1 leads to its median.
    - There, coarse colours have an L2 loss (the mean); otherwise teeth appear in every frame.
    - Outside the mouth L2 joins: the residual of a warped photo is light and shade, with a median near zero.

    Args:
        prediction, residual: (B, 3, F, S, S).
        view: `weight` (B, 1, F, S, S) and, if the network has guide maps, `guide`; its second map is the
            filled mouth.
        fine_share: weight of fine errors inside the mouth; 1 = as elsewhere.
        coarse_share: weight of coarse errors inside the mouth.
        across: averages a batch's total weights over the processes.
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
    """Weighted L2 of a face view beside a mouth view; arguments as in `residual_loss`.

    The residual is mostly light and shade. Its mean is the target; its median, which L1 finds, is near zero.
    """
    error, weight = prediction - residual, view["weight"]
    return SHADING * (error.square() * weight).sum() / across(3 * weight.sum()).clamp(min=1e-6)


def _blocks(x: Tensor) -> Tensor:
    """Means of (B, C, F, S, S) over square blocks that overlap by half."""
    block = max(2, COARSE * x.shape[-1] // 128)
    return F.avg_pool2d(x.flatten(0, 2)[:, None], block, block // 2).unflatten(0, x.shape[:3])[..., 0, :, :]


def draw_colours(generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """A random gain and offset of each channel, (3, 1, 1, 1)."""
    numbers = torch.rand(7, 1, 1, 1, generator=generator, device=generator.device) - 0.5
    return 1 + 0.2 * numbers[:3], 0.2 * numbers[6:] + 0.1 * numbers[3:6]


def vary_colours(
    still: Tensor, views: list[dict[str, Tensor]], gain: Tensor, offset: Tensor
) -> tuple[Tensor, list[dict[str, Tensor]]]:
    """Converts uint8 pictures to [-1, 1], with one gain and offset for all pictures of a sample.

    Args:
        still: (B, 3, S, S) uint8.
        views: each with prior and target (B, 3, F, S, S) uint8.
        gain, offset: (B, 3, 1, 1, 1).
    """
    results = []
    for view in views:
        pictures = {
            name: (to_signed(view[name]) * gain + offset).clamp(-1, 1) for name in ("prior", "target")
        }
        results.append(view | pictures)
    return (to_signed(still) * gain[..., 0] + offset[..., 0]).clamp(-1, 1), results


def soften_target(view: dict[str, Tensor]) -> dict[str, Tensor]:
    """Softens the colours in the target's mouth like those of generated frames (`soft_colours`).

    Otherwise the critic looks only at the traces of a codec in real colours.
    """
    if "guide" not in view:
        return view
    prior, mouth = view["prior"], view["guide"][:, 1:2]
    return view | {"target": prior + soft_colours(prior, view["target"] - prior, mouth)}
