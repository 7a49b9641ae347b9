"""Batches of the landmark training: random windows of encoded clips.

Windows are mirrored, start from other portraits, and have gaps in their features (SpecAugment).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from atldiff import landmarks as lm
from atldiff.config import FRAME_RATE
from atldiff.speech.mel import FEATURE_HOP, FEATURE_RATE
from atldiff.training.landmarks.encoded import Example


@dataclass(frozen=True, eq=False)
class Batch:
    """A batch of windows.

    Attributes:
        acoustic: (B, T, D) features.
        emotion: (B, E) embedding.
        target: (B, F, 68, 2) displacements in face units.
        identity: (B, 68, 2) face units.
        ok: (B, F) bool, frames that count.
        samples: (B, n) levelled; n = 0 if the network does not take the waveform.
    """

    acoustic: Tensor
    emotion: Tensor
    target: Tensor
    identity: Tensor
    ok: Tensor
    samples: Tensor


def draw_batch(
    versions: Sequence[Sequence[Example]],
    share: np.ndarray,
    lags: list[int],
    size: int,
    frames: int,
    rng: np.random.Generator,
) -> Batch:
    """Draws `size` windows of `frames` frames.

    Args:
        versions: encoded versions of all N clips.
        share: (N,) how often each clip is drawn, of any sum.
        lags: (N,) frames by which each clip's picture comes after its sound.
    """
    indices = rng.choice(len(share), size, p=share / share.sum())
    rows = [
        _window(versions[int(rng.integers(len(versions)))][i], lags[i], frames, rng) for i in indices.tolist()
    ]
    columns = [torch.stack(column) for column in zip(*rows, strict=True)]
    for row in columns[0]:  # SpecAugment in time
        start = int(rng.integers(row.shape[0]))
        row[start : start + int(rng.integers(0, 15))] = 0
    return Batch(*columns)


def clip_shares(speakers: Sequence[str], frames: Sequence[int]) -> np.ndarray:
    """How often each clip is drawn, (N,): by the root of its length, less for speakers with many clips."""
    counts = Counter(speakers)
    return np.sqrt(frames) / np.array([counts[speaker] for speaker in speakers]) ** 0.25


def _window(example: Example, lag: int, frames: int, rng: np.random.Generator) -> tuple[Tensor, ...]:
    """A random window: the fields of a `Batch` without the batch axis.

    Half of the windows are mirrored. A quarter starts from another identity frame, whose mouth may be open.
    """
    total = len(example.ok)
    start = 3 * int(rng.integers(0, max(1, (total - frames) // 3 + 1)))
    first, count = start * FEATURE_RATE // FRAME_RATE, frames * FEATURE_RATE // FRAME_RATE + 1
    acoustic = example.acoustic[0, first : first + count].float()
    acoustic = torch.cat([acoustic, acoustic[-1:].expand(count - len(acoustic), -1)])
    numbers = torch.arange(start, start + frames) + lag
    ok = (numbers >= 0) & (numbers < total)
    numbers = numbers.clamp(0, total - 1)
    target, identity = example.displacements[numbers], example.identity
    if rng.random() < 0.25 and example.ok.any():
        other = example.displacements[rng.choice(np.flatnonzero(example.ok.numpy()))]
        target, identity = target - other, identity + other
    if rng.random() < 0.5:
        target, identity = mirror_vectors(target), mirror_vectors(identity)
    samples = _samples(example, first, count)
    return acoustic, example.emotion[0], target, identity, ok & example.ok[numbers], samples


def _samples(example: Example, first: int, count: int) -> Tensor:
    """The samples (n,) of `count` features from number `first` on; n = 0 if the example has no samples."""
    if not example.samples.numel():
        return torch.zeros(0)
    length = (count - 1) * FEATURE_HOP + 1
    samples = example.samples[0, first * FEATURE_HOP :][:length].float()
    return F.pad(samples, (0, length - len(samples)))


def mirror_vectors(vectors: Tensor) -> Tensor:
    """Mirrors displacements or landmarks (..., 68, 2) in face units."""
    return vectors[..., torch.from_numpy(lm.MIRROR.copy()), :] * torch.tensor([-1.0, 1.0])
