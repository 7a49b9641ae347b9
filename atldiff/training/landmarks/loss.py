"""The landmark network's loss: position, speed, and the opening of the lips."""

from collections.abc import Callable

import torch
from torch import Tensor

from atldiff import landmarks as lm

FACE_SHARE, MOUTH_SHARE = 0.2, 0.8  # the released code's weights of face and mouth
UNIT = 0.03  # face units: about one standard deviation of a mouth point while speaking


def landmark_loss(
    predicted: Tensor,
    target: Tensor,
    identity: Tensor,
    ok: Tensor,
    velocity: float = 0.5,
    across: Callable[[Tensor], Tensor] = lambda total: total,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Loss of displacements against targets.

    The released code has the mean squares alone. Here speed, gap and width of the lips join, and for each
    window correlation and deviation of the lips' opening: plain regression opens the mouth too little.

    Args:
        predicted, target: (B, F, 68, 2) face units, from `identity`.
        identity: (B, 68, 2) face units.
        ok: (B, F) bool, frames that count.
        velocity: weight of the speed.
        across: averages the number of frames of a batch over the processes.

    Returns:
        The loss, and its terms by name.
    """
    frames = ok.float()
    pairs = frames[:, 1:] * frames[:, :-1]
    error, speed = (predicted - target) / UNIT, (predicted - target).diff(dim=1) / UNIT
    lips, true_lips = lip_shape(predicted + identity[:, None]), lip_shape(target + identity[:, None])
    agreement, deviation = opening_agreement(lips[..., 0], true_lips[..., 0], frames)
    terms = {
        "place": _mean(_weigh_parts(error), frames, across),
        "speed": _mean(_weigh_parts(speed), pairs, across),
        "lips": _mean(((lips - true_lips) / UNIT).abs().mean(-1), frames, across),
        "correlation": (1 - agreement).mean(),
        "deviation": deviation.mean(),
    }
    weights = {"place": 1.0, "speed": velocity, "lips": 0.5, "correlation": 0.5, "deviation": 0.2}
    parts = (weights[name] * term for name, term in terms.items())
    return sum(parts, start=error.new_zeros(())), terms


def _weigh_parts(error: Tensor) -> Tensor:
    """Mean squares (...,) of errors (..., 68, 2), under the weights of face and mouth."""
    square = error.square().mean(-1)
    return FACE_SHARE * square.mean(-1) + MOUTH_SHARE * square[..., lm.MOUTH].mean(-1)


def _mean(values: Tensor, weights: Tensor, across: Callable[[Tensor], Tensor]) -> Tensor:
    return (values * weights).sum() / across(weights.sum()).clamp_min(1)


def lip_shape(points: Tensor) -> Tensor:
    """Inner gap, outer gap and width of the mouth, (..., 3), of landmarks (..., 68, 2) in face units."""
    inner = points[..., lm.LOWER_INNER_LIP, :] - points[..., lm.UPPER_INNER_LIP, :]
    outer = points[..., (58, 57, 56), :] - points[..., (50, 51, 52), :]
    width = points[..., 54, 0] - points[..., 48, 0]
    return torch.stack([inner[..., 1].mean(-1), outer[..., 1].mean(-1), width], -1)


def opening_agreement(predicted: Tensor, target: Tensor, frames: Tensor) -> tuple[Tensor, Tensor]:
    """Correlation (B,) and |log ratio of deviations| (B,) of two curves (B, F) over the frames that count.

    Windows with almost still lips get 1 and 0.
    """
    count = frames.sum(1, keepdim=True).clamp_min(1)
    a, b = ((c - (c * frames).sum(1, keepdim=True) / count) * frames for c in (predicted, target))
    spread_a, spread_b = (((c * c).sum(1) / count[:, 0] + 1e-6).sqrt() for c in (a, b))
    moving = (spread_b > 0.01) & (count[:, 0] > 15)
    correlation = (a * b).sum(1) / count[:, 0] / (spread_a * spread_b)
    ratio = (spread_a / spread_b).log().abs()
    return torch.where(moving, correlation, 1.0), torch.where(moving, ratio, 0.0)
