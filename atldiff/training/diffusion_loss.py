"""Losses of the renderer, and the colours its samples are varied in."""

import torch
from torch import Tensor
from torch.nn import functional as F

COARSE = 8  # pixels of a 128-pixel view; the critic decides what is finer inside the mouth


def residual_loss(
    prediction: Tensor, residual: Tensor, view: dict[str, Tensor], fine_share: float = 1.0
) -> Tensor:
    """Weighted L1 of the residual, of its image gradients and, in windows, of its frame differences.

    Inside the mouth it is mostly the coarse picture that counts: an L1 loss on detail that nobody can
    foretell asks for its mean.

    Args:
        prediction, residual: (B, 3, F, S, S).  view: its `weight` (B, 1, F, S, S) and, where the network
            has guide maps, `guide`, whose second map is the filled mouth.
        fine_share: of the weight of fine errors inside the mouth; 1 = as everywhere.
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
    if mouth is not None and bool(mouth.any()):
        inside, share, heavy = (_blocks(x) for x in (error * mouth, mouth, weight * mouth))
        terms.append((inside / (share + 0.05), heavy))
    if error.shape[2] > 1:
        terms.append((error[:, :, 1:] - error[:, :, :-1], weight[:, :, 1:]))
    return sum((term.abs() * w).sum() / (3 * w.sum()).clamp(min=1e-6) for term, w in terms)


def _blocks(x: Tensor) -> Tensor:
    """Means of (B, C, F, S, S) over square blocks that overlap by half."""
    block = max(2, COARSE * x.shape[-1] // 128)
    return F.avg_pool2d(x.flatten(0, 2)[:, None], block, block // 2).unflatten(0, x.shape[:3])[..., 0, :, :]


def augment_colour(still: Tensor, views: list[dict[str, Tensor]]) -> tuple[Tensor, list[dict[str, Tensor]]]:
    """uint8 pictures -> [-1, 1], with the same random gain and offset per channel for all of a sample.

    Args:
        still: (B, 3, S, S) uint8.  views: with prior and target (B, 3, F, S, S) uint8.
    """
    device, count = still.device, len(still)
    gain = 1 + 0.2 * (torch.rand(count, 3, 1, 1, 1, device=device) - 0.5)
    shared = 0.2 * (torch.rand(count, 1, 1, 1, 1, device=device) - 0.5)
    offset = shared + 0.1 * (torch.rand(count, 3, 1, 1, 1, device=device) - 0.5)
    coloured = []
    for view in views:
        pictures = {name: (signed(view[name]) * gain + offset).clamp(-1, 1) for name in ("prior", "target")}
        coloured.append(view | pictures)
    return (signed(still) * gain[..., 0] + offset[..., 0]).clamp(-1, 1), coloured


def signed(frames: Tensor) -> Tensor:
    """uint8 -> float in [-1, 1]."""
    return frames.float() / 127.5 - 1
